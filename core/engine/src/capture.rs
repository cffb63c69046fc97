//! Where captured frames are counted, and those that show nothing new are dropped before they cost anything.
//!
//! Comparing two frames reads both from memory and stops at the first difference: on a still 1080p screen at
//! 10 frames per second that is 160 MB/s, about one percent of a core; converting and encoding the same frames
//! would cost twenty times that.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::counters::Counters;

/// Decides frame by frame what goes on to the encoder. Pure: times in, verdicts out.
pub struct Gate {
    pub rules: Rules,
    next_due: u64,
    passed: u64,
    last_passed: u64,
    /// The frame that passed last showed something new.
    last_was_new: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub changes_only: bool,
    /// Nanoseconds between frames at the highest rate that is wanted.
    pub period: u64,
    /// An unchanged frame passes when nothing has passed for so long, in nanoseconds.
    pub keepalive: u64,
    /// After the last change, one unchanged frame passes when a fragment is full, in nanoseconds: it closes the
    /// fragment, so that the change is on disk in time although nothing follows it.
    pub settle: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// Shows what the one before showed.
    Skip,
    /// The source gives more frames than are wanted; this one does not count as captured.
    TooSoon,
}

impl Gate {
    pub fn new(rules: Rules) -> Self {
        Gate { rules, next_due: 0, passed: 0, last_passed: 0, last_was_new: false }
    }

    /// `pts` in nanoseconds; `unchanged` is only asked where it matters.
    pub fn judge(&mut self, pts: u64, unchanged: impl FnOnce() -> bool) -> Verdict {
        let Rules { changes_only, period, keepalive, settle } = self.rules;
        // A quarter of a period: sources jitter, and half of one would let every frame of a source pass that is
        // twice as fast as wanted.
        if self.passed > 0 && pts + period / 4 < self.next_due {
            return Verdict::TooSoon;
        }
        self.next_due = (self.next_due + period).max(pts + period / 2);
        // The first frame is a fragment of its own, and the second one says how long it lasts.
        let is_new = self.passed < 2 || !changes_only || !unchanged();
        let quiet = pts.saturating_sub(self.last_passed);
        if !is_new && quiet < keepalive && !(self.last_was_new && quiet >= settle) {
            return Verdict::Skip;
        }
        self.passed += 1;
        self.last_passed = pts;
        self.last_was_new = is_new;
        Verdict::Pass
    }
}

/// What the capture point tells the session: the picture has another size or format than at the part's start.
pub type TellChanged = Box<dyn Fn(String) + Send + Sync>;

/// The probe on the source's last pad. It counts frames, drops those that the gate does not let pass, and asks
/// for keyframes by time: encoders count frames, and a still screen has few.
pub struct Capture {
    state: Mutex<State>,
    counters: Arc<Counters>,
    /// Nanoseconds from one keyframe to the next, at most.
    keyframe_interval: u64,
    tell: TellChanged,
}

struct State {
    gate: Gate,
    before: Option<gst::Buffer>,
    /// Format, width and height of this part.
    picture: Option<Picture>,
    segment: gst::FormattedSegment<gst::ClockTime>,
    /// Media time of the newest frame that was asked to be a keyframe.
    asked: u64,
}

type Picture = (Option<String>, Option<i32>, Option<i32>);

impl Capture {
    pub fn new(gate: Gate, keyframe_interval: u64, counters: Arc<Counters>, tell: TellChanged) -> Self {
        let segment = gst::FormattedSegment::new();
        let state = State { gate, before: None, picture: None, segment, asked: 0 };
        Capture { state: Mutex::new(state), counters, keyframe_interval, tell }
    }

