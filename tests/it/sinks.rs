//! Recordings reach the sinks' destinations, whole, once, and whatever happens on the way; and a sink
//! acknowledges only what is there.
//!
//! The sinks are the shipped libraries (`cargo build --workspace` makes them), called as the recorder calls
//! them.

mod apache;
mod command;
mod upload;
mod webdav;

use deskreel_contract::Answer;
use deskreel_host::{HostCallbacks, LOAD_LIMIT, Plugin, PluginFailure, examine, load_with_deadline};
use deskreel_test_support::paths::plugin;
use serde_json::Value;

/// An instance of `sink.<what>`, from the shipped library.
fn open(what: &str, settings: Value) -> Result<Plugin, PluginFailure> {
    let file = plugin(&format!("sink_{what}"));
    let library = load_with_deadline(&examine(&file), LOAD_LIMIT).unwrap_or_else(|wrong| panic!("{wrong}"));
    library.create(&format!("sink.{what}"), &settings, HostCallbacks::default())
}

/// Asks again, as the recorder does but without the waiting, until the answer is final.
fn insist(mut ask: impl FnMut() -> Answer) -> Answer {
    for _ in 0..200 {
        match ask() {
            Answer::RetryAfter { .. } => {}
            answer => return answer,
        }
    }
    panic!("asked 200 times")
}

fn reason(answer: &Answer) -> &str {
    match answer {
        Answer::Acknowledged { place } => panic!("acknowledged: {place}"),
        Answer::RetryAfter { reason, .. } | Answer::Refused { reason } => reason,
    }
}

fn is_acknowledged(answer: &Answer) -> bool {
    matches!(answer, Answer::Acknowledged { .. })
}

fn is_later(answer: &Answer) -> bool {
    matches!(answer, Answer::RetryAfter { .. })
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer, Answer::Refused { .. })
}
