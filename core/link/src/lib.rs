//! The recorder's link to the server: one WebSocket that the recorder opens, and opens again whenever it
//! breaks.
//!
//! ```text
//!   daemon --events, answers, status--> LinkHandle --> recorder.rs ==== link ==== server.rs --> the server
//!          <--commands, state---------- keeper.rs      (pure)      WebSocket      (pure)
//! ```
//!
//! Both ends of the protocol (docs/link.md, [`deskreel_model::link`]) are here, as state machines without IO
//! or clock. Their input is a message, a request or the time; their output is messages to send and actions to
//! take. So `tests/line.rs` can test without a network how they handle a link that breaks, loses or repeats.
//! `keeper.rs` puts a WebSocket (`dial.rs`) between the recorder's end and the daemon; the server does the
//! same with the other end.
//!
//! Whatever the link does:
//!
//! - The server takes each event once, in order, or knows how many are missing.
//! - A command is done at most once, not after its deadline, and always gets the same answer as the first
//!   time.
//!
//! A recorder that restarts knows nothing of earlier commands. Then a repeated start finds its recording
//! there already, by its id, and repeating any other command is harmless.

mod address;
mod backlog;
mod backoff;
mod clock;
mod commands;
mod credentials;
mod dial;
mod handle;
mod keeper;
pub mod recorder;
pub mod server;
mod settings;
mod tls;

use std::time::Duration;

use deskreel_model::Utc;

pub use handle::{LinkHandle, LinkPhase, LinkState};
pub use keeper::Link;
pub use recorder::RecorderEnd;
pub use server::ServerEnd;
pub use settings::{LinkError, LinkSettings, TokenSource};

/// One moment by both clocks of a machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockReading {
    /// Time since a fixed moment of this run of the program; it never jumps.
    pub monotonic: Duration,
    pub utc: Utc,
}

/// Events that may be under way without an acknowledgement. Enough for a link with a delay of 1 s at 64
/// events a second.
const WINDOW: u64 = 64;
/// Time without an acknowledgement after which a message is sent again. A WebSocket loses one only with the
/// connection.
const RESEND_AFTER: Duration = Duration::from_secs(5);
/// Time for which both ends remember a command after its deadline.
const REMEMBER_FOR: Duration = Duration::from_secs(3600);
