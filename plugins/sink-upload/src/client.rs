//! The requests of docs/server-api.md.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use deskreel_sdk::prelude::*;
use reqwest::blocking::{self, RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy as Redirects};
use reqwest::{Certificate, Method, Url};

use crate::answer::{MUCH_LATER, SOON, Said, Trouble, judge_put, trouble};
use crate::digest;
use crate::footage::{Name, Piece};
use crate::secret::Secret;

/// Bytes a second that a line carries at least; slower ones count as broken.
const SLOWEST: u64 = 32_000;
/// The longest answer that is read: 100 000 fragments take 17 MB.
const LONGEST_ANSWER: u64 = 32 << 20;
/// How often one request is sent on, within the server.
const REDIRECTS: usize = 5;

pub struct Client {
    server: Url,
    token: Secret,
    timeout: Duration,
    ca_file: Option<PathBuf>,
    /// Made when it is needed, and again after a connection has failed: with the authorities as they are then.
    http: Option<blocking::Client>,
    /// Whether the server may hold what it has not told us: at the start, and after an answer that was lost or wrong.
    is_in_doubt: bool,
}

/// What a server has of a recording, as it says itself.
#[derive(Default)]
pub struct Held {
    pub is_closed: bool,
    /// With their hashes.
    pub fragments: BTreeMap<Name, String>,
}

impl Held {
    pub fn has(&self, piece: &Piece) -> bool {
        self.fragments.get(&piece.name) == Some(&piece.sha256)
    }
}

/// What the server says to a manifest.
#[derive(Debug, PartialEq, Eq)]
pub enum Closing {
    Closed,
    Missing(Vec<Name>),
}

impl Client {
    pub fn new(server: &str, plain_http: bool, token: Secret, timeout: Duration) -> Result<Client> {
        let server = address(server, plain_http)?;
        Ok(Client { server, token, timeout, ca_file: None, http: None, is_in_doubt: true })
    }

    /// Besides the authorities that the machine trusts.
    pub fn trust(&mut self, ca_file: Option<PathBuf>) {
        self.ca_file = ca_file;
    }

    /// Where a recording is, for people.
    pub fn place(&self, recording: &str) -> String {
        self.url(recording, &[]).to_string()
    }

    /// After a doubt the server is asked first, so that no fragment is sent twice.
    pub fn send_if_not_held(&mut self, recording: &str, piece: &Piece) -> Result<(), Trouble> {
        match self.is_in_doubt && self.holds(recording, piece)? {
            true => Ok(()),
            false => self.send(recording, piece),
        }
    }

    pub fn send(&mut self, recording: &str, piece: &Piece) -> Result<(), Trouble> {
        let bytes = piece.read()?;
        let url = self.fragment_url(recording, &piece.name);
        self.put(url, bytes, "video/mp4").map(drop)
    }

    /// Everything that the server has of a recording.
    pub fn held(&mut self, recording: &str) -> Result<Held, Trouble> {
        #[derive(Deserialize)]
        struct Holdings {
            #[serde(default)]
            closed: bool,
            fragments: Vec<One>,
        }
        #[derive(Deserialize)]
        struct One {
            #[serde(flatten)]
            name: Name,
            sha256: String,
        }
        let request = self.request(Method::GET, self.url(recording, &[]))?;
        let response = self.ask(request, 0)?;
        match response.status().as_u16() {
            200 => {
                let body = self.body_of(response)?;
                let holdings: Holdings = serde_json::from_slice(&body).map_err(|error| {
                    Trouble::later(MUCH_LATER, format!("the server's list is not understood: {error}"))
                })?;
                let fragments = holdings.fragments.into_iter().map(|one| (one.name, one.sha256)).collect();
                Ok(Held { is_closed: holdings.closed, fragments })
            }
            404 => Ok(Held::default()),
            _ => Err(trouble(&said(&response))),
        }
    }

    pub fn tell_about(&mut self, recording: &str, about: &RecordingAbout) -> Result<(), Trouble> {
        let bytes = serde_json::to_vec(about).map_err(|error| Trouble::never(error.to_string()))?;
        self.put(self.url(recording, &["about"]), bytes, "application/json").map(drop)
    }

    pub fn close(&mut self, recording: &str, manifest: &[u8]) -> Result<Closing, Trouble> {
        let refusal = self.put(self.url(recording, &["manifest"]), manifest.to_vec(), "application/json");
        match refusal? {
            None => Ok(Closing::Closed),
            Some(missing) => Ok(Closing::Missing(missing)),
        }
    }

    fn holds(&mut self, recording: &str, piece: &Piece) -> Result<bool, Trouble> {
        let request = self.request(Method::HEAD, self.fragment_url(recording, &piece.name))?;
        let response = self.ask(request, 0)?;
        let said = said(&response);
        let holds = match said.status {
            200 => said.repr_digest.is_some() && said.repr_digest == digest::field_of_hex(&piece.sha256),
            404 => false,
            _ => return Err(trouble(&said)),
        };
        self.is_in_doubt = false;
        Ok(holds)
    }

