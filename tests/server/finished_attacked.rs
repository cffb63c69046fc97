//! Malicious finished files: nothing of them is kept, the server continues, and others are served.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::attacks::{Raw, SOON, TRICKLE, head, text};
use crate::finished::{path, put_with, short_film};
use crate::ingest::{digest, put};
use deskreel_test_support::server::{Server, Who};

/// A name that states the start, so that no `about` is needed.
fn id(number: usize) -> String {
    format!("20260105T090000Z-{number:06x}")
}

/// Replaces bytes after the name of a box.
fn patched(film: &[u8], name: &[u8; 4], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut film = film.to_vec();
    let place = film.windows(4).position(|some| some == name).unwrap() + 4 + at;
    film[place..place + bytes.len()].copy_from_slice(bytes);
    film
}

/// Memory of the server, in bytes.
fn resident(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn left(server: &Server) -> Vec<String> {
    let folder = server.folder.path().join("footage/.incoming");
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Waits until the remains of aborted files are gone, a moment later.
fn assert_nothing_is_left(server: &Server) {
    let limit = Instant::now() + SOON;
    while !left(server).is_empty() {
        assert!(Instant::now() < limit, "{:?}", left(server));
        std::thread::yield_now();
    }
}

#[test]
fn files_that_lie_are_refused_and_cost_nothing() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let (plain, fragmented) = (short_film(&[]), short_film(&["-movflags", "+frag_keyframe+empty_moov"]));
    let most = u32::MAX.to_be_bytes();
    let before = resident(&server);
    let moov = plain.windows(4).position(|name| name == b"moov").unwrap();
    for (number, (name, film)) in [
        ("2^32 frames", patched(&plain, b"stsz", 8, &most)),
        ("2^32 frames of a byte", patched(&plain, b"stsz", 4, &[0, 0, 0, 1, 255, 255, 255, 255])),
        ("2^32 times", patched(&plain, b"stts", 4, &most)),
        ("2^32 frames in a fragment", patched(&fragmented, b"trun", 4, &most)),
        ("a frame beyond the file", patched(&plain, b"stco", 8, &most)),
        ("a box in itself", patched(&plain, b"trak", 4, &[0, 0, 0, 0, b't', b'r', b'a', b'k'])),
        ("a box larger than what holds it", patched(&plain, b"minf", 0, &most)),
        ("a box larger than the file", patched(&plain, b"mdat", 0, b"").split_at(moov - 4 - 100).0.to_vec()),
        ("tables of 4 GiB", {
            let mut film = plain.clone();
            film[moov - 4..moov].copy_from_slice(&most);
            film
        }),
        ("tables twice", [&plain[..], &plain[moov - 4..]].concat()),
        ("half a file", plain[..plain.len() / 2].to_vec()),
        ("nothing", Vec::new()),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = put(&server, &token, &path(&id(number)), &film);
        assert_eq!(answer.status, 422, "{name}: {answer:?}");
        assert!(answer.json()["title"].as_str().unwrap().starts_with("This file cannot be used: "), "{name}");
    }
    let more = resident(&server) - before;
    assert!(more < 64 << 20, "{more} bytes of memory");
    assert_nothing_is_left(&server);
    assert_eq!(put(&server, &token, &path(&id(99)), &plain).status, 201, "a valid file is accepted");
}

#[test]
fn a_large_file_passes_through_little_memory() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    // 300 MB that belong to no track.
    let mut film = short_film(&[]);
    let before = resident(&server);
    film.extend((300_000_000u32 + 8).to_be_bytes());
    film.extend(b"free");
    film.resize(film.len() + 300_000_000, 0);
    assert_eq!(put(&server, &token, &path(&id(1)), &film).status, 201);
    let more = resident(&server) - before;
    assert!(more < 100 << 20, "{more} bytes of memory");
}

#[test]
fn large_tables_are_read_one_by_one() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let film = short_film(&["-movflags", "+frag_keyframe+empty_moov"]);
    let first = film.windows(4).position(|name| name == b"moof").unwrap() - 4;
    // Eight tables of 40 MiB without entries.
    let mut film = film[..first].to_vec();
    for _ in 0..8 {
        let size: u32 = 40 << 20;
        film.extend([&size.to_be_bytes()[..], b"moof", &(size - 8).to_be_bytes(), b"free"].concat());
        film.resize(film.len() + size as usize - 16, 0);
    }
    let before = resident(&server);
    let answer = put(&server, &token, &path(&id(1)), &film);
    assert_eq!(answer.status, 422, "{answer:?}");
    let more = resident(&server) - before;
    assert!(more < 160 << 20, "{more} bytes of memory");
}

