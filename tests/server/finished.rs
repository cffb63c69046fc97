//! A finished file of another recorder becomes a recording like any other: the right frames at the right
//! times, by their pixels, and everything else that recordings have.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::counter_film::film;
use crate::crash::kills;
use crate::ingest::{digest, put};
use crate::people::{admin, upload};
use deskreel_test_support::counter;
use deskreel_test_support::paths::root;
use deskreel_test_support::random::Random;
use deskreel_test_support::server::{Answer, Server, Who};
use deskreel_test_support::upload_server::hex;

const ID: &str = "20260105T090000Z-4f2a91";
/// Half a tick of our files, and the six digits that FFmpeg prints.
const TICK_NS: u64 = 5_556 + 1_000;
const X264: [&str; 6] = ["-map", "0", "-c:v", "libx264", "-g", "45"];

pub fn path(recording: &str) -> String {
    format!("/api/v1/recordings/{recording}/file")
}

fn about(server: &Server, token: &str, recording: &str, about: &Value) {
    let answer =
        put(server, token, &format!("/api/v1/recordings/{recording}/about"), about.to_string().as_bytes());
    assert!([200, 201].contains(&answer.status), "{answer:?}");
}

/// An `about` of Ann and call 77, half a second into a minute.
fn about_ann() -> Value {
    json!({
        "agent": "ann", "place": "seat-12", "from": "2026-01-05T09:00:00.500Z", "calls": ["77"], "interactions": ["77"],
        "tags": { "product": "loan" },
    })
}

/// 150 frames at 29.97 a second, with a keyframe every 45.
pub fn short_film(more: &[&str]) -> Vec<u8> {
    film(150, "30000/1001", &[&X264[..], more].concat())
}

/// Checks that frames count up from `first` at 29.97 a second.
fn assert_counts_up(file: &Path, first: u32, count: usize, what: &str) {
    let frames = counter::read_file(file);
    assert_eq!(frames.len(), count, "{what}");
    let zero = frames[0].pts_ns;
    for (number, frame) in (first..).zip(&frames) {
        let reading = frame.reading.unwrap_or_else(|| panic!("{what}: frame {number} cannot be read"));
        assert_eq!(reading.number, number, "{what}");
        let due = u64::from(number - first) * 1_001_000_000_000 / 30_000;
        assert!(
            (frame.pts_ns - zero).abs_diff(due) <= 2 * TICK_NS,
            "{what}: frame {number} at {}",
            frame.pts_ns - zero
        );
    }
}

