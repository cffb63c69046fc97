//! Every recording arrives once and byte for byte, whatever the server does and whenever the daemon is
//! killed, and only then leaves this PC.
//!
//! `KILLS=100` kills that often; `SOAK=1200` runs for that many seconds, with longer calls. The suite kills a
//! few times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use deskreel_model::{Manifest, RecordingId};
use deskreel_spool::account::{AccountEvent, Fate, fates, read};
use deskreel_test_support::daemon::{Ann, Daemon};
use deskreel_test_support::random::Random;
use deskreel_test_support::upload_server::{self, Fault, Request, UploadServer};
use serde_json::{Value, json};

/// The longest time from a call, or the start of a daemon that knows the call, to a recording's first frame.
const START_SLACK_MS: i64 = 4000;
/// The most that a kill costs: a fragment, and the frames on their way.
const KILL_SLACK_MS: i64 = 1500;

#[test]
fn every_recording_arrives_once_and_whole_though_the_daemon_is_killed_and_the_server_fails() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let (kills, seconds) = (number("KILLS").unwrap_or(6), number("SOAK").unwrap_or(0));
    let longest = if seconds > 0 { 8000 } else { 1500 };
    let random = Random::new();
    let server = UploadServer::start();
    server.fail(faults(Random::new()));
    let mut daemon = Daemon::start(&pipeline(&server), &[]);
    let (mut calls, mut killed, mut on_calls) = (0, 0, Vec::new());
    let start = Instant::now();
    while killed < kills || start.elapsed().as_secs() < seconds {
        talk(&daemon, &random, &mut calls);
        let from = now_ms();
        daemon.run_for(Duration::from_millis(random.below(longest)));
        on_calls.push((from, now_ms()));
        killed += 1;
        println!("kill {killed}");
        daemon = Daemon::in_folder(daemon.kill());
    }
    // To end well: one more call, with a working server and a daemon that lives.
    talk(&daemon, &random, &mut calls);
    Ann::log_in(&daemon).log_out();
    server.work();
    daemon.wait_for("an empty spool", |status| {
        let refused: Vec<_> =
            status["spool"]["sinks"].as_array().unwrap().iter().map(|sink| &sink["refused"]).collect();
        assert_eq!(refused, [0], "{:#?}", refusals(&daemon));
        status["recording"].is_null() && status["spool"]["recordings"] == 0
    });

    let lines = read(&daemon.recordings()).unwrap();
    let refused = lines.iter().filter(|line| matches!(line.what, AccountEvent::NotBegun { .. }));
    let refused: Vec<i64> = refused.map(|line| line.at.0.as_millisecond()).collect();
    let fates = fates(&lines);
    assert!(fates.len() as u64 > kills, "{} recordings for {killed} kills", fates.len());
    let arrived: Vec<_> =
        fates.iter().filter_map(|(id, fate)| arrived(&server, id, fate)).map(|it| footage(&it)).collect();
    println!(
        "{} of {} recordings have arrived; the others never began or have no footage",
        arrived.len(),
        fates.len()
    );
    assert!(arrived.len() as u64 >= kills / 2, "only {} recordings", arrived.len());
    let left = daemon.folders();
    assert!(left.is_empty(), "not delivered, and without a reason: {left:?}");
    for (from, to) in on_calls {
        // If the account says that nothing could begin, it says why.
        if !refused.iter().any(|at| (from - START_SLACK_MS..to).contains(at)) {
            assert_covered(&arrived, from + START_SLACK_MS, to - KILL_SLACK_MS);
        }
    }
}

/// Asserts footage, or a gap with its cause, between two times of the wall clock, in milliseconds.
fn assert_covered(footage: &[(i64, i64)], from: i64, to: i64) {
    let mut at = from;
    while at < to {
        let next = footage.iter().filter(|(start, end)| *start <= at && at < *end).map(|(_, end)| *end).max();
        let Some(next) = next else { panic!("nothing of {at}, in a call from {from} to {to}: {footage:?}") };
        at = next;
    }
}

