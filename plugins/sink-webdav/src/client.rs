//! The requests of WebDAV that a copy needs. A place is a list of names below `url`.

use std::io::{self, Read};

use data_encoding::HEXLOWER;
use deskreel_http::{Connection, MUCH_LATER, Trouble, bearer};
use deskreel_sdk::prelude::*;
use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, RETRY_AFTER};
use reqwest::{Method, Url};
use sha2::{Digest, Sha256};

use crate::answer::{ResponseHead, SOON, trouble};
use crate::login::Login;

pub struct Client {
    connection: Connection,
    login: Login,
}

impl Client {
    pub fn new(connection: Connection, login: Login) -> Client {
        Client { connection, login }
    }

    /// Fails if requests cannot be made: the secret or the authorities cannot be read.
    pub fn check(&mut self) -> Result<(), Trouble> {
        self.connection.check().map_err(|reason| Trouble::later(SOON, reason))?;
        self.request("HEAD", self.url(&[], true)).map(drop)
    }

    /// Makes a folder. Returns whether it is new.
    pub fn make_folder(&mut self, place: &[String]) -> Result<bool, Trouble> {
        let request = self.request("MKCOL", self.url(place, true))?;
        let head = head(&self.ask(request, 0)?);
        match head.status {
            201 => Ok(true),
            // RFC 4918, 9.3.1: the folder, or a file of this name, exists already.
            405 => Ok(false),
            _ => Err(trouble("MKCOL", &head)),
        }
    }

    pub fn put(&mut self, place: &[String], bytes: Vec<u8>) -> Result<(), Trouble> {
        let length = bytes.len() as u64;
        let request = self.request("PUT", self.url(place, false))?.body(bytes);
        let head = head(&self.ask(request, length)?);
        match head.status {
            200 | 201 | 204 => Ok(()),
            _ => Err(trouble("PUT", &head)),
        }
    }

    /// Replaces a file that already has the new name.
    pub fn rename(&mut self, from: &[String], to: &[String]) -> Result<(), Trouble> {
        let to = self.url(to, false);
        let request = self.request("MOVE", self.url(from, false))?;
        let request = request.header("Destination", to.as_str()).header("Overwrite", "T");
        let head = head(&self.ask(request, 0)?);
        match head.status {
            201 | 204 => Ok(()),
            _ => Err(trouble("MOVE", &head)),
        }
    }

    /// The size of a file in bytes; `None` if there is no such file.
    pub fn size(&mut self, place: &[String]) -> Result<Option<u64>, Trouble> {
        let request = self.request("HEAD", self.url(place, false))?;
        let response = self.ask(request, 0)?;
        let head = head(&response);
        let length = response.headers().get(CONTENT_LENGTH).and_then(|text| text.to_str().ok());
        match head.status {
            200 => Ok(length.and_then(|text| text.parse().ok())),
            404 => Ok(None),
            _ => Err(trouble("HEAD", &head)),
        }
    }

    /// The hash of a file that should have this size. Reads at most one byte more.
    pub fn sha256(&mut self, place: &[String], size: u64) -> Result<String, Trouble> {
        let request = self.request("GET", self.url(place, false))?;
        let response = self.ask(request, size)?;
        let head = head(&response);
        if head.status != 200 {
            return Err(trouble("GET", &head));
        }
        let mut hash = Hashing(Sha256::new());
        let read = io::copy(&mut response.take(size + 1), &mut hash);
        read.map_err(|error| Trouble::later(SOON, self.connection.broken(error)))?;
        Ok(HEXLOWER.encode(&hash.0.finalize()))
    }

    pub fn url(&self, place: &[String], is_folder: bool) -> Url {
        // An empty last segment ends the path with a slash.
        let slash = is_folder.then_some("");
        self.connection.url(place.iter().map(String::as_str).chain(slash))
    }

    fn request(&mut self, method: &str, url: Url) -> Result<RequestBuilder, Trouble> {
        let later = |reason: String| Trouble::later(MUCH_LATER, reason);
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| later(error.to_string()))?;
        match &self.login {
            Login::Nobody => self.connection.request(method, url),
            Login::User(user, password) => {
                let password = password.read().map_err(|error| later(error.message))?;
                Ok(self.connection.request(method, url)?.basic_auth(user, Some(password)))
            }
            Login::Token(token) => {
                let bearer = bearer(token)?;
                Ok(self.connection.request(method, url)?.header(AUTHORIZATION, bearer))
            }
        }
    }

    /// Sends a request whose body or answer has this length.
    fn ask(&mut self, request: RequestBuilder, length: u64) -> Result<Response, Trouble> {
        self.connection.send(request, length).map_err(|reason| Trouble::later(SOON, reason))
    }
}

/// Hashes the bytes written to it.
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

fn head(response: &Response) -> ResponseHead {
    let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    ResponseHead {
        status: response.status().as_u16(),
        retry_after: header(RETRY_AFTER),
        location: header(LOCATION),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_are_encoded_and_folders_end_with_a_slash() {
        for base in ["https://a.example/dav", "https://a.example/dav/"] {
            let connection = Connection::new(Url::parse(base).unwrap(), None, Duration::ZERO);
            let client = Client::new(connection, Login::Nobody);
            let place = ["a b".to_owned(), "50%#?".to_owned()];
            assert_eq!(client.url(&place, true).as_str(), "https://a.example/dav/a%20b/50%25%23%3F/");
            assert_eq!(client.url(&place, false).as_str(), "https://a.example/dav/a%20b/50%25%23%3F");
        }
    }
}