/// The playlist's fragments joined together, and the start of the first one.
fn as_played(server: &Server, who: &Who, recording: &str, into: &Path) -> String {
    let base = format!("/api/v1/recordings/{recording}");
    let text = server.get(who, &format!("{base}/hls/video.m3u8")).text();
    assert!(text.contains("#EXT-X-ENDLIST"), "{text}");
    let map = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")?.split('"').next());
    let pieces = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut bytes = Vec::new();
    for piece in map.into_iter().chain(pieces) {
        let path = format!("{base}{}", piece.strip_prefix("..").unwrap());
        let answer = server.get(who, &path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        bytes.extend(answer.body);
    }
    fs::write(into, bytes).unwrap();
    let began = text.lines().find_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"));
    began.unwrap().to_owned()
}

#[test]
fn each_frame_of_a_file_is_played_at_its_time() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let who = admin(&server);
    let film_at = server.folder.path().join("played.mp4");
    for (number, (name, more, left_out)) in [
        ("tables behind", &[][..], json!([])),
        ("tables before", &["-movflags", "+faststart"], json!([])),
        ("fragments", &["-bf", "0", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"], json!([])),
        ("reordered", &["-bf", "2", "-x264-params", "b-adapt=0"], json!([])),
        ("reordered, with audio", &["-bf", "2", "-map", "1", "-c:a", "aac"], json!(["audio (mp4a)"])),
        ("H.265", &["-c:v", "libx265", "-x265-params", "log-level=none:keyint=45:open-gop=0"], json!([])),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, film) = (format!("r-{number}"), short_film(more));
        about(&server, &token, &id, &about_ann());
        let answer = put(&server, &token, &path(&id), &film);
        assert_eq!(answer.status, 201, "{name}: {answer:?}");
        assert_eq!(answer.header("repr-digest"), Some(digest(&film).as_str()), "{name}");
        let cut = answer.json();
        assert_eq!((&cut["left_out"], &cut["fragments"]), (&left_out, &json!(7)), "{name}");
        assert!(cut["duration_ms"].as_u64().unwrap().abs_diff(5005) < 101, "{name}: {cut}");

        let movie = server.get(&who, &format!("/api/v1/recordings/{id}/movie.mp4"));
        assert_eq!(movie.status, 200, "{name}");
        fs::write(&film_at, movie.body).unwrap();
        assert_counts_up(&film_at, 0, 150, &format!("{name}, movie"));
        let began = as_played(&server, &who, &id, &film_at);
        assert_counts_up(&film_at, 0, 150, &format!("{name}, playlist"));
        // The wall-clock time of the file's first frame: the playlist's start, and the frame's time in it.
        let later = counter::read_file(&film_at)[0].pts_ns / 1_000_000;
        let clip = server.get(&who, &format!("/api/v1/recordings/{id}")).json();
        let ms = |text: &str| text[17..23].parse::<f64>().map(|seconds| (seconds * 1000.0) as i64).unwrap();
        let shown = ms(clip["started"].as_str().unwrap()) + later as i64;
        let shown = if shown >= 60_000 { shown - 60_000 } else { shown };
        assert!((shown - 500).abs() <= 1, "{name}: {shown} {clip}");
        assert_eq!(clip["started"].as_str().unwrap()[..22], began[..22], "{name}");
        assert_eq!((&clip["closed"], &clip["agent"]), (&json!(true), &json!("ann")), "{name}");
    }

    // Only the results of cutting the files are kept: seven fragments, a header and a manifest.
    let stored = server.stored();
    assert_eq!(stored.len(), 6 * 9, "{:?}", stored.keys());
    assert!(!stored.keys().any(|name| name.starts_with(".incoming")));

    let whole = server.get(&who, "/api/v1/interactions/77").json();
    let segments = whole["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 6, "{whole:#}");
    for segment in segments {
        assert_eq!((&segment["agent"], &segment["call"]), (&json!("ann"), &json!("77")));
        assert_eq!(segment["from"], "2026-01-05T09:00:00.500Z", "{segment}");
        let to = segment["to"].as_str().unwrap();
        assert!(
            to.starts_with("2026-01-05T09:00:05.5") || to.starts_with("2026-01-05T09:00:05.4"),
            "{segment}"
        );
    }
    let found = server.get(&who, "/api/v1/interactions?tag=product=loan&agent=ann&call=77").json();
    assert_eq!(found["interactions"][0]["has_footage"], "all", "{found:#}");
    assert_eq!(server.get(&who, "/api/v1/completeness").json()["uploaded"], 6);
    assert_eq!(server.get(&who, "/api/v1/live").json()["recordings"], json!([]));

    // Exact to the frame, like any recording: half a second of the file with reordered frames.
    as_played(&server, &who, "r-3", &film_at);
    let zero = counter::read_file(&film_at)[0].pts_ns / 1_000_000;
    let stretch = json!({ "recording": "r-3", "from_ms": 2000 + zero, "to_ms": 2500 + zero });
    let export = server.ask(&who, "POST", "/api/v1/interactions/77/export", Some(stretch));
    assert_eq!(export.status, 200);
    fs::write(&film_at, export.body).unwrap();
    // The frame that is on at two seconds, which began at 1.97, and the frames after it.
    let frames = counter::read_file(&film_at);
    let numbers: Vec<_> = frames.iter().map(|frame| frame.reading.unwrap().number).collect();
    assert_eq!(numbers, (59..75).collect::<Vec<_>>());

    assert_eq!(server.ask(&who, "DELETE", "/api/v1/interactions/77", None).status, 204);
    assert_eq!(server.get(&who, "/api/v1/recordings/r-0/movie.mp4").status, 404);
    assert_eq!(server.stored().len(), 0, "its objects are gone");
    let again = put(&server, &token, &path("r-0"), &short_film(&[]));
    assert_eq!(again.status, 410, "{again:?}");
}

#[test]
fn a_shifted_start_shifts_the_recording() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let who = admin(&server);
    // Without `about`, the recording's name has the start. Nothing is shown for 1.5 seconds.
    let late = short_film(&["-bf", "2", "-output_ts_offset", "1.5"]);
    assert_eq!(put(&server, &token, &path(ID), &late).status, 201);
    let recording = server.get(&who, &format!("/api/v1/recordings/{ID}")).json();
    assert_eq!(recording["started"], "2026-01-05T09:00:00.000Z");
    let film_at = server.folder.path().join("played.mp4");
    as_played(&server, &who, ID, &film_at);
    let first = counter::read_file(&film_at)[0].pts_ns;
    assert!(first.abs_diff(1_500_000_000) <= 1_000_000, "{first}");
    assert_counts_up(&film_at, 0, 150, "late");
    let found = server.get(&who, &format!("/api/v1/interactions/{ID}"));
    assert_eq!(found.status, 200, "footage without a contact is found by its own id");
    // `about` counts more than the name.
    let id = "20260105T090000Z-000002";
    about(&server, &token, id, &about_ann());
    assert_eq!(put(&server, &token, &path(id), &short_film(&[])).status, 201);
    let recording = server.get(&who, &format!("/api/v1/recordings/{id}")).json();
    assert!(recording["started"].as_str().unwrap() >= "2026-01-05T09:00:00.400Z", "{recording}");
}

#[test]
fn each_answer_to_a_file_is_the_one_that_the_document_promises() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let film = short_film(&["-movflags", "+faststart"]);
    let answer = put(&server, &token, &path("r-1"), &film);
    assert_eq!(answer.status, 409);
    assert!(answer.json()["detail"].as_str().unwrap().contains("about"), "{answer:?}");
    about(&server, &token, "r-1", &json!({ "from": "yesterday" }));
    assert_eq!(put(&server, &token, &path("r-1"), &film).status, 409, "no start time");
    about(&server, &token, "r-1", &about_ann());

    let with = |digest: &str, body: &[u8]| put_with(&server, &token, "r-1", body, digest);
    assert_eq!(with(&digest(b"other"), &film).status, 400);
    assert_eq!(with("md5=:AAAA:", &film).status, 400);
    let answer = put(&server, &token, &path("r-1"), b"RIFF is no MP4 file");
    assert_eq!((answer.status, answer.header("content-type")), (422, Some("application/problem+json")));
    assert_eq!(answer.json()["title"], "This file cannot be used: it does not begin like an MP4 file");
    assert_eq!(answer.json()["detail"], "write it again, as with `ffmpeg -i in.mkv -c copy out.mp4`");
    let mpeg4 = crate::counter_film::film(30, "30", &["-map", "0", "-c:v", "mpeg4"]);
    let answer = put(&server, &token, &path("r-1"), &mpeg4);
    assert_eq!(answer.status, 422);
    assert!(answer.json()["title"].as_str().unwrap().contains("`mp4v`"), "{answer:?}");
    let who = Who::Token(token.clone());
    let held = server.get(&who, "/api/v1/recordings/r-1").json();
    assert_eq!((&held["closed"], &held["fragments"]), (&json!(false), &json!([])), "nothing of it is kept");

    let first = put(&server, &token, &path("r-1"), &film);
    let again = put(&server, &token, &path("r-1"), &film);
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!((again.header("repr-digest"), again.json()), (Some(digest(&film).as_str()), first.json()));
    let held = server.get(&who, "/api/v1/recordings/r-1").json();
    assert_eq!((&held["closed"], &held["file"]), (&json!(true), &json!(hex(&film))));
    // With `Expect: 100-continue`, the answer comes before the body: nothing is sent.
    let sent = server.curl(
        &who,
        "PUT",
        &path("r-1"),
        &[
            "-H",
            &format!("Content-Digest: {}", digest(&film)),
            "-H",
            "Expect: 100-continue",
            "--expect100-timeout",
            "30",
            "-H",
            "Content-Length: 100000000",
            "--data-binary",
            "x",
        ],
    );
    assert_eq!(sent.status, 200, "{sent:?}");

    let other = short_film(&[]);
    assert_eq!(put(&server, &token, &path("r-1"), &other).status, 409, "another file");
    let fragment = "/api/v1/recordings/r-1/tracks/video/parts/1/fragments/1";
    assert_eq!(put(&server, &token, fragment, b"bytes").status, 409, "a fragment");
    assert_eq!(
        put(&server, &token, "/api/v1/recordings/r-1/manifest", b"{\"recording\":\"r-1\",\"tracks\":[]}")
            .status,
        409
    );
    upload(&server, &token, "r-2", "ann", "77", 0);
    assert_eq!(put(&server, &token, &path("r-2"), &film).status, 409, "it has fragments, and is closed");
    // A fragment that the file would not have.
    let fragment = "/api/v1/recordings/r-3/tracks/video/parts/1/fragments/999";
    assert_eq!(put(&server, &token, fragment, b"bytes").status, 201);
    about(&server, &token, "r-3", &about_ann());
    assert_eq!(put(&server, &token, &path("r-3"), &film).status, 409, "it has fragments");

    let thief = server.enrol("seat-13");
    assert_eq!(put(&server, &thief, &path("r-1"), &film).status, 403);
    assert_eq!(put(&server, &thief, &path("..%2fr"), &film).status, 404);
}

#[test]
fn the_example_of_the_document_works() {
    let document = fs::read_to_string(root().join("docs/server-api.md")).unwrap();
    let example = document.split("```sh\n").find(|text| text.starts_with("server=")).unwrap();
    let example = example.split("```").next().unwrap();
    let server = Server::start();
    let (token, folder) = (server.enrol("seat-12"), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("token"), &token).unwrap();
    fs::write(folder.path().join("screen.mp4"), short_film(&[])).unwrap();
    let output = std::process::Command::new("bash")
        .args(["-euc", &example.replace("https://recordings.example", &server.url)])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let held = server.get(&Who::Token(token), &format!("/api/v1/recordings/{ID}")).json();
    assert_eq!(held["closed"], true, "{output:?}");
}

pub fn put_with(server: &Server, token: &str, recording: &str, body: &[u8], digest: &str) -> Answer {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), body).unwrap();
    let (data, header) = (format!("@{}", file.path().display()), format!("Content-Digest: {digest}"));
    server.curl(
        &Who::Token(token.to_owned()),
        "PUT",
        &path(recording),
        &["-H", &header, "--data-binary", &data],
    )
}

