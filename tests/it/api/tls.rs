//! HTTPS on loopback, with the certificate that is generated at the first start.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use serde_json::json;

use super::world::{PAGE, PASSWORD, Wish, World, basic};

fn https() -> World {
    World::new(Wish { settings: json!({ "scheme": "https" }), ..Wish::default() })
}

/// Returns the whole answer to a request on a connection of its own, by a client that trusts only the
/// generated certificate.
fn ask(world: &World, name: &str, request: &str) -> Result<String, std::io::Error> {
    let path = world.folder.path().join("api/certificate.pem");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(world.address).unwrap();
    let mut stream = Stream::new(&mut tls, &mut socket);
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn the_generated_certificate_is_valid_for_loopback_and_nothing_else() {
    let world = https();
    let port = world.address.port();
    for name in ["localhost", "127.0.0.1", "::1"] {
        let request =
            format!("GET /api/v1/health HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
        let answer = ask(&world, name, &request).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(ask(&world, "evil.example", "").is_err() || ask(&world, "evil.example", "x").is_err());
    let key = world.folder.path().join("api/key.pem");
    assert_eq!(fs::metadata(key).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn on_https_the_cookie_works_for_pages_of_other_sites_and_is_ours_alone() {
    let world = https();
    let request = format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: {}\r\nOrigin: {PAGE}\r\nAuthorization: {}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n",
        world.address,
        basic("ann", PASSWORD)
    );
    let answer = ask(&world, "127.0.0.1", &request).unwrap();
    let set = answer.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
    assert!(set.starts_with("set-cookie: __Host-deskreel="), "{set}");
    for attribute in ["Path=/", "HttpOnly", "Secure", "SameSite=None", "Partitioned"] {
        assert!(set.contains(attribute), "{set}");
    }
}

#[test]
fn plain_http_on_the_tls_port_gets_no_answer() {
    let world = https();
    let mut http = world.http();
    http.send("GET", "/api/v1/health", &[], "");
    let mut rest = Vec::new();
    let _ = http.stream.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1"));
}
