//! The whole system: events go into a real server, real recorders record, and interactions are looked up. The
//! scenarios are tests/scenario/system/*.txt. Each runs in real time, on its own server and recorders.
//!
//! ```text
//! | plugin = "policy.voice-all-calls"        the [policy] table of the server's file
//! ann at seat-1                              a recorder at which ann has logged in; clock=-90: its clock is 90 s slow
//! 2.5 call.established call=77 agent=ann     an event of telephony: seconds from the first one, type, fields
//! 3 kill seat-1                              its recorder is killed and started again
//! 3 away seat-1                              its recorder is killed; `back` starts it again
//! 3 restart                                  the server ends and starts again; `restart 2`: 2 s later
//! 3 crash                                    the same, but it is killed
//! look                                       prints the present interactions
//! end                                        prints everything, once it is final
//! ```
//!
//! `end` also downloads each interaction as one file, and prints which agents it shows and until when. It
//! proves that each picture of each recording is its agent's and lies where the index says, by the time of
//! day painted in it, and that there are pictures exactly where the account of the index says so.
//!
//! With `DESKREEL_TEST_RESTARTS` the server is killed soon after each event, and the outcomes are the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use deskreel_model::Utc;
use serde_json::{Value, json};
use tempfile::TempDir;

use deskreel_test_support::counter;
use deskreel_test_support::daemon::{Ann, Daemon};
use deskreel_test_support::scenario_file::{check, event};
use deskreel_test_support::server::{Answer, Server, Who};

const FPS: u32 = 20;
/// The most that a picture may be off from its time in the index, in milliseconds: two frames.
const EXACT_MS: i64 = 100;
/// The most time from an event until a recorder begins or ends. The actual time is printed, not judged.
const BEGINS_MS: i64 = 2000;
/// The most that a kill may cost: the fragment that is being written, and the recorder's start.
const LOST_MS: i64 = 3000;
/// The account tells no shorter stretches apart.
const SLIVER_MS: i64 = 1000;
const DAY_MS: i64 = 24 * 3600 * 1000;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn system() {
    check("system", run);
}

fn run(blocks: &[String]) -> Vec<String> {
    let mut site = None;
    blocks.iter().map(|block| run_block(&mut site, block)).collect()
}

fn run_block(site: &mut Option<Site>, block: &str) -> String {
    let (policy, commands): (Vec<_>, Vec<_>) = block.lines().partition(|line| line.starts_with('|'));
    if !policy.is_empty() {
        let policy = policy.iter().map(|line| format!("{}\n", line.trim_start_matches(['|', ' ']))).collect();
        *site = Some(Site::new(policy));
    }
    let site = site.as_mut().expect("a scenario begins with a policy");
    let mut out = String::new();
    for (index, line) in commands.iter().enumerate() {
        site.line(line, &mut out);
        site.disturb(line, commands.get(index + 1).copied().unwrap_or("end"));
    }
    out
}

struct Desk {
    place: String,
    agent: String,
    source: u16,
    clock_ms: i64,
    recorder: Option<Daemon>,
    /// Of a recorder that is away.
    folder: Option<TempDir>,
}

struct Site {
    /// `None` while it is away.
    server: Option<Server>,
    root: Who,
    desks: Vec<Desk>,
    /// The time of the first event.
    began: Option<Utc>,
    /// When the last event was sent.
    last_sent: Instant,
}

impl Site {
    fn new(policy: String) -> Site {
        let server = Server::start_with(&format!("[policy]\nlate = \"1s\"\n{policy}"));
        server.add_user("root", &["--role", "administrator"]);
        let root = server.log_in("root");
        Site { server: Some(server), root, desks: Vec::new(), began: None, last_sent: Instant::now() }
    }

