//! `sink.upload` against a server that hangs, cuts, fails, lies and forgets.

use std::fs;
use std::path::PathBuf;

use deskreel_contract::FragmentDelivery;
use deskreel_host::Plugin;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use deskreel_test_support::random::Random;
use deskreel_test_support::sealed_recording::{ID, SealedRecording};
use deskreel_test_support::tls::Authority;
use deskreel_test_support::upload_server::{Fault, Stored, TOKEN, UploadServer};

/// The token's file, which a sink reads for each request.
struct Token(TempDir);

impl Token {
    fn new() -> Token {
        let token = Token(tempfile::tempdir().unwrap());
        token.set(TOKEN);
        token
    }

    fn set(&self, token: &str) {
        fs::write(self.file(), format!("{token}\n")).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("token")
    }

    fn settings(&self, server: &UploadServer) -> Value {
        json!({ "server": server.url(), "token_file": self.file(), "timeout": "2s" })
    }

    fn open(&self, server: &UploadServer) -> Plugin {
        open("upload", self.settings(server)).unwrap()
    }

    fn open_after(&self, server: &UploadServer) -> Plugin {
        let mut settings = self.settings(server);
        settings["when"] = json!("after");
        open("upload", settings).unwrap()
    }
}

fn send(sink: &mut Plugin, delivery: &FragmentDelivery) -> Answer {
    sink.fragment(delivery).unwrap().expect("it takes fragments")
}

fn send_all(sink: &mut Plugin, recording: &SealedRecording) {
    for delivery in &recording.deliveries {
        let answer = insist(|| send(sink, delivery));
        assert!(is_acknowledged(&answer), "{}: {answer:?}", delivery.id);
    }
}

fn assert_whole(stored: &Stored, recording: &SealedRecording) {
    assert!(stored.fragments == recording.bytes(), "{:?}", stored.fragments.keys());
    assert_eq!(stored.manifest.as_deref(), Some(&recording.manifest()[..]));
    let about: Value = serde_json::from_slice(stored.about.as_ref().unwrap()).unwrap();
    assert_eq!(about, serde_json::to_value(recording.finished().about).unwrap());
}

fn count(server: &UploadServer, request: &str) -> usize {
    server.requests().iter().filter(|one| *one == request).count()
}

#[test]
fn a_recording_arrives_byte_for_byte_while_it_runs() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    let mut sink = token.open(&server);
    for delivery in &recording.deliveries {
        assert!(is_acknowledged(&send(&mut sink, delivery)));
        assert!(is_acknowledged(&send(&mut sink, delivery)), "the same again does no harm");
    }
    let place = format!("{}/api/v1/recordings/{ID}", server.url());
    assert_eq!(sink.finish(&recording.finished()).unwrap(), Answer::Acknowledged { place: place.clone() });
    assert_whole(&server.stored(ID), &recording);
    assert_eq!(sink.finish(&recording.finished()).unwrap(), Answer::Acknowledged { place });
    assert!(server.stored(ID).times_stored.values().all(|times| *times == 1));
}

