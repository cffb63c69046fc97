//! Tests of one situation each; `model.rs` tests properties that always hold.
#![allow(clippy::unwrap_used)]

mod model;
mod world;

use std::time::{Duration, Instant};

use deskreel_contract::{Answer, RecordingAbout};
use deskreel_model::SinkName;

use super::{DebtState, Item, Next, Outbox, Reply, Stage, StartupFinding};
use crate::account::{NoStartCause, fates};
use crate::fake_disk::{FakeDisk, Fault};
use crate::fixture::{self, Fixture};
use crate::{account, capacity};
use world::{Spool, id, sink};

fn acknowledged() -> Reply {
    Reply::Answered(Answer::Acknowledged { place: "there".into() })
}

fn retry(seconds: u32) -> Reply {
    Reply::Answered(Answer::RetryAfter { seconds, reason: "busy".into() })
}

fn refused() -> Reply {
    Reply::Answered(Answer::Refused { reason: "too long".into() })
}

/// Short name of the next item: `1/video/1/0` or `1 finished`.
fn name(next: &Next) -> String {
    match next {
        Next::Deliver(Item::Fragment(delivery)) => {
            let number = delivery.recording.trim_start_matches("20261123T07100").chars().next().unwrap();
            format!("{number}/{}/{}/{}", delivery.track, delivery.part, delivery.number)
        }
        Next::Deliver(Item::Finish(recording)) => {
            let number = recording.id.trim_start_matches("20261123T07100").chars().next().unwrap();
            format!("{number} finished")
        }
        Next::WaitUntil(_) => "wait".into(),
        Next::Idle => "idle".into(),
    }
}

/// Acknowledges until nothing is left to deliver now.
fn drain(outbox: &mut Outbox, sink: &SinkName, now: Instant) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let next = outbox.next(sink, now);
        let Next::Deliver(item) = &next else { return names };
        names.push(name(&next));
        outbox.answered(sink, item, acknowledged(), now).unwrap();
    }
}

#[test]
fn a_header_goes_first_and_finish_last_and_only_when_it_is_released() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    let now = Instant::now();
    spool.begin(&mut outbox, 1);
    spool.tell(&mut outbox, 1, 1, &[2, 1]);
    assert_eq!(outbox.next(&sink("a"), now), Next::Idle, "no header yet");
    spool.tell(&mut outbox, 1, 1, &[0]);
    assert_eq!(drain(&mut outbox, &sink("a"), now), ["1/video/1/0", "1/video/1/1", "1/video/1/2"]);
    // The third fragment was salvaged: only the manifest knows it.
    spool.seal(1, &[3]);
    outbox.sealed(&id(1)).unwrap();
    assert_eq!(drain(&mut outbox, &sink("a"), now), ["1/video/1/3"]);
    assert_eq!(outbox.unreleased(), [id(1)]);
    outbox.released(&id(1), RecordingAbout::default()).unwrap();
    assert_eq!(drain(&mut outbox, &sink("a"), now), ["1 finished"]);
    assert_eq!(outbox.next(&sink("a"), now), Next::Idle);
}

#[test]
fn a_sink_of_whole_recordings_is_asked_once_and_gets_them_when_they_are_done() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    let now = Instant::now();
    for number in [1, 2] {
        spool.sealed_and_released(&mut outbox, number, &[2]);
    }
    let Next::Deliver(item) = outbox.next(&sink("a"), now) else { panic!() };
    outbox.answered(&sink("a"), &item, Reply::TakesWhole, now).unwrap();
    assert_eq!(drain(&mut outbox, &sink("a"), now), ["1 finished", "2 finished"]);
}

