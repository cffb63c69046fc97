//! The agent's session: ended elsewhere, told again after a gap, and left as it is.

use super::*;

/// Seconds between two questions whether the session still exists.
fn soon() -> Value {
    json!({ "check_s": 1 })
}

fn two_calls() -> Value {
    json!({ "dn": dn("4711"), "calls": [
        { "id": "u1", "callUuid": "v1", "state": "Held", "recordingState": "Paused" },
        { "id": "u2", "callUuid": "v2", "state": "Established", "recordingState": "Recording" },
    ] })
}

const AGAIN: &[&str] = &[
    "feed.state catching_up ann",
    "feed.gap  ann",
    "call.held u1 ann",
    "recording.paused u1 ann",
    "call.established u2 ann",
    "recording.started u2 ann",
    "agent.state ready ann",
    "feed.state live ann",
];

/// The server goes on answering polls, without messages.
#[test]
fn a_log_out_elsewhere_is_noticed_and_all_calls_are_reported_again() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &[]);
    workspace.set("ann", two_calls());
    let feed = folder.start_with(soon());
    feed.wait_for("feed.state live ann");
    workspace.ask(json!({ "log_out": "ann" }));
    let lost = feed.expect_state("lost");
    assert!(lost["reason"].as_str().unwrap().contains("logged out elsewhere"), "{lost}");
    feed.expect_short(AGAIN);
    workspace.call("ann", json!({ "id": "u2", "state": "Released" }));
    feed.expect_short(&["recording.stopped u2 ann", "call.cleared u2 ann"]);
    feed.stop();
}

#[test]
fn a_session_that_gets_no_messages_any_more_is_noticed() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &[]);
    workspace.set("ann", json!({ "dn": dn("4711"), "calls": [] }));
    let feed = folder.start_with(soon());
    feed.wait_for("feed.state live ann");
    workspace.ask(json!({ "deafen": "ann" }));
    workspace.set("ann", two_calls());
    let lost = feed.expect_state("lost");
    assert!(lost["reason"].as_str().unwrap().contains("no longer gets messages"), "{lost}");
    feed.expect_short(AGAIN);
    feed.stop();
}

#[test]
fn the_end_of_the_users_session_is_a_log_out_and_that_of_voice_is_not() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &[]);
    workspace.set("ann", json!({ "dn": dn("4711") }));
    let feed = folder.start_with(soon());
    feed.wait_for("feed.state live ann");
    let mut device = dn("4711");
    for (state, expected) in [("LoggedOut", "logged_out"), ("Ready", "ready")] {
        device["agentState"] = json!(state);
        workspace.set("ann", json!({ "dn": device }));
        workspace.deliver("ann", VOICE, json!({ "messageType": "DnStateChanged", "dn": device }));
        feed.expect_short(&[&format!("agent.state {expected} ann")]);
    }
    workspace.set("ann", Value::Null);
    workspace.ask(json!({ "log_out": "ann" }));
    feed.expect_short(&[
        "feed.state lost ann",
        "feed.state catching_up ann",
        "feed.gap  ann",
        "agent.logged_out  ann",
        "feed.state live ann",
    ]);
    feed.stop();
}

/// As the vendor's simulator: a session of ours would make the agent ready before anybody is at the desk.
#[test]
fn an_agent_is_not_made_ready_before_the_desktop_has_a_session() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &["--no-ack", "--at-once", "--makes-ready"]);
    let feed = folder.start_with(json!({ "check_s": 1, "wait_for_desktop": true }));
    workspace.expect("token");
    feed.expect_nothing_for(Duration::from_secs(2));
    let mut device = dn("4711");
    device["agentState"] = json!("NotReady");
    workspace.set("ann", json!({ "dn": device }));
    feed.wait_for("agent.state not_ready ann");
    feed.wait_for("feed.state live ann");
    // Nor after the desktop has logged out.
    workspace.set("ann", Value::Null);
    workspace.ask(json!({ "log_out": "ann" }));
    feed.expect_short(&["feed.state lost ann", "agent.logged_out  ann"]);
    feed.expect_nothing_for(Duration::from_secs(2));
    feed.stop();
    assert!(!workspace.tells.try_iter().any(|report| report.get("made_ready").is_some()));
}
