//! The server's address, as the settings have it.

use deskreel_model::link::PATH;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::LinkError;

#[derive(Debug, Clone)]
pub struct Address {
    pub host: String,
    pub port: u16,
    pub is_secure: bool,
    /// Address of the WebSocket.
    pub uri: Uri,
}

impl Address {
    /// Plain HTTP is refused unless it goes to this machine or `plain_http` allows it: the token could be
    /// read on the way.
    pub fn parse(text: &str, plain_http: bool) -> Result<Address, LinkError> {
        let wrong = || LinkError::Address(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let (authority, host) = authority.zip(uri.host()).ok_or_else(wrong)?;
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        if uri.query().is_some() {
            return Err(wrong());
        }
        if !is_secure && !plain_http && !is_this_machine(host) {
            return Err(LinkError::PlainHttp(text.to_owned()));
        }
        let scheme = if is_secure { "wss" } else { "ws" };
        let path = uri.path().trim_end_matches('/');
        let uri = format!("{scheme}://{authority}{path}{PATH}").parse().map_err(|_| wrong())?;
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Address { host, port, is_secure, uri })
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_that_of_the_link() {
        let address = |text| Address::parse(text, false).map(|it| (it.host, it.port, it.uri.to_string()));
        let is = |host: &str, port, uri: &str| Ok((host.to_owned(), port, uri.to_owned()));
        assert_eq!(address("https://r.example"), is("r.example", 443, "wss://r.example/api/v1/link"));
        assert_eq!(
            address("https://r.example:8443/x/"),
            is("r.example", 8443, "wss://r.example:8443/x/api/v1/link")
        );
        assert_eq!(address("http://[::1]:80"), is("::1", 80, "ws://[::1]:80/api/v1/link"));
        for wrong in
            ["r.example", "ftp://r.example", "https://", "https://me@r.example", "https://r.example/?a=b", ""]
        {
            assert_eq!(address(wrong), Err(LinkError::Address(wrong.to_owned())));
        }
    }

    /// The token could be read on the way.
    #[test]
    fn plain_http_goes_to_this_machine_alone_unless_it_is_allowed() {
        for near in ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert!(Address::parse(near, false).is_ok(), "{near}");
        }
        for far in ["http://r.example", "http://localhost.example", "http://10.0.0.1"] {
            assert_eq!(Address::parse(far, false).unwrap_err(), LinkError::PlainHttp(far.to_owned()));
            assert!(Address::parse(far, true).is_ok(), "{far}");
        }
    }
}