    fn line(&mut self, line: &str, out: &mut String) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [agent, "at", place, ref more @ ..] => self.seat(agent, place, more.first().copied()),
            [at, "kill", place] => {
                self.wait_until(at);
                self.kill(place);
            }
            [at, "away", place] => {
                self.wait_until(at);
                let desk = self.desk(place);
                self.desks[desk].folder = Some(self.desks[desk].recorder.take().unwrap().kill());
            }
            [at, "back", place] => {
                self.wait_until(at);
                let desk = self.desk(place);
                let folder = self.desks[desk].folder.take().unwrap();
                self.desks[desk].recorder = Some(Daemon::in_folder(folder));
            }
            [at, how @ ("restart" | "crash"), ref down @ ..] => {
                self.wait_until(at);
                let down = down.first().map_or(0, |down| down.parse().unwrap());
                self.restart(how == "crash", Duration::from_secs(down));
            }
            ["look"] => self.interactions().iter().for_each(|found| self.table(found, out)),
            ["end"] => self.end(out),
            [at, _, ..] => {
                self.wait_until(at);
                self.tell(event(self.at(at), line.split_once(' ').unwrap().1));
            }
            _ => panic!("`{line}` is no command"),
        }
    }

    /// Starts a recorder and waits until it could record.
    fn seat(&mut self, agent: &str, place: &str, clock: Option<&str>) {
        let token = self.server().folder.path().join(format!("token-{place}"));
        fs::write(&token, self.server().enrol(place)).unwrap();
        let source = self.desks.len() as u16 + 11;
        // Each agent has a screen of another size.
        let width = 320 + 32 * self.desks.len();
        let pipeline = format!(
            "[source.screen]\nplugin = \"source.synthetic\"\nmode = \"counter\"\nclock = \"day\"\nseed = {source}\nwidth = {width}\n\
             height = 180\nfps = {FPS}\nmax_fps = {FPS}\nchanges_only = false\n\
             [encoder.video]\nfrom = \"screen\"\nplugin = \"encoder.x264\"\n\
             [link]\nserver = \"{url}\"\ntoken_file = {token:?}\n\
             [sink.archive]\nplugin = \"sink.upload\"\nserver = \"{url}\"\ntoken_file = {token:?}\ntimeout = \"5s\"\n",
            url = self.server().url
        );
        let off = clock.map_or(0, |clock| clock.strip_prefix("clock=").unwrap().parse().unwrap());
        let recorder = Daemon::with_clock(&pipeline, &[("place", &format!("{place:?}"))], "", off);
        let (place, agent) = (place.to_owned(), agent.to_owned());
        self.desks.push(Desk {
            place,
            agent,
            source,
            clock_ms: off * 1000,
            recorder: Some(recorder),
            folder: None,
        });
        self.log_in(self.desks.len() - 1);
    }

    fn log_in(&mut self, desk: usize) {
        let Desk { place, agent, recorder, .. } = &mut self.desks[desk];
        let recorder = recorder.as_mut().unwrap();
        recorder.wait_for_log("ready");
        Ann::as_agent(recorder, agent);
        let (place, agent) = (place.clone(), agent.clone());
        self.wait_for("a recorder whose agent is there", "/api/v1/recorders", |answer| {
            answer["recorders"].as_array().unwrap().iter().any(|one| {
                let doing: Value = serde_json::from_str(one["doing"].as_str().unwrap_or("null")).unwrap();
                one["place"] == *place && one["connected"] == true && doing["agent"] == *agent
            })
        });
    }

    fn kill(&mut self, place: &str) {
        let desk = self.desk(place);
        let folder = self.desks[desk].recorder.take().unwrap().kill();
        self.desks[desk].recorder = Some(Daemon::in_folder(folder));
    }

    /// With `DESKREEL_TEST_RESTARTS`, kills the server after an event, unless the next one follows at once:
    /// its footage would begin late, and say so.
    fn disturb(&mut self, line: &str, next: &str) {
        let time = |line: &str| line.split(' ').next().and_then(|at| at.parse::<f64>().ok());
        let Some(at) = time(line).filter(|_| line.contains('.') && line.contains("agent")) else { return };
        let is_alone = time(next).is_none_or(|next| next - at >= 1.0);
        if is_alone && std::env::var_os("DESKREEL_TEST_RESTARTS").is_some() {
            // The command is carried out by then.
            self.wait(Duration::from_millis(700));
            self.restart(true, Duration::ZERO);
        }
    }

    fn restart(&mut self, is_crash: bool, down: Duration) {
        let server = self.server.take().unwrap();
        let folder = if is_crash { server.kill() } else { server.stop() };
        self.wait(down);
        self.server = Some(Server::in_folder(folder));
        self.last_sent = Instant::now();
    }

    fn desk(&self, place: &str) -> usize {
        self.desks.iter().position(|desk| desk.place == place).unwrap()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn at(&self, seconds: &str) -> Utc {
        let ms = seconds.parse::<f64>().unwrap_or_else(|_| panic!("`{seconds}` is no time")) * 1e3;
        self.began.unwrap().shifted_ms(ms.round() as i64)
    }

    fn wait_until(&mut self, seconds: &str) {
        self.began.get_or_insert_with(now);
        self.wait(self.at(seconds).saturating_since(now()));
    }

    fn wait(&self, left: Duration) {
        let recorder = self.desks.iter().find_map(|desk| desk.recorder.as_ref());
        recorder.expect("a scenario leaves one recorder there").run_for(left);
    }

    fn tell(&mut self, event: Value) {
        let answer = self.server().ask(&self.root, "POST", "/api/v1/events", Some(json!([event])));
        assert_eq!(answer.status, 202, "{}", answer.text());
        self.last_sent = Instant::now();
    }

    fn wait_for(&self, what: &str, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + PATIENCE;
        loop {
            let answer = self.server().get(&self.root, path);
            if answer.status == 200 && wanted(&answer.json()) {
                return answer.json();
            }
            assert!(Instant::now() < limit, "no {what}: {} {}", answer.status, answer.text());
            std::thread::yield_now();
        }
    }

    /// All interactions, by id.
    fn interactions(&self) -> Vec<Value> {
        let list = self.server().get(&self.root, "/api/v1/interactions").json();
        let ids =
            list["interactions"].as_array().unwrap().iter().map(|one| one["interaction"].as_str().unwrap());
        let one = |id: &str| self.server().get(&self.root, &format!("/api/v1/interactions/{id}")).json();
        let found: BTreeMap<String, Value> = ids.map(|id| (id.to_owned(), one(id))).collect();
        found.into_values().collect()
    }

    fn table(&self, found: &Value, out: &mut String) {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let direction =
            found["direction"].as_str().map_or_else(String::new, |direction| format!(", {direction}"));
        writeln!(out, "{} ({}{direction})", text(&found["interaction"]), text(&found["media"])).unwrap();
        let mut lines = Vec::new();
        let segments = found["segments"].as_array().unwrap();
        for segment in segments {
            let (mut from, mut to) = (self.seconds(&segment["from"]), self.seconds(&segment["to"]));
            // The time at which a recorder is back is not judged.
            if segments.iter().any(|before| is_followed(before, segment)) {
                from = "?".to_owned();
            }
            if segments.iter().any(|next| is_followed(segment, next)) {
                to = "?".to_owned();
            }
            let call = segment["call"].as_str().map_or_else(String::new, |call| format!(" call={call}"));
            let without = segment["account"].as_array().unwrap().iter();
            let without: Vec<String> = without
                // While it lasts, the last seconds are on their way.
                .filter(|one| {
                    one["state"] == "missing" || one["state"] != "stored" && !segment["to"].is_null()
                })
                .map(|one| format!("; {}: {}", text(&one["state"]).replace('_', " "), text(&one["why"])))
                .collect();
            lines.push(format!(
                "  {} {} {from}..{to}{call}{}",
                text(&segment["agent"]),
                text(&segment["role"]),
                without.concat()
            ));
        }
        lines.sort();
        lines.iter().for_each(|line| writeln!(out, "{line}").unwrap());
    }

    /// Seconds since the first event. Empty if it still lasts.
    fn seconds(&self, at: &Value) -> String {
        let Some(at) = at.as_str() else { return String::new() };
        let ms = ms_of(at) - ms_of(&self.began.unwrap().to_string());
        format!("{}", ms as f64 / 1e3)
    }

    fn end(&mut self, out: &mut String) {
        let is_whole = |found: &Value| {
            found["segments"].as_array().unwrap().iter().all(|segment| segment["to"].is_string())
                && found["footage"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|one| one["live"] == false && one["ended"].is_string())
        };
        let found = loop {
            let found = self.interactions();
            if !found.is_empty() && found.iter().all(is_whole) {
                break found;
            }
            assert!(self.last_sent.elapsed() < PATIENCE, "not all of it is whole: {found:#?}");
        };
        let playable = self.last_sent.elapsed();
        let mut shown = String::new();
        found.iter().for_each(|found| self.table(found, &mut shown));

        let expected = self.server().get(&self.root, "/api/v1/completeness?from=2020-01-01T00:00:00Z").json();
        for _ in 0..expected["expected"].as_u64().unwrap() {
            self.server.as_mut().unwrap().wait_for_log("footage is final");
        }
        let found = self.interactions();
        found.iter().for_each(|found| self.table(found, out));
        assert_eq!(shown, *out, "the final state is shown at once");
        self.pictures(&found, playable);
        for found in &found {
            let id = found["interaction"].as_str().unwrap();
            if found["has_footage"] == "none" {
                writeln!(out, "{id} has no footage").unwrap();
                continue;
            }
            let shown = self.film(found);
            writeln!(out, "{id} as one file: {}", shown.join(", ")).unwrap();
        }
    }

    /// Asserts that each picture of each recording lies where the index says, and that each segment has its
    /// pictures from beginning to end.
    fn pictures(&self, found: &[Value], playable: Duration) {
        let mut worst = 0;
        let mut begins = 0;
        let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let footage = found.iter().flat_map(|found| found["footage"].as_array().unwrap());
        for one in footage {
            let recording = one["recording"].as_str().unwrap().to_owned();
            if seen.contains_key(&recording) {
                continue;
            }
            let desk = self.desks.iter().find(|desk| desk.agent == one["agent"].as_str().unwrap()).unwrap();
            let zero = ms_of(one["started"].as_str().unwrap());
            let mut times = Vec::new();
            for (at, picture) in self.read(&recording) {
                assert_eq!(picture.source, desk.source, "{} sees another's screen", desk.agent);
                let painted = i64::from(picture.time_ms) - desk.clock_ms;
                let off = (zero + at - painted + DAY_MS / 2).rem_euclid(DAY_MS) - DAY_MS / 2;
                worst = worst.max(off.abs());
                assert!(off.abs() <= EXACT_MS, "{recording}: the picture at {at} ms is {off} ms off");
                times.push(zero + at);
            }
            seen.insert(recording, times);
        }
        let segments = || found.iter().flat_map(|found| found["segments"].as_array().unwrap());
        for segment in segments() {
            let times = segment["recording"].as_str().and_then(|recording| seen.get(recording));
            let times = times.map_or(&[][..], Vec::as_slice);
            let is_cut = segments().any(|next| is_followed(segment, next));
            for stretch in segment["account"].as_array().unwrap() {
                let begin = self.judge(stretch, times, is_cut, segment);
                begins = begins.max(begin);
            }
        }
        eprintln!(
            "pictures at most {worst} ms off, the first one {begins} ms after its event, playable {} ms after the last event",
            playable.as_millis()
        );
    }

    /// Asserts that a stretch of the account has pictures from its beginning to its end, or none. Returns how
    /// late the first one is, in milliseconds.
    fn judge(&self, stretch: &Value, times: &[i64], is_cut: bool, segment: &Value) -> i64 {
        let (from, to) = (ms_of(stretch["from"].as_str().unwrap()), ms_of(stretch["to"].as_str().unwrap()));
        if stretch["state"] != "stored" {
            let inside = (from + SLIVER_MS)..(to - SLIVER_MS);
            let shown: Vec<_> = times.iter().filter(|at| inside.contains(at)).collect();
            assert!(shown.is_empty(), "{stretch} has pictures at {shown:?}: {segment:#}");
            return 0;
        }
        let within: Vec<i64> = times.iter().copied().filter(|at| (from..to).contains(at)).collect();
        let (Some(first), Some(last)) = (within.first(), within.last()) else {
            panic!("no picture of {stretch}: {segment:#}")
        };
        assert!(
            first - from <= BEGINS_MS,
            "{stretch} has its first picture after {} ms: {segment:#}",
            first - from
        );
        let late = if is_cut { LOST_MS } else { SLIVER_MS };
        assert!(
            to - last <= late,
            "{stretch} has its last picture {} ms before its end: {segment:#}",
            to - last
        );
        first - from
    }

    /// The agents that the interaction's file shows, in order, and until when, by the time of day in its
    /// pictures.
    fn film(&self, found: &Value) -> Vec<String> {
        let id = found["interaction"].as_str().unwrap();
        let path = format!("/api/v1/interactions/{id}/export");
        let pictures = self.pictures_of(&self.server().ask(&self.root, "POST", &path, Some(json!({}))), id);
        assert_eq!(pictures[0].0, 0, "it begins at once");
        let since =
            |(at, picture): &(i64, counter::Reading)| self.of_day(picture, self.desk_of(picture)) - at;
        let mut turns: Vec<Vec<_>> = Vec::new();
        for two in pictures.windows(2) {
            let [one, next] = two else { continue };
            let goes_on = one.1.source == next.1.source && (since(one) - since(next)).abs() <= EXACT_MS;
            match turns.last_mut() {
                Some(turn) if goes_on => turn.push(next),
                _ => turns.push(vec![next]),
            }
        }
        let mut shown = Vec::new();
        for (turn, next) in turns.iter().zip(turns.iter().skip(1).map(|next| next.first()).chain([None])) {
            let [_, .., last] = turn[..] else { panic!("a turn of a picture or two: {turn:?}") };
            let agent = &self.desk_of(&last.1).agent;
            // Not the first, of which only the end may be shown.
            let end = next.map_or(last.0 + 1000 / i64::from(FPS), |next| next.0) + since(last);
            // The times at which a recorder died and was back are not judged.
            let is_cut = next.is_some_and(|next| next.1.source == last.1.source);
            let end = if is_cut { "?".to_owned() } else { ((end as f64 / 100.0).round() / 10.0).to_string() };
            shown.push(format!("{agent} ..{end}"));
        }
        shown
    }

    fn desk_of(&self, picture: &counter::Reading) -> &Desk {
        self.desks.iter().find(|desk| desk.source == picture.source).unwrap()
    }

    /// When a picture was painted, in milliseconds since the first event.
    fn of_day(&self, picture: &counter::Reading, desk: &Desk) -> i64 {
        let ms = i64::from(picture.time_ms) - desk.clock_ms;
        (ms - ms_of(&self.began.unwrap().to_string()) + DAY_MS / 2).rem_euclid(DAY_MS) - DAY_MS / 2
    }

    /// The reading of each picture of a recording, with its media time in milliseconds.
    fn read(&self, recording: &str) -> Vec<(i64, counter::Reading)> {
        let movie = self.server().get(&self.root, &format!("/api/v1/recordings/{recording}/movie.mp4"));
        self.pictures_of(&movie, recording)
    }

    fn pictures_of(&self, movie: &Answer, name: &str) -> Vec<(i64, counter::Reading)> {
        assert_eq!(movie.status, 200, "{name}: {}", movie.text());
        let file = self.server().folder.path().join(format!("{name}.mp4"));
        fs::write(&file, &movie.body).unwrap();
        let frames = counter::read_file(&file).into_iter();
        frames.filter_map(|frame| Some(((frame.pts_ns / 1_000_000) as i64, frame.reading?))).collect()
    }
}

/// Returns whether another recording continues one whose recorder was killed.
fn is_followed(segment: &Value, next: &Value) -> bool {
    next["agent"] == segment["agent"]
        && next["from"] == segment["to"]
        && next["recording"] != segment["recording"]
}

fn now() -> Utc {
    Utc(jiff::Timestamp::from_millisecond(jiff::Timestamp::now().as_millisecond()).unwrap())
}

fn ms_of(at: &str) -> i64 {
    at.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}