#[test]
fn a_server_that_fails_is_asked_again_and_holds_each_fragment_once() {
    let recording = SealedRecording::new();
    let delivery = &recording.deliveries[1];
    let faults = [
        (Fault::Hang, 1),
        (Fault::CutBody(0), 1),
        (Fault::CutBody(7), 1),
        (Fault::CutAnswer, 1),
        (Fault::Status(400, None), 1),
        (Fault::Status(401, None), 300),
        (Fault::Status(404, None), 300),
        (Fault::Status(429, Some(17)), 17),
        (Fault::Status(413, None), 1),
        (Fault::Status(500, None), 1),
        (Fault::Status(502, None), 1),
        (Fault::Status(503, Some(3)), 3),
        (Fault::Status(507, None), 60),
        (Fault::WrongDigest, 1),
        (Fault::NoDigest, 1),
    ];
    for (fault, wait) in faults {
        let (server, token) = (UploadServer::start(), Token::new());
        let mut sink = token.open(&server);
        assert!(is_acknowledged(&send(&mut sink, &recording.deliveries[0])), "{fault:?}");
        server.fail_once("PUT", "fragments/1", fault);
        let answer = send(&mut sink, delivery);
        let Answer::RetryAfter { seconds, .. } = answer else { panic!("{fault:?}: {answer:?}") };
        assert_eq!(seconds, wait, "{fault:?}");
        assert!(is_acknowledged(&insist(|| send(&mut sink, delivery))), "{fault:?}");

        let stored = server.stored(ID);
        let name = ("video".to_owned(), 1, 1);
        assert_eq!(stored.times_stored[&name], 1, "{fault:?}");
        assert!(stored.fragments[&name] == recording.bytes()[&name], "{fault:?}");
        // Fragments stored before the doubt are not sent again.
        let sent = count(&server, &format!("PUT {ID}/tracks/video/parts/1/fragments/1"));
        let was_stored = matches!(fault, Fault::CutAnswer | Fault::WrongDigest | Fault::NoDigest);
        assert_eq!(sent, if was_stored { 1 } else { 2 }, "{fault:?}");
    }
}

#[test]
fn a_recorder_that_was_killed_sends_nothing_that_is_there() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    server.fail_once("PUT", "fragments/0", Fault::CutAnswer);
    assert!(is_later(&send(&mut token.open(&server), &recording.deliveries[0])));
    // Another process, which knows nothing.
    assert!(is_acknowledged(&send(&mut token.open(&server), &recording.deliveries[0])));
    assert_eq!(count(&server, &format!("PUT {ID}/tracks/video/parts/1/fragments/0")), 1);
}

/// One answer that makes no sense must not hold up the delivery of everything for minutes.
#[test]
fn an_answer_to_another_request_is_asked_for_again_soon() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    let mut sink = token.open(&server);
    let soon = |answer: Answer| {
        let Answer::RetryAfter { seconds, reason } = answer else { panic!("{answer:?}") };
        assert_eq!((seconds, &*reason), (1, "the server answers 201, which is no answer to this request"));
    };
    server.fail_once("HEAD", "fragments/0", Fault::Forget);
    soon(send(&mut sink, &recording.deliveries[0]));
    server.work();
    send_all(&mut sink, &recording);
    server.fail_once("GET", "", Fault::Forget);
    soon(sink.finish(&recording.finished()).unwrap());
    assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
    assert_whole(&server.stored(ID), &recording);
}

#[test]
fn a_proxy_that_refuses_large_bodies_is_named() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    let mut sink = token.open(&server);
    server.fail_once("PUT", "fragments/0", Fault::Proxy(413));
    let answer = send(&mut sink, &recording.deliveries[0]);
    assert!(is_later(&answer) && reason(&answer).contains("413: a proxy before the server"), "{answer:?}");
    server.fail_once("PUT", "fragments/0", Fault::Status(413, None));
    assert_eq!(
        reason(&send(&mut sink, &recording.deliveries[0])),
        "the server answers 413: a fault on request"
    );
    assert!(is_acknowledged(&send(&mut sink, &recording.deliveries[0])));
}

#[test]
fn final_refusals_are_not_tried_again() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    let mut sink = token.open(&server);
    server.fail_once("PUT", "fragments/0", Fault::Status(410, None));
    let answer = send(&mut sink, &recording.deliveries[0]);
    assert!(is_refused(&answer), "{answer:?}");
    assert_eq!(reason(&answer), "the server answers 410: a fault on request");
    let name = ("video".to_owned(), 1, 0);
    server.change(ID, |stored| drop(stored.fragments.insert(name, b"other bytes".to_vec())));
    assert!(is_refused(&send(&mut sink, &recording.deliveries[0])));
}