/// Sends a file, and kills the server once this many of its fragments are there; at 0, once some bytes have
/// arrived.
fn kill_while_it_cuts(server: Server, token: &str, id: &str, film: &[u8], wanted: u64) -> Server {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), film).unwrap();
    let mut sending = std::process::Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-X", "PUT", "-H", &format!("Authorization: Bearer {token}")])
        .args(["-H", &format!("Content-Digest: {}", digest(film)), "--data-binary"])
        .arg(format!("@{}", file.path().display()))
        .arg(format!("{}{}", server.url, path(id)))
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let now = held(&server, token, id);
        let count = now["fragments"].as_array().map_or(0, Vec::len) as u64;
        if has_come(&server) && count >= wanted || now["closed"] == true {
            break;
        }
        assert!(Instant::now() < limit, "no fragment appears: {now}");
    }
    let server = Server::in_folder(server.kill());
    // Its answer does not matter.
    sending.wait().unwrap();
    server
}

/// Returns whether some of a file has arrived. In S3 that shows only when all of it has.
fn has_come(server: &Server) -> bool {
    let came = fs::read_dir(server.folder.path().join("footage/.incoming"));
    std::env::var_os("DESKREEL_TEST_S3").is_some() || came.is_ok_and(|mut came| came.next().is_some())
}

