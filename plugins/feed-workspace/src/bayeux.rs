//! Bayeux over long polls: the protocol of CometD, as far as a listener needs it.
//!
//! With the acknowledgement extension, where the server has it: each poll says up to which batch of messages we have come, and the
//! server sends the later ones again. Without it, whatever was in an answer that did not arrive is lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Cookies, LIMIT, Site, Trouble};
use crate::login;

/// A server holds a poll for 30 s to 60 s; it says so in its advice.
const POLL: Duration = Duration::from_secs(60);

/// A client that the server knows.
pub struct Bayeux {
    client: String,
    advice: Advice,
    /// The last batch that has arrived; none where the server does not count.
    ack: Option<i64>,
    id: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Advice {
    timeout: Duration,
    interval: Duration,
}

/// What became of a poll.
pub enum Polled {
    /// Channel and data.
    Messages(Vec<(String, Value)>),
    /// The server knows this client no more: what it had for us is lost.
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
            None => Err(Trouble::LoggedOut(format!("the handshake is refused: {}", reason(reply)))),
        }
    }

    /// Whether a poll that fails loses nothing.
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
                Err(Trouble::LoggedOut(format!("{channel} is refused: {}", reason(reply))))
            }
            None => Ok(()),
        }
    }

    /// Waits until there is something, or the server thinks that it has waited long enough. With `at_once` it does not wait: the
    /// first poll of a client is so that it is seen to work.
    pub async fn poll(
        &mut self,
        site: &Site,
        cookies: &mut Cookies,
        at_once: bool,
    ) -> Result<Polled, Trouble> {
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
            // `none` asks for a handshake, too, but not at once: whoever logs in again waits first.
            return match reply["advice"]["reconnect"].as_str() {
                Some("retry") => Ok(Polled::Messages(Vec::new())),
                _ => Ok(Polled::Forgotten(reason(reply))),
            };
        }
        if let (Some(ack), Some(batch)) = (&mut self.ack, reply["ext"]["ack"].as_i64()) {
            *ack = batch;
        }
        let is_data =
            |message: &&Value| message.get("data").is_some() && !channel(message).starts_with("/meta/");
        let data = answer.iter().filter(is_data);
        Ok(Polled::Messages(
            data.map(|message| (channel(message).to_owned(), message["data"].clone())).collect(),
        ))
    }

    /// Before the next poll.
    pub fn pause(&self) -> Duration {
        self.advice.interval
    }

    /// The server need not wait for us any more.
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
        _ => Err(Trouble::Failed("the answer is no list of messages".to_owned())),
    }
}

fn reply<'a>(answer: &'a [Value], meta: &str) -> Result<&'a Value, Trouble> {
    let found = answer.iter().find(|message| channel(message) == meta);
    found.ok_or_else(|| Trouble::Failed(format!("there is no answer to {meta}")))
}

fn channel(message: &Value) -> &str {
    message["channel"].as_str().unwrap_or_default()
}

fn reason(reply: &Value) -> String {
    reply["error"].as_str().unwrap_or("no reason is given").to_owned()
}
