//! Gets a session for a password: first a token from the authentication service, then a workspace, identified
//! by a cookie.
//!
//! A session activates no channel, so it changes nothing of the agent.

use serde_json::Value;

use crate::http::{Cookies, LIMIT, Site, Trouble};
use crate::users::User;

/// Logs in. Afterwards `cookies` identify the session.
pub async fn log_in(site: &Site, user: &User, cookies: &Cookies) -> Result<(), Trouble> {
    let form = [("grant_type", "password"), ("username", &user.name), ("password", &user.password)];
    let form: Vec<String> = form.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    let body = format!("{}&client_id={}&scope=*", form.join("&"), encoded(&site.client_id));
    let request = site
        .http
        .post(format!("{}/auth/v3/oauth/token", site.server))
        .basic_auth(&site.client_id, Some(&site.client_secret))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer = cookies.send(request, LIMIT).await?;
    let token = answer["access_token"].as_str();
    let token = token.ok_or_else(|| Trouble::LoggedOut("the answer has no `access_token`".to_owned()))?;
    let request = site
        .http
        .post(format!("{}/workspace/v3/initialize-workspace", site.server))
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body("{}");
    cookies.send(request, LIMIT).await.map(drop)
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

/// Percent-encodes a value of a form.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
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
