//! HTTP requests, with the API key, the cookies of a session, and the trusted authorities.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deskreel_sdk::prelude::*;
use reqwest::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode, Url};
use serde_json::Value;

use crate::Settings;
use crate::folder::TokenFolder;
use crate::login::CodeUse;

/// Limit for every request except a long poll.
pub const LIMIT: Duration = Duration::from_secs(15);
/// Longest answer that is read, in bytes: a session with all its calls takes some tens of kilobytes.
const LONGEST: usize = 8 << 20;

/// The server and the client for it, shared by all sessions.
pub struct Site {
    pub http: Client,
    pub server: String,
    pub client_id: String,
    pub client_secret: String,
    /// Codes and refresh tokens of users without a password.
    pub tokens: Option<TokenFolder>,
    pub redirect_uri: String,
    pub code_use: CodeUse,
    /// Time between two questions whether a session still exists.
    pub check: Duration,
    pub waits_for_desktop: bool,
}

/// Why a request failed.
#[derive(Debug)]
pub enum Trouble {
    /// There is no session, or no longer: log in again.
    LoggedOut(String),
    /// The line or the server failed: try again.
    Failed(String),
    /// The server answers with another status than 200, 401 and 403.
    Answered(StatusCode),
    /// The user has no proof with which a token could be requested.
    NoProof(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::LoggedOut(reason) | Trouble::Failed(reason) | Trouble::NoProof(reason) => {
                f.write_str(reason)
            }
            Trouble::Answered(status) => write!(f, "the server answers {status}"),
        }
    }
}

/// Accepts only a URL to which passwords may be sent.
pub fn check(server: &str, plain_http: bool) -> Result<()> {
    let wrong = |why: &str| PluginError::settings(format!("`server`: `{server}` {why}"));
    let url: Url = server.parse().map_err(|_| wrong("is not a URL"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_near || plain_http => Ok(()),
        "http" => Err(wrong("sends passwords over plain http; allow it with `plain_http = true`")),
        _ => Err(wrong("must begin with https://")),
    }
}

impl Site {
    pub fn new(settings: &Settings) -> Result<Site> {
        let secret = |file: &Path| match std::fs::read_to_string(file) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) => Err(PluginError::unavailable(format!("{}: {error}", file.display()))),
        };
        let mut headers = HeaderMap::new();
        if let Some(file) = &settings.api_key_file {
            let wrong = |_| {
                PluginError::unavailable(
                    "`api_key_file`: the key has characters that are not allowed in a header",
                )
            };
            let mut key = HeaderValue::from_str(&secret(file)?).map_err(wrong)?;
            key.set_sensitive(true);
            headers.insert("x-api-key", key);
        }
        // Fails if there already is a provider; any one in this process will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // No redirects: passwords and cookies go to this server only.
        let builder = Client::builder().default_headers(headers).redirect(Policy::none());
        let mut builder =
            builder.connect_timeout(LIMIT).user_agent(concat!("deskreel/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &settings.ca_file {
            let unavailable = |error: &dyn std::fmt::Display| {
                PluginError::unavailable(format!("{}: {error}", file.display()))
            };
            let pem = std::fs::read(file).map_err(|error| unavailable(&error))?;
            let own = Certificate::from_pem_bundle(&pem).map_err(|error| unavailable(&error))?;
            builder = builder.tls_certs_merge(own);
        }
        let http = builder.build().map_err(|error| PluginError::unavailable(error.to_string()))?;
        let open = |folder: &Path| {
            TokenFolder::open(folder)
                .map_err(|error| PluginError::unavailable(format!("{}: {error}", folder.display())))
        };
        Ok(Site {
            http,
            server: settings.server.trim_end_matches('/').to_owned(),
            client_id: settings.client_id.clone(),
            client_secret: settings
                .client_secret_file
                .as_deref()
                .map(secret)
                .transpose()?
                .unwrap_or_default(),
            tokens: settings.tokens_folder.as_deref().map(open).transpose()?,
            redirect_uri: settings.redirect_uri.clone(),
            code_use: settings.code_use,
            check: Duration::from_secs(settings.check_s),
            waits_for_desktop: settings.wait_for_desktop,
        })
    }
}

/// The cookies of one session. They go to one server, so their paths and ages do not matter.
#[derive(Debug, Default)]
pub struct Cookies(Mutex<BTreeMap<String, String>>);

impl Cookies {
    fn header(&self) -> Option<HeaderValue> {
        let all: Vec<String> = self.lock().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if all.is_empty() { None } else { HeaderValue::from_str(&all.join("; ")).ok() }
    }

    /// Forgets the session.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()) {
            let pair = cookie.split(';').next().and_then(|pair| pair.split_once('='));
            if let Some((name, value)) = pair {
                self.lock().insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }

    /// Sends a request and returns the JSON of a 200.
    pub async fn send(&self, request: RequestBuilder, limit: Duration) -> Result<Value, Trouble> {
        let request = match self.header() {
            Some(cookies) => request.header(COOKIE, cookies),
            None => request,
        };
        let failed = |error: reqwest::Error| Trouble::Failed(plain(&error));
        let mut response = request.timeout(limit).send().await.map_err(failed)?;
        self.keep(response.headers());
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(Trouble::LoggedOut(format!("the server answers {status}")));
            }
            status => return Err(Trouble::Answered(status)),
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&piece);
            if body.len() > LONGEST {
                return Err(Trouble::Failed("the answer is too long".to_owned()));
            }
        }
        serde_json::from_slice(&body)
            .map_err(|error| Trouble::Failed(format!("the answer is not JSON: {error}")))
    }
}

/// The innermost cause, which is the most specific. The address is left out: it is known.
fn plain(error: &reqwest::Error) -> String {
    let mut text =
        if error.is_timeout() { "no answer in time".to_owned() } else { "no connection".to_owned() };
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        text = deeper.to_string();
        cause = deeper.source();
    }
    text
}
