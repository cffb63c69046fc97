//! `deskreel-server serve`: listens until it is asked to stop, then finishes the requests under way.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use deskreel_platform::service;
use deskreel_platform::signals::StopRequests;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::api;
use crate::app::App;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::feeds::Feeds;
use crate::health_rounds;
use crate::identities;
use crate::limits::connections::ConnectionLimit;
use crate::retention;

/// Time for requests under way once the server is asked to stop.
const GRACE: Duration = Duration::from_secs(10);

pub async fn run(config: Config) -> Result<()> {
    let server = config.graph.server.clone();
    let listening = |source| Error::Listen { address: server.listen.clone(), source };
    let tls = match &server.tls {
        Some((certificate, key)) => Some(tls(certificate, key)?),
        None => None,
    };
    let app = App::open(config).await?;
    let feeds = Feeds::start(&app.config, &app.control)?;
    let listener = TcpListener::bind(&server.listen).map_err(listening)?;
    listener.set_nonblocking(true).map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;

    let handle = Handle::new();
    let mut requests = StopRequests::new().map_err(listening)?;
    let stop = handle.clone();
    tokio::spawn(async move {
        requests.next().await;
        tracing::info!("the server is shutting down");
        service::notify_stopping();
        stop.graceful_shutdown(Some(GRACE));
    });
    let retention = tokio::spawn(retention::run(app.clone()));
    service::notify_ready();
    tracing::info!(%address, tls = tls.is_some(), "the server listens");
    tokio::spawn(health_rounds::run(app.clone(), retention));
    tokio::spawn(health_rounds::feed_watchdog(app.clone()));
    tokio::spawn(identities::run(app.clone()));
    let patience = (server.head_patience, server.answer_patience);
    let served = listen(listener, tls, api::router(app.clone()), handle, patience).await;
    drop(feeds);
    if tokio::time::timeout(GRACE, app.control.flush()).await.is_err() {
        tracing::warn!("not everything is in the index; the next start will add it");
    }
    app.db.close().await;
    served.map_err(listening)
}

async fn listen(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    router: Router,
    handle: Handle<SocketAddr>,
    (head, answer): (Duration, Duration),
) -> std::io::Result<()> {
    let server = axum_server::from_tcp(listener)?.handle(handle);
    let service = router.into_make_service();
    // A command is one small message, which must not wait for the acknowledgement of the previous one.
    let prompt = NoDelayAcceptor::new();
    match tls {
        Some(tls) => {
            let secure = RustlsAcceptor::new(tls).handshake_timeout(head).acceptor(prompt);
            limit_heads(server.acceptor(ConnectionLimit::new(secure, answer)), head).serve(service).await
        }
        None => limit_heads(server.acceptor(ConnectionLimit::new(prompt, answer)), head).serve(service).await,
    }
}

/// Limits the time for the first request of a connection and for the head of each request.
fn limit_heads<A>(
    server: axum_server::Server<SocketAddr, A>,
    head: Duration,
) -> axum_server::Server<SocketAddr, A> {
    let mut server = server.first_request_timeout(head);
    server.http_builder().http1().header_read_timeout(head);
    server
}

fn tls(certificate: &Path, key: &Path) -> Result<RustlsConfig> {
    let unreadable = |file: &Path| {
        let what = file.display().to_string();
        move |error: rustls::pki_types::pem::Error| Error::Read { what, source: std::io::Error::other(error) }
    };
    let chain: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(unreadable(certificate))?.collect();
    let chain = chain.map_err(unreadable(certificate))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let wrong = |error: rustls::Error| Error::Read {
        what: key.display().to_string(),
        source: std::io::Error::other(error),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(wrong)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
