//! Every recording arrives, once and byte for byte, whatever the server does and whenever the daemon is killed; and only
//! then it leaves this PC.
//!
//! `KILLS=100` kills so often; the suite does it less often.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/upload_server.rs"]
mod upload_server;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use deskreel_model::RecordingId;
use deskreel_spool::account::{Fate, What, fates, read};
use serde_json::{Value, json};
use support::daemon::{Ann, Daemon};
use support::random::Random;
use upload_server::{Fault, Request, UploadServer};

#[test]
fn every_recording_arrives_once_and_whole_though_the_daemon_is_killed_and_the_server_fails() {
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6);
    let random = Random::new();
    let server = UploadServer::start();
    server.fail(faults(Random::new()));
    let mut daemon = Daemon::start(&pipeline(&server), &[]);
    let mut calls = 0;
    for kill in 0..kills {
        talk(&daemon, &random, &mut calls);
        daemon.run_for(Duration::from_millis(random.below(1500)));
        println!("kill {kill}");
        daemon = Daemon::in_folder(daemon.kill());
    }
    // It ends well: one more call, a server that works, and a daemon that lives.
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
    let fates = fates(&lines);
    assert!(fates.len() > kills, "{} recordings for {kills} kills", fates.len());
    let arrived = fates.iter().filter(|(id, fate)| has_arrived(&server, id, fate)).count();
    println!(
        "{arrived} of {} recordings have arrived; the others never began or have no footage",
        fates.len()
    );
    assert!(arrived >= kills / 2, "only {arrived} recordings");
    let left = daemon.folders();
    assert!(left.is_empty(), "not delivered, and nobody says why: {left:?}");
}

/// What the account says happened to one: it is at the server as it was here, or there is a reason why it is not.
fn has_arrived(server: &UploadServer, id: &RecordingId, fate: &Fate) -> bool {
    let stored = server.stored(id.as_str());
    if fate.delivered.is_empty() {
        let is_told = fate.not_begun.is_some() || fate.dropped.is_some() || fate.removed;
        assert!(is_told, "nobody says what became of {id}: {fate:?}");
        assert!(stored.manifest.is_none(), "{id} is at the server, and the account does not know");
        return false;
    }
    let manifest: Value = serde_json::from_slice(stored.manifest.as_ref().expect("a manifest")).unwrap();
    let named: BTreeMap<_, _> = upload_server::named(&manifest).into_iter().collect();
    let held: BTreeSet<_> = stored.fragments.keys().cloned().collect();
    assert_eq!(held, named.keys().cloned().collect(), "{id}: not what the manifest names");
    for (name, sha256) in named {
        let bytes = &stored.fragments[&name];
        assert_eq!(upload_server::hex(bytes), sha256, "{id} {name:?}");
        assert_eq!(stored.times_stored[&name], 1, "{id} {name:?} was stored more than once");
    }
    true
}

fn refusals(daemon: &Daemon) -> Vec<String> {
    let lines = read(&daemon.recordings()).unwrap().into_iter();
    let refused = |what: &What| matches!(what, What::Refused { .. });
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

/// A request in three goes wrong, in one way or another.
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
