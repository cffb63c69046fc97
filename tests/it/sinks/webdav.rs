//! `sink.webdav` against Apache.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use deskreel_host::Plugin;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::apache::{Apache, PASSWORD, USER};
use super::*;
use deskreel_test_support::sealed_recording::{ID, SealedRecording};
use deskreel_test_support::tls::Authority;

/// The password's file.
struct Password(TempDir);

impl Password {
    fn new() -> Password {
        let password = Password(tempfile::tempdir().unwrap());
        password.set(PASSWORD);
        password
    }

    fn set(&self, password: &str) {
        fs::write(self.0.path().join("password"), format!("{password}\n")).unwrap();
    }

    fn open(&self, url: &str, more: Value) -> Plugin {
        let password = self.0.path().join("password");
        let mut settings = json!({ "url": url, "user": USER, "password_file": password, "timeout": "20s" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        open("webdav", settings).unwrap()
    }
}

/// Every file below a folder, by its relative name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut open = vec![folder.to_owned()];
    let mut files = BTreeMap::new();
    while let Some(next) = open.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

/// A rewritten file has another inode.
fn inodes(folder: &Path) -> BTreeMap<String, u64> {
    let inode = |name: &String| fs::metadata(folder.join(name)).unwrap().ino();
    files(folder).keys().map(|name| (name.clone(), inode(name))).collect()
}

fn assert_whole(folder: &Path, recording: &SealedRecording) {
    let (there, here) = (files(folder), recording.files());
    assert!(there == here, "{:?}", there.keys());
}

#[test]
fn a_recording_arrives_byte_for_byte_and_once() {
    let (apache, password, recording) = (Apache::start(), Password::new(), SealedRecording::new());
    let mut sink = password.open(&apache.url(), json!({ "path": "{agent}/{date}/{recording}" }));
    assert_eq!(sink.fragment(&recording.deliveries[0]).unwrap(), None, "whole recordings only");
    let place = format!("{}/ann/2026-11-23/{ID}/", apache.url());
    assert_eq!(sink.finish(&recording.finished()).unwrap(), Answer::Acknowledged { place: place.clone() });
    let folder = apache.files().join(format!("ann/2026-11-23/{ID}"));
    assert_whole(&folder, &recording);
    let before = inodes(&folder);
    assert_eq!(sink.finish(&recording.finished()).unwrap(), Answer::Acknowledged { place });
    assert_eq!(inodes(&folder), before, "nothing was sent again");
}

#[test]
fn an_interrupted_copy_is_resumed() {
    for (verify, mends) in [("hash", true), ("size", false)] {
        let (apache, password, recording) = (Apache::start(), Password::new(), SealedRecording::new());
        let mut sink = password.open(&apache.url(), json!({ "verify": verify }));
        assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
        let folder = apache.files().join(ID);
        let path = |name: &str| folder.join(name);
        fs::remove_file(path("manifest.json")).unwrap();
        fs::remove_file(path("video/part-0002/000002.m4s")).unwrap();
        fs::write(path("video/part-0002/000002.m4s.part"), "half").unwrap();
        apache.give(&path("video/part-0002/000002.m4s.part"));
        let change = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = fs::read(path(name)).unwrap();
            change(&mut bytes);
            fs::write(path(name), bytes).unwrap();
        };
        change("video/part-0002/000001.m4s", &|bytes| bytes.push(1));
        change("video/part-0001/init.mp4", &|bytes| bytes[5] ^= 1);
        let before = inodes(&folder);

        assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
        let after = inodes(&folder);
        let anew: Vec<&str> = after
            .iter()
            .filter(|(name, inode)| before.get(*name) != Some(*inode))
            .map(|(name, _)| name.as_str())
            .collect();
        let mut expected = vec!["manifest.json", "video/part-0002/000001.m4s", "video/part-0002/000002.m4s"];
        if mends {
            expected.insert(1, "video/part-0001/init.mp4");
            assert_whole(&folder, &recording);
        }
        assert_eq!(anew, expected, "{verify}");
    }
}

#[test]
fn an_unreachable_server_is_asked_again() {
    let (mut apache, password, recording) = (Apache::start(), Password::new(), SealedRecording::new());
    let mut sink = password.open(&apache.url(), json!({}));
    apache.stop();
    let answer = sink.finish(&recording.finished()).unwrap();
    assert!(is_later(&answer) && reason(&answer).contains("Connection refused"), "{answer:?}");
    apache.start_again();
    assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
    assert_whole(&apache.files().join(ID), &recording);
}

#[test]
fn failures_that_a_person_must_repair_are_reported_and_tried_again() {
    let (apache, password, recording) = (Apache::start(), Password::new(), SealedRecording::new());
    let mut sink = password.open(&apache.url(), json!({}));
    password.set("wrong");
    let answer = sink.finish(&recording.finished()).unwrap();
    assert!(is_later(&answer) && reason(&answer).contains("401 (user, password or rights)"), "{answer:?}");
    password.set(PASSWORD);
    let mut lost = password.open(&format!("{}/nowhere", apache.url()), json!({}));
    let answer = lost.finish(&recording.finished()).unwrap();
    assert!(is_later(&answer) && reason(&answer).contains("the folder that `url` names"), "{answer:?}");
    assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
}

#[test]
fn footage_with_a_wrong_hash_is_never_sent() {
    let (apache, password, recording) = (Apache::start(), Password::new(), SealedRecording::new());
    recording.damage(2);
    let answer = password.open(&apache.url(), json!({})).finish(&recording.finished()).unwrap();
    assert!(is_refused(&answer) && reason(&answer).contains("video/part-0001/000002.m4s"), "{answer:?}");
    let there = files(&apache.files().join(ID));
    assert_eq!(there.keys().collect::<Vec<_>>(), ["video/part-0001/000001.m4s", "video/part-0001/init.mp4"]);
}

#[test]
fn a_server_is_trusted_by_the_configured_authority() {
    let authority = Authority::new();
    let (apache, password, recording) =
        (Apache::start_tls(&authority), Password::new(), SealedRecording::new());
    let answer = password.open(&apache.url(), json!({})).finish(&recording.finished()).unwrap();
    assert!(is_later(&answer) && reason(&answer).contains("certificate"), "{answer:?}");
    let mut sink = password.open(&apache.url(), json!({ "ca_file": authority.authority }));
    assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
    assert_whole(&apache.files().join(ID), &recording);
}

#[test]
fn a_server_that_stores_other_bytes_acknowledges_nothing() {
    let recording = SealedRecording::new();
    let url = flips_bits();
    let mut sink = open("webdav", json!({ "url": url })).unwrap();
    let answer = sink.finish(&recording.finished()).unwrap();
    assert!(is_later(&answer) && reason(&answer).contains("has stored something else"), "{answer:?}");
    // The server has one connection at a time.
    drop(sink);
    // Comparing sizes alone does not reveal it.
    let mut sink = open("webdav", json!({ "url": url, "verify": "size" })).unwrap();
    assert!(is_acknowledged(&sink.finish(&recording.finished()).unwrap()));
}

/// Takes everything, and returns it with one bit changed. One connection at a time.
fn flips_bits() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            loop {
                let head: Vec<String> = stream
                    .by_ref()
                    .lines()
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let Some((method, target)) = head.first().and_then(|line| line.split_once(' ')) else {
                    break;
                };
                let path = PathBuf::from(target.split(' ').next().unwrap());
                let header = |name: &str| {
                    let line = head.iter().find(|line| line.to_lowercase().starts_with(name))?;
                    Some(line.split_once(": ").unwrap().1.to_owned())
                };
                let length = header("content-length:").map_or(0, |text| text.parse().unwrap());
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let found = files.get(&path).cloned();
                let (status, answer) = match (method, found) {
                    ("GET" | "HEAD", Some(bytes)) => (200, bytes),
                    ("GET" | "HEAD", None) => (404, Vec::new()),
                    ("PUT", _) => {
                        *body.last_mut().unwrap() ^= 1;
                        files.insert(path, body);
                        (201, Vec::new())
                    }
                    ("MOVE", Some(bytes)) => {
                        let to = header("destination:").unwrap();
                        files.insert(Path::new("/").join(to.splitn(4, '/').last().unwrap()), bytes);
                        (201, Vec::new())
                    }
                    _ => (201, Vec::new()),
                };
                let head = format!("HTTP/1.1 {status} so\r\nContent-Length: {}\r\n\r\n", answer.len());
                let answer = if method == "HEAD" { &[][..] } else { &answer };
                stream.get_mut().write_all(&[head.as_bytes(), answer].concat()).unwrap();
            }
        }
    });
    url
}
