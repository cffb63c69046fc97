//! The whole: a server that decides, recorders that obey, footage that arrives, and the interaction as it is looked up, with the
//! truth read from the pixels.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/server.rs"]
mod server;
mod support;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::{Server, Who};
use support::counter;
use support::daemon::{Ann, Daemon};

const FPS: u32 = 20;
/// What a picture may be off from the time that its segment says, in milliseconds; two frames.
const EXACT_MS: i64 = 100;

fn recorder(server: &Server, place: &str, source: u32) -> Daemon {
    let token = server.folder.path().join(format!("token-{place}"));
    fs::write(&token, server.enrol(place)).unwrap();
    let pipeline = format!(
        "[source.screen]\nplugin = \"source.synthetic\"\nmode = \"counter\"\nseed = {source}\nwidth = 320\nheight = 180\n\
         fps = {FPS}\nmax_fps = {FPS}\nchanges_only = false\n\
         [encoder.video]\nfrom = \"screen\"\nplugin = \"encoder.x264\"\n\
         [link]\nserver = \"{url}\"\ntoken_file = {token:?}\n\
         [sink.archive]\nplugin = \"sink.upload\"\nserver = \"{url}\"\ntoken_file = {token:?}\ntimeout = \"5s\"\n",
        url = server.url
    );
    Daemon::start_with(&pipeline, &[("place", &format!("{place:?}"))], "")
}

struct Site {
    server: Server,
    root: Who,
}

impl Site {
    fn new() -> Site {
        let policy = "[policy]\nplugin = \"policy.voice-all-calls\"\nlate = \"1s\"\n";
        let server = Server::start_with(policy);
        server.add_user("root", &["--role", "administrator"]);
        let root = server.log_in("root");
        Site { server, root }
    }

    fn wait_for(&self, what: &str, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.server.get(&self.root, path);
            if answer.status == 200 && wanted(&answer.json()) {
                return answer.json();
            }
            assert!(Instant::now() < limit, "no {what}: {} {}", answer.status, answer.text());
            std::thread::yield_now();
        }
    }

    /// Telephony says so, now. Gives when that was.
    fn tell(&self, events: &[Value]) -> i64 {
        let at = jiff::Timestamp::now();
        let at = jiff::Timestamp::from_millisecond(at.as_millisecond()).unwrap();
        let dated = events.iter().map(|event| {
            let mut event = event.clone();
            event["at"] = json!(format!("{at:.3}"));
            event
        });
        let answer = self.server.ask(&self.root, "POST", "/api/v1/events", Some(dated.collect()));
        assert_eq!(answer.status, 202, "{}", answer.text());
        at.as_millisecond()
    }

    /// What each picture of a recording says, with its media time in milliseconds.
    fn pictures(&self, recording: &str) -> Vec<(i64, counter::Reading)> {
        let movie = self.server.get(&self.root, &format!("/api/v1/recordings/{recording}/movie.mp4"));
        assert_eq!(movie.status, 200, "{recording}");
        let file = self.server.folder.path().join(format!("{recording}.mp4"));
        fs::write(&file, movie.body).unwrap();
        let frames = counter::read_file(&file).into_iter();
        frames.map(|frame| ((frame.pts_ns / 1_000_000) as i64, frame.reading.unwrap())).collect()
    }
}

#[test]
fn a_two_step_transfer_is_on_both_agents_footage_at_the_right_pictures() {
    let site = Site::new();
    let mut desks = [recorder(&site.server, "seat-1", 11), recorder(&site.server, "seat-2", 22)];
    site.wait_for("two recorders", "/api/v1/recorders", |recorders| {
        recorders["recorders"].as_array().unwrap().iter().filter(|one| one["connected"] == true).count() == 2
    });
    desks.iter_mut().for_each(|desk| drop(desk.wait_for_log("ready")));
    Ann::as_agent(&desks[0], "ann");
    Ann::as_agent(&desks[1], "bob");
    let recording = |index: usize| {
        desks[index].wait_for("a recording", |status| status["recording"]["phase"] == "recording");
    };

    let t0 = site
        .tell(&[json!({ "type": "call.established", "call": "77", "agent": "ann", "direction": "inbound" })]);
    recording(0);
    desks[0].run_for(Duration::from_secs(2));
    let consult =
        json!({ "type": "call.established", "call": "78", "parent_call": "77", "call_type": "consult" });
    let with = |agent: &str| {
        let mut event = consult.clone();
        event["agent"] = json!(agent);
        event
    };
    let t2 =
        site.tell(&[json!({ "type": "call.held", "call": "77", "agent": "ann" }), with("ann"), with("bob")]);
    recording(1);
    desks[1].run_for(Duration::from_secs(2));
    let t3 = site.tell(&[json!({ "type": "call.transferred", "primary_call": "77", "secondary_call": "78",
        "resulting_call": "77", "from_agent": "ann", "to_agent": "bob" })]);
    desks[1].run_for(Duration::from_secs(2));
    let t4 = site.tell(&[json!({ "type": "call.cleared", "call": "77", "agent": "bob" })]);

    let found = site.wait_for("the interaction with all its segments", "/api/v1/interactions/77", |found| {
        let segments = found["segments"].as_array().unwrap();
        segments.len() == 4
            && segments.iter().all(|segment| segment["recording"].is_string())
            && found["footage"].as_array().unwrap().iter().all(|footage| footage["live"] == false)
    });
    let mut segments: Vec<(String, String, i64, i64)> = Vec::new();
    for segment in found["segments"].as_array().unwrap() {
        let text = |name: &str| segment[name].as_str().unwrap().to_owned();
        let ms = |name: &str| text(name).parse::<jiff::Timestamp>().unwrap().as_millisecond();
        segments.push((text("agent"), text("role"), ms("from"), ms("to")));
        let source = if text("agent") == "ann" { 11 } else { 22 };
        let pictures = site.pictures(&text("recording"));
        assert!(
            pictures.iter().all(|(_, picture)| picture.source == source),
            "{} sees another's screen",
            text("agent")
        );
        // The picture at the segment's offset is the one of that moment.
        let (first, _) = pictures[0];
        let offset = segment["offset_ms"].as_i64().unwrap();
        let (_, picture) = pictures.iter().find(|(at, _)| *at >= offset.max(first)).unwrap();
        let off = i64::from(picture.time_ms) + first - offset.max(first);
        assert!((0..=EXACT_MS).contains(&off), "{segment:#}: the picture is {off} ms off");
        // A recorder begins a moment after the event; all of the rest is there.
        assert!(first - offset < 2000, "{segment:#}: footage begins at {first} ms");
    }
    segments.sort();
    let expected = [
        ("ann", "consult", t2, t3),
        ("ann", "primary", t0, t3),
        ("bob", "consult", t2, t3),
        ("bob", "primary", t3, t4),
    ];
    let expected: Vec<_> = expected.map(|(a, r, from, to)| (a.to_owned(), r.to_owned(), from, to)).into();
    assert_eq!(segments, expected);
    assert_eq!(found["calls"][0]["direction"], "inbound", "{found:#}");
}
