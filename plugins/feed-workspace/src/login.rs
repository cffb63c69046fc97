//! Gets a session: first a token from the authentication service, then a workspace, identified by a cookie.
//!
//! A session activates no channel, so it changes nothing of the agent.

use std::time::{Duration, Instant};

use deskreel_sdk::prelude::*;
use reqwest::RequestBuilder;
use serde_json::Value;

use crate::folder::TokenFolder;
use crate::http::{Cookies, LIMIT, Site, Trouble};
use crate::token::{Grant, Tokens, query, sign_in_page};
use crate::users::User;

/// What becomes of the code of a sign-in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeUse {
    /// The feed exchanges it for tokens, with which it can log in again.
    #[default]
    Tokens,
    /// The workspace takes it, as the vendor's own clients do: it serves for one session.
    Workspace,
}

/// A refresh token that the server has refused, and when.
pub struct RefusedToken {
    token: String,
    at: Instant,
}

/// A refused token is tried again after this time: the mistake may have been the server's.
const TRY_REFUSED: Duration = Duration::from_secs(60);

/// Logs in. Afterwards `cookies` identify the session. `refused` is of this user.
pub async fn log_in(
    site: &Site,
    user: &User,
    cookies: &Cookies,
    refused: &mut Option<RefusedToken>,
) -> Result<(), Trouble> {
    let address = format!("{}/workspace/v3/initialize-workspace", site.server);
    let make = |request: RequestBuilder| async move {
        let request = request.header("content-type", "application/json").body("{}");
        cookies.send(request, LIMIT).await.map(drop)
    };
    let Some(folder) = site.tokens.as_ref().filter(|_| user.password.is_none()) else {
        let password = user.password.clone().unwrap_or_default();
        let grant = Grant::Password { name: user.name.clone(), password };
        let tokens = request_tokens(site, &grant, cookies).await?;
        return make(site.http.post(address).bearer_auth(tokens.access)).await;
    };
    let proof = Proof { site, user, folder };
    let code = folder.code(&user.name).map_err(unusable)?;
    match (code, site.code_use) {
        (Some(code), CodeUse::Workspace) => {
            let asks = [("code", &*code), ("redirect_uri", &*site.redirect_uri)];
            let made = make(site.http.post(format!("{address}?{}", query(asks)))).await;
            made.or_else(|trouble| proof.refuse_code(trouble))
        }
        (Some(code), CodeUse::Tokens) => {
            let token = proof.exchange(code, cookies).await?;
            make(site.http.post(address).bearer_auth(token)).await
        }
        (None, _) => {
            let token = proof.refresh(cookies, refused).await?;
            make(site.http.post(address).bearer_auth(token)).await
        }
    }
}

/// The code or the refresh token of a user.
struct Proof<'a> {
    site: &'a Site,
    user: &'a User,
    folder: &'a TokenFolder,
}

impl Proof<'_> {
    /// Exchanges the code of a sign-in for tokens, once, and returns the access token.
    async fn exchange(&self, code: String, cookies: &Cookies) -> Result<String, Trouble> {
        let grant = Grant::Code { code, redirect_uri: self.site.redirect_uri.clone() };
        match request_tokens(self.site, &grant, cookies).await {
            Ok(tokens) => {
                if tokens.refresh.is_none() {
                    tracing::warn!(user = self.user.name, "the server sends no refresh token");
                }
                let token = self.keep(tokens)?;
                self.folder.drop_code(&self.user.name).map_err(unusable)?;
                Ok(token)
            }
            Err(trouble) if is_refusal(&trouble) => self.refuse_code(trouble),
            Err(trouble) => Err(trouble),
        }
    }

    async fn refresh(
        &self,
        cookies: &Cookies,
        refused: &mut Option<RefusedToken>,
    ) -> Result<String, Trouble> {
        let Some(token) = self.folder.refresh_token(&self.user.name).map_err(unusable)? else {
            return Err(self.none("there is no token yet"));
        };
        let is_refused =
            |refused: &RefusedToken| refused.token == token && refused.at.elapsed() < TRY_REFUSED;
        let why = "the token is no longer valid";
        if refused.as_ref().is_some_and(is_refused) {
            return Err(self.none(why));
        }
        match request_tokens(self.site, &Grant::Refresh(token.clone()), cookies).await {
            Ok(tokens) => self.keep(tokens),
            Err(trouble) if is_refusal(&trouble) => {
                *refused = Some(RefusedToken { token, at: Instant::now() });
                Err(self.none(why))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Keeps the refresh token, if there is a new one, and returns the access token.
    fn keep(&self, tokens: Tokens) -> Result<String, Trouble> {
        if let Some(refresh) = &tokens.refresh {
            self.folder.keep_refresh_token(&self.user.name, refresh).map_err(unusable)?;
        }
        Ok(tokens.access)
    }

    /// Drops a code that the server has refused: it will not get better.
    fn refuse_code<T>(&self, trouble: Trouble) -> Result<T, Trouble> {
        if !is_refusal(&trouble) && !matches!(trouble, Trouble::LoggedOut(_)) {
            return Err(trouble);
        }
        self.folder.drop_code(&self.user.name).map_err(unusable)?;
        Err(self.none("the code is wrong, used or too old"))
    }

    fn none(&self, why: &str) -> Trouble {
        let Site { server, client_id, redirect_uri, .. } = self.site;
        let (page, name) = (sign_in_page(server, client_id, redirect_uri), &self.user.name);
        let file = self.folder.code_file(name);
        Trouble::NoProof(format!(
            "{why}: sign in as {name} at {page} and put the code into {}",
            file.display()
        ))
    }
}

/// RFC 6749 refuses a code or a token with 400; a wrong client has 401.
fn is_refusal(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Answered(status) if *status == 400)
}

fn unusable(error: std::io::Error) -> Trouble {
    Trouble::Failed(format!("`tokens_folder`: {error}"))
}

async fn request_tokens(site: &Site, grant: &Grant, cookies: &Cookies) -> Result<Tokens, Trouble> {
    let request = site
        .http
        .post(format!("{}/auth/v3/oauth/token", site.server))
        .basic_auth(&site.client_id, Some(&site.client_secret))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(grant.form(&site.client_id));
    Tokens::of(&cookies.send(request, LIMIT).await?)
}

/// Fetches the current session: the user, with calls and interactions.
pub async fn current(site: &Site, cookies: &Cookies) -> Result<Value, Trouble> {
    let request = site.http.get(format!("{}/workspace/v3/current-session", site.server));
    let mut answer = cookies.send(request, LIMIT).await?;
    match answer.pointer_mut("/data/user").map(Value::take) {
        Some(user) if user.is_object() => Ok(user),
        _ => Err(Trouble::Failed("the current session has no user".to_owned())),
    }
}

/// The URL to which Bayeux messages are posted.
pub fn notifications(site: &Site) -> String {
    format!("{}/workspace/v3/notifications", site.server)
}

/// The channels to subscribe to.
pub const CHANNELS: [&str; 4] = [
    "/workspace/v3/initialization",
    "/workspace/v3/voice",
    "/workspace/v3/media",
    // Each kind of media has a channel of its own.
    "/workspace/v3/media/*",
];
