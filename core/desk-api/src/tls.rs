//! HTTPS on loopback, with the deployer's certificate or one that is generated at the first start.
//!
//! The generated one is no authority: trusting it means trusting this PC's recorder and no other server, even
//! if its key is stolen.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use deskreel_platform::secrets;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::{Error, secret};

/// Ten years, more than a PC lasts: when a certificate expires, it must be replaced in the browsers of every
/// PC.
const VALID_YEARS: i32 = 10;
/// Time before the expiry from which on the log warns.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// Loads the deployer's own certificate, or the one in `folder`, which is generated if it is missing.
pub fn acceptor(
    own: Option<&(PathBuf, PathBuf)>,
    folder: &Path,
) -> Result<(TlsAcceptor, CertificateCheck), Error> {
    let (certificate, key) = match own {
        Some(own) => own.clone(),
        None => generated(folder)?,
    };
    let (config, check) = config(&certificate, &key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), check))
}

/// Tells whether a certificate that is in use is still valid.
#[derive(Debug, Clone)]
pub struct CertificateCheck {
    path: Arc<Path>,
    chain: Arc<[CertificateDer<'static>]>,
}

impl CertificateCheck {
    /// Why browsers do not accept the certificate now, for people.
    pub fn problem(&self) -> Option<String> {
        let wrong = is_in_time(&self.chain, SystemTime::now()).err()?;
        Some(format!("{}: {wrong}", self.path.display()))
    }
}

fn config(certificate: &Path, key: &Path) -> Result<(ServerConfig, CertificateCheck), Error> {
    let wrong = |path: &Path, what: String| Error::Certificate { path: path.to_owned(), what };
    let text = fs::read(certificate).map_err(|error| Error::File { path: certificate.to_owned(), error })?;
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
        wrong(
            certificate,
            "no certificate in PEM; provide one, or remove the file to have a new one generated".to_owned(),
        )
    })?;
    is_in_time(&chain, SystemTime::now()).map_err(|what| wrong(certificate, what))?;
    if let Err(what) = is_in_time(&chain, SystemTime::now() + SOON) {
        tracing::warn!(certificate = %certificate.display(), "in 30 days: {what}");
    }
    let check = CertificateCheck { path: certificate.into(), chain: chain.clone().into() };
    let secret = PrivateKeyDer::from_pem_slice(secret::read_private(key)?.as_bytes())
        .map_err(|error| wrong(key, format!("no private key in PEM ({error})")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| wrong(certificate, format!("it does not match its key: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, check))
}

/// Checks whether the certificate is valid at this time. Browsers judge its signature.
fn is_in_time(chain: &[CertificateDer<'static>], now: SystemTime) -> Result<(), String> {
    let Some((leaf, above)) = chain.split_first() else { return Ok(()) };
    let unreadable = |error: rustls::Error| format!("it cannot be read ({error}); provide another");
    let parsed = ParsedCertificate::try_from(leaf).map_err(unreadable)?;
    let mut roots = RootCertStore::empty();
    roots.add(above.last().unwrap_or(leaf).clone()).map_err(unreadable)?;
    let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(&parsed, &roots, above, now, algorithms) {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Err("it has expired; provide another, or remove it together with its key: the next start generates a new \
                   one, which browsers must then trust"
            .to_owned()),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Err("it is not valid yet; set this PC's clock, or provide another".to_owned()),
        _ => Ok(()),
    }
}

/// Certificate and key of this PC, generated if they do not exist yet.
fn generated(folder: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    if !certificate.exists() {
        generate(folder, &certificate, &key)?;
    }
    Ok((certificate, key))
}

fn generate(folder: &Path, certificate: &Path, key: &Path) -> Result<(), Error> {
    let failed =
        |error: rcgen::Error| Error::Certificate { path: certificate.to_owned(), what: error.to_string() };
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let host = deskreel_platform::system::host_name();
    if host.parse::<std::net::IpAddr>().is_err()
        && host.is_ascii()
        && !names.contains(&host)
        && !host.is_empty()
    {
        names.push(host.clone());
    }
    let pair = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, format!("Deskreel recorder on {host}"));
    // Valid since yesterday, for clocks that are set back later.
    let today = rcgen::date_time_ymd(1970, 1, 1) + since_epoch() - Duration::from_secs(24 * 3600);
    params.not_before = today;
    params.not_after = today + Duration::from_secs(VALID_YEARS as u64 * 365 * 24 * 3600);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let signed = params.self_signed(&pair).map_err(failed)?;
    let in_folder = |error| Error::File { path: folder.to_owned(), error };
    secrets::create_folder(folder).map_err(in_folder)?;
    // The key first, so that a certificate never lacks its key.
    write(key, secrets::create_private_file, &pair.serialize_pem()).map_err(in_folder)?;
    write(certificate, secrets::create_public_file, &signed.pem()).map_err(in_folder)?;
    tracing::info!(certificate = %certificate.display(), "generated a certificate; browsers must be told to trust it");
    Ok(())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn write(path: &Path, create: impl Fn(&Path) -> io::Result<File>, text: &str) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let _ = fs::remove_file(&beside);
    let mut file = create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_certificate_is_generated_once_and_nobody_else_can_read_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("api");
        acceptor(None, &folder).unwrap();
        let first = fs::read(folder.join("certificate.pem")).unwrap();
        acceptor(None, &folder).unwrap();
        assert_eq!(fs::read(folder.join("certificate.pem")).unwrap(), first);
        assert_eq!(fs::metadata(folder.join("key.pem")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_certificate_that_is_not_valid_now_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        acceptor(None, folder.path()).unwrap();
        let text = fs::read(folder.path().join("certificate.pem")).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(&text).unwrap()];
        let now = SystemTime::now();
        assert_eq!(is_in_time(&chain, now), Ok(()));
        assert_eq!(is_in_time(&chain, now + Duration::from_secs(9 * 365 * 24 * 3600)), Ok(()));
        let later = is_in_time(&chain, now + Duration::from_secs(11 * 365 * 24 * 3600)).unwrap_err();
        assert!(later.contains("expired") && later.contains("trust"), "{later}");
        let before = is_in_time(&chain, now - Duration::from_secs(30 * 24 * 3600)).unwrap_err();
        assert!(before.contains("clock"), "{before}");
    }

    #[test]
    fn a_file_that_is_not_a_certificate_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("certificate.pem"), "garbage").unwrap();
        let Err(error) = acceptor(None, folder.path()) else { panic!("accepted") };
        assert!(error.to_string().contains("a new one generated"), "{error}");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        acceptor(None, folder.path()).unwrap();
        let open = fs::Permissions::from_mode(0o644);
        fs::set_permissions(folder.path().join("key.pem"), open).unwrap();
        assert!(matches!(acceptor(None, folder.path()), Err(Error::Readable { .. })));
    }

    use std::os::unix::fs::PermissionsExt;
}
