//! Agents who log in and out at PCs, a feed that dies, and what a deletion leaves.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::time::Duration;

use deskreel_test_support::daemon::Ann;
use serde_json::Value;
use tempfile::TempDir;

use super::{EXACT_MS, Site, ms_of, now};

/// The times of a scenario, in milliseconds since its beginning. A recorder gives a log-in or log-out its
/// time, so that it is shown as the time at which the scenario asked for it.
#[derive(Default)]
pub struct Moves {
    told: BTreeSet<i64>,
    moved: Vec<Moved>,
}

/// Somebody has logged in or out between these times.
struct Moved {
    from: i64,
    to: i64,
    asked: String,
}

impl Moves {
    /// Somebody logs in or out in this scenario.
    pub fn any(&self) -> bool {
        !self.moved.is_empty()
    }

    /// An event has this time.
    pub fn told(&mut self, seconds: &str) {
        self.told.insert((seconds.parse::<f64>().unwrap() * 1e3).round() as i64);
    }

    pub fn shown(&self, ms: i64) -> String {
        let asked = self.asked(ms, 0).filter(|_| !self.told.contains(&ms));
        asked.unwrap_or_else(|| (ms as f64 / 1e3).to_string())
    }

    /// The time of a picture, which may be off.
    pub fn shown_roughly(&self, ms: i64) -> String {
        let told = self.told.range(ms - EXACT_MS..=ms + EXACT_MS).min_by_key(|told| (*told - ms).abs());
        let asked = self.asked(ms, EXACT_MS).filter(|_| told.is_none());
        asked.unwrap_or_else(|| ((*told.unwrap_or(&ms) as f64 / 100.0).round() / 10.0).to_string())
    }

    fn asked(&self, ms: i64, off: i64) -> Option<String> {
        let moved = self.moved.iter().find(|moved| (moved.from - off..=moved.to + off).contains(&ms));
        moved.map(|moved| moved.asked.clone())
    }
}

impl Site {
    pub fn log_in_at(&mut self, at: &str, agent: &str, place: &str) {
        self.wait_until(at);
        let (from, desk) = (self.since_began(), self.desk(place));
        let recorder = self.desks[desk].recorder.as_ref().unwrap();
        self.desks[desk].session = Some(Ann::as_agent(recorder, agent));
        self.note_move(from, at);
        self.wait_for_agent(place, Some(agent));
    }

    pub fn log_out_at(&mut self, at: &str, agent: &str, place: &str) {
        self.wait_until(at);
        self.wait_for_agent(place, Some(agent));
        let (from, desk) = (self.since_began(), self.desk(place));
        self.desks[desk].session.take().expect("a session").log_out();
        self.note_move(from, at);
        self.wait_for_agent(place, None);
    }

    /// Waits until nobody sits there any more.
    pub fn wait_for_empty(&mut self, at: &str, place: &str) {
        self.wait_until(at);
        let (from, desk) = (self.since_began(), self.desk(place));
        let status = self.desks[desk].recorder.as_ref().unwrap().status();
        assert!(!status["agent"].is_null(), "nobody sits at {place}: {status:#}");
        self.wait_for_agent(place, None);
        self.note_move(from, at);
    }

    fn note_move(&mut self, from: i64, asked: &str) {
        let to = self.since_began();
        self.moves.moved.push(Moved { from, to, asked: asked.to_owned() });
    }

    fn since_began(&self) -> i64 {
        ms_of(&now().to_string()) - ms_of(&self.began.unwrap().to_string())
    }

    /// Waits until the server knows who sits there.
    pub fn wait_for_agent(&self, place: &str, agent: Option<&str>) {
        let agent = agent.map_or(Value::Null, Value::from);
        self.wait_for("such an agent at that place", "/api/v1/recorders", |answer| {
            answer["recorders"].as_array().unwrap().iter().any(|one| {
                let doing: Value = serde_json::from_str(one["doing"].as_str().unwrap_or("null")).unwrap();
                one["place"] == *place && one["connected"] == true && doing["agent"] == agent
            })
        });
    }

    pub fn feed(&mut self) -> &mut FeedFile {
        self.feed.as_mut().expect("a scenario with [feed.switch]")
    }

    /// An interaction's id, with the time in it as seconds: `77@3`.
    pub fn name(&self, id: &str) -> String {
        let began = || ms_of(&self.began.unwrap().to_string());
        let Some((call, at)) = id.split_once('@') else { return id.to_owned() };
        format!("{call}@{}", self.moves.shown(ms_of(at) - began()))
    }

    pub fn find(&self, query: &str, out: &mut String) {
        let list = self.server().get(&self.root, &format!("/api/v1/interactions?{query}")).json();
        let found = list["interactions"].as_array().unwrap().iter();
        let ids: BTreeSet<&str> = found.map(|one| one["interaction"].as_str().unwrap()).collect();
        let names: Vec<String> = ids.into_iter().map(|id| self.name(id)).collect();
        writeln!(out, "{query}: {}", names.join(", ")).unwrap();
    }

    /// Deletes an interaction. Its recordings are gone, and everything else is there as before.
    pub fn delete(&self, name: &str, out: &mut String) {
        let found = self.interactions();
        let is_meant = |found: &&Value| self.name(found["interaction"].as_str().unwrap()) == name;
        let meant = found.iter().find(is_meant).unwrap_or_else(|| panic!("no interaction {name}"));
        let id = meant["interaction"].as_str().unwrap();
        let path = format!("/api/v1/interactions/{id}");
        let answer = self.server().ask(&self.root, "DELETE", &path, None);
        assert!(answer.status < 300, "{}", answer.text());
        let gone = meant["footage"].as_array().unwrap().iter();
        let gone =
            gone.map(|one| format!("/api/v1/recordings/{}/movie.mp4", one["recording"].as_str().unwrap()));
        for path in gone.chain([path]) {
            let answer = self.server().get(&self.root, &path);
            assert!(matches!(answer.status, 404 | 410), "{path}: {}", answer.status);
        }
        let left = self.interactions();
        left.iter().for_each(|found| self.table(found, out));
        self.pictures(&left, Duration::ZERO);
        self.films(&left, out);
    }
}

/// The file that `feed.switch` reads.
pub struct FeedFile {
    folder: TempDir,
    /// Events are lost.
    pub is_dead: bool,
}

impl FeedFile {
    /// The file, if the server's file has such a feed, and the server's file with its path.
    pub fn of(policy: String) -> (Option<FeedFile>, String) {
        if !policy.contains("[feed.switch]") {
            return (None, policy);
        }
        let folder = tempfile::tempdir().unwrap();
        let policy = policy.replace("$FOLDER", folder.path().to_str().unwrap());
        let mut feed = FeedFile { folder, is_dead: false };
        feed.begin_anew();
        (Some(feed), policy)
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("switch.jsonl")
    }

    pub fn begin_anew(&mut self) {
        self.is_dead = false;
        fs::write(self.path(), "").unwrap();
    }

    pub fn write(&self, event: &Value) {
        if !self.is_dead {
            let mut file = File::options().append(true).open(self.path()).unwrap();
            writeln!(file, "{event}").unwrap();
        }
    }
}
