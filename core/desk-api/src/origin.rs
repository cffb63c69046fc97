//! The pages that may use the API, and the host names that reach it. Pure.
//!
//! Any page that an agent opens can make the browser send requests to loopback. `Origin` names that page,
//! which cannot forge it. `Host` is the name that the request used: if a page rebinds its own name to
//! 127.0.0.1, `Host` has the page's name, not one of ours.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::uri::Authority;
use serde::Deserialize;

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

/// Pages that may use the API.
#[derive(Debug, Clone, Default)]
pub struct Origins(Arc<[Box<str>]>);

impl Origins {
    pub fn new<'a>(written: impl Iterator<Item = &'a str>) -> Origins {
        Origins(written.map(as_browsers_write).collect())
    }

    /// Whether `origin`, as in an `Origin` header, is one of them.
    pub fn has(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| **allowed == *origin)
    }
}

/// Lower case, without the scheme's default port.
fn as_browsers_write(written: &str) -> Box<str> {
    let lower = written.to_ascii_lowercase();
    let implied = if lower.starts_with("https:") { ":443" } else { ":80" };
    lower.strip_suffix(implied).unwrap_or(&lower).into()
}

/// Names under which this PC reaches the API.
#[derive(Debug, Clone)]
pub struct Hosts {
    names: Vec<String>,
    port: u16,
    implied_port: u16,
}

impl Hosts {
    pub fn new(addresses: &[SocketAddr], scheme: Scheme) -> Hosts {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        for address in addresses {
            let name = match address {
                SocketAddr::V4(address) => address.ip().to_string(),
                SocketAddr::V6(address) => format!("[{}]", address.ip()),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let port = addresses.first().map_or(0, SocketAddr::port);
        Hosts { names, port, implied_port: scheme.default_port() }
    }

    /// Whether `host`, as in a `Host` header, is this API.
    pub fn has(&self, host: &str) -> bool {
        // An authority may have a user; a Host may not.
        let Some(authority) = host.parse::<Authority>().ok().filter(|_| !host.contains('@')) else {
            return false;
        };
        let port = match authority.port() {
            None if host.ends_with(':') => return false,
            None => self.implied_port,
            Some(port) => port.as_u16(),
        };
        port == self.port && self.names.iter().any(|name| name.eq_ignore_ascii_case(authority.host()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_origin_is_the_whole_text_or_none() {
        let origins = Origins::new(["https://Desktop.Example:443", "http://localhost:3000"].into_iter());
        assert!(origins.has("https://desktop.example") && origins.has("http://localhost:3000"));
        for foreign in [
            "null",
            "",
            "http://desktop.example",
            "https://desktop.example:444",
            "https://desktop.example.evil.example",
            "https://evil-desktop.example",
            "http://localhost:30001",
            "http://localhost",
        ] {
            assert!(!origins.has(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_host_is_a_loopback_name_with_our_port() {
        let hosts = Hosts::new(&["127.0.0.2:8643".parse().unwrap()], Scheme::Https);
        for ours in ["localhost:8643", "LOCALHOST:8643", "127.0.0.1:8643", "[::1]:8643", "127.0.0.2:8643"] {
            assert!(hosts.has(ours), "{ours}");
        }
        for other in [
            "evil.example:8643",
            "localhost",
            "localhost:80",
            "localhost.:8643",
            "localhost.evil.example:8643",
            "127.0.0.1.nip.io:8643",
            "user@localhost:8643",
            "0.0.0.0:8643",
            "[::ffff:127.0.0.1]:8643",
            "localhost:",
            "",
        ] {
            assert!(!hosts.has(other), "{other}");
        }
        assert!(Hosts::new(&["127.0.0.1:443".parse().unwrap()], Scheme::Https).has("localhost"));
    }
}
