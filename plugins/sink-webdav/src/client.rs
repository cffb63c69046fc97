//! The requests of WebDAV that a copy needs. A place is a list of names below `url`.

use std::io::{self, Read};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use deskreel_sdk::prelude::*;
use reqwest::blocking::{self, RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy as Redirects};
use reqwest::{Certificate, Method, Url};
use sha2::{Digest, Sha256};

use crate::answer::{MUCH_LATER, SOON, Said, Trouble, trouble};
use crate::footage::hex;
use crate::secret::{Login, Secret};

/// Bytes a second that a line carries at least; slower ones count as broken.
const SLOWEST: u64 = 32_000;
/// How often one request is sent on, within the server.
const REDIRECTS: usize = 5;

pub struct Client {
    base: Url,
    login: Login,
    ca_file: Option<PathBuf>,
    timeout: Duration,
    /// Made when it is needed, and again after a connection has failed: with the authorities as they are then.
    http: Option<blocking::Client>,
}

impl Client {
    pub fn new(
        url: &str,
        plain_http: bool,
        login: Login,
        ca_file: Option<PathBuf>,
        timeout: Duration,
    ) -> Result<Client> {
        Ok(Client { base: address(url, plain_http)?, login, ca_file, timeout, http: None })
    }

    /// Whether it was not there before.
    pub fn make_folder(&mut self, place: &[String]) -> Result<bool, Trouble> {
        let request = self.request("MKCOL", self.url(place, true))?;
        let said = said(&self.ask(request, 0)?);
        match said.status {
            201 => Ok(true),
            // RFC 4918, 9.3.1: there is something already.
            405 => Ok(false),
            _ => Err(trouble("MKCOL", &said)),
        }
    }

    pub fn put(&mut self, place: &[String], bytes: Vec<u8>) -> Result<(), Trouble> {
        let length = bytes.len() as u64;
        let request = self.request("PUT", self.url(place, false))?.body(bytes);
        let said = said(&self.ask(request, length)?);
        match said.status {
            200 | 201 | 204 => Ok(()),
            _ => Err(trouble("PUT", &said)),
        }
    }

    /// What has the new name already is replaced.
    pub fn rename(&mut self, from: &[String], to: &[String]) -> Result<(), Trouble> {
        let to = self.url(to, false);
        let request = self.request("MOVE", self.url(from, false))?;
        let request = request.header("Destination", to.as_str()).header("Overwrite", "T");
        let said = said(&self.ask(request, 0)?);
        match said.status {
            201 | 204 => Ok(()),
            _ => Err(trouble("MOVE", &said)),
        }
    }

    /// Bytes; none if there is no such file.
    pub fn size(&mut self, place: &[String]) -> Result<Option<u64>, Trouble> {
        let request = self.request("HEAD", self.url(place, false))?;
        let response = self.ask(request, 0)?;
        let said = said(&response);
        let length = response.headers().get(CONTENT_LENGTH).and_then(|text| text.to_str().ok());
        match said.status {
            200 => Ok(length.and_then(|text| text.parse().ok())),
            404 => Ok(None),
            _ => Err(trouble("HEAD", &said)),
        }
    }

    /// Of a file that should have this size; of more than that nothing is read.
    pub fn sha256(&mut self, place: &[String], size: u64) -> Result<String, Trouble> {
        let request = self.request("GET", self.url(place, false))?;
        let response = self.ask(request, size)?;
        let said = said(&response);
        if said.status != 200 {
            return Err(trouble("GET", &said));
        }
        let mut hash = Hashing(Sha256::new());
        let read = io::copy(&mut response.take(size + 1), &mut hash);
        read.map_err(|error| self.broken(error.to_string()))?;
        Ok(hex(hash.0))
    }

