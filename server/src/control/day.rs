//! A simulated day: agents take calls, recorders vanish and return, disks fill and the server is killed. For
//! every second of every call, the account of the index has to equal the simulator's own.
//!
//! ```text
//!   simulator.rs --events, links--> the real control loop --> the real index
//!     seat.rs, recording.rs         --fragments, manifests-->    |
//!     truth.rs: what really happened                             v
//!        '------------- comparison.rs: second by second -----account
//! ```
//!
//! Time is simulated, so an hour takes a second. `SEED` repeats a day; `AGENTS` and `CALLS` set its size.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod comparison;
mod delivery;
mod plan;
mod random;
mod recording;
mod seat;
mod simulator;
mod truth;

use plan::DayPlan;
use random::Random;
use simulator::Simulator;

#[tokio::test]
async fn a_day_of_absences_kills_and_full_disks_is_accounted_for_second_by_second() {
    let size = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let plan = DayPlan { agents: size("AGENTS").unwrap_or(10), calls: size("CALLS").unwrap_or(60) };
    let folder = tempfile::tempdir().expect("a folder for the index");
    let mut day = Simulator::new(plan, Random::new(), folder.path()).await;
    day.run().await;
    println!("{}", day.summary());
    assert!(day.differences.is_empty(), "{}", day.differences.join("\n"));
}