#[test]
fn too_large_too_many_or_wrong_files_are_refused() {
    let server = Server::start_with("largest_file = \"1MB\"\nquota = \"10MB\"\n");
    let token = server.enrol("seat-12");
    let mut raw = Raw::to(&server);
    raw.say(head(&token, &path(&id(1)), 99_999_999_999_999)).unwrap();
    assert_eq!(raw.status(), 413, "before it is read");
    let film = short_film(&[]);
    assert_eq!(put_with(&server, &token, &id(1), &film, &digest(b"another")).status, 400);
    let who = Who::Token(token.clone());
    assert_eq!(
        server.get(&who, &format!("/api/v1/recordings/{}", id(1))).status,
        404,
        "nothing of it is kept"
    );
    let fragment = |number: u32| format!("/api/v1/recordings/r-9/tracks/video/parts/1/fragments/{number}");
    for number in 1..=10 {
        assert_eq!(put(&server, &token, &fragment(number), &vec![7; 999_000]).status, 201);
    }
    assert_eq!(put(&server, &token, &path(&id(2)), &film).status, 507, "the quota");
    assert_nothing_is_left(&server);
}

#[test]
fn slow_files_are_aborted_and_delay_no_other_client() {
    let server = Server::start_with("head_patience = \"1s\"\nbody_patience = \"1s\"\n");
    let (slow, other) = (server.enrol("seat-12"), server.enrol("seat-13"));
    let begin = |token: &str, number: usize, length: u64| {
        let mut raw = Raw::to(&server);
        raw.say(head(token, &path(&id(number)), length)).unwrap();
        // Begins like a video: the body is read as long as it may be one.
        raw.say([0, 0, 0, 8, b'f', b't', b'y', b'p']).unwrap();
        raw
    };
    let mut ended = begin(&slow, 1, 1000);
    let answer = text(&ended.trickle(&[0]));
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"), "{answer}");

    // A minute of patience for a megabyte. Two files of one recorder are in progress; a third, and one of the
    // same name, must wait.
    let held: Vec<Raw> = (1..=2).map(|number| begin(&slow, number, 1 << 20)).collect();
    let film = short_film(&[]);
    let limit = Instant::now() + SOON;
    let third = loop {
        let answer = put(&server, &slow, &path(&id(3)), &film);
        if answer.status != 201 && answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < limit, "two files are in progress, and a third is accepted");
    };
    assert_eq!((third.status, third.header("retry-after")), (429, Some("5")), "{third:?}");
    let same = put(&server, &slow, &path(&id(1)), &film);
    assert_eq!((same.status, same.header("retry-after")), (503, Some("5")), "{same:?}");
    let fragment = "/api/v1/recordings/r-9/tracks/video/parts/1/fragments/1";
    assert_eq!(put(&server, &slow, fragment, b"bytes").status, 201, "its fragments are accepted");
    assert_eq!(put(&server, &other, &path(&id(4)), &film).status, 201, "others' files, too");
    drop(held);
    let limit = Instant::now() + SOON;
    while put(&server, &slow, &path(&id(5)), &film).status == 429 {
        assert!(Instant::now() < limit, "an aborted file does not free its slot");
    }
    assert_nothing_is_left(&server);
}

#[test]
fn sixteen_files_are_in_progress_at_once() {
    let server = Server::start();
    let begin = |number: usize| {
        let token = server.enrol(&format!("seat-{number}"));
        let mut raw = Raw::to(&server);
        raw.say(head(&token, &path(&id(number)), 1 << 20)).unwrap();
        raw.say([0, 0, 0, 8, b'f', b't', b'y', b'p']).unwrap();
        raw
    };
    let held: Vec<Raw> = (0..16).map(begin).collect();
    let other = server.enrol("seat-other");
    let film = short_film(&[]);
    let limit = Instant::now() + SOON;
    let mut number = 100;
    let answer = loop {
        let answer = put(&server, &other, &path(&id(number)), &film);
        if answer.status != 201 {
            break answer;
        }
        assert!(Instant::now() < limit, "sixteen are in progress, and another is accepted");
        number += 1;
    };
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{answer:?}");
    drop(held);
}

#[test]
fn remains_of_files_after_a_crash_are_swept() {
    let server = Server::start_with("largest_file = \"1MB\"\nbody_patience = \"100ms\"\n");
    let token = server.enrol("seat-12");
    let mut raw = Raw::to(&server);
    raw.say(head(&token, &path(&id(1)), 1_000_000)).unwrap();
    raw.say([0, 0, 0, 8, b'f', b't', b'y', b'p']).unwrap();
    let limit = Instant::now() + SOON;
    while left(&server).is_empty() {
        assert!(Instant::now() < limit, "no file arrives");
        raw.hear(TRICKLE);
    }
    let server = Server::in_folder(server.kill());
    assert_eq!(left(&server).len(), 1, "half a file");
    let who = crate::people::admin(&server);
    let sweep =
        || assert_eq!(server.ask(&who, "POST", "/api/v1/retention/sweep", Some(json!({}))).status, 200);
    sweep();
    assert_eq!(left(&server).len(), 1, "it may still be written to");
    let file = server.folder.path().join("footage/.incoming").join(&left(&server)[0]);
    // An upload of a megabyte takes at most a minute, and cutting it less than an hour.
    let old = std::time::SystemTime::now() - Duration::from_secs(2 * 3600);
    fs::File::options().append(true).open(file).unwrap().set_modified(old).unwrap();
    sweep();
    assert_eq!(left(&server), Vec::<String>::new());
}
