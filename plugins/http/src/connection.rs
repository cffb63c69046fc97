//! Requests to one server.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use deskreel_sdk::prelude::*;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::HeaderValue;
use reqwest::redirect::{self, Attempt};
use reqwest::{Certificate, Method, Url};

use crate::trouble::{MUCH_LATER, Trouble};

/// Lowest speed of a working line, in bytes a second; a slower one counts as broken.
const SLOWEST: u64 = 32_000;
/// Redirects that one request follows, all within the server.
const REDIRECTS: usize = 5;

pub struct Connection {
    server: Url,
    /// Authorities to trust besides those of the machine.
    ca_file: Option<PathBuf>,
    timeout: Duration,
    /// Made when it is needed, and again after a failure, with the authorities trusted at that time.
    client: Option<Client>,
}

impl Connection {
    /// `timeout` is for an answer, without the time that a body takes. `server` comes from
    /// [`crate::url::check`].
    pub fn new(server: Url, ca_file: Option<PathBuf>, timeout: Duration) -> Connection {
        Connection { server, ca_file, timeout, client: None }
    }

    /// The server's URL with these segments appended to its path.
    pub fn url<S: AsRef<str>>(&self, segments: impl IntoIterator<Item = S>) -> Url {
        let mut url = self.server.clone();
        // Never fails: `url::check` lets only http and https through, whose URLs have path segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Fails if the authorities to trust cannot be read. Sends nothing.
    pub fn check(&mut self) -> Result<(), String> {
        if self.client.is_none() {
            self.client = Some(self.make_client()?);
        }
        Ok(())
    }

    pub fn request(&mut self, method: Method, url: Url) -> Result<RequestBuilder, Trouble> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.make_client().map_err(|reason| Trouble::later(MUCH_LATER, reason))?,
        };
        Ok(self.client.insert(client).request(method, url))
    }

    /// Sends a request. `length` bytes, its body's or the answer's, extend the timeout. The error is a
    /// sentence for people.
    pub fn send(&mut self, request: RequestBuilder, length: u64) -> Result<Response, String> {
        let limit = self.timeout + Duration::from_secs(length / SLOWEST);
        request.timeout(limit).send().map_err(|error| self.broken(in_words(error)))
    }

    /// Gives the connection up after a failure. Returns the failure as a sentence for people.
    pub fn broken(&mut self, reason: impl Display) -> String {
        self.client = None;
        format!("{}: {reason}", self.server)
    }

    fn make_client(&self) -> Result<Client, String> {
        // Only for this plugin, whose library has its own statics. Fails if it was done before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("deskreel/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::custom(within_the_server))
            .connect_timeout(self.timeout);
        if self.server.scheme() == "http" {
            // A proxy could read everything; `plain_http` trusts only the direct way to the server.
            builder = builder.no_proxy();
        }
        if let Some(file) = &self.ca_file {
            let wrong = |error: &dyn Display| format!("{}: {error}", file.display());
            let pem = std::fs::read(file).map_err(|error| wrong(&error))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
            if authorities.is_empty() {
                return Err(wrong(&"holds no certificate"));
            }
            builder = builder.tls_certs_merge(authorities);
        }
        builder.build().map_err(in_words)
    }
}

/// The value of an `Authorization` header with this token.
pub fn bearer(token: &Secret) -> Result<HeaderValue, Trouble> {
    let text = token.read().map_err(|error| Trouble::later(MUCH_LATER, error.message))?;
    let mut value = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| {
        let reason = format!("{} has characters that are not allowed in a header", token.place());
        Trouble::later(MUCH_LATER, reason)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Passwords and tokens go to this server only.
fn within_the_server(attempt: Attempt<'_>) -> redirect::Action {
    let first = attempt.previous().first();
    let is_same = first.is_some_and(|first| first.origin() == attempt.url().origin());
    match is_same && attempt.previous().len() <= REDIRECTS {
        true => attempt.follow(),
        false => attempt.stop(),
    }
}

/// The whole chain of causes: the first link says only that sending failed.
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
    fn a_server_may_have_a_path_and_segments_are_encoded() {
        for server in ["https://a.example/deskreel", "https://a.example/deskreel/"] {
            let connection = Connection::new(Url::parse(server).unwrap(), None, Duration::ZERO);
            let url = connection.url(["a/b c", "50%#?"]);
            assert_eq!(url.as_str(), "https://a.example/deskreel/a%2Fb%20c/50%25%23%3F");
        }
    }
}
