//! `feed.jsonl`: files that grow, are rotated, truncated or missing at first; pipes; replay.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use deskreel_model::Utc;
use tempfile::TempDir;

use super::*;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn log(&self) -> PathBuf {
        self.path("events.jsonl")
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn append_calls(&self, calls: impl IntoIterator<Item = u64>) {
        calls.into_iter().for_each(|number| self.append(&format!("{}\n", call(number))));
    }

    fn start(&self) -> Running {
        start("jsonl", json!({ "file": self.log() }))
    }

    fn start_remembering(&self) -> Running {
        start("jsonl", json!({ "file": self.log(), "remember": self.path("place") }))
    }
}

#[test]
fn a_file_is_read_and_followed_as_it_grows() {
    let folder = Folder::new();
    folder.append_calls(1..=3);
    let feed = folder.start();
    feed.expect_state("catching_up");
    feed.expect_calls(1..=3);
    feed.expect_state("live");
    folder.append_calls(4..=4);
    feed.expect_calls(4..=4);
    let line = call(5).to_string();
    let (start, end) = line.split_at(20);
    folder.append(start);
    feed.expect_nothing_for(Duration::from_millis(200));
    let written = Instant::now();
    folder.append(end);
    feed.expect_calls(5..=5);
    assert!(
        written.elapsed() < Duration::from_millis(200),
        "{:?}, and without a line end",
        written.elapsed()
    );
    folder.append("\n");
    folder.append_calls(6..=6);
    feed.expect_calls(6..=6);
    feed.stop();
}

#[test]
fn lines_without_an_event_are_skipped() {
    let folder = Folder::new();
    folder.append_calls(1..=1);
    for wrong in
        ["", "no JSON", "[]", "{\"type\": \"x\"}", "{\"type\": \"x\", \"at\": \"yesterday\"}", "\u{fffd}"]
    {
        folder.append(&format!("{wrong}\n"));
    }
    folder.append(&format!("{}\n", "x".repeat(3 << 20)));
    folder.append_calls(2..=2);
    let feed = folder.start();
    feed.expect_state("catching_up");
    feed.expect_calls(1..=2);
    feed.expect_state("live");
    feed.stop();
}

#[test]
fn a_restart_continues_at_the_saved_position_or_begins_again() {
    let folder = Folder::new();
    folder.append_calls(1..=3);
    let feed = folder.start_remembering();
    feed.expect_state("catching_up");
    feed.expect_calls(1..=3);
    feed.expect_state("live");
    folder.append_calls(4..=4);
    feed.expect_calls(4..=4);
    // Once the next look at the file is over, the position is on disk.
    let place = || fs::read_to_string(folder.path("place")).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !place().contains("\"line\":4") {
        assert!(Instant::now() < deadline, "{}", place());
        std::thread::yield_now();
    }
    feed.stop();
    folder.append_calls(5..=6);
    let feed = folder.start_remembering();
    feed.expect_state("catching_up");
    feed.expect_calls(5..=6);
    feed.expect_state("live");
    feed.stop();

    let feed = folder.start();
    feed.expect_state("catching_up");
    feed.expect_calls(1..=6);
    feed.stop();
    let feed = start("jsonl", json!({ "file": folder.log(), "from": "end" }));
    feed.expect_state("live");
    folder.append_calls(7..=7);
    feed.expect_calls(7..=7);
    feed.stop();
}

#[test]
fn a_file_that_is_rotated_is_read_to_its_end_and_the_new_one_from_its_start() {
    let folder = Folder::new();
    folder.append_calls(1..=1);
    let feed = folder.start();
    feed.expect_state("catching_up");
    feed.expect_calls(1..=1);
    feed.expect_state("live");
    fs::rename(folder.log(), folder.path("old")).unwrap();
    feed.expect_nothing_for(Duration::from_millis(200));
    let mut old = OpenOptions::new().append(true).open(folder.path("old")).unwrap();
    writeln!(old, "{}", call(2)).unwrap();
    feed.expect_calls(2..=2);
    folder.append_calls(4..=5);
    feed.expect_nothing_for(Duration::from_millis(150));
    writeln!(old, "{}", call(3)).unwrap();
    feed.expect_calls(3..=3);
    feed.expect_state("catching_up");
    feed.expect_calls(4..=5);
    feed.expect_state("live");
    feed.stop();
}

