//! Runs `tests/scenario/{interaction,seat,session}/*.txt`. A comment states the rule, each line is a command,
//! and its outcome follows after `----`. `UPDATE=1` writes the actual outcomes instead; understand a changed
//! outcome before you commit it.

mod interaction;
mod logs;
mod seat;
mod session;

use deskreel_test_support::scenario_file::check;

#[test]
fn interaction() {
    check("interaction", interaction::run);
}

#[test]
fn logs() {
    logs::check();
}

#[test]
fn variations_of_logs() {
    logs::check_variations();
}

#[test]
fn seat() {
    check("seat", seat::run);
}

#[test]
fn session() {
    check("session", session::run);
}
