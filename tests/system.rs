//! The whole: a server that decides, recorders that obey, footage that arrives, and interactions as they are looked up. The scenarios
//! lie in tests/scenario/system; each runs in its own time, on a server and recorders of its own, and every picture says itself when
//! it was on the screen.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/scenario_file.rs"]
mod scenario_file;
#[path = "support/server.rs"]
mod server;
mod support;
#[path = "scenario/system.rs"]
mod system;

#[test]
fn system() {
    scenario_file::check("system", system::run);
}
