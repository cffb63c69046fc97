//! CometD's servers, as they deliver, and the proxies before them.

use super::*;

/// A call that is up, in the current session.
fn set_call(workspace: &mut Workspace) {
    workspace.set("ann", json!({ "dn": dn("4711"), "calls": [{ "id": "u1", "state": "Established" }] }));
}

const BEGIN: &[&str] = &[
    "feed.state catching_up ann",
    "feed.state registered ann",
    "agent.logged_in  ann",
    "call.established u1 ann",
    "agent.state ready ann",
    "feed.state live ann",
];

/// Before, the feed waited for the workspace for half a minute, and never learned the place.
#[test]
fn messages_with_the_answers_to_the_first_requests_are_taken() {
    for option in ["--at-once", "--with-handshake"] {
        let folder = Folder::new(ANN);
        let mut workspace = Workspace::start(folder.port, &["--no-ack", option]);
        set_call(&mut workspace);
        let feed = folder.start();
        feed.expect_short(BEGIN);
        feed.stop();
    }
}

#[test]
fn a_handshake_with_several_answers_is_understood() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &["--two-answers"]);
    set_call(&mut workspace);
    let feed = folder.start();
    feed.expect_short(BEGIN);
    feed.stop();
}

/// With the same workspace: nobody logs in again.
#[test]
fn a_client_that_the_server_does_not_know_shakes_hands_again_whatever_the_advice() {
    for advice in ["--advice=none", "--advice=retry"] {
        let folder = Folder::new(ANN);
        let mut workspace = Workspace::start(folder.port, &[advice]);
        set_call(&mut workspace);
        let feed = folder.start();
        feed.expect_short(BEGIN);
        workspace.ask(json!({ "expire": "ann" }));
        let lost = feed.expect_state("lost");
        assert!(lost["reason"].as_str().unwrap().starts_with("402"), "{lost}");
        feed.expect_short(&[
            "feed.state catching_up ann",
            "feed.gap  ann",
            "call.established u1 ann",
            "agent.state ready ann",
            "feed.state live ann",
        ]);
        assert_eq!(workspace.grants(), ["password"], "{advice}");
        feed.stop();
    }
}

/// The first breaks may have lost messages; then the feed knows how long the proxy waits, and a silence is
/// one that is longer than a poll and a new session take.
#[test]
fn a_proxy_that_cuts_silent_polls_is_asked_less_of() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &["--no-ack", "--cut=1100"]);
    let feed = folder.start();
    feed.wait_for("feed.state live ann");
    let silence = Duration::from_millis(2500);
    let breaks = std::iter::from_fn(|| feed.heard.recv_timeout(silence).ok()).take(100);
    let breaks = breaks.filter(|event| event["state"] == "lost").count();
    assert!((2..10).contains(&breaks), "{breaks} breaks");
    workspace.call("ann", json!({ "id": "u1", "state": "Ringing" }));
    feed.expect_short(&["call.delivered u1 ann"]);
    feed.stop();
}

#[test]
fn a_proxy_that_cuts_or_answers_itself_loses_no_acknowledged_message() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &["--cut=1100"]);
    let feed = folder.start();
    feed.wait_for("feed.state live ann");
    for id in 1..=2 {
        workspace.ask(json!({ "bad_gateway": 1 }));
        for state in ["Ringing", "Released"] {
            workspace.call("ann", json!({ "id": id.to_string(), "state": state }));
        }
        feed.expect_calls([id, id]);
    }
    feed.stop();
}