fn held(server: &Server, token: &str, id: &str) -> Value {
    server.get(&Who::Token(token.to_owned()), &format!("/api/v1/recordings/{id}")).json()
}

/// Killed at random moments; then the file is sent again.
#[test]
fn a_file_whose_cutting_was_killed_is_complete_once_it_is_sent_again() {
    // A hundred fragments: long enough for most kills to come in the middle.
    let film = film(100, "1", &[&X264[..], &["-g", "1", "-bf", "0"]].concat());
    let (random, mut server) = (Random::new(), Server::start());
    let token = server.enrol("seat-12");
    let root = admin(&server);
    let (mut interrupted, kills) = (0, kills(5));
    for round in 0..kills {
        let id = format!("20260105T0900{round:02}Z-4f2a91");
        server = kill_while_it_cuts(server, &token, &id, &film, random.below(102));
        let before = held(&server, &token, &id);
        if before["closed"] == false {
            interrupted += 1;
            assert_eq!(before["file"], hex(&film), "{before}");
            let fragment = format!("/api/v1/recordings/{id}/tracks/video/parts/1/fragments/99999");
            assert_eq!(put(&server, &token, &fragment, b"bytes").status, 409, "it takes no fragments");
            let manifest = json!({ "recording": id, "tracks": [] }).to_string();
            let path_of_it = format!("/api/v1/recordings/{id}/manifest");
            assert_eq!(put(&server, &token, &path_of_it, manifest.as_bytes()).status, 409, "and no manifest");
            assert_eq!(put(&server, &token, &path(&id), &film[1..]).status, 409, "and no other file");
            assert_eq!(server.get(&root, "/api/v1/live").json()["recordings"], json!([]), "it does not run");
        }
        let answer = put(&server, &token, &path(&id), &film);
        assert_eq!(answer.status, if before["closed"] == true { 200 } else { 201 }, "{answer:?}");
        let after = held(&server, &token, &id);
        let fragments = after["fragments"].as_array().unwrap();
        assert_eq!(
            (fragments.len(), &after["closed"]),
            (101, &json!(true)),
            "a fragment is missing or doubled"
        );
        let stored = server.stored();
        for one in fragments {
            let sha256 = one["sha256"].as_str().unwrap();
            assert_eq!(hex(&stored[&format!("{id}/{sha256}")]), sha256);
        }
        let movie = server.get(&root, &format!("/api/v1/recordings/{id}/movie.mp4"));
        let film_at = server.folder.path().join("played.mp4");
        fs::write(&film_at, movie.body).unwrap();
        let frames = counter::read_file(&film_at);
        let numbers: Vec<_> = frames.iter().map(|frame| frame.reading.unwrap().number).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    }
    println!("{interrupted} of {kills} were interrupted");
    assert!(interrupted > 0, "no kill came in the middle");
}

