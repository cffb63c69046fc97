//! Bayeux over long polls: the part of CometD's protocol that a listener needs.
//!
//! Uses the acknowledgement extension if the server has it: each poll names the last batch of messages that
//! arrived, and the server sends the later ones again. Without it, messages in an answer that did not arrive
//! are lost.

mod client;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{Cookies, LIMIT, Site, Trouble};
use crate::login;

use client::Client;
pub use client::{Line, PollOutcome};

/// A client and the line on which it speaks.
pub struct Bayeux(Client);

impl Bayeux {
    pub async fn handshake(site: &Site, cookies: &Cookies, line: Line) -> Result<Bayeux, Trouble> {
        let answer = post(site, cookies, vec![client::handshake_request()], LIMIT).await?;
        Client::begin(&answer, line).map(Bayeux)
    }

    pub fn is_counted(&self) -> bool {
        self.0.is_counted()
    }

    pub async fn subscribe(&mut self, site: &Site, cookies: &Cookies) -> Result<(), Trouble> {
        let asks = self.0.subscribe_requests(&login::CHANNELS);
        let answer = post(site, cookies, asks, LIMIT).await?;
        self.0.take_subscribed(&answer)
    }

    /// Waits until there are messages, or until the server ends the poll. With `at_once` it does not wait.
    pub async fn poll(
        &mut self,
        site: &Site,
        cookies: &Cookies,
        at_once: bool,
    ) -> Result<PollOutcome, Trouble> {
        let ask = self.0.poll_request(at_once);
        let began = Instant::now();
        match post(site, cookies, vec![ask], self.0.poll_time() + LIMIT).await {
            Ok(answer) => self.0.take_polled(&answer),
            Err(trouble) => {
                self.0.note_break(began.elapsed());
                Err(trouble)
            }
        }
    }

    pub fn line(&self) -> Line {
        self.0.line()
    }

    pub fn pause(&self) -> Duration {
        self.0.pause()
    }

    /// The data of the messages that came with any answer since the last call.
    pub fn take_inbox(&mut self) -> Vec<Value> {
        self.0.take_inbox()
    }

    /// Tells the server to drop this client.
    pub async fn disconnect(&mut self, site: &Site, cookies: &Cookies) {
        let ask = self.0.disconnect_request();
        let _ = post(site, cookies, vec![ask], crate::GOODBYE).await;
    }
}

async fn post(
    site: &Site,
    cookies: &Cookies,
    messages: Vec<Value>,
    limit: Duration,
) -> Result<Vec<Value>, Trouble> {
    let request = site.http.post(login::notifications(site)).header("content-type", "application/json");
    match cookies.send(request.body(Value::Array(messages).to_string()), limit).await? {
        Value::Array(answer) => Ok(answer),
        _ => Err(Trouble::Failed("the answer is not a list of messages".to_owned())),
    }
}
