//! The whole system: events go into a real server, real recorders record, and interactions are looked up. The
//! scenarios are tests/scenario/system/*.txt. Each runs in real time, on its own server and recorders.
//!
//! ```text
//! | plugin = "policy.voice-all-calls"        the [policy] table of the server's file
//! | [feed.switch]                            more of that file; $FOLDER is its folder
//! ann at seat-1                              a recorder at which ann has logged in; clock=-90: its clock is 90 s slow;
//!                                            session=3s: a silent desktop is logged out after that time
//! nobody at seat-2                           a recorder where nobody has logged in
//! 2.5 call.established call=77 agent=ann     an event of telephony: seconds from the first one, type, fields
//! 3 kill seat-1                              its recorder is killed and started again
//! 3 away seat-1                              its recorder is killed; `back` starts it again
//! 3 restart                                  the server ends and starts again; `restart 2`: 2 s later
//! 3 crash                                    the same, but it is killed
//! 3 log-in ann seat-2                        ann logs in at that PC
//! 3 log-out ann seat-2                       and out
//! 3 empty seat-1                             somebody still sits there, and is waited for to be logged out
//! 3 feed-dies                                from now on, nothing is written to the file that `feed.switch` reads
//! 5 feed-returns                             the file begins anew, and the feed has reported the gap
//! look                                       prints the present interactions
//! end                                        prints everything, once it is final
//! find attached.customer=1001                prints which interactions a search finds
//! delete 77                                  deletes that interaction, and prints and proves what is left
//! ```
//!
//! With `[feed.switch]`, events reach the server through its file. A scenario in which somebody logs in or
//! out shows places: the agent of a picture is whoever sits there. An interaction that has a time in its id
//! is shown as `77@3`.
//!
//! `end` also downloads each interaction as one file, and prints which agents it shows and until when. It
//! proves that each picture of each recording is its agent's and lies where the index says, by the time of
//! day painted in it, and that there are pictures exactly where the account of the index says so.
//!
//! With `DESKREEL_TEST_RESTARTS` the server is killed soon after each event, and the outcomes are the same.

mod judges;
mod moves;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use deskreel_model::Utc;
use serde_json::{Value, json};
use tempfile::TempDir;

use deskreel_test_support::daemon::{Ann, Daemon};
use deskreel_test_support::scenario_file::{check, event};
use deskreel_test_support::server::{Server, Who};

use moves::{FeedFile, Moves};

const FPS: u32 = 20;
/// The most that a picture may be off from its time in the index, in milliseconds: two frames.
const EXACT_MS: i64 = 100;
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
    /// Whoever logs in when it starts.
    agent: Option<String>,
    session: Option<Ann>,
    /// It has started, and its first agent is there.
    is_ready: bool,
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
    moves: Moves,
    /// The file of `feed.switch`.
    feed: Option<FeedFile>,
}

impl Site {
    fn new(policy: String) -> Site {
        let (feed, policy) = FeedFile::of(policy);
        let server = Server::start_with(&format!("[policy]\nlate = \"1s\"\n{policy}"));
        server.add_user("root", &["--role", "administrator"]);
        let root = server.log_in("root");
        Site {
            server: Some(server),
            root,
            desks: Vec::new(),
            began: None,
            last_sent: Instant::now(),
            moves: Moves::default(),
            feed,
        }
    }

