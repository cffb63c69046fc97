//! What the pictures say: each is painted with its screen and its time of day.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use deskreel_test_support::counter;
use deskreel_test_support::server::Answer;
use serde_json::{Value, json};

use super::{Desk, EXACT_MS, FPS, Site, is_followed, ms_of};

/// The most time from an event until a recorder begins or ends. The actual time is printed, not judged.
const BEGINS_MS: i64 = 2000;
/// The most that a kill may cost: the fragment that is being written, and the recorder's start.
const LOST_MS: i64 = 3000;
/// The account tells no shorter stretches apart.
const SLIVER_MS: i64 = 1000;
const DAY_MS: i64 = 24 * 3600 * 1000;

impl Site {
    /// Asserts that each picture of each recording lies where the index says, and that each segment has its
    /// pictures from beginning to end.
    pub fn pictures(&self, found: &[Value], playable: Duration) {
        let mut worst = 0;
        let mut begins = 0;
        let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let footage = found.iter().flat_map(|found| found["footage"].as_array().unwrap());
        for one in footage {
            let recording = one["recording"].as_str().unwrap().to_owned();
            if seen.contains_key(&recording) {
                continue;
            }
            let mut segments = found.iter().flat_map(|found| found["segments"].as_array().unwrap());
            let segment = segments.find(|segment| segment["recording"] == *recording).unwrap();
            let desk = &self.desks[self.desk(segment["place"].as_str().unwrap())];
            let zero = ms_of(one["started"].as_str().unwrap());
            let mut times = Vec::new();
            for (at, picture) in self.read(&recording) {
                assert_eq!(
                    picture.source, desk.source,
                    "{recording} shows another screen than {}",
                    desk.place
                );
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
    pub fn film(&self, found: &Value) -> Vec<String> {
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
            let desk = self.desk_of(&last.1);
            let shows = if self.moves.any() { &desk.place } else { desk.agent.as_ref().unwrap() };
            // Not the first, of which only the end may be shown.
            let end = next.map_or(last.0 + 1000 / i64::from(FPS), |next| next.0) + since(last);
            // The times at which a recorder died and was back are not judged.
            let is_cut = next.is_some_and(|next| next.1.source == last.1.source);
            let end = if is_cut { "?".to_owned() } else { self.moves.shown_roughly(end) };
            shown.push(format!("{shows} ..{end}"));
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