#[test]
fn a_file_that_was_cut_or_exchanged_meanwhile_is_a_gap() {
    let folder = Folder::new();
    folder.append_calls(1..=3);
    let feed = folder.start_remembering();
    feed.expect_state("catching_up");
    feed.expect_calls(1..=3);
    feed.expect_state("live");
    File::create(folder.log()).unwrap();
    assert_eq!(feed.next()["type"], "feed.gap");
    feed.expect_state("live");
    folder.append_calls(4..=4);
    feed.expect_calls(4..=4);
    feed.stop();

    fs::rename(folder.log(), folder.path("old")).unwrap();
    folder.append_calls(5..=5);
    let feed = folder.start_remembering();
    assert_eq!(feed.next()["type"], "feed.gap");
    feed.expect_state("catching_up");
    feed.expect_calls(5..=5);
    feed.stop();
}

#[test]
fn a_missing_file_is_waited_for() {
    let folder = Folder::new();
    let feed = folder.start();
    let state = feed.expect_state("lost");
    assert!(state["reason"].as_str().unwrap().contains("No such file"), "{state}");
    folder.append_calls(1..=1);
    assert_eq!(feed.next()["type"], "feed.state");
    feed.expect_calls(1..=1);
    feed.stop();
}

#[test]
fn a_named_pipe_may_have_several_writers_in_sequence() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    let feed = start("jsonl", json!({ "file": pipe }));
    feed.expect_state("live");
    for number in 1..=3 {
        let mut writer = OpenOptions::new().write(true).open(&pipe).unwrap();
        writeln!(writer, "{}", call(number)).unwrap();
        drop(writer);
        feed.expect_calls(number..=number);
    }
    feed.stop();
}

/// Standard input of a child, since ours belongs to the test program.
#[test]
fn standard_input_is_read_to_its_end() {
    if std::env::var_os("READS_STDIN").is_some() {
        let feed = start("jsonl", json!({ "file": "-" }));
        feed.expect_state("live");
        feed.expect_calls(1..=2);
        feed.expect_state("lost");
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["feeds::jsonl::standard_input_is_read_to_its_end", "--exact"]).env("READS_STDIN", "1");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    write!(input, "{}\n{}", call(1), call(2)).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_replay_keeps_the_pauses_and_happens_now() {
    let folder = Folder::new();
    for (second, number) in [(0, 1), (20, 2), (19, 3), (40, 4)] {
        let mut event = call(number);
        event["at"] = json!(format!("2020-01-01T00:00:{second:02}Z"));
        folder.append(&format!("{event}\n"));
    }
    let began = Instant::now();
    let feed = start("jsonl", json!({ "file": folder.log(), "time": "replay", "speed": 50 }));
    feed.expect_state("catching_up");
    let events: Vec<Value> = (0..4).map(|_| feed.next()).collect();
    let took = began.elapsed();
    assert!((Duration::from_millis(790)..Duration::from_millis(1600)).contains(&took), "{took:?}");
    let at = |n: usize| Utc::parse(events[n]["at"].as_str().unwrap()).unwrap();
    assert_eq!(at(1).saturating_since(at(0)), Duration::from_millis(400));
    assert_eq!(at(3).saturating_since(at(0)), Duration::from_millis(800));
    assert!(Utc(jiff::Timestamp::now()).saturating_since(at(3)) < Duration::from_secs(2));
    feed.stop();
}

#[test]
fn a_stop_does_not_wait_for_an_event_of_tomorrow() {
    let folder = Folder::new();
    folder.append_calls(1..=1);
    folder.append("{\"type\": \"x\", \"at\": \"2027-01-05T09:00:00.000Z\"}\n");
    let feed = start("jsonl", json!({ "file": folder.log(), "time": "replay" }));
    feed.expect_state("catching_up");
    feed.expect_calls(1..=1);
    let began = Instant::now();
    feed.stop();
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    assert!(open("jsonl", json!({ "file": "x", "speed": 0 })).is_err());
    assert!(open("jsonl", json!({ "speed": 1 })).is_err());
}