#[test]
fn the_oldest_is_first_but_one_that_cannot_be_delivered_does_not_hold_up_the_others() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    let mut now = Instant::now();
    spool.sealed_and_released(&mut outbox, 1, &[1]);
    spool.begin(&mut outbox, 2);
    spool.tell(&mut outbox, 2, 1, &[0]);
    let Next::Deliver(item) = outbox.next(&sink("a"), now) else { panic!() };
    assert_eq!(item.recording(), id(1).as_str());
    outbox.answered(&sink("a"), &item, Reply::Failed("the file is gone".into()), now).unwrap();
    now += Duration::from_secs(1);
    let Next::Deliver(item) = outbox.next(&sink("a"), now) else { panic!() };
    outbox.answered(&sink("a"), &item, acknowledged(), now).unwrap();
    // It keeps failing, a bit less often each time, and anything that arrives meanwhile is delivered at once.
    for number in 1..50 {
        spool.tell(&mut outbox, 2, 1, &[number]);
        assert_eq!(name(&outbox.next(&sink("a"), now)), format!("2/video/1/{number}"));
        let Next::Deliver(item) = outbox.next(&sink("a"), now) else { panic!() };
        outbox.answered(&sink("a"), &item, acknowledged(), now).unwrap();
        if let Next::Deliver(stuck) = outbox.next(&sink("a"), now) {
            outbox.answered(&sink("a"), &stuck, Reply::Failed("the file is gone".into()), now).unwrap();
        }
        now += Duration::from_secs(1);
    }
    let status = outbox.status(now);
    assert_eq!(status.recordings[0].sinks[0].last_error.as_deref(), Some("the file is gone"));
    let oldest = status.sinks[0].oldest_failure.as_ref().unwrap();
    assert!(
        oldest.since <= now - Duration::from_secs(48) && oldest.reason == "the file is gone",
        "{oldest:?}"
    );
    assert!(status.sinks[0].counts.failures < 25, "{:?}", status.sinks[0].counts);
}

#[test]
fn a_sink_is_left_alone_for_at_least_as_long_as_it_asked_for() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    let now = Instant::now();
    spool.sealed_and_released(&mut outbox, 1, &[1]);
    spool.sealed_and_released(&mut outbox, 2, &[1]);
    let Next::Deliver(item) = outbox.next(&sink("a"), now) else { panic!() };
    outbox.answered(&sink("a"), &item, retry(40), now).unwrap();
    assert_eq!(outbox.next(&sink("a"), now), Next::WaitUntil(now + Duration::from_secs(40)));
    assert_eq!(outbox.status(now).sinks[0].retry_in_ms, Some(40_000));
    let later = now + Duration::from_secs(40);
    assert_eq!(name(&outbox.next(&sink("a"), later)), "2/video/1/0", "the one that failed comes after");
}

#[test]
fn a_refused_recording_stays_shows_in_the_status_and_is_not_offered_again() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a", "b"]);
    let now = Instant::now();
    spool.sealed_and_released(&mut outbox, 1, &[1]);
    drain(&mut outbox, &sink("a"), now);
    let Next::Deliver(item) = outbox.next(&sink("b"), now) else { panic!() };
    outbox.answered(&sink("b"), &item, refused(), now).unwrap();
    for mut outbox in [outbox, spool.open(&["a", "b"])] {
        assert_eq!(outbox.next(&sink("b"), now), Next::Idle);
        assert!(outbox.take_out().is_empty());
        let status = outbox.status(now);
        assert_eq!(status.recordings[0].sinks[1].state, DebtState::Refused { reason: "too long".into() });
        assert_eq!((status.sinks[0].refused, status.sinks[1].refused), (0, 1));
    }
    assert!(spool.has(1));
}

#[test]
fn what_every_sink_has_is_taken_out_and_what_no_sink_wants_stays() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    spool.sealed_and_released(&mut outbox, 1, &[1]);
    assert!(outbox.take_out().is_empty());
    drain(&mut outbox, &sink("a"), Instant::now());
    assert_eq!(outbox.take_out().iter().filter(|leaving| leaving.is_ok()).count(), 1);
    assert!(!spool.has(1));

    let mut outbox = spool.open(&[]);
    spool.sealed_and_released(&mut outbox, 2, &[1]);
    assert!(outbox.take_out().is_empty());
    assert!(spool.has(2));
}

#[test]
fn a_recording_that_cannot_be_taken_out_does_not_hold_up_others() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    spool.sealed_and_released(&mut outbox, 1, &[1]);
    spool.sealed_and_released(&mut outbox, 2, &[1]);
    drain(&mut outbox, &sink("a"), Instant::now());
    // The account's line is written and synced, then the folder cannot be renamed.
    spool.disk.set_fault(Some(Fault::Error(2)));
    let left: Vec<bool> = outbox.take_out().iter().map(|leaving| leaving.is_ok()).collect();
    assert_eq!((left, spool.has(1), spool.has(2)), (vec![false, true], true, false));
    assert!(outbox.take_out()[0].is_ok());
}

