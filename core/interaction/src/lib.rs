//! Decides which footage belongs to which call: events in, footage and segments out.
//!
//! ```text
//! text --Event::parse--> Event --order--> calls and agents --facts--> policies --wishes--> footage, segments
//!                        (model)            (the state)              (plugins)           and commands
//! ```
//!
//! # Constraints
//!
//! - No clock and no IO: time comes from the arrival of events and from [`Engine::advance`]. The same events
//!   yield the same result, on any machine.
//! - A command goes out with its event, since nothing may wait for events that come late.
//! - The table of footage and segments depends neither on the order of arrival, as long as no event is later
//!   than [`PolicyRules::late`](deskreel_model::PolicyRules::late), nor on the order of policies.
//!
//! # The way of one event
//!
//! [`Engine::push`] takes it through these files:
//!
//! 1. `engine.rs` corrects its time by the clock of its feed. `order.rs` finds its place by time, and drops a
//!    duplicate. If it is late, what followed it is undone first and applied again after it.
//! 2. `calls.rs` folds it into the state of calls and agents (`agent.rs`, `call.rs`, `world.rs`): the seat
//!    of each agent, and each connection with its role and its beginning. Its folder has a file for each
//!    topic. Duplicates change nothing (`memory.rs`), and lost events are made up for when a later one
//!    reveals them. The old state is kept for the undo.
//! 3. `facts.rs` writes the fact for each agent concerned, and each policy that wants such events is asked
//!    (`policy.rs`).
//! 4. `answer.rs` reads the answer, and `wishes.rs` keeps the wishes of each policy.
//! 5. `footage.rs` and `segments.rs` make footage and segments of all wishes together. Footage runs while
//!    some policy wants it and none forbids it, and the most private capture wins.
//! 6. `engine/commands.rs` sends recorders the differences from their last commands, and yields final output.
//!
//! # One aggregate
//!
//! An [`Agent`](agent::Agent) is the unit of change and of undo: connections, wishes, mappings and running
//! footage of one person, cloned as a whole before a step touches it. Its `impl` is therefore spread by topic
//! over four files: `agent.rs` has the fields, `wishes.rs` changes wishes and mappings, `footage.rs` and
//! `segments.rs` derive the footage from them. Other files change these only through its methods, except a
//! policy's state, which `engine.rs` stores.
//!
//! # Facts are pieces of JSON
//!
//! A fact is assembled for each event, but most of it is the same as for the last one. So the JSON of an
//! agent, a medium, a connection and a digital interaction is written when that changes and is kept beside it
//! (`json`); `facts.rs` only joins the pieces. A policy's state is kept as the text it returned, and its
//! answer is parsed in place. Decision 0009 has the reasons: a million events a day leave microseconds for
//! each.

// The state.
mod agent;
mod call;
mod calls;
mod hash;
mod names;
mod world;

// The policies, and the consequences of their answers.
mod answer;
mod facts;
mod footage;
mod policy;
mod segments;
mod wishes;

// The events, and their order.
mod engine;
mod host_clock;
mod log_clock;
mod memory;
mod order;

pub use call::CallSummary;
pub use engine::{Command, Engine, Output, RecorderCommand, Remembered};
pub use footage::{DecisionRecord, Note};
pub use host_clock::HostClock;
pub use log_clock::LogClock;
pub use order::Counts;
pub use policy::{Policy, PolicyError};
