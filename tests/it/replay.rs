//! `deskreel replay` on the example logs, and on files with every kind of damage.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use deskreel_test_support::paths::root;
use deskreel_test_support::recorder::deskreel;

const CALL: [&str; 4] = [
    r#"{"type":"agent.logged_in","at":"2026-01-05T09:00:00.000Z","agent":"ann","place":"PC-1"}"#,
    r#"{"type":"call.established","at":"2026-01-05T09:00:10.000Z","call":"77","agent":"ann","direction":"inbound"}"#,
    r#"{"type":"call.cleared","at":"2026-01-05T09:01:10.000Z","call":"77","agent":"ann"}"#,
    r#"{"type":"agent.logged_out","at":"2026-01-05T09:05:00.000Z","agent":"ann"}"#,
];

fn source(path: &str) -> PathBuf {
    root().join(path)
}

fn replay() -> Command {
    let mut command = deskreel();
    command.arg("replay").arg("--pipeline").arg(source("pipelines/policies.toml"));
    command
}

fn replayed(log: &[u8], options: &[&str]) -> Output {
    let mut child = replay()
        .arg("-")
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(log).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn examples_are_events_and_result_in_recordings() {
    let schema = deskreel().args(["schema", "events"]).output().unwrap();
    let schema = serde_json::from_slice(&schema.stdout).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let logs: Vec<_> =
        fs::read_dir(source("examples/events")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(logs.len() > 10);
    for log in logs {
        for line in fs::read_to_string(&log).unwrap().lines() {
            assert!(validator.is_valid(&serde_json::from_str(line).unwrap()), "{}: {line}", log.display());
        }
        let output = replay().arg(&log).arg("--json").output().unwrap();
        assert!(output.status.success(), "{}: {}", log.display(), String::from_utf8_lossy(&output.stderr));
        let rows = String::from_utf8(output.stdout).unwrap();
        assert!(rows.contains(r#""row":"recording""#), "{}: {rows}", log.display());
    }
}

/// A broken line is reported with its number, and costs no other line.
#[test]
fn damaged_lines_do_not_affect_their_neighbors() {
    let too_long = format!(r#"{{"type":"x","at":"{}"}}"#, "9".repeat(3 << 20));
    let damaged: [&[u8]; 7] =
        [b"\xff\xfe", b"{", b"[]", b"null", too_long.as_bytes(), br#"{"type":"call.held"}"#, b"\0"];
    let mut log = Vec::new();
    for line in CALL {
        for damage in damaged {
            log.extend([damage, b"\n"].concat());
        }
        // Line ends of other systems and empty lines are not broken.
        log.extend([line.as_bytes(), b"\r\n\n"].concat());
    }
    let whole = replayed(CALL.join("\n").as_bytes(), &[]);
    let output = replayed(&log, &[]);
    assert_eq!(whole.status.code(), Some(0));
    assert_eq!(output.status.code(), Some(1), "there is something to report");
    let (whole, rows) = (String::from_utf8(whole.stdout).unwrap(), String::from_utf8(output.stdout).unwrap());
    assert_eq!(rows, whole.replace("4 events", "4 events, 28 lines that are not events"));
    assert!(rows.contains("primary of 77"), "{rows}");

    let errors = String::from_utf8(output.stderr).unwrap();
    for line in
        ["1: not UTF-8", "2: not JSON: ", "5: longer than 1 MiB", "6: not an event: missing field `at`"]
    {
        assert!(errors.contains(&format!("standard input:{line}")), "{line}: {errors}");
    }
    assert!(errors.ends_with("standard input: 8 more lines are not events\n"), "{errors}");
}

#[test]
fn a_picture_shows_names_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("day.svg");
    let log = CALL.join("\n").replace("ann", "<script>alert(1)</script>&");
    let output = replayed(log.as_bytes(), &["--svg", picture.to_str().unwrap(), "--summary"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let drawn = fs::read_to_string(picture).unwrap();
    assert!(!drawn.contains("<script>"), "{drawn}");
    assert!(drawn.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;"), "{drawn}");
    assert_eq!(drawn.matches("<rect ").count(), drawn.matches("</rect>").count() + 1, "and the background");
}

/// `deskreel replay ... | head` does not fail.
#[test]
fn a_reader_that_closes_the_pipe_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("long.jsonl");
    let day: Vec<String> = (0..5000)
        .flat_map(|call| {
            let at = |second: u32| {
                format!("2026-01-05T{:02}:{:02}:{second:02}.000Z", 8 + call / 600, call / 10 % 60)
            };
            let event = |kind, second| {
                format!(r#"{{"type":"{kind}","at":"{}","call":"c{call}","agent":"a{call}"}}"#, at(second))
            };
            [event("call.established", 1), event("call.cleared", 50)]
        })
        .collect();
    fs::write(&log, day.join("\n")).unwrap();
    let mut child = replay().arg(&log).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