#[test]
fn a_file_that_is_cut_otherwise_after_a_crash_is_complete_all_the_same() {
    // Two megabytes of noise a second.
    let noise = ["-vf", "noise=alls=100:allf=t", "-preset", "ultrafast", "-qp", "0", "-g", "9999"];
    let film = film(600, "60", &[&X264[..4], &noise].concat());
    let mut server = Server::start();
    let token = server.enrol("seat-12");
    let limit = Instant::now() + Duration::from_secs(60);
    let mut round = 0;
    let id = loop {
        let id = format!("20260105T0900{round:02}Z-4f2a91");
        server = kill_while_it_cuts(server, &token, &id, &film, 2);
        let now = held(&server, &token, &id);
        if now["closed"] == false && now["fragments"].as_array().unwrap().len() >= 2 {
            break id;
        }
        assert!(Instant::now() < limit, "no kill comes in the middle");
        round += 1;
    };
    let before = held(&server, &token, &id)["fragments"][1]["size"].as_u64().unwrap();
    assert!(before > 1_000_000, "{before}");
    let folder = server.stop();
    let file = folder.path().join("server.toml");
    let text =
        fs::read_to_string(&file).unwrap().replace("[server]\n", "[server]\nlargest_upload = \"1MB\"\n");
    fs::write(&file, text).unwrap();
    let server = Server::in_folder(folder);
    assert_eq!(put(&server, &token, &path(&id), &film).status, 201);
    let after = held(&server, &token, &id);
    let sizes = after["fragments"].as_array().unwrap().iter().map(|one| one["size"].as_u64().unwrap());
    assert!(sizes.max().unwrap() <= 1_000_000, "{after}");
}
