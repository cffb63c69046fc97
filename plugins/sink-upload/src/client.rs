//! The requests of docs/server-api.md.

use std::collections::BTreeMap;
use std::io::Read;

use deskreel_http::{Connection, Trouble, bearer};
use deskreel_sdk::prelude::*;
use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Method, Url};

use crate::answer::{ResponseHead, SOON, foreign, judge_put, trouble};
use crate::digest;
use crate::footage::{Name, Piece};

/// Longest answer that is read, in bytes: a list of 100 000 fragments takes 17 MB.
const LONGEST_ANSWER: u64 = 32 << 20;

pub struct Client {
    connection: Connection,
    token: Secret,
    /// Set if the server may hold more than it has reported: at the start, and after a lost or wrong
    /// response.
    is_in_doubt: bool,
}

/// The server's own list of its files of a recording.
#[derive(Default)]
pub struct Holdings {
    pub is_closed: bool,
    /// Fragments and their hashes.
    pub fragments: BTreeMap<Name, String>,
}

impl Holdings {
    pub fn has(&self, piece: &Piece) -> bool {
        self.fragments.get(&piece.name) == Some(&piece.sha256)
    }
}

/// The server's response to a manifest.
#[derive(Debug, PartialEq, Eq)]
pub enum Closing {
    Closed,
    Missing(Vec<Name>),
}

impl Client {
    pub fn new(connection: Connection, token: Secret) -> Client {
        Client { connection, token, is_in_doubt: true }
    }

    /// Fails if requests cannot be made: the token or the authorities cannot be read.
    pub fn check(&mut self) -> Result<(), Trouble> {
        self.connection.check().map_err(|reason| Trouble::later(SOON, reason))?;
        bearer(&self.token).map(drop)
    }

    /// The URL of a recording, for people.
    pub fn place(&self, recording: &str) -> String {
        self.url(recording, &[]).to_string()
    }

    /// When in doubt, asks the server first, so that no fragment is sent twice.
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

    pub fn holdings(&mut self, recording: &str) -> Result<Holdings, Trouble> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            closed: bool,
            fragments: Vec<StoredFragment>,
        }
        #[derive(Deserialize)]
        struct StoredFragment {
            #[serde(flatten)]
            name: Name,
            sha256: String,
        }
        let request = self.request(Method::GET, self.url(recording, &[]))?;
        let response = self.ask(request, 0)?;
        match response.status().as_u16() {
            200 => {
                let body = self.body_of(response)?;
                let body: Body = serde_json::from_slice(&body).map_err(|error| {
                    Trouble::later(SOON, format!("cannot read the server's list of fragments: {error}"))
                })?;
                let fragments = body.fragments.into_iter().map(|one| (one.name, one.sha256)).collect();
                Ok(Holdings { is_closed: body.closed, fragments })
            }
            404 => Ok(Holdings::default()),
            _ => Err(trouble(&head(&response))),
        }
    }

    pub fn put_about(&mut self, recording: &str, about: &RecordingAbout) -> Result<(), Trouble> {
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
        let head = head(&response);
        let holds = match head.status {
            200 => head.repr_digest.is_some() && head.repr_digest == digest::field_of_hex(&piece.sha256),
            404 => false,
            _ => return Err(trouble(&head)),
        };
        self.is_in_doubt = false;
        Ok(holds)
    }

    /// Returns `None` once it is stored, or the fragments that the server needs first.
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
        let mut head = head(&response);
        if !response.status().is_success() {
            let body = self.body_of(response)?;
            if let Ok(problem) = serde_json::from_slice::<Problem>(&body) {
                if head.status == 409 && !problem.missing.is_empty() {
                    return Ok(Some(problem.missing));
                }
                head.title = problem.title;
            }
            head.title = head.title.or_else(|| foreign(head.status, length));
        }
        let outcome = judge_put(&head, &own);
        // A server may have stored it before it failed.
        self.is_in_doubt |= matches!(outcome, Err(Trouble::Later { .. }));
        outcome.map(|()| None)
    }

    fn request(&mut self, method: Method, url: Url) -> Result<RequestBuilder, Trouble> {
        let bearer = bearer(&self.token)?;
        Ok(self.connection.request(method, url)?.header(AUTHORIZATION, bearer))
    }

    /// Sends a request whose body has this length.
    fn ask(&mut self, request: RequestBuilder, length: u64) -> Result<Response, Trouble> {
        self.connection.send(request, length).map_err(|reason| self.doubt(reason))
    }

    fn body_of(&mut self, response: Response) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        let read = response.take(LONGEST_ANSWER).read_to_end(&mut body);
        read.map_err(|error| {
            let reason = self.connection.broken(error);
            self.doubt(reason)
        })?;
        Ok(body)
    }

    fn doubt(&mut self, reason: String) -> Trouble {
        self.is_in_doubt = true;
        Trouble::later(SOON, reason)
    }

    fn fragment_url(&self, recording: &str, name: &Name) -> Url {
        let (part, number) = (name.part.to_string(), name.number.to_string());
        self.url(recording, &["tracks", &name.track, "parts", &part, "fragments", &number])
    }

    fn url(&self, recording: &str, rest: &[&str]) -> Url {
        self.connection.url(["api", "v1", "recordings", recording].iter().chain(rest))
    }
}

fn head(response: &Response) -> ResponseHead {
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    ResponseHead {
        status: response.status().as_u16(),
        retry_after: header(RETRY_AFTER.as_str()),
        repr_digest: header("Repr-Digest"),
        location: header(LOCATION.as_str()),
        title: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_server_may_have_a_path_and_names_are_encoded() {
        let client = |server: &str| {
            let connection = Connection::new(Url::parse(server).unwrap(), None, Duration::from_secs(1));
            Client::new(connection, Secret::Variable("NONE".into()))
        };
        let name = Name { track: "a/b c".into(), part: 1, number: 17 };
        for server in ["https://a.example/deskreel", "https://a.example/deskreel/"] {
            let url = client(server).fragment_url("R-1", &name);
            let path = "/deskreel/api/v1/recordings/R-1/tracks/a%2Fb%20c/parts/1/fragments/17";
            assert_eq!(url.path(), path);
        }
        assert_eq!(client("http://localhost").place("R-1"), "http://localhost/api/v1/recordings/R-1");
    }
}
