//! Tells a worker that hangs from one that has nothing to do. Pure: it is told the time.
//!
//! A recording is judged by what is written, not by what is intended: a worker that sends beats while its frames
//! no longer grow hangs as well.

use std::time::{Duration, Instant};

use deskreel_model::worker::TrackBeat;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the start of a part to its first sign of life, and from there to its first frame. Generous: a driver
    /// may take seconds to open.
    pub first_fragment: Duration,
    /// Between two beats; they come twice a second.
    pub beat: Duration,
    /// Without a captured frame: the source is dead. A still screen still gives frames, from sources that look at
    /// it; one that waits for changes must be told to repeat the last (`keepalive-time` of `pipewiresrc`).
    pub capture: Duration,
    /// With frames captured and none written, beyond what a fragment takes: the encoder or the disk is dead.
    pub written: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            first_fragment: Duration::from_secs(10),
            beat: Duration::from_secs(2),
            capture: Duration::from_secs(5),
            written: Duration::from_secs(8),
        }
    }
}

/// Why a worker has to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hang {
    pub detail: String,
    /// The encoder has nothing to do with it.
    pub of_source: bool,
}

/// Watches the worker of one part.
pub struct Watchdog {
    limits: Limits,
    /// A frame may wait for so long until its fragment is complete.
    longest_wait: Duration,
    started: Instant,
    heard: Option<Instant>,
    tracks: Vec<TrackWatch>,
    /// Not writing is no sign of a hang while there is no room.
    pub disk_full: bool,
}

struct TrackWatch {
    beat: TrackBeat,
    captured: Instant,
    /// Since when frames wait that were captured and are neither skipped, lost nor on disk.
    behind: Option<Instant>,
}

impl Watchdog {
    /// `longest_wait` is the longest time that a frame may be in a fragment which is not complete: the length of
    /// one, or on a still screen the keepalive.
    pub fn new(limits: Limits, longest_wait: Duration, now: Instant) -> Self {
        Watchdog { limits, longest_wait, started: now, heard: None, tracks: Vec::new(), disk_full: false }
    }

    /// The worker said something.
    pub fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    pub fn beat(&mut self, beats: &[TrackBeat], now: Instant) {
        self.heard(now);
        for beat in beats {
            match self.tracks.iter_mut().find(|watch| watch.beat.track == beat.track) {
                Some(watch) => watch.update(beat.clone(), now),
                None => {
                    self.tracks.push(TrackWatch { beat: beat.clone(), captured: now, behind: None });
                }
            }
        }
    }

    /// Why the worker has to go, if it has to.
    pub fn verdict(&self, now: Instant) -> Option<Hang> {
        let seconds = |limit: Duration| limit.as_secs_f32();
        let hang = |detail: String| Hang { detail, of_source: false };
        let Some(heard) = self.heard else {
            let limit = self.limits.first_fragment;
            return (now - self.started > limit)
                .then(|| hang(format!("the worker said nothing in its first {} s", seconds(limit))));
        };
        // Until the pipeline runs, the worker is busy and does not beat.
        let limit = if self.tracks.is_empty() { self.limits.first_fragment } else { self.limits.beat };
        if now - heard > limit {
            return Some(hang(format!("the worker said nothing for {} s", seconds(limit))));
        }
        self.tracks.iter().find_map(|watch| {
            let track = &watch.beat.track;
            let none_yet = watch.beat.frames.captured == 0;
            let limit = if none_yet { self.limits.first_fragment } else { self.limits.capture };
            if now - watch.captured > limit {
                let limit = seconds(limit);
                let detail = format!("track `{track}`: the source gave no frame for {limit} s");
                return Some(Hang { detail, of_source: true });
            }
            let behind = watch.behind.filter(|_| !self.disk_full)?;
            let limit = self.limits.written + self.longest_wait;
            (now - behind > limit).then(|| {
                let limit = seconds(limit);
                hang(format!("track `{track}`: frames are captured and none is written for {limit} s"))
            })
        })
    }
}

impl TrackWatch {
    fn update(&mut self, beat: TrackBeat, now: Instant) {
        if beat.frames.captured != self.beat.frames.captured {
            self.captured = now;
        }
        let frames = beat.frames;
        let settled = frames.encoded + frames.skipped + frames.lost;
        // Another part counts from the start.
        let same_part = beat.part == self.beat.part;
        let waits = frames.captured > settled;
        if !waits || !same_part || frames.encoded != self.beat.frames.encoded {
            self.behind = None;
        } else {
            self.behind.get_or_insert(now);
        }
        self.beat = beat;
    }
}

#[cfg(test)]
mod tests {
    use deskreel_model::MediaTime;
    use deskreel_model::manifest::FrameCounts;

    use super::*;

    const KEEPALIVE: Duration = Duration::from_secs(30);

    fn beat(captured: u64, encoded: u64, skipped: u64) -> TrackBeat {
        let frames = FrameCounts { captured, encoded, skipped, lost: 0 };
        let part = deskreel_model::PartNumber::FIRST;
        TrackBeat { track: "video".into(), part, frames, still_until: MediaTime::ZERO, bytes: 0 }
    }

    /// Beats of captured, encoded and skipped frames, one each half second; the verdict after the last.
    fn verdict(longest_wait: Duration, beats: &[(u64, u64, u64)]) -> Option<String> {
        let start = Instant::now();
        let mut dog = Watchdog::new(Limits::default(), longest_wait, start);
        let mut now = start;
        for (captured, encoded, skipped) in beats {
            now += Duration::from_millis(500);
            dog.beat(&[beat(*captured, *encoded, *skipped)], now);
        }
        dog.verdict(now).map(|hang| hang.detail)
    }

    #[test]
    fn a_still_screen_is_no_hang() {
        // A frame waits in the fragment that is open, until the next keepalive.
        let still: Vec<_> = (1..100).map(|n| (5 * n + 2, 1 + n / 60, 5 * n - n / 60)).collect();
        assert_eq!(verdict(KEEPALIVE, &still), None);
    }

    #[test]
    fn a_source_that_gives_nothing_is_dead() {
        assert!(verdict(KEEPALIVE, &[(5, 5, 0); 12]).is_some_and(|why| why.contains("no frame for 5 s")));
    }

    #[test]
    fn an_encoder_that_gives_nothing_is_dead() {
        let stuck: Vec<_> = (0..90).map(|n| (5 * n + 5, 5, 0)).collect();
        assert!(verdict(KEEPALIVE, &stuck).is_some_and(|why| why.contains("none is written for 38 s")));
    }

    #[test]
    fn an_encoder_that_took_over_has_as_much_time_as_the_first() {
        let start = Instant::now();
        let mut dog = Watchdog::new(Limits::default(), Duration::ZERO, start);
        let mut now = start;
        for number in 0..40 {
            now += Duration::from_millis(500);
            let part = deskreel_model::PartNumber(1 + number / 15);
            dog.beat(&[TrackBeat { part, ..beat(5 * u64::from(number), 0, 0) }], now);
            assert_eq!(dog.verdict(now), None, "at beat {number}");
        }
    }

    #[test]
    fn silence_is_a_hang() {
        let start = Instant::now();
        let mut dog = Watchdog::new(Limits::default(), Duration::ZERO, start);
        assert_eq!(dog.verdict(start + Duration::from_secs(9)), None);
        assert!(dog.verdict(start + Duration::from_secs(11)).is_some());
        dog.beat(&[beat(1, 0, 0)], start);
        assert_eq!(dog.verdict(start + Duration::from_secs(2)), None);
        assert!(dog.verdict(start + Duration::from_millis(2100)).is_some());
    }
}
