//! `sink.command`: the program gets the facts about a recording, and its end is interpreted. More in the
//! plugin's own tests.

use std::fs;

use serde_json::json;

use super::*;
use deskreel_test_support::sealed_recording::{ID, SealedRecording};

#[test]
fn a_program_gets_the_facts_and_names_the_place() {
    let recording = SealedRecording::new();
    let script = "cd \"$DESKREEL_DIRECTORY\" && test -f \"$DESKREEL_MANIFEST\" && echo busy \
                  && echo $DESKREEL_RECORDING $DESKREEL_AGENT $DESKREEL_CALLS $DESKREEL_TAG_PRODUCT";
    let mut sink = open("command", json!({ "command": ["sh", "-c", script] })).unwrap();
    assert_eq!(sink.fragment(&recording.deliveries[0]).unwrap(), None, "whole recordings only");
    let answer = sink.finish(&recording.finished()).unwrap();
    assert_eq!(answer, Answer::Acknowledged { place: format!("{ID} ann 77 78 loan") });
}

#[test]
fn a_program_gets_nothing_of_the_recorders_environment() {
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "cargo sets it for tests");
    let script = "echo \"<$CARGO_MANIFEST_DIR>$HOME\"";
    let mut sink = open("command", json!({ "command": ["sh", "-c", script] })).unwrap();
    let answer = sink.finish(&SealedRecording::new().finished()).unwrap();
    assert_eq!(answer, Answer::Acknowledged { place: format!("<>{}", std::env::var("HOME").unwrap()) });
}

#[test]
fn its_exit_code_decides() {
    let recording = SealedRecording::new();
    let end = |script: &str| {
        let mut sink =
            open("command", json!({ "command": ["sh", "-c", script], "timeout": "200ms" })).unwrap();
        sink.finish(&recording.finished()).unwrap()
    };
    let refused = end("echo the store does not want it >&2; exit 2");
    assert!(
        is_refused(&refused) && reason(&refused).ends_with("2: the store does not want it"),
        "{refused:?}"
    );
    for script in ["exit 75", "kill -9 $$", "exec tail -f /dev/null"] {
        assert!(is_later(&end(script)), "{script}");
    }
}

#[test]
fn a_missing_program_may_be_installed_later() {
    let (recording, folder) = (SealedRecording::new(), tempfile::tempdir().unwrap());
    let program = folder.path().join("push");
    let mut sink = open("command", json!({ "command": [program] })).unwrap();
    let answer = sink.finish(&recording.finished()).unwrap();
    assert!(is_later(&answer) && reason(&answer).contains("No such file"), "{answer:?}");
    fs::copy("/bin/true", &program).unwrap();
    assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
}

#[test]
fn a_program_is_an_absolute_path_or_searched_in_path() {
    for command in [json!([]), json!([""]), json!(["./push"]), json!(["bin/push"])] {
        let failure = open("command", json!({ "command": command })).err().expect("refused");
        assert_eq!(failure.fault().exit_code(), 2, "{command}");
    }
}
