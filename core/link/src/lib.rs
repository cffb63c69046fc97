//! The recorder's line to the server: one WebSocket that the recorder opens, and opens again whenever it broke.
//!
//! ```text
//!   daemon --tell, answer, status--> LinkHandle --> recorder.rs ==== line ==== server.rs --> the server
//!          <--commands, state------- dial.rs          (pure)     WebSocket      (pure)
//! ```
//!
//! Both ends of the protocol (docs/link.md, `deskreel_model::link`) are here, as state machines without IO or clock: what
//! comes in is a message, a wish or the time, what comes out is what to send and what to do. So what a line that breaks,
//! loses or repeats may do to them is tested without one (`tests/line.rs`). `dial.rs` puts a WebSocket between the recorder's end and
//! the daemon; the server does so with the other end.
//!
//! What holds, whatever the line does:
//!
//! - An event that was told is taken once by the server, in order, or the server knows how many are missing.
//! - A command is done at most once, not after its deadline, and is answered each time as the first time.
//!
//! A recorder that starts anew knows nothing of earlier commands. Then a start that comes again finds its recording there
//! already, by its id, and the others are harmless when repeated.

mod backlog;
mod backoff;
pub mod clock;
mod commands;
mod dial;
mod handle;
pub mod recorder;
pub mod server;
mod tls;

use std::time::Duration;

use deskreel_model::Utc;

pub use dial::{Link, LinkError, Settings, Token};
pub use handle::{LinkHandle, LinkState, Phase};
pub use recorder::RecorderEnd;
pub use server::ServerEnd;

/// A moment by both clocks of one machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Since a moment that stays the same while the program runs; it never jumps.
    pub monotonic: Duration,
    pub utc: Utc,
}

/// Events that are under way and not heard of yet. Enough for a line of 1 s at 64 events a second.
const WINDOW: u64 = 64;
/// After this, what was not acknowledged is sent again. On a WebSocket it is only ever lost with the connection.
const AGAIN: Duration = Duration::from_secs(5);
/// So long after its deadline both ends forget a command.
const REMEMBERED: Duration = Duration::from_secs(3600);