    pub fn url(&self, place: &[String], is_folder: bool) -> Url {
        let mut url = self.base.clone();
        // An address with a host, as `address` has made sure, has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(place);
            if is_folder {
                segments.push("");
            }
        }
        url
    }

    fn request(&mut self, method: &str, url: Url) -> Result<RequestBuilder, Trouble> {
        let later = |reason: String| Trouble::later(MUCH_LATER, reason);
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| later(error.to_string()))?;
        let secret = |secret: &Secret| secret.read().map_err(later);
        match &self.login {
            Login::Nobody => Ok(self.http()?.request(method, url)),
            Login::User(user, password) => {
                let (user, password) = (user.clone(), secret(password)?);
                Ok(self.http()?.request(method, url).basic_auth(user, Some(password)))
            }
            Login::Token(token) => {
                let mut bearer = HeaderValue::from_str(&format!("Bearer {}", secret(token)?))
                    .map_err(|_| later(format!("{} holds what cannot stand in a header", token.name())))?;
                bearer.set_sensitive(true);
                Ok(self.http()?.request(method, url).header(AUTHORIZATION, bearer))
            }
        }
    }

    fn http(&mut self) -> Result<&blocking::Client, Trouble> {
        let http = match self.http.take() {
            Some(http) => http,
            None => self.make_http().map_err(|reason| Trouble::later(MUCH_LATER, reason))?,
        };
        Ok(self.http.insert(http))
    }

    fn make_http(&self) -> Result<blocking::Client, String> {
        // Ours alone: a plugin's library has statics of its own. Fails where it was done before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = blocking::Client::builder()
            .user_agent(concat!("deskreel/", env!("CARGO_PKG_VERSION")))
            .redirect(Redirects::custom(within_the_server))
            .connect_timeout(self.timeout);
        if self.base.scheme() == "http" {
            // A proxy would read everything; who allows plain HTTP means this one machine.
            builder = builder.no_proxy();
        }
        if let Some(file) = &self.ca_file {
            let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            let pem = std::fs::read(file).map_err(|error| wrong(&error))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
            if authorities.is_empty() {
                return Err(wrong(&"holds no certificate"));
            }
            builder = builder.tls_certs_merge(authorities);
        }
        builder.build().map_err(in_words)
    }

    /// Sends a request of which so many bytes go one way or the other.
    fn ask(&mut self, request: RequestBuilder, length: u64) -> Result<Response, Trouble> {
        let limit = self.timeout + Duration::from_secs(length / SLOWEST);
        request.timeout(limit).send().map_err(|error| self.broken(in_words(error)))
    }

    fn broken(&mut self, reason: String) -> Trouble {
        self.http = None;
        Trouble::later(SOON, format!("{}: {reason}", self.base))
    }
}

/// Takes what is written into a hash.
struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The server's address, if footage and password are safe on the way there.
fn address(url: &str, plain_http: bool) -> Result<Url> {
    let wrong = |what: &str| PluginError::settings(format!("`url`: {what}"));
    let url = Url::parse(url).map_err(|error| wrong(&format!("`{url}` is no address: {error}")))?;
    let host = url.host_str().unwrap_or_default();
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        _ if !is_bare => Err(wrong("no name, password, `?` or `#` belongs into it")),
        "https" => Ok(url),
        "http" if plain_http || is_loopback(host) => Ok(url),
        "http" => Err(wrong("footage and password could be read on the way: use https, or set `plain_http`")),
        other => Err(wrong(&format!("`{other}` is neither http nor https"))),
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Password and token go to nobody but the server.
fn within_the_server(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let first = attempt.previous().first();
    let is_same = first.is_some_and(|first| first.origin() == attempt.url().origin());
    match is_same && attempt.previous().len() <= REDIRECTS {
        true => attempt.follow(),
        false => attempt.stop(),
    }
}

fn said(response: &Response) -> Said {
    let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    Said { status: response.status().as_u16(), retry_after: header(RETRY_AFTER), location: header(LOCATION) }
}

/// The whole chain: the first link only says that something was sent.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_or_whoever_asks_for_it() {
        let kind = |url: &str, plain_http| address(url, plain_http).map_err(|error| error.kind);
        for url in ["https://a.example", "http://localhost:80", "http://127.0.0.2/x", "http://[::1]:8080/"] {
            assert!(kind(url, false).is_ok(), "{url}");
        }
        for url in ["http://a.example", "http://127.0.0.1.example", "http://10.0.0.1"] {
            assert_eq!(kind(url, false).err(), Some(ErrorKind::Settings), "{url}");
            assert!(kind(url, true).is_ok(), "{url}");
        }
        for url in ["https://me:pw@a.example", "https://a.example/?token=1", "ftp://a.example", "a.example"] {
            assert_eq!(kind(url, true).err(), Some(ErrorKind::Settings), "{url}");
        }
    }

    #[test]
    fn names_are_encoded_and_folders_end_with_a_slash() {
        for base in ["https://a.example/dav", "https://a.example/dav/"] {
            let client = Client::new(base, false, Login::Nobody, None, Duration::ZERO).unwrap();
            let place = ["a b".to_owned(), "50%#?".to_owned()];
            assert_eq!(client.url(&place, true).as_str(), "https://a.example/dav/a%20b/50%25%23%3F/");
            assert_eq!(client.url(&place, false).as_str(), "https://a.example/dav/a%20b/50%25%23%3F");
        }
    }
}