/// The times from its first frame to its end. Gaps between have a cause, which `deskreel verify` checks.
fn footage(manifest: &Value) -> (i64, i64) {
    let manifest: Manifest = serde_json::from_value(manifest.clone()).unwrap();
    let anchor = manifest.anchors[0];
    let zero = anchor.utc.0.as_millisecond() - (anchor.media.0 / 1_000_000) as i64;
    let track = &manifest.tracks[0];
    let start = track.parts[0].fragments[0].start;
    let end = track.gaps.iter().map(|gap| gap.to).chain(track.end()).max().unwrap();
    let frames = track.frames();
    assert_eq!(frames.captured, frames.encoded + frames.skipped + frames.lost, "{}", manifest.recording);
    (zero + (start.0 / 1_000_000) as i64, zero + (end.0 / 1_000_000) as i64)
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Checks the account of one recording: if the server has it complete, its manifest is returned; otherwise
/// the account has the reason why not.
fn arrived(server: &UploadServer, id: &RecordingId, fate: &Fate) -> Option<Value> {
    let stored = server.stored(id.as_str());
    if fate.delivered.is_empty() {
        let is_told = fate.not_begun.is_some() || fate.dropped.is_some() || fate.removed;
        assert!(is_told, "the fate of {id} is unknown: {fate:?}");
        assert!(stored.manifest.is_none(), "{id} is at the server, and the account does not know");
        return None;
    }
    let manifest: Value = serde_json::from_slice(stored.manifest.as_ref().expect("a manifest")).unwrap();
    let named: BTreeMap<_, _> = upload_server::named(&manifest).into_iter().collect();
    let held: BTreeSet<_> = stored.fragments.keys().cloned().collect();
    assert_eq!(held, named.keys().cloned().collect(), "{id}: not the files that the manifest names");
    for (name, sha256) in named {
        let bytes = &stored.fragments[&name];
        assert_eq!(upload_server::hex(bytes), sha256, "{id} {name:?}");
        assert_eq!(stored.times_stored[&name], 1, "{id} {name:?} was stored more than once");
    }
    Some(manifest)
}

fn refusals(daemon: &Daemon) -> Vec<String> {
    let lines = read(&daemon.recordings()).unwrap().into_iter();
    let refused = |what: &AccountEvent| matches!(what, AccountEvent::Refused { .. });
    lines.filter(|line| refused(&line.what)).map(|line| format!("{line:?}")).collect()
}

/// Logs in and begins or ends a call.
fn talk(daemon: &Daemon, random: &Random, calls: &mut u32) {
    let ann = Ann::log_in(daemon);
    if *calls > 0 && random.below(2) == 0 {
        ann.tell("call.cleared", &format!("call-{calls}"));
    }
    *calls += 1;
    ann.tell("call.established", &format!("call-{calls}"));
    if random.below(3) == 0 {
        ann.ask("POST", "/api/v1/recording/pause", json!({}));
    }
}

/// One request in three fails, each in one of these ways.
fn faults(random: Random) -> impl FnMut(&Request) -> Option<Fault> + Send {
    move |_| {
        Some(match random.below(24) {
            0 => Fault::CutBody(usize::try_from(random.below(2000)).unwrap()),
            1 => Fault::CutAnswer,
            2 => Fault::Status(500, Some(0)),
            3 => Fault::Status(503, Some(1)),
            4 => Fault::Status(413, Some(1)),
            5 => Fault::WrongDigest,
            6 => Fault::Forget,
            7 => Fault::Hang,
            _ => return None,
        })
    }
}

fn pipeline(server: &UploadServer) -> String {
    let token = tempfile::Builder::new().prefix("token").tempfile().unwrap();
    let (_, token) = token.keep().unwrap();
    fs::write(&token, upload_server::TOKEN).unwrap();
    format!(
        "[source.screen]\nplugin = \"source.synthetic\"\nmode = \"counter\"\nwidth = 320\nheight = 180\nfps = 10\n\
         [encoder.video]\nfrom = \"screen\"\nplugin = \"encoder.x264\"\n\
         [policy]\nplugin = \"policy.voice-all-calls\"\nlate = \"1s\"\n\
         [sink.archive]\nplugin = \"sink.upload\"\nserver = \"{}\"\ntoken_file = {token:?}\ntimeout = \"1s\"\n",
        server.url()
    )
}