    pub fn watch(self, pad: &gst::Pad) {
        let types = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(types, move |pad, info| match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => self.frame(pad, buffer),
            Some(gst::PadProbeData::Event(event)) => self.event(event),
            _ => gst::PadProbeReturn::Ok,
        });
    }

    fn frame(&self, pad: &gst::Pad, buffer: &gst::Buffer) -> gst::PadProbeReturn {
        if self.counters.closed.load(Relaxed) {
            return gst::PadProbeReturn::Drop;
        }
        let (verdict, wants_keyframe) = self.judge(buffer);
        if wants_keyframe {
            // Outside the lock: the event comes by here too.
            pad.push_event(gstreamer_video::DownstreamForceKeyUnitEvent::builder().all_headers(true).build());
        }
        match verdict {
            Verdict::Pass => gst::PadProbeReturn::Ok,
            Verdict::Skip | Verdict::TooSoon => gst::PadProbeReturn::Drop,
        }
    }

    fn judge(&self, buffer: &gst::Buffer) -> (Verdict, bool) {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { gate, before, segment, asked, .. } = &mut *guard;
        let running = segment.to_running_time(buffer.pts()).map_or(0, gst::ClockTime::nseconds);
        let verdict = gate.judge(running, || before.as_ref().is_some_and(|before| same(before, buffer)));
        // A stop may have come while two frames were compared.
        if self.counters.closed.load(Relaxed) {
            return (Verdict::TooSoon, false);
        }
        let media = running + self.counters.offset.load(Relaxed);
        match verdict {
            Verdict::TooSoon => return (verdict, false),
            Verdict::Skip => {
                self.counters.skipped.fetch_add(1, Relaxed);
                self.counters.still_until.store(media + gate.rules.period, Relaxed);
            }
            Verdict::Pass => *before = gate.rules.changes_only.then(|| buffer.clone()),
        }
        self.counters.captured.fetch_add(1, Relaxed);
        if verdict != Verdict::Pass {
            return (verdict, false);
        }
        let newest = self.counters.keyframe_at.load(Relaxed).max(*asked);
        // Half a period of grace, so that an encoder that counts frames itself is not asked a frame too early.
        let due = newest > 0 && media >= newest + self.keyframe_interval + gate.rules.period / 2;
        let wanted = due || self.counters.want_keyframe.swap(false, Relaxed);
        if wanted {
            *asked = media;
        }
        (verdict, wanted)
    }

    fn event(&self, event: &gst::Event) -> gst::PadProbeReturn {
        match event.view() {
            gst::EventView::Segment(segment) => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(segment) = segment.segment().downcast_ref::<gst::ClockTime>() {
                    state.segment = segment.clone();
                }
                gst::PadProbeReturn::Ok
            }
            gst::EventView::Caps(caps) => self.caps(caps.caps()),
            _ => gst::PadProbeReturn::Ok,
        }
    }

    /// The first caps are the part's; others end it.
    fn caps(&self, caps: &gst::CapsRef) -> gst::PadProbeReturn {
        let Some(structure) = caps.structure(0) else { return gst::PadProbeReturn::Ok };
        let picture =
            (structure.get("format").ok(), structure.get("width").ok(), structure.get("height").ok());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.picture.get_or_insert_with(|| picture.clone());
        if *before == picture {
            return gst::PadProbeReturn::Ok;
        }
        drop(state);
        self.counters.closed.store(true, Relaxed);
        let (_, width, height) = picture;
        (self.tell)(format!("the picture is now {}x{}", width.unwrap_or(0), height.unwrap_or(0)));
        gst::PadProbeReturn::Drop
    }
}

fn same(before: &gst::Buffer, now: &gst::Buffer) -> bool {
    match (before.map_readable(), now.map_readable()) {
        (Ok(before), Ok(now)) => before.as_slice() == now.as_slice(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const RULES: Rules =
        Rules { changes_only: true, period: 100 * MS, keepalive: 5000 * MS, settle: 1000 * MS };

    /// Runs a minute of frames at `period` milliseconds and gives the times that pass, in milliseconds.
    fn passing(rules: Rules, period: u64, length: u64, changes: &[u64]) -> Vec<u64> {
        let mut gate = Gate::new(rules);
        let times = (0..length).step_by(usize::try_from(period).unwrap_or(1));
        times.filter(|ms| gate.judge(ms * MS, || !changes.contains(ms)) == Verdict::Pass).collect()
    }

    #[test]
    fn a_still_screen_passes_two_frames_and_then_one_a_keepalive() {
        assert_eq!(passing(RULES, 100, 12_000, &[]), [0, 100, 1100, 6100, 11_100]);
    }

    #[test]
    fn a_change_passes_at_once_and_one_frame_settles_it() {
        assert_eq!(passing(RULES, 100, 6000, &[3000, 3100]), [0, 100, 1100, 3000, 3100, 4100]);
    }

    #[test]
    fn a_source_that_is_too_fast_is_thinned_to_the_rate_that_is_wanted() {
        let rules = Rules { changes_only: false, period: 100 * MS, ..RULES };
        assert_eq!(passing(rules, 50, 500, &[]), [0, 100, 200, 300, 400]);
        assert_eq!(passing(rules, 100, 500, &[]), [0, 100, 200, 300, 400]);
        assert_eq!(passing(rules, 200, 900, &[]), [0, 200, 400, 600, 800]);
    }
}