#[test]
fn lost_fragments_are_sent_again_before_the_recording_counts_as_delivered() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    let mut sink = token.open(&server);
    server.fail_once("PUT", "parts/2/fragments/2", Fault::Forget);
    send_all(&mut sink, &recording);
    server.change(ID, |stored| drop(stored.fragments.remove(&("camera one".to_owned(), 1, 0))));
    assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
    assert_whole(&server.stored(ID), &recording);
}

#[test]
fn a_manifest_that_the_server_lost_is_sent_again_before_anything_is_deleted() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    let mut sink = token.open(&server);
    send_all(&mut sink, &recording);
    server.fail_once("PUT", "manifest", Fault::Forget);
    assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
    assert_whole(&server.stored(ID), &recording);
}

#[test]
fn a_server_that_loses_uploads_acknowledges_nothing() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    let mut sink = token.open(&server);
    send_all(&mut sink, &recording);
    server.change(ID, |stored| drop(stored.fragments.remove(&("video".to_owned(), 1, 2))));
    server.fail(|request| request.is("PUT", "video/parts/1/fragments/2").then_some(Fault::Forget));
    assert!(is_later(&sink.finish(&recording.finished()).unwrap()));
    server.work();
    assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
    assert_whole(&server.stored(ID), &recording);
}

#[test]
fn footage_with_a_wrong_hash_is_never_sent() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    let mut sink = token.open(&server);
    send_all(&mut sink, &recording);
    recording.damage(3);
    server.change(ID, |stored| drop(stored.fragments.remove(&("video".to_owned(), 1, 3))));
    assert!(is_refused(&send(&mut sink, &recording.deliveries[3])));
    let before = server.requests().len();
    let answer = sink.finish(&recording.finished()).unwrap();
    assert!(is_refused(&answer) && reason(&answer).contains("000003.m4s"), "{answer:?}");
    let sent = server.requests().split_off(before);
    assert!(sent.iter().all(|request| !request.contains("fragments")), "{sent:?}");
    assert_eq!(server.stored(ID).manifest, None);
}

#[test]
fn a_whole_recording_is_sent_afterwards_and_resumed() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    let mut sink = token.open_after(&server);
    assert_eq!(sink.fragment(&recording.deliveries[0]).unwrap(), None, "whole recordings only");
    let faults = [Fault::CutAnswer, Fault::CutBody(1), Fault::Status(503, None)];
    let mut faults = faults.into_iter();
    // A fault at every second fragment.
    let mut puts = 0;
    server.fail(move |request| {
        puts += usize::from(request.method == "PUT");
        if request.method == "PUT" && puts % 2 == 0 { faults.next() } else { None }
    });
    let mut tries = 0;
    let answer = insist(|| {
        tries += 1;
        sink.finish(&recording.finished()).unwrap()
    });
    assert!(is_acknowledged(&answer));
    assert_eq!(tries, 4, "each fault ends one");
    assert_whole(&server.stored(ID), &recording);
    assert!(server.stored(ID).times_stored.values().all(|times| *times == 1));
    let fragments = server.requests().iter().filter(|request| request.contains("/fragments/")).count();
    assert_eq!(fragments, recording.deliveries.len() + 2, "again only the cut and the refused ones");
}

#[test]
fn a_token_is_read_for_each_request() {
    let (server, token, recording) = (UploadServer::start(), Token::new(), SealedRecording::new());
    let mut sink = token.open(&server);
    token.set("expired");
    let answer = send(&mut sink, &recording.deliveries[0]);
    assert!(is_later(&answer) && reason(&answer).contains("401: the token is"), "{answer:?}");
    fs::remove_file(token.file()).unwrap();
    let answer = send(&mut sink, &recording.deliveries[0]);
    assert!(is_later(&answer) && reason(&answer).contains("No such file"), "{answer:?}");
    token.set(TOKEN);
    assert!(is_acknowledged(&send(&mut sink, &recording.deliveries[0])));
}

