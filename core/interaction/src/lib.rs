//! Which footage belongs to which call: events in, footage and segments out.
//!
//! ```text
//! line --Event::parse--> Event --order--> calls and agents --facts--> policies --wishes--> footage, segments
//!                        (model)          how things stand            (plugins)            commands for recorders
//! ```
//!
//! The way of an event through [`Engine::push`]:
//!
//! 1. `order.rs` puts it where its time says. Nothing waits for that: an event is acted on at once, and where an
//!    earlier one comes late, what followed it is undone and done again. So the table that comes out in the end does
//!    not depend on the order of arrival, as long as nothing is later than [`PolicyRules::late`](deskreel_model::PolicyRules::late).
//! 2. `calls.rs` folds it into what is known of calls and agents (`agent.rs`, `world.rs`): who is connected to which call, in what
//!    role, since when. Doubled events change nothing, and lost ones are made up for where something later shows them.
//! 3. `facts.rs` writes that down, and each policy that wants to hear of such an event is asked (`policy.rs`).
//! 4. `wishes.rs` keeps what each policy wants, `settle.rs` makes footage and segments of all wishes together. The
//!    order of policies does not matter: footage runs while somebody wants it and nobody forbids it, and the most
//!    private capture wins.
//!
//! No clock and no IO: time is what events say and what [`Engine::advance`] is told. The same events give the same
//! result, on any machine.

// How things stand.
mod agent;
mod calls;
mod hash;
mod world;

// Who is asked, and what comes of it.
mod answer;
mod facts;
mod policy;
mod settle;
mod wishes;

// What comes in, and in which order.
mod engine;
mod order;

pub use engine::{Command, Commanded, Engine, Output};
pub use order::Counts;
pub use policy::{Policy, PolicyError};
pub use settle::{Decided, Note};
