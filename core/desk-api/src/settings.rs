//! `[feed.desktop]` of a pipeline file, typed. plugins/feed-desktop/plugin.toml is its schema; what only makes sense
//! here is checked here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use deskreel_model::Place;
use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::origin::Origins;

/// What `listen` is without a word in the file.
const LISTEN: &str = "127.0.0.1:8643";
/// As the classic service has it.
const SESSION: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    /// Loopback addresses, the first of which must be had.
    pub listen: Vec<SocketAddr>,
    pub scheme: Scheme,
    /// Certificate and key, where the deployer brings them.
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub origins: Origins,
    pub agents_file: Option<PathBuf>,
    pub token_file: Option<PathBuf>,
    /// An agent whose desktop says nothing for so long is logged out.
    pub session: Duration,
    pub place: Option<Place>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    #[default]
    Https,
    Http,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Https => "https",
            Scheme::Http => "http",
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Https => 443,
            Scheme::Http => 80,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
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
    /// From the settings of the feed, as `deskreel check` has let them through. Paths are taken as they are.
    pub fn read(settings: &Value) -> Result<Settings, Error> {
        Settings::deserialize(settings).map_err(|error| Error::Setting(error.to_string()))
    }
}

impl TryFrom<Written> for Settings {
    type Error = String;

    fn try_from(written: Written) -> Result<Settings, String> {
        let listen = written.listen.as_deref().unwrap_or(LISTEN);
        let certificate = match (written.certificate, written.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("`certificate` and `key` go together".to_owned()),
        };
        let session = match written.session.as_deref() {
            None => SESSION,
            Some(text) => deskreel_pipeline::parse_duration(text)
                .filter(|session| !session.is_zero())
                .ok_or_else(|| format!("`session` is no length of time: `{text}`"))?,
        };
        Ok(Settings {
            listen: addresses(listen).ok_or_else(|| {
                format!("`listen` is no loopback address with a port: `{listen}`; write 127.0.0.1:8643")
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

/// `localhost` is both loopback addresses, since browsers try either first.
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

/// What the API bears with. Tests set their own; the defaults are for a PC with one agent and a few desktops.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; the one that is idle for longest makes room for a new one. Far below the 1024 files
    /// that a process may have open where nobody has raised that.
    pub connections: usize,
    /// For a TLS handshake, for the head of a request, and between two requests.
    pub head: Duration,
    /// For the body of a request.
    pub body: Duration,
    pub body_bytes: usize,
    /// How long a command is waited for before it is answered with 202.
    pub answer: Duration,
    /// How long the desk is given for what is asked of it.
    pub act: Duration,
    /// Commands and events of one session a second.
    pub rate: u32,
    /// Event streams and WebSockets of one session at a time.
    pub streams: usize,
    /// Between signs of life on event streams and WebSockets.
    pub beat: Duration,
    /// How long an idempotency key is kept at least, and how many a session may have.
    pub key_kept: Duration,
    pub keys: usize,
    /// Failed log-ins under one name before it has to wait, and for how long.
    pub failures: u32,
    pub failure_wait: Duration,
    /// For running requests, when the API goes down.
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
    fn half_a_certificate_is_none() {
        assert!(Settings::read(&json!({ "certificate": "a.pem" })).is_err());
    }
}