#[test]
fn the_token_goes_to_no_other_server() {
    let (server, other) = (UploadServer::start(), UploadServer::start());
    let (token, recording) = (Token::new(), SealedRecording::new());
    let mut sink = token.open(&server);
    server.fail_once("HEAD", "fragments/0", Fault::Redirect(other.address));
    let answer = send(&mut sink, &recording.deliveries[0]);
    assert!(is_later(&answer) && reason(&answer).contains("the server redirects to"), "{answer:?}");
    server.work();
    server.fail_once("PUT", "fragments/0", Fault::Redirect(other.address));
    assert!(is_later(&send(&mut sink, &recording.deliveries[0])));
    assert_eq!(other.requests(), Vec::<String>::new());
    assert!(is_acknowledged(&send(&mut sink, &recording.deliveries[0])));
}

#[test]
fn a_server_is_trusted_by_the_configured_authority() {
    let authority = Authority::new();
    let server = UploadServer::start_tls(authority.server());
    let (token, recording) = (Token::new(), SealedRecording::new());
    let answer = send(&mut token.open(&server), &recording.deliveries[0]);
    assert!(is_later(&answer) && reason(&answer).contains("certificate"), "{answer:?}");
    let mut settings = token.settings(&server);
    settings["ca_file"] = json!(authority.authority);
    let mut sink = open("upload", settings).unwrap();
    send_all(&mut sink, &recording);
    assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
    assert_whole(&server.stored(ID), &recording);
}

#[test]
fn settings_that_could_give_a_secret_away_are_refused() {
    let refusal = |settings: Value| {
        let failure = open("upload", settings).err().expect("refused");
        assert_eq!(failure.fault().exit_code(), 2);
        failure.to_string()
    };
    let plain = refusal(json!({ "server": "http://recordings.example", "token_env": "TOKEN" }));
    assert!(plain.contains("`plain_http`"), "{plain}");
    let named = refusal(json!({ "server": "https://me:secret@recordings.example", "token_env": "TOKEN" }));
    assert!(!named.contains("secret"), "{named}");
    let both = json!({ "server": "https://recordings.example", "token_env": "TOKEN", "token_file": "token" });
    assert!(refusal(both).contains("either `token_file` or `token_env`"));
}

/// Any failure at any time, and a recorder that is killed now and then: a new instance knows nothing of the
/// old one.
#[test]
fn whatever_happens_each_recording_arrives_exactly_once() {
    let (server, token, random) = (UploadServer::start(), Token::new(), Random::new());
    let recordings = ["20261123T071002Z-000001", "20261123T071002Z-000002", "20261123T071002Z-000003"]
        .map(SealedRecording::called);
    let chance = Random::new();
    server.fail(move |request| match chance.below(14) {
        0 => Some(Fault::CutBody(chance.below(100_000) as usize)),
        1 => Some(Fault::CutAnswer),
        2 => Some(Fault::Status(500 + chance.below(8) as u16, None)),
        3 => Some(Fault::WrongDigest),
        4 => Some(Fault::NoDigest),
        // Its statement about the whole must be true; without that, no client could work.
        5 if request.path.contains(&"fragments".to_owned()) => Some(Fault::Forget),
        6 => Some(Fault::Status(429, Some(0))),
        _ => None,
    });
    let new = || if random.below(2) == 0 { token.open(&server) } else { token.open_after(&server) };
    for recording in &recordings {
        let mut sink = new();
        for delivery in &recording.deliveries {
            // A sink that takes whole recordings gets no fragments.
            while sink.fragment(delivery).unwrap().is_some_and(|answer| !is_acknowledged(&answer)) {
                if random.below(3) == 0 {
                    sink = new();
                }
            }
        }
        let answer = insist(|| {
            if random.below(3) == 0 {
                sink = new();
            }
            sink.finish(&recording.finished()).unwrap()
        });
        assert!(is_acknowledged(&answer), "{answer:?}");
    }
    for recording in &recordings {
        let stored = server.stored(&recording.id);
        assert_whole(&stored, recording);
        assert!(stored.times_stored.values().all(|times| *times == 1), "{:?}", stored.times_stored);
    }
}
