//! Distinguishes a worker that hangs from one that has nothing to do. Pure: callers pass the time.
//!
//! It judges by written frames: a worker that sends beats while its frame counts no longer grow hangs as
//! well.

use std::time::{Duration, Instant};

use deskreel_model::worker::TrackBeat;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest time from the start of a part to the first report, and from there to the first frame.
    /// Generous: a driver may take seconds to open.
    pub first_fragment: Duration,
    /// Longest time between two beats, which come twice a second.
    pub beat: Duration,
    /// Longest time without a captured frame; after that the source is dead. Sources that look at the screen
    /// produce frames of a still one too; one that waits for changes must be set to repeat the last frame
    /// (`keepalive-time` of `pipewiresrc`).
    pub capture: Duration,
    /// Longest time in which frames are captured and none is written, beyond what a fragment takes; after
    /// that the encoder or the disk is dead.
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

/// Why a worker has to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hang {
    pub detail: String,
    /// The source hangs, so the encoder is not to blame.
    pub of_source: bool,
}

/// Watches the worker of one part.
pub struct Watchdog {
    limits: Limits,
    /// Longest time that a frame may wait until its fragment is complete.
    longest_wait: Duration,
    started: Instant,
    heard: Option<Instant>,
    tracks: Vec<TrackWatch>,
    /// While there is no room on the disk, not writing is not a hang.
    pub disk_full: bool,
}

struct TrackWatch {
    beat: TrackBeat,
    captured: Instant,
    /// Since when captured frames wait that are neither skipped, lost nor on disk.
    waiting_since: Option<Instant>,
}

impl Watchdog {
    /// `longest_wait` is the longest time that a frame may be in an incomplete fragment: the length of a
    /// fragment, or on a still screen the keepalive.
    pub fn new(limits: Limits, longest_wait: Duration, now: Instant) -> Self {
        Watchdog { limits, longest_wait, started: now, heard: None, tracks: Vec::new(), disk_full: false }
    }

    /// The worker sent a report.
    pub fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    pub fn beat(&mut self, beats: &[TrackBeat], now: Instant) {
        self.heard(now);
        for beat in beats {
            match self.tracks.iter_mut().find(|watch| watch.beat.track == beat.track) {
                Some(watch) => watch.update(beat.clone(), now),
                None => {
                    self.tracks.push(TrackWatch { beat: beat.clone(), captured: now, waiting_since: None });
                }
            }
        }
    }

    /// Returns why the worker has to be replaced, if it has to be.
    pub fn verdict(&self, now: Instant) -> Option<Hang> {
        let seconds = |limit: Duration| limit.as_secs_f32();
        let hang = |detail: String| Hang { detail, of_source: false };
        let Some(heard) = self.heard else {
            let limit = self.limits.first_fragment;
            return (now - self.started > limit)
                .then(|| hang(format!("the worker sent nothing in its first {} s", seconds(limit))));
        };
        // Until the pipeline runs, the worker is busy and does not beat.
        let limit = if self.tracks.is_empty() { self.limits.first_fragment } else { self.limits.beat };
        if now - heard > limit {
            return Some(hang(format!("the worker sent nothing for {} s", seconds(limit))));
        }
        self.tracks.iter().find_map(|watch| {
            let track = &watch.beat.track;
            let none_yet = watch.beat.frames.captured == 0;
            let limit = if none_yet { self.limits.first_fragment } else { self.limits.capture };
            if now - watch.captured > limit {
                let limit = seconds(limit);
                let detail = format!("track `{track}`: the source delivered no frame for {limit} s");
                return Some(Hang { detail, of_source: true });
            }
            let waiting_since = watch.waiting_since.filter(|_| !self.disk_full)?;
            let limit = self.limits.written + self.longest_wait;
            (now - waiting_since > limit).then(|| {
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
        // Another part counts its frames from zero.
        let same_part = beat.part == self.beat.part;
        let waits = frames.captured > settled;
        if !waits || !same_part || frames.encoded != self.beat.frames.encoded {
            self.waiting_since = None;
        } else {
            self.waiting_since.get_or_insert(now);
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

    /// Sends beats of captured, encoded and skipped frames, one each half second, and returns the hang seen
    /// after the last.
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
    fn a_still_screen_is_not_a_hang() {
        // A frame waits in the fragment that is open, until the next keepalive.
        let still: Vec<_> = (1..100).map(|n| (5 * n + 2, 1 + n / 60, 5 * n - n / 60)).collect();
        assert_eq!(verdict(KEEPALIVE, &still), None);
    }

    #[test]
    fn a_source_without_frames_is_dead() {
        assert!(verdict(KEEPALIVE, &[(5, 5, 0); 12]).is_some_and(|why| why.contains("no frame for 5 s")));
    }

    #[test]
    fn an_encoder_without_frames_is_dead() {
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
