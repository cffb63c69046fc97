//! `[feed.desktop]` of a pipeline file, typed. Its schema is plugins/feed-desktop/plugin.toml; what a schema
//! cannot say is checked here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use deskreel_model::Place;
use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::origin::{Origins, Scheme};

/// Default of `listen`.
const LISTEN: &str = "127.0.0.1:8643";
/// Default of `session`, the same as that of the classic endpoints.
const SESSION: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "WrittenSettings")]
pub struct Settings {
    /// Loopback addresses. The server does not start without the first one.
    pub listen: Vec<SocketAddr>,
    pub scheme: Scheme,
    /// The deployer's own certificate and key. Without them, they are generated.
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub origins: Origins,
    pub agents_file: Option<PathBuf>,
    pub token_file: Option<PathBuf>,
    /// An agent whose desktop is silent for this long is logged out.
    pub session: Duration,
    pub place: Option<Place>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenSettings {
    listen: Option<String>,
    scheme: Scheme,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    origins: Vec<String>,
    agents_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    session: Option<String>,
    place: Option<String>,
}

impl Settings {
    /// Reads the settings of the feed, which `deskreel check` accepts. Paths are used unchanged.
    pub fn read(settings: &Value) -> Result<Settings, Error> {
        Settings::deserialize(settings).map_err(|error| Error::Setting(error.to_string()))
    }
}

impl TryFrom<WrittenSettings> for Settings {
    type Error = String;

    fn try_from(written: WrittenSettings) -> Result<Settings, String> {
        let listen = written.listen.as_deref().unwrap_or(LISTEN);
        let certificate = match (written.certificate, written.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("`certificate` and `key` go together: set both or neither".to_owned()),
        };
        let session = match written.session.as_deref() {
            None => SESSION,
            Some(text) => {
                deskreel_pipeline::parse_duration(text).filter(|session| !session.is_zero()).ok_or_else(
                    || format!("`session` is not a duration above zero: `{text}`; write one as 60s"),
                )?
            }
        };
        Ok(Settings {
            listen: addresses(listen).ok_or_else(|| {
                format!("`listen` is not a loopback address with a port: `{listen}`; write 127.0.0.1:8643")
            })?,
            scheme: written.scheme,
            certificate,
            origins: Origins::new(written.origins.iter().map(String::as_str)),
            agents_file: written.agents_file,
            token_file: written.token_file,
            session,
            place: written.place.as_deref().map(Into::into),
        })
    }
}

/// Parses `listen`. `localhost` means both loopback addresses, since browsers try either one first.
fn addresses(text: &str) -> Option<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> = match text.strip_prefix("localhost:") {
        Some(port) => {
            let port: u16 = port.parse().ok()?;
            vec![SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))]
        }
        None => vec![text.parse().ok()?],
    };
    addresses.iter().all(|address| address.ip().is_loopback()).then_some(addresses)
}

/// Limits of the API. The defaults are for a PC with one agent and a few desktops; tests set their own.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; a new one replaces the one that is idle for longest. Far below 1024, the default
    /// limit of open files of a process.
    pub connections: usize,
    /// Time for a TLS handshake, for the head of a request, and between two requests.
    pub head: Duration,
    /// Time for the body of a request.
    pub body: Duration,
    pub body_bytes: usize,
    /// Time until a command that is not done is answered with 202.
    pub answer: Duration,
    /// Time for the desk to carry out a request.
    pub act: Duration,
    /// Commands and events per second of one session.
    pub rate: u32,
    /// Event streams and WebSockets of one session at once.
    pub streams: usize,
    /// Time between keep-alive messages on event streams and WebSockets.
    pub beat: Duration,
    /// Least time for which an idempotency key is kept.
    pub key_kept: Duration,
    /// Operations that are kept for one session.
    pub keys: usize,
    /// Failed log-ins under one name before it has to wait.
    pub failures: u32,
    /// Wait for each further attempt.
    pub failure_wait: Duration,
    /// Time for running requests when the API shuts down.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 256,
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            body_bytes: 64 * 1024,
            answer: Duration::from_secs(2),
            act: Duration::from_secs(60),
            rate: 50,
            streams: 8,
            beat: Duration::from_secs(15),
            key_kept: Duration::from_secs(3600),
            keys: 4096,
            failures: 5,
            failure_wait: Duration::from_secs(30),
            farewell: Duration::from_secs(2),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_table_is_the_documented_default() {
        let settings = Settings::read(&json!({})).unwrap();
        assert_eq!(settings.listen, ["127.0.0.1:8643".parse().unwrap()]);
        assert_eq!((settings.scheme, settings.session), (Scheme::Https, Duration::from_secs(60)));
        assert!(settings.agents_file.is_none() && settings.token_file.is_none());
    }

    #[test]
    fn an_address_that_others_can_reach_is_refused() {
        for listen in ["0.0.0.0:8643", "192.168.1.5:8643", "[::]:8643", "example.org:8643", "127.0.0.1"] {
            let error = Settings::read(&json!({ "listen": listen })).unwrap_err();
            assert!(error.to_string().contains("loopback"), "{listen}: {error}");
        }
        assert_eq!(Settings::read(&json!({ "listen": "localhost:1" })).unwrap().listen.len(), 2);
    }

    #[test]
    fn a_certificate_without_a_key_is_refused() {
        assert!(Settings::read(&json!({ "certificate": "a.pem" })).is_err());
    }
}
