//! What people get of footage with gaps, of tracks of any name, and of objects that are lost: real H.264 with
//! holes, judged by FFmpeg.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::ingest::put;
use crate::people::admin;
use deskreel_test_support::recorder::assert_ffmpeg_accepts;
use deskreel_test_support::server::{Server, Who};
use deskreel_test_support::upload_server::hex;

const TICKS: u64 = 90_000;
/// The luma of a slate's ground.
const GROUND: u8 = 40;

/// Three fragments of a second each, with 30 frames and a keyframe in each.
struct Film {
    header: Vec<u8>,
    fragments: Vec<Vec<u8>>,
}

/// The film as fragments, cut by the server from a file.
fn film(server: &Server, token: &str, size: &str, codec: &[&str]) -> Film {
    let source = format!("testsrc2=size={size}:rate=30");
    let file = server.folder.path().join("film.mp4");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-frames:v", "90", "-pix_fmt", "yuv420p"])
        .args(codec)
        .arg(&file)
        .output()
        .expect("ffmpeg runs (script/setup installs it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let base = format!("/api/v1/recordings/film-{size}");
    let about = json!({ "agent": "bob", "from": "2026-01-05T08:00:00.000Z", "interactions": ["1"] });
    assert_eq!(put(server, token, &format!("{base}/about"), about.to_string().as_bytes()).status, 201);
    let cut = put(server, token, &format!("{base}/file"), &fs::read(file).unwrap());
    assert_eq!((cut.status, &cut.json()["fragments"]), (201, &json!(3)), "{}", cut.text());
    let stored = |name: &str, number: usize| {
        let manifest = server.stored()[&format!("film-{size}/manifest.json")].clone();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let part = &manifest["tracks"][0]["parts"][0];
        let file = if name == "init" { &part["init"] } else { &part["fragments"][number] };
        server.stored()[&format!("film-{size}/{}", file["sha256"].as_str().unwrap())].clone()
    };
    let fragments = (0..3).map(|number| stored("fragments", number)).collect();
    Film { header: stored("init", 0), fragments }
}

const X264: [&str; 6] =
    ["-c:v", "libx264", "-x264-params", "keyint=30:scenecut=0:bframes=0:threads=1", "-profile:v", "high"];

/// The fragment, moved to this second.
fn at(fragment: &[u8], second: u64) -> Vec<u8> {
    let mut bytes = fragment.to_vec();
    let tfdt = bytes.windows(4).position(|name| name == b"tfdt").unwrap();
    bytes[tfdt + 8..tfdt + 16].copy_from_slice(&(second * TICKS).to_be_bytes());
    bytes
}

/// Uploads a recording of call 77 with the film in each of these tracks, its last second after a gap.
fn upload(server: &Server, token: &str, tracks: &[(&str, &Film)], gap: u64) {
    let base = "/api/v1/recordings/r-1";
    let mut described = Vec::new();
    for (track, film) in tracks {
        let mut files = vec![film.header.clone()];
        for (fragment, second) in film.fragments.iter().zip([0, 1, 2 + gap]) {
            files.push(at(fragment, second));
        }
        let named = files.iter().enumerate().map(|(number, bytes)| {
            let path = format!("{base}/tracks/{track}/parts/1/fragments/{number}");
            assert_eq!(put(server, token, &path, bytes).status, 201, "{path}");
            let start = [0, 0, 1, 2 + gap][number] * 1_000_000_000;
            json!({ "number": number, "size": bytes.len(), "sha256": hex(bytes), "start": start,
                "duration_ns": 1_000_000_000, "frames": 30 })
        });
        let mut named = named.collect::<Vec<_>>().into_iter();
        let part = json!({ "number": 1, "init": named.next(), "fragments": named.collect::<Vec<_>>() });
        let gaps =
            json!([{ "from": 2_000_000_000_u64, "to": (2 + gap) * 1_000_000_000, "cause": "source_ended" }]);
        described.push(json!({ "name": track, "parts": [part], "gaps": gaps }));
    }
    let began: jiff::Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
    let ended = began + jiff::SignedDuration::from_secs(3 + gap as i64);
    let about = json!({ "agent": "ann", "place": "seat-12", "from": began.to_string(), "to": ended.to_string(),
        "calls": ["77"], "interactions": ["77"], "tags": {} });
    assert_eq!(put(server, token, &format!("{base}/about"), about.to_string().as_bytes()).status, 201);
    let anchors = json!([{ "media": 0, "utc": "2026-01-05T09:00:00.000Z", "uncertainty_ns": 0 }]);
    let manifest = json!({ "recording": "r-1", "anchors": anchors, "tracks": described });
    assert_eq!(put(server, token, &format!("{base}/manifest"), manifest.to_string().as_bytes()).status, 201);
}

fn probe(file: &Path, entries: &str) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_entries", entries])
        .arg(file)
        .output()
        .expect("ffprobe runs (script/setup installs it)");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Seconds at which packets are due.
fn times(file: &Path) -> Vec<f64> {
    let packets = probe(file, "packet=pts_time");
    let packets = packets["packets"].as_array().unwrap();
    packets.iter().map(|packet| packet["pts_time"].as_str().unwrap().parse().unwrap()).collect()
}

/// The luma of the picture that a player shows at a second of the file: the last one before it.
fn picture(file: &Path, second: f64) -> Vec<u8> {
    let shown = times(file).iter().rposition(|time| *time <= second).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-vf", &format!("select=eq(n\\,{shown})"), "-frames:v", "1", "-fps_mode", "passthrough"])
        .args(["-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    output.stdout
}

/// The share of pixels that are a slate's ground.
fn slate_share(luma: &[u8]) -> f64 {
    assert!(!luma.is_empty(), "no picture");
    // `gray` has the full range: 40 becomes 28.
    let ground = (f64::from(GROUND) - 16.0) * 255.0 / 219.0;
    luma.iter().filter(|value| (f64::from(**value) - ground).abs() <= 1.5).count() as f64 / luma.len() as f64
}

/// The same footage as one file: of the recording, and of the call.
fn exports(server: &Server, who: &Who) -> [(&'static str, Vec<u8>); 2] {
    let movie = server.get(who, "/api/v1/recordings/r-1/movie.mp4");
    assert_eq!(movie.status, 200, "{}", movie.text());
    let call = server.ask(who, "POST", "/api/v1/interactions/77/export", Some(json!({})));
    assert_eq!(call.status, 200, "{}", call.text());
    [("movie", movie.body), ("export", call.body)]
}

#[test]
fn a_gap_of_any_length_is_a_slate_in_the_export() {
    for gap in [64, 50_000, 200_000] {
        let server = Server::start();
        let token = server.enrol("seat-12");
        let film = film(&server, &token, "640x360", &X264);
        upload(&server, &token, &[("video", &film)], gap);
        let who = admin(&server);
        for (name, bytes) in exports(&server, &who) {
            let file = server.folder.path().join(format!("{name}.mp4"));
            fs::write(&file, bytes).unwrap();
            assert_ffmpeg_accepts(&file);
            let times = times(&file);
            assert_eq!(times.len(), 91, "{name} over {gap} s: 90 frames and the slate");
            assert!((times[60] - 2.0).abs() < 0.002, "{name}: the slate begins at {}", times[60]);
            assert!((times[61] - 2.0 - gap as f64).abs() < 0.002, "{name}: footage goes on at {}", times[61]);
            let before = slate_share(&picture(&file, 1.5));
            let within = slate_share(&picture(&file, 2.0 + gap as f64 / 2.0));
            let after = slate_share(&picture(&file, 2.5 + gap as f64));
            assert!(before < 0.2 && after < 0.2, "{name}: footage is a slate: {before} {after}");
            assert!(within > 0.9 && within < 0.999, "{name}: no slate with text in the gap: {within}");
        }
        // A clip that lies in the gap is a slate, and one that reaches into it ends with one.
        let clip = |from: u64, to: u64| {
            let clip = json!({ "recording": "r-1", "from_ms": from, "to_ms": to });
            let answer = server.ask(&who, "POST", "/api/v1/interactions/77/export", Some(clip));
            assert_eq!(answer.status, 200, "{}", answer.text());
            let file = server.folder.path().join("clip.mp4");
            fs::write(&file, answer.body).unwrap();
            assert_ffmpeg_accepts(&file);
            times(&file).len()
        };
        assert_eq!((clip(5000, 9000), clip(1000, 20_000)), (1, 30 + 1));
    }
}

#[test]
fn a_gap_in_footage_without_slates_is_left_out() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let x265 = [
        "-c:v",
        "libx265",
        "-tag:v",
        "hvc1",
        "-x265-params",
        "log-level=none:keyint=30:bframes=0:open-gop=0",
    ];
    let film = film(&server, &token, "320x180", &x265);
    upload(&server, &token, &[("video", &film)], 64);
    for (name, bytes) in exports(&server, &admin(&server)) {
        let file = server.folder.path().join(format!("{name}.mp4"));
        fs::write(&file, bytes).unwrap();
        assert_ffmpeg_accepts(&file);
        let duration: f64 =
            probe(&file, "format=duration")["format"]["duration"].as_str().unwrap().parse().unwrap();
        assert!((duration - 3.0).abs() < 0.05, "{name}: {duration} s");
    }
}

#[test]
fn every_track_is_played_described_and_exported_whatever_its_name() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let film = |size: &str| film(&server, &token, size, &X264);
    let (small, large) = (film("320x180"), film("640x360"));
    upload(&server, &token, &[("right", &large), ("left", &small)], 64);
    let who = admin(&server);
    let whole = server.get(&who, "/api/v1/interactions/77").json();
    let footage = &whole["footage"][0];
    assert_eq!(footage["tracks"], json!(["left", "right"]), "{whole:#}");
    let of: Vec<&Value> = footage["gaps"].as_array().unwrap().iter().map(|gap| &gap["track"]).collect();
    assert_eq!(of, ["right", "left"]);
    let alone = server.get(&who, "/api/v1/recordings/r-1").json();
    assert_eq!((&alone["tracks"], &alone["gaps"]), (&json!(["left", "right"]), &footage["gaps"]));
    for (track, width) in [("left", 320), ("right", 640)] {
        let playlist = server.get(&who, &format!("/api/v1/recordings/r-1/hls/{track}.m3u8"));
        assert_eq!((playlist.status, playlist.text().matches("#EXTINF").count()), (200, 3));
        let export = json!({ "track": track });
        for (name, answer) in [
            ("movie", server.get(&who, &format!("/api/v1/recordings/r-1/movie.mp4?track={track}"))),
            ("export", server.ask(&who, "POST", "/api/v1/interactions/77/export", Some(export))),
        ] {
            assert_eq!(answer.status, 200, "{name} of {track}: {}", answer.text());
            let file = server.folder.path().join(format!("{name}-{track}.mp4"));
            fs::write(&file, answer.body).unwrap();
            let stream = &probe(&file, "stream=width:stream_tags=handler_name")["streams"][0];
            assert_eq!((&stream["width"], &stream["tags"]["handler_name"]), (&json!(width), &json!(track)));
        }
    }
    // Without `track`, the server returns the first one. A track that does not exist is 404 for a recording;
    // an interaction falls back to the first one.
    let file = server.folder.path().join("first.mp4");
    fs::write(&file, server.get(&who, "/api/v1/recordings/r-1/movie.mp4").body).unwrap();
    assert_eq!(probe(&file, "stream=width")["streams"][0]["width"], 320);
    assert_eq!(server.get(&who, "/api/v1/recordings/r-1/movie.mp4?track=up").status, 404);
    assert_eq!(server.get(&who, "/api/v1/recordings/r-1/hls/video.m3u8").status, 404);
    let other = json!({ "track": "up" });
    assert_eq!(server.ask(&who, "POST", "/api/v1/interactions/77/export", Some(other)).status, 200);
}

#[test]
fn footage_that_is_lost_is_an_error_and_no_answer_that_breaks_off() {
    if std::env::var("DESKREEL_TEST_S3").is_ok() {
        eprintln!("skipped: objects in S3 are not deleted behind the server's back here");
        return;
    }
    let server = Server::start();
    let token = server.enrol("seat-12");
    let film = film(&server, &token, "320x180", &X264);
    upload(&server, &token, &[("video", &film)], 64);
    let who = admin(&server);
    fs::remove_file(server.folder.path().join("footage/r-1").join(hex(&at(&film.fragments[1], 1)))).unwrap();
    let get = |path: &str| server.get(&who, &format!("/api/v1/recordings/r-1{path}"));
    let fragments = |numbers: &str| get(&format!("/tracks/video/parts/1/fragments/{numbers}")).status;
    assert_eq!((fragments("1"), fragments("2"), fragments("1-2"), fragments("3")), (200, 410, 410, 200));
    let movie = get("/movie.mp4");
    assert_eq!((movie.status, &movie.json()["title"]), (410, &json!("This footage is not stored any more")));
    assert_eq!(server.ask(&who, "POST", "/api/v1/interactions/77/export", Some(json!({}))).status, 410);
    let clip = json!({ "recording": "r-1", "from_ms": 66_000 });
    assert_eq!(server.ask(&who, "POST", "/api/v1/interactions/77/export", Some(clip)).status, 200);
}
