//! Scenario files: `tests/scenario/<topic>/*.txt`. A comment states the rule, a line is a command, what it brings
//! about follows behind `----`. `UPDATE=1` writes what came out instead; understand a changed outcome before you
//! commit it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "scenario/interaction.rs"]
mod interaction;
#[path = "support/scenario_file.rs"]
mod scenario_file;
#[path = "scenario/seat.rs"]
mod seat;
#[path = "scenario/session.rs"]
mod session;

use scenario_file::check;

#[test]
fn interaction() {
    check("interaction", interaction::run);
}

#[test]
fn seat() {
    check("seat", seat::run);
}

#[test]
fn session() {
    check("session", session::run);
}