#[test]
fn a_recording_without_footage_goes_and_the_account_says_so() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    spool.begin(&mut outbox, 1);
    spool.seal(1, &[]);
    outbox.sealed(&id(1)).unwrap();
    assert_eq!(outbox.next(&sink("a"), Instant::now()), Next::Idle);
    assert_eq!(outbox.take_out().len(), 1);
    assert_eq!(spool.fate(1).dropped.as_deref(), Some("there is no footage in it"));
}

#[test]
fn a_running_recording_is_never_evicted_and_the_account_has_an_evicted_one() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    spool.begin(&mut outbox, 1);
    outbox.evict(&id(1), "no room").unwrap_err();
    spool.sealed_and_released(&mut outbox, 2, &[1]);
    let states: Vec<_> = outbox.stored_recordings(|_| 7).iter().map(|one| (one.bytes, one.state)).collect();
    assert_eq!(states, [(7, capacity::StoredState::Running), (200, capacity::StoredState::Undelivered)]);
    outbox.evict(&id(2), "no room").unwrap().delete_with(&spool.disk).unwrap();
    assert_eq!(spool.fate(2).dropped.as_deref(), Some("no room"));
    assert!(spool.has(1) && !spool.has(2));
}

#[test]
fn a_start_takes_in_what_is_sealed_and_reports_what_is_gone() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    for number in 1..4 {
        spool.begin(&mut outbox, number);
    }
    let full = "12 MB are left".to_owned();
    outbox.commanded(&id(6), Some("ann".into()), "a call".into());
    outbox.commanded(&id(7), Some("ann".into()), "a call".into());
    outbox.not_begun(&id(7), NoStartCause::Disk, full);
    spool.seal(1, &[1]);
    spool.remove(2);
    spool.seal(5, &[1, 2]);
    let (outbox, findings) = spool.reopen(&["a"]);
    let expected = [
        StartupFinding::Gone { recording: id(2) },
        StartupFinding::Sealed { recording: id(1) },
        StartupFinding::Unsealed { recording: id(3) },
        StartupFinding::TakenIn { recording: id(5) },
        StartupFinding::NeverBegan { recording: id(6) },
    ];
    assert_eq!(findings, expected);
    let stages: Vec<Stage> =
        outbox.status(Instant::now()).recordings.iter().map(|status| status.stage).collect();
    assert_eq!(stages, [Stage::Sealed, Stage::Running, Stage::Sealed]);
    assert_eq!(spool.fate(6).not_begun, Some(NoStartCause::RecorderEnded));
    assert_eq!(spool.fate(7).not_begun, Some(NoStartCause::Disk));
    assert_eq!(spool.reopen(&["a"]).1, [StartupFinding::Unsealed { recording: id(3) }], "reported once");
}

