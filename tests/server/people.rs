//! Search and playback for people: recordings of a real recorder, checked by their pixels, and only those
//! that they may see.

use std::process::Command;

use serde_json::{Value, json};

use crate::ingest::put;
use deskreel_test_support::counter;
use deskreel_test_support::daemon::{Ann, Daemon};
use deskreel_test_support::server::{Server, Who};
use deskreel_test_support::upload_server::hex;

/// A recorder that uploads here while it records.
fn recorder(server: &Server, token: &str) -> Daemon {
    let file = server.folder.path().join("recorder-token");
    std::fs::write(&file, token).unwrap();
    let pipeline = format!(
        "[source.screen]\nplugin = \"source.synthetic\"\nmode = \"counter\"\nwidth = 320\nheight = 180\nfps = 10\n\
         [encoder.video]\nfrom = \"screen\"\nplugin = \"encoder.x264\"\nkeyframe_interval = \"2s\"\n\
         [policy]\nplugin = \"policy.voice-all-calls\"\nlate = \"1s\"\n\
         [sink.archive]\nplugin = \"sink.upload\"\nserver = \"{}\"\ntoken_file = {file:?}\ntimeout = \"5s\"\n",
        server.url
    );
    Daemon::start(&pipeline, &[])
}

pub fn admin(server: &Server) -> Who {
    server.add_user("root", &["--role", "administrator"]);
    server.log_in("root")
}