    fn line(&mut self, line: &str, out: &mut String) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [agent, "at", place, ref more @ ..] => self.seat(agent, place, more),
            [at, "log-in", agent, place] => self.log_in_at(at, agent, place),
            [at, "log-out", agent, place] => self.log_out_at(at, agent, place),
            [at, "empty", place] => self.wait_for_empty(at, place),
            [at, "feed-dies"] => {
                self.wait_until(at);
                self.feed().is_dead = true;
            }
            [at, "feed-returns"] => {
                self.wait_until(at);
                self.feed().begin_anew();
                let reported = "events may be missing reason=\"the file was truncated\"";
                self.server.as_mut().unwrap().wait_for_log(reported);
            }
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
            ["find", query] => self.find(query, out),
            ["delete", id] => self.delete(id, out),
            [at, _, ..] => {
                self.wait_until(at);
                self.moves.told(at);
                self.tell(event(self.at(at), line.split_once(' ').unwrap().1));
            }
            _ => panic!("`{line}` is no command"),
        }
    }

    /// Starts a recorder.
    fn seat(&mut self, agent: &str, place: &str, more: &[&str]) {
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
        let value = |name: &str| more.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let off = value("clock").map_or(0, |clock| clock.parse().unwrap());
        let mut feed = vec![("place", format!("{place:?}"))];
        feed.extend(value("session").map(|session| ("session", format!("{session:?}"))));
        let feed: Vec<(&str, &str)> = feed.iter().map(|(key, value)| (*key, &**value)).collect();
        let recorder = Daemon::with_clock(&pipeline, &feed, "", off);
        self.desks.push(Desk {
            place: place.to_owned(),
            agent: Some(agent).filter(|agent| *agent != "nobody").map(str::to_owned),
            session: None,
            is_ready: false,
            source,
            clock_ms: off * 1000,
            recorder: Some(recorder),
            folder: None,
        });
    }

    /// Waits until each recorder could record, and logs its agent in.
    fn make_ready(&mut self) {
        let new: Vec<usize> = (0..self.desks.len()).filter(|desk| !self.desks[*desk].is_ready).collect();
        for desk in new {
            let desk = &mut self.desks[desk];
            let recorder = desk.recorder.as_mut().unwrap();
            recorder.wait_for_log("ready");
            desk.session = desk.agent.as_ref().map(|agent| Ann::as_agent(recorder, agent));
            desk.is_ready = true;
            let (place, agent) = (desk.place.clone(), desk.agent.clone());
            self.wait_for_agent(&place, agent.as_deref());
        }
    }

    fn kill(&mut self, place: &str) {
        let desk = self.desk(place);
        let folder = self.desks[desk].recorder.take().unwrap().kill();
        self.desks[desk].recorder = Some(Daemon::in_folder(folder));
    }

    /// With `DESKREEL_TEST_RESTARTS`, kills the server after an event, unless the next one follows at once or
    /// is a log-in or log-out, whose recorder has to connect again first: its footage would begin late, and
    /// say so.
    fn disturb(&mut self, line: &str, next: &str) {
        let time = |line: &str| line.split(' ').next().and_then(|at| at.parse::<f64>().ok());
        let Some(at) = time(line).filter(|_| line.contains('.') && line.contains("agent")) else { return };
        let is_dead = self.feed.as_ref().is_some_and(|feed| feed.is_dead);
        let is_move = next.contains(" log-in ") || next.contains(" log-out ");
        let is_alone = !is_dead && !is_move && time(next).is_none_or(|next| next - at >= 1.0);
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
        self.make_ready();
        self.began.get_or_insert_with(now);
        self.wait(self.at(seconds).saturating_since(now()));
    }

    fn wait(&self, left: Duration) {
        let recorder = self.desks.iter().find_map(|desk| desk.recorder.as_ref());
        recorder.expect("a scenario leaves one recorder there").run_for(left);
    }

    fn tell(&mut self, event: Value) {
        self.last_sent = Instant::now();
        if let Some(feed) = &self.feed {
            return feed.write(&event);
        }
        let answer = self.server().ask(&self.root, "POST", "/api/v1/events", Some(json!([event])));
        assert_eq!(answer.status, 202, "{}", answer.text());
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
        let name = self.name(found["interaction"].as_str().unwrap());
        writeln!(out, "{name} ({}{direction}){}", text(&found["media"]), attached(found)).unwrap();
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
            let place = segment["place"].as_str().filter(|_| self.moves.any());
            let place = place.map_or_else(String::new, |place| format!(" at {place}"));
            let without = segment["account"].as_array().unwrap().iter();
            let without: Vec<String> = without
                // While it lasts, the last seconds are on their way.
                .filter(|one| {
                    one["state"] == "missing" || one["state"] != "stored" && !segment["to"].is_null()
                })
                .map(|one| format!("; {}: {}", text(&one["state"]).replace('_', " "), text(&one["why"])))
                .collect();
            lines.push(format!(
                "  {} {} {from}..{to}{call}{place}{}",
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
        self.moves.shown(ms_of(at) - ms_of(&self.began.unwrap().to_string()))
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
        self.films(&found, out);
    }

    fn films(&self, found: &[Value], out: &mut String) {
        for found in found {
            let name = self.name(found["interaction"].as_str().unwrap());
            if found["has_footage"] == "none" {
                writeln!(out, "{name} has no footage").unwrap();
                continue;
            }
            let shown = self.film(found);
            writeln!(out, "{name} as one file: {}", shown.join(", ")).unwrap();
        }
    }
}

/// The attached data of an interaction's calls.
fn attached(found: &Value) -> String {
    let calls = found["calls"].as_array().unwrap().iter();
    let data = calls.flat_map(|call| call["attached"].as_object().unwrap());
    data.map(|(key, value)| format!(" {key}={}", value.as_str().unwrap())).collect()
}

/// Returns whether another recording continues one whose recorder was killed.
fn is_followed(segment: &Value, next: &Value) -> bool {
    next["agent"] == segment["agent"]
        && next["place"] == segment["place"]
        && next["from"] == segment["to"]
        && next["recording"] != segment["recording"]
}

fn now() -> Utc {
    Utc(jiff::Timestamp::from_millisecond(jiff::Timestamp::now().as_millisecond()).unwrap())
}

fn ms_of(at: &str) -> i64 {
    at.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}