/// Any write of the start may find no room.
#[test]
fn a_start_that_cannot_write_costs_nothing_that_is_written_later() {
    for steps in 0..8 {
        let spool = Spool::new();
        spool.seal(1, &[1]);
        spool.disk.set_fault(Some(Fault::Error(steps)));
        let (mut outbox, findings) = spool.reopen(&["a"]);
        spool.disk.set_fault(None);
        assert_eq!(findings, [StartupFinding::TakenIn { recording: id(1) }], "{steps}");
        let now = Instant::now();
        outbox.released(&id(1), RecordingAbout::default()).unwrap();
        assert_eq!(drain(&mut outbox, &sink("a"), now).len(), 3);
        let (mut outbox, findings) = spool.reopen(&["a"]);
        assert_eq!((findings, outbox.next(&sink("a"), now)), (vec![], Next::Idle), "{steps}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_down_is_asked_for_again_after_a_pause() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    let now = Instant::now();
    spool.sealed_and_released(&mut outbox, 1, &[1]);
    let Next::Deliver(item) = outbox.next(&sink("a"), now) else { panic!() };
    spool.disk.set_fault(Some(Fault::Error(0)));
    outbox.answered(&sink("a"), &item, acknowledged(), now).unwrap_err();
    assert!(matches!(outbox.next(&sink("a"), now), Next::WaitUntil(_)));
    let later = now + Duration::from_secs(1);
    assert_eq!(drain(&mut outbox, &sink("a"), later), ["1/video/1/0", "1/video/1/1", "1 finished"]);
    assert_eq!(spool.open(&["a"]).next(&sink("a"), now), Next::Idle, "the journal was repaired");
}

#[test]
fn a_new_sink_gets_what_is_still_here() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    let now = Instant::now();
    spool.sealed_and_released(&mut outbox, 1, &[1]);
    drain(&mut outbox, &sink("a"), now);
    outbox.set_sinks(&[sink("a"), sink("b")]);
    assert!(outbox.take_out().is_empty());
    assert_eq!(drain(&mut outbox, &sink("a"), now), [""; 0]);
    assert_eq!(drain(&mut outbox, &sink("b"), now), ["1/video/1/0", "1/video/1/1", "1 finished"]);
}

#[test]
fn acknowledged_fragments_do_not_make_the_journal_long() {
    let spool = Spool::new();
    let mut outbox = spool.open(&["a"]);
    let (now, mut longest) = (Instant::now(), 0);
    spool.begin(&mut outbox, 1);
    for number in 0..500 {
        spool.tell(&mut outbox, 1, 1, &[number]);
        drain(&mut outbox, &sink("a"), now);
        longest = longest.max(outbox.journal.lines());
    }
    assert!(longest <= 12, "{longest} lines");
    spool.seal(1, &[499]);
    let (mut outbox, _) = spool.reopen(&["a"]);
    assert_eq!(drain(&mut outbox, &sink("a"), now), [""; 0], "the shorter one says the same");
    assert_eq!(outbox.status(now).sinks[0].fragments, 0);
}

/// The same with real files.
#[test]
fn it_does_on_a_disk_what_it_does_in_memory() {
    let fixture = Fixture::finished();
    let directory = fixture.root.path();
    let now = Instant::now();
    let (mut outbox, findings) = Outbox::open(directory, &[sink("a")], 1).unwrap();
    let recording = fixture.manifest.recording.clone();
    assert_eq!(findings, [StartupFinding::TakenIn { recording: recording.clone() }]);
    assert!(matches!(Outbox::open(directory, &[], 1), Err(crate::Error::Busy { .. })), "one owner");
    outbox.released(&recording, RecordingAbout::default()).unwrap();
    let mut delivered = 0;
    while let Next::Deliver(item) = outbox.next(&sink("a"), now) {
        if let Item::Fragment(delivery) = &item {
            let bytes = std::fs::read(&delivery.path).unwrap();
            assert_eq!(delivery.sha256, crate::sha256_hex(&bytes));
            assert_eq!(delivery.id, format!("{}/video/{}/{}", fixture::ID, delivery.part, delivery.number));
            delivered += delivery.size;
        }
        outbox.answered(&sink("a"), &item, acknowledged(), now).unwrap();
    }
    assert_eq!(outbox.status(now).sinks[0].counts.bytes, delivered);
    drop(outbox);
    let (mut outbox, findings) = Outbox::open(directory, &[sink("a")], 1).unwrap();
    assert_eq!(findings, []);
    outbox.take_out().into_iter().for_each(|leaving| leaving.unwrap().delete().unwrap());
    drop(outbox);
    assert_eq!(Outbox::open(directory, &[sink("a")], 1).unwrap().1, []);
    let mut left: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["account.jsonl", "outbox.journal"]);
    assert!(fates(&account::read(directory).unwrap())[&recording].removed);
}

#[test]
fn the_remains_of_a_deleted_recording_are_not_a_recording() {
    let fixture = Fixture::finished();
    let leaving = fixture.root.path().join(format!(".deleting-{}", fixture::ID));
    std::fs::rename(&fixture.folder, &leaving).unwrap();
    std::fs::remove_file(leaving.join("manifest.json")).unwrap();
    assert!(crate::recover(fixture.root.path()).unwrap().is_empty());
    Outbox::open(fixture.root.path(), &[sink("a")], 1).unwrap();
    assert!(!leaving.exists());
}