    /// None once it is there, or what the server misses first.
    fn put(&mut self, url: Url, bytes: Vec<u8>, media_type: &str) -> Result<Option<Vec<Name>>, Trouble> {
        #[derive(Deserialize)]
        struct Problem {
            #[serde(default)]
            title: Option<String>,
            #[serde(default)]
            missing: Vec<Name>,
        }
        let (own, length) = (digest::field(&bytes), bytes.len() as u64);
        let request = self.request(Method::PUT, url)?.header(CONTENT_TYPE, media_type);
        let response = self.ask(request.header("Content-Digest", &own).body(bytes), length)?;
        let mut said = said(&response);
        if !response.status().is_success() {
            // What is no problem says nothing more, as of a proxy between.
            let body = self.body_of(response)?;
            if let Ok(problem) = serde_json::from_slice::<Problem>(&body) {
                if said.status == 409 && !problem.missing.is_empty() {
                    return Ok(Some(problem.missing));
                }
                said.title = problem.title;
            }
        }
        let outcome = judge_put(&said, &own);
        // A server that fails may have stored it before.
        self.is_in_doubt |= matches!(outcome, Err(Trouble::Later { .. }));
        outcome.map(|()| None)
    }

    fn request(&mut self, method: Method, url: Url) -> Result<RequestBuilder, Trouble> {
        let token = self.token.read().map_err(|reason| Trouble::later(MUCH_LATER, reason))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            let reason = format!("{} holds what cannot stand in a header", self.token.name());
            Trouble::later(MUCH_LATER, reason)
        })?;
        bearer.set_sensitive(true);
        Ok(self.http()?.request(method, url).header(AUTHORIZATION, bearer))
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
        if self.server.scheme() == "http" {
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

    /// Sends a request whose body has this length.
    fn ask(&mut self, request: RequestBuilder, length: u64) -> Result<Response, Trouble> {
        let limit = self.timeout + Duration::from_secs(length / SLOWEST);
        request.timeout(limit).send().map_err(|error| self.broken(in_words(error)))
    }

    fn body_of(&mut self, response: Response) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        let read = response.take(LONGEST_ANSWER).read_to_end(&mut body);
        read.map_err(|error| self.broken(error.to_string()))?;
        Ok(body)
    }

    fn broken(&mut self, reason: String) -> Trouble {
        self.http = None;
        self.is_in_doubt = true;
        Trouble::later(SOON, format!("{}: {reason}", self.server))
    }

    fn fragment_url(&self, recording: &str, name: &Name) -> Url {
        let (part, number) = (name.part.to_string(), name.number.to_string());
        self.url(recording, &["tracks", &name.track, "parts", &part, "fragments", &number])
    }

    fn url(&self, recording: &str, rest: &[&str]) -> Url {
        let mut url = self.server.clone();
        // An address with a host, as `address` has made sure, has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1", "recordings", recording]).extend(rest);
        }
        url
    }
}

/// The server's address, if footage and token are safe on the way there.
fn address(server: &str, plain_http: bool) -> Result<Url> {
    let wrong = |what: &str| PluginError::settings(format!("`server`: {what}"));
    let url = Url::parse(server).map_err(|error| wrong(&format!("`{server}` is no address: {error}")))?;
    let host = url.host_str().unwrap_or_default();
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        _ if !is_bare => Err(wrong("no name, password, `?` or `#` belongs into it")),
        "https" => Ok(url),
        "http" if plain_http || is_loopback(host) => Ok(url),
        "http" => Err(wrong("footage and token could be read on the way: use https, or set `plain_http`")),
        other => Err(wrong(&format!("`{other}` is neither http nor https"))),
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// The token goes to nobody but the server.
fn within_the_server(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let first = attempt.previous().first();
    let is_same = first.is_some_and(|first| first.origin() == attempt.url().origin());
    match is_same && attempt.previous().len() <= REDIRECTS {
        true => attempt.follow(),
        false => attempt.stop(),
    }
}

fn said(response: &Response) -> Said {
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    Said {
        status: response.status().as_u16(),
        retry_after: header(RETRY_AFTER.as_str()),
        repr_digest: header("Repr-Digest"),
        location: header(LOCATION.as_str()),
        title: None,
    }
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

    fn client(server: &str) -> Client {
        let token = Secret::Variable("NONE".into());
        Client::new(server, true, token, Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn plain_http_is_for_this_machine_or_whoever_asks_for_it() {
        let kind = |server: &str, plain_http| address(server, plain_http).map_err(|error| error.kind);
        for server in ["https://a.example", "http://localhost:80", "http://127.0.0.2/x", "http://[::1]:8080/"]
        {
            assert!(kind(server, false).is_ok(), "{server}");
        }
        for server in ["http://a.example", "http://127.0.0.1.example", "http://10.0.0.1"] {
            assert_eq!(kind(server, false).err(), Some(ErrorKind::Settings), "{server}");
            assert!(kind(server, true).is_ok(), "{server}");
        }
    }

    #[test]
    fn an_address_holds_no_secret_and_nothing_odd() {
        for server in
            ["https://me:pw@a.example", "https://a.example/?token=1", "ftp://a.example", "a.example"]
        {
            let error = address(server, true).unwrap_err();
            assert!(error.kind == ErrorKind::Settings && error.message.contains("`server`"), "{server}");
        }
    }

    #[test]
    fn a_server_may_have_a_path_and_names_are_encoded() {
        let name = Name { track: "a/b c".into(), part: 1, number: 17 };
        for server in ["https://a.example/deskreel", "https://a.example/deskreel/"] {
            let url = client(server).fragment_url("R-1", &name);
            let path = "/deskreel/api/v1/recordings/R-1/tracks/a%2Fb%20c/parts/1/fragments/17";
            assert_eq!(url.path(), path);
        }
        assert_eq!(client("http://localhost").place("R-1"), "http://localhost/api/v1/recordings/R-1");
    }
}
