//! Events arrive unchanged, once and in order, and each feed reports when it cannot guarantee that.
//!
//! The feeds are the shipped libraries (`cargo build --workspace` makes them), called as the recorder calls
//! them.

mod jsonl;
mod webhook;
mod workspace;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use deskreel_host::{HostCallbacks, LOAD_LIMIT, Plugin, PluginFailure, examine, load_with_deadline};
use deskreel_model::event::Event;
use deskreel_test_support::paths::plugin;
use serde_json::{Value, json};

/// A started feed, with its events.
struct Running {
    plugin: Plugin,
    heard: Receiver<Value>,
}

/// An instance of `feed.<what>`, from the shipped library.
fn open(what: &str, settings: Value) -> Result<Running, PluginFailure> {
    let file = plugin(&format!("feed_{what}"));
    let library = load_with_deadline(&examine(&file), LOAD_LIMIT).unwrap_or_else(|wrong| panic!("{wrong}"));
    let (tell, heard) = mpsc::channel();
    let submitted = tell.clone();
    let on_emit = Arc::new(move |event| drop(tell.send(event)));
    let on_submit = move |events: Vec<Value>| {
        let each = events.into_iter().map(|event| match read(&event) {
            Ok(_) => submitted.send(event).map(|()| None).map_err(|_| "the test is over".to_owned()),
            Err(reason) => Ok(Some(reason)),
        });
        each.collect()
    };
    let callbacks = HostCallbacks { on_emit, on_submit: Some(Arc::new(on_submit)) };
    let plugin = library.create(&format!("feed.{what}"), &settings, callbacks)?;
    Ok(Running { plugin, heard })
}

/// Reads an event as a host does.
fn read(event: &Value) -> Result<Event, String> {
    let mut event = event.clone();
    event.as_object_mut().ok_or("not an object")?.insert("feed".to_owned(), json!("tested"));
    Event::parse(&event.to_string()).map_err(|wrong| wrong.to_string())
}

fn start(what: &str, settings: Value) -> Running {
    let mut running = open(what, settings).unwrap();
    running.plugin.start_feed().unwrap();
    running
}

impl Running {
    /// The next emitted event, which must be valid by docs/events.md.
    fn next(&self) -> Value {
        let event = self.heard.recv_timeout(Duration::from_secs(20)).expect("an event within 20 s");
        read(&event).unwrap_or_else(|wrong| panic!("{wrong}: {event}"));
        event
    }

    fn expect_state(&self, state: &str) -> Value {
        let event = self.next();
        assert_eq!((&event["type"], &event["state"]), (&json!("feed.state"), &json!(state)), "{event}");
        event
    }

    /// Expects the next events to have these `call`s.
    fn expect_calls(&self, calls: impl IntoIterator<Item = u64>) {
        for call in calls {
            let event = self.next();
            assert_eq!(event["call"], json!(call.to_string()), "{event}");
        }
    }

    fn expect_nothing_for(&self, time: Duration) {
        assert_eq!(self.heard.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    }

    /// Stops the feed. No event may follow.
    fn stop(mut self) {
        self.plugin.stop_feed().unwrap();
        while self.heard.try_recv().is_ok() {}
        self.expect_nothing_for(Duration::from_millis(50));
    }
}

fn call(number: u64) -> Value {
    json!({ "type": "call.delivered", "at": "2026-01-05T09:00:00.000Z", "call": number.to_string(), "agent": "ann" })
}
