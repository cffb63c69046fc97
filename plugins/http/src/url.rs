//! Addresses to which footage and secrets may be sent.

use std::net::IpAddr;

use deskreel_sdk::prelude::*;
use reqwest::Url;

/// Reads the URL in the setting `setting`. Plain HTTP is only for this machine, unless `plain_http` allows
/// it; `secret` is what requests carry besides footage: `token`, `password`.
pub fn check(setting: &str, text: &str, plain_http: bool, secret: &str) -> Result<Url> {
    let wrong = |what: &str| PluginError::settings(format!("`{setting}`: {what}"));
    let url = Url::parse(text).map_err(|error| wrong(&format!("`{text}` is not a URL: {error}")))?;
    let host = url.host_str().unwrap_or_default();
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        _ if !is_bare => Err(wrong("leave out user name, password, `?` and `#`")),
        "https" => Ok(url),
        "http" if plain_http || is_loopback(host) => Ok(url),
        "http" => Err(wrong(&format!(
            "footage and {secret} could be read on the way: use https, or set `plain_http`"
        ))),
        other => Err(wrong(&format!("`{other}` is neither http nor https"))),
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(text: &str, plain_http: bool) -> Result<Url> {
        super::check("server", text, plain_http, "token")
    }

    #[test]
    fn plain_http_is_for_this_machine_unless_it_is_allowed() {
        let kind = |text: &str, plain_http| check(text, plain_http).map_err(|error| error.kind);
        for url in ["https://a.example", "http://localhost:80", "http://127.0.0.2/x", "http://[::1]:8080/"] {
            assert!(kind(url, false).is_ok(), "{url}");
        }
        for url in ["http://a.example", "http://127.0.0.1.example", "http://10.0.0.1"] {
            assert_eq!(kind(url, false).err(), Some(ErrorKind::Settings), "{url}");
            assert!(kind(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_url_holds_no_secret_and_nothing_odd() {
        for url in ["https://me:pw@a.example", "https://a.example/?token=1", "ftp://a.example", "a.example"] {
            let error = check(url, true).unwrap_err();
            assert!(error.kind == ErrorKind::Settings && error.message.contains("`server`"), "{url}");
        }
    }
}
