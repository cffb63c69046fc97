//! TLS by rustls with ring, trusting the machine's authorities.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

/// The TLS configuration. Made for each connection, with the authorities that the machine trusts then.
pub fn config(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let own = match ca_file {
        None => Vec::new(),
        Some(file) => {
            let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            read.map_err(|error| format!("{}: {error}", file.display()))?
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = || {
        let verifier = Verifier::new_with_extra_roots(own, provider.clone())?;
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(builder.with_no_client_auth())
    };
    config().map_err(|error: rustls::Error| format!("no TLS: {error}"))
}
