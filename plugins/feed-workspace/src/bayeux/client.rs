//! The client's side of Bayeux: requests to send, and what their answers mean. Pure.
//!
//! A server may put data messages into the answer to any request. They wait in `inbox`, in the order in which
//! they came.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Trouble;

/// Time for which a server holds a poll unless its advice says otherwise; usual are 30 s to 60 s.
const POLL: Duration = Duration::from_secs(60);
/// Pause after a poll that the server has refused but wants to be repeated.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(1);
/// Shortest time for which the server is asked to hold a poll.
const SHORTEST_HOLD: Duration = Duration::from_millis(500);

/// A client that has completed the handshake.
#[derive(Debug)]
pub struct Client {
    id: String,
    advice: Advice,
    /// The last batch that arrived; `None` if the server does not count batches.
    ack: Option<i64>,
    number: u64,
    line: Line,
    is_refused: bool,
    inbox: Vec<Value>,
}

/// Knowledge about the way to the server, which a later client needs as well.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Time for which the server is asked to hold a poll, if something on the way does not wait that long.
    hold: Option<Duration>,
    /// Time after which the last poll that broke did so.
    last_break: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Advice {
    timeout: Duration,
    interval: Duration,
}

/// The outcome of a poll. Its messages are in the inbox.
#[derive(Debug, PartialEq, Eq)]
pub enum PollOutcome {
    Known,
    /// The server no longer knows this client, and has dropped its messages.
    Forgotten(String),
}

pub fn handshake_request() -> Value {
    json!({
        "channel": "/meta/handshake", "id": "1", "version": "1.0", "minimumVersion": "1.0",
        "supportedConnectionTypes": ["long-polling"], "ext": { "ack": true },
    })
}

impl Client {
    /// An answer may have several replies to the handshake: a refusal and what followed it, or those of a
    /// request that was delivered twice. The last client is the one that the server has in hand.
    pub fn begin(answer: &[Value], line: Line) -> Result<Client, Trouble> {
        let replies = || answer.iter().filter(|message| channel(message) == "/meta/handshake");
        let client_of = |reply: &Value| reply["clientId"].as_str().map(str::to_owned);
        let accepted = replies().rev().filter(|reply| reply["successful"] == true);
        let Some((reply, id)) = accepted.filter_map(|reply| Some((reply, client_of(reply)?))).next() else {
            return Err(match replies().next() {
                Some(reply) => {
                    Trouble::LoggedOut(format!("the server refuses the handshake: {}", reason(reply)))
                }
                None => Trouble::Failed("the server did not answer /meta/handshake".to_owned()),
            });
        };
        let mut client = Client {
            id,
            advice: Advice { timeout: POLL, interval: Duration::ZERO }.with(&reply["advice"]),
            ack: (reply["ext"]["ack"] == true).then_some(-1),
            number: 1,
            line,
            is_refused: false,
            inbox: Vec::new(),
        };
        client.keep_data(answer);
        Ok(client)
    }

    /// Returns whether a failed poll loses no messages.
    pub fn is_counted(&self) -> bool {
        self.ack.is_some()
    }

    pub fn subscribe_requests(&mut self, channels: &[&str]) -> Vec<Value> {
        let ask = |channel: &&str| {
            self.number += 1;
            json!({
                "channel": "/meta/subscribe", "id": self.number.to_string(), "clientId": self.id,
                "subscription": channel,
            })
        };
        channels.iter().map(ask).collect()
    }

    pub fn take_subscribed(&mut self, answer: &[Value]) -> Result<(), Trouble> {
        self.keep_data(answer);
        let refused =
            answer.iter().find(|reply| channel(reply) == "/meta/subscribe" && reply["successful"] != true);
        match refused {
            Some(reply) => {
                let channel = reply["subscription"].as_str().unwrap_or("a channel");
                Err(Trouble::LoggedOut(format!("the server refuses {channel}: {}", reason(reply))))
            }
            None => Ok(()),
        }
    }

    /// With `at_once` the server does not wait: the first poll of a client only shows that polling works.
    pub fn poll_request(&mut self, at_once: bool) -> Value {
        self.number += 1;
        let mut ask = json!({
            "channel": "/meta/connect", "id": self.number.to_string(), "clientId": self.id,
            "connectionType": "long-polling",
        });
        if let Some(ack) = self.ack {
            ask["ext"] = json!({ "ack": ack });
        }
        let hold = if at_once { Some(Duration::ZERO) } else { self.line.hold };
        if let Some(hold) = hold {
            ask["advice"] = json!({ "timeout": u64::try_from(hold.as_millis()).unwrap_or(u64::MAX) });
        }
        ask
    }

    pub fn take_polled(&mut self, answer: &[Value]) -> Result<PollOutcome, Trouble> {
        self.keep_data(answer);
        let Some(reply) = answer.iter().find(|message| channel(message) == "/meta/connect") else {
            return Err(Trouble::Failed("the server did not answer /meta/connect".to_owned()));
        };
        self.advice = self.advice.with(&reply["advice"]);
        self.is_refused = reply["successful"] != true;
        if self.is_refused {
            // 402 is an unknown client, whatever the advice. Without advice only a new handshake helps.
            let is_unknown = reason(reply).starts_with("402");
            return match reply["advice"]["reconnect"].as_str() {
                Some("retry") if !is_unknown => Ok(PollOutcome::Known),
                _ => Ok(PollOutcome::Forgotten(reason(reply))),
            };
        }
        if let (Some(ack), Some(batch)) = (&mut self.ack, reply["ext"]["ack"].as_i64()) {
            *ack = batch;
        }
        Ok(PollOutcome::Known)
    }

    /// Notes that a poll broke after `held`. If two do so after the same time, and sooner than the server
    /// answers a poll without messages, something on the way cuts connections that are silent: the server is
    /// asked to answer earlier.
    pub fn note_break(&mut self, held: Duration) {
        let limit = self.line.hold.unwrap_or(self.advice.timeout);
        let is_alike = |last: Duration| last.abs_diff(held) <= last / 5;
        let is_cut = held >= 2 * SHORTEST_HOLD && held < limit && self.line.last_break.is_some_and(is_alike);
        if is_cut {
            self.line.hold = Some((held / 2).max(SHORTEST_HOLD));
        }
        self.line.last_break = Some(held);
    }

    pub fn line(&self) -> Line {
        self.line
    }

    pub fn disconnect_request(&mut self) -> Value {
        self.number += 1;
        json!({ "channel": "/meta/disconnect", "id": self.number.to_string(), "clientId": self.id })
    }

    /// Time for which the server holds a poll.
    pub fn poll_time(&self) -> Duration {
        self.advice.timeout
    }

    /// Time to wait before the next poll.
    pub fn pause(&self) -> Duration {
        if self.is_refused { self.advice.interval.max(PAUSE_AFTER_REFUSAL) } else { self.advice.interval }
    }

    /// The data of the messages that have come since the last call.
    pub fn take_inbox(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.inbox)
    }

    fn keep_data(&mut self, answer: &[Value]) {
        let is_data = |message: &&Value| !channel(message).starts_with("/meta/");
        let data = answer.iter().filter(is_data).filter_map(|message| message.get("data"));
        self.inbox.extend(data.cloned());
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

fn channel(message: &Value) -> &str {
    message["channel"].as_str().unwrap_or_default()
}

fn reason(reply: &Value) -> String {
    reply["error"].as_str().unwrap_or("no reason given").to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
