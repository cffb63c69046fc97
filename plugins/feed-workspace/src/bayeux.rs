//! Bayeux over long polls: the part of CometD's protocol that a listener needs.
//!
//! Uses the acknowledgement extension if the server has it: each poll names the last batch of messages that
//! arrived, and the server sends the later ones again. Without it, messages in an answer that did not arrive
//! are lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Cookies, LIMIT, Site, Trouble};
use crate::login;

/// Time for which a server holds a poll unless its advice says otherwise; usual are 30 s to 60 s.
const POLL: Duration = Duration::from_secs(60);

/// A client that has completed the handshake.
pub struct Bayeux {
    client: String,
    advice: Advice,
    /// The last batch that arrived; `None` if the server does not count batches.
    ack: Option<i64>,
    id: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Advice {
    timeout: Duration,
    interval: Duration,
}

/// The outcome of a poll.
pub enum PollOutcome {
    /// Channel and data of each message.
    Messages(Vec<(String, Value)>),
    /// The server no longer knows this client, and has dropped its messages.
    Forgotten(String),
}

impl Bayeux {
    pub async fn handshake(site: &Site, cookies: &mut Cookies) -> Result<Bayeux, Trouble> {
        let ask = json!({
            "channel": "/meta/handshake", "id": "1", "version": "1.0", "minimumVersion": "1.0",
            "supportedConnectionTypes": ["long-polling"], "ext": { "ack": true },
        });
        let answer = post(site, cookies, vec![ask], LIMIT).await?;
        let reply = reply(&answer, "/meta/handshake")?;
        let client = reply["clientId"].as_str();
        match client.filter(|_| reply["successful"] == true) {
            Some(client) => Ok(Bayeux {
                client: client.to_owned(),
                advice: Advice { timeout: POLL, interval: Duration::ZERO }.with(&reply["advice"]),
                ack: (reply["ext"]["ack"] == true).then_some(-1),
                id: 1,
            }),
            None => Err(Trouble::LoggedOut(format!("the server refuses the handshake: {}", reason(reply)))),
        }
    }

    /// Returns whether a failed poll loses no messages.
    pub fn is_counted(&self) -> bool {
        self.ack.is_some()
    }

    pub async fn subscribe(&mut self, site: &Site, cookies: &mut Cookies) -> Result<(), Trouble> {
        let ask = |channel: &&str| {
            self.id += 1;
            json!({ "channel": "/meta/subscribe", "id": self.id.to_string(), "clientId": self.client, "subscription": channel })
        };
        let asks: Vec<Value> = login::CHANNELS.iter().map(ask).collect();
        let answer = post(site, cookies, asks, LIMIT).await?;
        let refused =
            answer.iter().find(|reply| reply["channel"] == "/meta/subscribe" && reply["successful"] != true);
        match refused {
            Some(reply) => {
                let channel = reply["subscription"].as_str().unwrap_or("a channel");
                Err(Trouble::LoggedOut(format!("the server refuses {channel}: {}", reason(reply))))
            }
            None => Ok(()),
        }
    }

    /// Waits until there are messages, or until the server ends the poll. With `at_once` it does not wait:
    /// the first poll of a client only shows that polling works.
    pub async fn poll(
        &mut self,
        site: &Site,
        cookies: &mut Cookies,
        at_once: bool,
    ) -> Result<PollOutcome, Trouble> {
        self.id += 1;
        let mut ask = json!({
            "channel": "/meta/connect", "id": self.id.to_string(), "clientId": self.client, "connectionType": "long-polling",
        });
        if let Some(ack) = self.ack {
            ask["ext"] = json!({ "ack": ack });
        }
        if at_once {
            ask["advice"] = json!({ "timeout": 0 });
        }
        let answer = post(site, cookies, vec![ask], self.advice.timeout + LIMIT).await?;
        let reply = reply(&answer, "/meta/connect")?;
        self.advice = self.advice.with(&reply["advice"]);
        if reply["successful"] != true {
            // `none` forbids an immediate handshake; a new log-in waits anyway.
            return match reply["advice"]["reconnect"].as_str() {
                Some("retry") => Ok(PollOutcome::Messages(Vec::new())),
                _ => Ok(PollOutcome::Forgotten(reason(reply))),
            };
        }
        if let (Some(ack), Some(batch)) = (&mut self.ack, reply["ext"]["ack"].as_i64()) {
            *ack = batch;
        }
        let is_data =
            |message: &&Value| message.get("data").is_some() && !channel(message).starts_with("/meta/");
        let data = answer.iter().filter(is_data);
        Ok(PollOutcome::Messages(
            data.map(|message| (channel(message).to_owned(), message["data"].clone())).collect(),
        ))
    }

    /// Time to wait before the next poll.
    pub fn pause(&self) -> Duration {
        self.advice.interval
    }

    /// Tells the server to drop this client.
    pub async fn disconnect(&mut self, site: &Site, cookies: &mut Cookies) {
        self.id += 1;
        let ask =
            json!({ "channel": "/meta/disconnect", "id": self.id.to_string(), "clientId": self.client });
        let _ = post(site, cookies, vec![ask], crate::GOODBYE).await;
    }
}

impl Advice {
    fn with(self, advice: &Value) -> Advice {
        let of = |name: &str, old: Duration, most: u64| match advice[name].as_u64() {
            Some(ms) => Duration::from_millis(ms.min(most)),
            None => old,
        };
        Advice {
            timeout: of("timeout", self.timeout, 600_000),
            interval: of("interval", self.interval, 60_000),
        }
    }
}

async fn post(
    site: &Site,
    cookies: &mut Cookies,
    messages: Vec<Value>,
    limit: Duration,
) -> Result<Vec<Value>, Trouble> {
    let request = site.http.post(login::notifications(site)).header("content-type", "application/json");
    match cookies.send(request.body(Value::Array(messages).to_string()), limit).await? {
        Value::Array(answer) => Ok(answer),
        _ => Err(Trouble::Failed("the answer is not a list of messages".to_owned())),
    }
}

fn reply<'a>(answer: &'a [Value], meta: &str) -> Result<&'a Value, Trouble> {
    let found = answer.iter().find(|message| channel(message) == meta);
    found.ok_or_else(|| Trouble::Failed(format!("the server did not answer {meta}")))
}

fn channel(message: &Value) -> &str {
    message["channel"].as_str().unwrap_or_default()
}

fn reason(reply: &Value) -> String {
    reply["error"].as_str().unwrap_or("no reason given").to_owned()
}