#[test]
fn a_call_that_a_recorder_recorded_is_found_and_played() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let daemon = recorder(&server, &token);
    let who = admin(&server);
    let ann = Ann::log_in(&daemon);
    ann.tell("call.established", "77");
    // Live: listed and played while it runs.
    let mut recording = String::new();
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let playlist = loop {
        assert!(std::time::Instant::now() < limit, "nothing is live");
        daemon.run_for(std::time::Duration::from_millis(200));
        let live = server.get(&who, "/api/v1/live").json();
        let Some(id) = live["recordings"][0]["recording"].as_str() else { continue };
        id.clone_into(&mut recording);
        let playlist = server.get(&who, &format!("/api/v1/recordings/{recording}/hls/video.m3u8"));
        let text = playlist.text();
        if playlist.status == 200 && text.matches("#EXTINF").count() >= 1 {
            break text;
        }
    };
    assert!(!playlist.contains("ENDLIST") && playlist.contains("#EXT-X-PART:"), "{playlist}");
    // The request waits for the next fragment, without polling.
    let runs = playlist.matches("#EXTINF").count();
    let next = server.get(&who, &format!("/api/v1/recordings/{recording}/hls/video.m3u8?_HLS_msn={runs}"));
    assert!(next.text().matches("#EXTINF").count() > runs, "{}", next.text());
    ann.tell("call.cleared", "77");
    ann.log_out();
    daemon.wait_for("an empty spool", |status| {
        status["recording"].is_null() && status["spool"]["recordings"] == 0
    });

    let found = server.get(&who, "/api/v1/interactions?call=77&agent=ann").json();
    let summary = &found["interactions"][0];
    assert_eq!(
        (&summary["interaction"], &summary["has_footage"]),
        (&json!("77"), &json!("all")),
        "{found:#}"
    );
    let whole = server.get(&who, "/api/v1/interactions/77").json();
    let segment = &whole["segments"][0];
    assert_eq!(segment["recording"], recording.as_str(), "{whole:#}");
    assert_eq!(whole["calls"][0]["call"], "77");
    assert_eq!(whole["footage"][0]["live"], false);

    // Each recorded frame is in the video once, by the pixels that FFmpeg reads.
    let movie = server.get(&who, &format!("/api/v1/recordings/{recording}/movie.mp4"));
    assert_eq!(movie.header("content-type"), Some("video/mp4"));
    let file = server.folder.path().join("movie.mp4");
    std::fs::write(&file, &movie.body).unwrap();
    deskreel_test_support::recorder::assert_ffmpeg_accepts(&file);
    let counted: Vec<_> = counter::read_file(&file);
    assert!(counted.len() > 20, "{} frames", counted.len());
    // The same by ranges.
    let path = format!("/api/v1/recordings/{recording}/movie.mp4");
    let range = server.curl(&who, "GET", &path, &["-H", "Range: bytes=500-4999"]);
    assert_eq!(range.status, 206);
    assert_eq!(range.header("content-range").unwrap(), format!("bytes 500-4999/{}", movie.body.len()));
    assert!(range.body == movie.body[500..5000]);

    // And by the playlist, which FFmpeg follows by itself.
    let playlist = server.get(&who, &format!("/api/v1/recordings/{recording}/hls/video.m3u8")).text();
    assert!(playlist.ends_with("#EXT-X-ENDLIST\n"), "{playlist}");
    let Who::Session { cookie, .. } = &who else { panic!("a session") };
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-headers", &format!("Cookie: {cookie}\r\n"), "-count_packets"])
        .args(["-select_streams", "v:0", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"])
        .arg(format!("{}/api/v1/recordings/{recording}/hls/video.m3u8", server.url))
        .output()
        .expect("ffprobe runs (script/setup installs it)");
    let count = String::from_utf8(output.stdout).unwrap();
    // The durations of the program and of the stream.
    assert_eq!(
        count.lines().next(),
        Some(counted.len().to_string().as_str()),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    // A clip begins and ends as requested, between two keyframes: exactly the frames that are on then.
    let at = |frame: &counter::Frame| frame.pts_ns / 1_000_000;
    let (from, to) = (at(&counted[7]) + 40, at(&counted[16]) + 10);
    let clip = json!({ "recording": recording, "from_ms": from, "to_ms": to });
    let clip = server.ask(&who, "POST", "/api/v1/interactions/77/export", Some(clip));
    assert_eq!(clip.status, 200, "{}", clip.text());
    std::fs::write(&file, &clip.body).unwrap();
    deskreel_test_support::recorder::assert_ffmpeg_accepts(&file);
    let shown: Vec<_> = counter::read_file(&file);
    let numbers = |frames: &[counter::Frame]| {
        frames.iter().map(|frame| frame.reading.unwrap().number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&shown), numbers(&counted[7..=16]));
    assert_eq!(at(&shown[0]), 0);
    assert!(at(&shown[1]).abs_diff(at(&counted[8]) - from) <= 1, "{} {from}", at(&shown[1]));

    // Exported by interaction: only the part of the recording that is the call.
    let call = server.ask(&who, "POST", "/api/v1/interactions/77/export", Some(json!({})));
    assert_eq!(
        (call.status, call.header("content-disposition")),
        (200, Some("attachment; filename=\"77.mp4\""))
    );
    std::fs::write(&file, &call.body).unwrap();
    let shown = counter::read_file(&file).len();
    assert!(shown > 20 && shown <= counted.len(), "{shown} of {}", counted.len());
    for (wrong, status) in [
        (json!({ "from_ms": 3_600_000 }), 422),
        (json!({ "recording": recording, "from_ms": 3_600_000 }), 422),
        (json!({ "recording": "r-9" }), 422),
        (json!({ "recording": recording, "from_ms": -1 }), 422),
    ] {
        let answer = server.ask(&who, "POST", "/api/v1/interactions/77/export", Some(wrong.clone()));
        assert_eq!(answer.status, status, "{wrong} {}", answer.text());
    }
}

/// A recording of an agent and a call, with noise for footage.
pub fn upload(server: &Server, token: &str, id: &str, agent: &str, call: &str, minute: u32) {
    let base = format!("/api/v1/recordings/{id}");
    let at = |minute: u32| format!("2026-01-05T09:{minute:02}:00.000Z");
    for (number, bytes) in [(0, b"start"), (1, b"bytes")] {
        let path = format!("{base}/tracks/video/parts/1/fragments/{number}");
        assert_eq!(put(server, token, &path, bytes).status, 201);
    }
    let about = json!({
        "agent": agent, "place": "seat-12", "from": at(minute), "to": at(minute + 1), "calls": [call],
        "interactions": [call], "tags": { "product": "loan" },
    });
    assert_eq!(put(server, token, &format!("{base}/about"), about.to_string().as_bytes()).status, 201);
    let file = |number: u32, bytes: &[u8]| json!({ "number": number, "size": 5, "sha256": hex(bytes), "start": 0, "duration_ns": 60_000_000_000_u64, "frames": 1 });
    let part = json!({ "number": 1, "init": file(0, b"start"), "fragments": [file(1, b"bytes")] });
    let manifest = json!({
        "recording": id, "anchors": [{ "media": 0, "utc": at(minute), "uncertainty_ns": 0 }],
        "tracks": [{ "name": "video", "parts": [part] }],
    });
    assert_eq!(put(server, token, &format!("{base}/manifest"), manifest.to_string().as_bytes()).status, 201);
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["interactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["interaction"].as_str().unwrap())
        .collect()
}

#[test]
fn a_search_finds_what_matches_page_by_page() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    for number in 0..7 {
        let agent = if number % 2 == 0 { "ann" } else { "bob" };
        upload(&server, &token, &format!("r-{number}"), agent, &format!("call-{number}"), 5 * number);
    }
    let who = admin(&server);
    let get = |query: &str| server.get(&who, &format!("/api/v1/interactions?{query}")).json();
    assert_eq!(
        ids(&get("")),
        ["call-6", "call-5", "call-4", "call-3", "call-2", "call-1", "call-0"],
        "newest first"
    );
    assert_eq!(ids(&get("agent=bob")), ["call-5", "call-3", "call-1"]);
    assert_eq!(ids(&get("call=call-3")), ["call-3"]);
    assert_eq!(ids(&get("from=2026-01-05T09:10:00Z&to=2026-01-05T09:20:00Z")), ["call-3", "call-2"]);
    assert_eq!(ids(&get("tag=product=loan&media=voice&limit=2")), ["call-6", "call-5"]);
    assert_eq!(ids(&get("tag=product=car")), [""; 0]);
    assert_eq!(ids(&get("min_ms=60001")), [""; 0]);
    assert_eq!(ids(&get("max_ms=60000")).len(), 7);
    let (mut all, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let page = get(&query);
        all.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=3&cursor={next}");
    }
    assert_eq!(all.len(), 7, "{all:?}");
    for wrong in ["colour=red", "from=yesterday", "limit=0", "limit=501", "cursor=x", "min_ms=1%20or%201=1"] {
        let answer = server.get(&who, &format!("/api/v1/interactions?{wrong}"));
        assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/problem+json")));
    }
    // SQL in a search is text that nothing matches.
    for attack in ["'%20OR%201=1--", "ann'%20UNION%20SELECT%20password%20FROM%20users--", "%25", "$1", "%00"]
    {
        for key in ["agent", "group", "call", "label", "media", "direction", "role", "tag", "attached.x"] {
            let answer = server.get(&who, &format!("/api/v1/interactions?{key}={attack}"));
            assert!(answer.status == 400 || ids(&answer.json()).is_empty(), "{key}={attack}");
        }
    }
    let detail = server.get(&who, "/api/v1/interactions/call-2").json();
    assert_eq!(detail["segments"][0]["offset_ms"], 0);
    assert_eq!(detail["segments"][0]["duration_ms"], 60_000);
    assert_eq!(
        detail["footage"][0]["still"],
        json!([{ "track": "video", "from_ms": 0.0, "to_ms": 60_000.0 }])
    );
}

#[test]
fn people_label_hold_and_delete_and_the_audit_log_has_it() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    upload(&server, &token, "r-1", "ann", "call-1", 0);
    let who = admin(&server);
    let ask = |method: &str, path: &str, body: Value| {
        let body = Some(body).filter(|body| !body.is_null());
        server.ask(&who, method, &format!("/api/v1/interactions/call-1{path}"), body)
    };
    assert_eq!(ask("POST", "/labels", json!({ "label": "training" })).status, 201);
    let note = ask("POST", "/notes", json!({ "at_ms": 1500, "recording": "r-1", "text": "Well said." }));
    assert_eq!(note.status, 201, "{}", note.text());
    let whole = ask("GET", "", Value::Null).json();
    assert_eq!((&whole["labels"], &whole["notes"][0]["text"]), (&json!(["training"]), &json!("Well said.")));
    assert_eq!(ask("DELETE", "/labels/training", Value::Null).status, 204);
    assert_eq!(ask("DELETE", "/labels/training", Value::Null).status, 404);
    assert_eq!(
        ask("DELETE", &format!("/notes/{}", note.json()["id"].as_str().unwrap()), Value::Null).status,
        204
    );

    assert_eq!(ask("POST", "/hold", json!({ "reason": "court" })).status, 201);
    assert_eq!(ask("DELETE", "", Value::Null).status, 409, "it is held");
    assert_eq!(ask("DELETE", "/hold", Value::Null).status, 204);
    assert_eq!(ask("DELETE", "", Value::Null).status, 204);
    assert_eq!(ask("GET", "", Value::Null).status, 404);
    assert_eq!(server.get(&who, "/api/v1/recordings/r-1/movie.mp4").status, 404);
    assert_eq!(server.stored().len(), 0, "its objects are gone");
    // It does not come back.
    let again = put(&server, &token, "/api/v1/recordings/r-1/tracks/video/parts/1/fragments/1", b"bytes");
    assert_eq!(again.status, 410);
}

#[test]
fn password_guessing_is_slowed_down() {
    let server = Server::start();
    server.add_user("eve", &["--role", "agent"]);
    let try_one = |name: &str, password: &str| {
        let body = json!({ "name": name, "password": password });
        server.ask(&Who::Nobody, "POST", "/api/v1/session", Some(body)).status
    };
    for _ in 0..5 {
        assert_eq!(try_one("eve", "wrong"), 401);
        assert_eq!(try_one("nobody", "wrong"), 401);
    }
    assert_eq!((try_one("eve", "correct horse"), try_one("nobody", "wrong")), (429, 429));
    // Concurrent attempts count like sequential ones.
    let url = format!("{}/api/v1/session", server.url);
    let output = Command::new("curl")
        .args(["-sZ", "--parallel-immediate", "-w", "%{http_code}\n", "-H", "Content-Type: application/json"])
        .args(["-d", &json!({ "name": "mallory", "password": "wrong" }).to_string()])
        .args((0..16).flat_map(|_| ["-o", "/dev/null", &url]))
        .output()
        .expect("curl runs (script/setup installs it)");
    let said = String::from_utf8(output.stdout).unwrap();
    let (judged, held_up) = (said.matches("401").count(), said.matches("429").count());
    assert_eq!((judged, held_up), (5, 11), "{said}");
}
