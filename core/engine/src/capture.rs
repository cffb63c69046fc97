//! Where frames are captured, and those that show nothing new are dropped before they cost anything.
//!
//! Comparing two frames reads both from memory and stops at the first difference: on a still 1080p screen at
//! 10 frames per second that is 160 MB/s, about one percent of a core; converting and encoding the same frames
//! would cost twenty times that.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::bridge::{Bridge, Wanted};

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

    /// As at the start: two frames pass, whatever they show.
    pub fn open(&mut self) {
        self.passed = 0;
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

/// What the capture point tells the session.
pub enum Event {
    /// The layout of the pictures is known; pictures follow.
    Picture(gst::Caps),
    /// They have another size or format than at the start.
    Changed(String),
}

/// The probe on the source's last pad. It drops frames that the gate does not let pass, and hands the others to the
/// track's bridge: from here on they belong to the encoder, and nothing behind this pad gets a frame.
pub struct Capture<T> {
    state: Mutex<State>,
    bridge: Arc<Bridge>,
    tell: T,
}

struct State {
    gate: Gate,
    before: Option<gst::Buffer>,
    /// Format, width and height.
    picture: Option<Picture>,
    segment: gst::FormattedSegment<gst::ClockTime>,
}

type Picture = (Option<String>, Option<i32>, Option<i32>);

impl<T: Fn(Event) + Send + Sync + 'static> Capture<T> {
    pub fn new(gate: Gate, bridge: Arc<Bridge>, tell: T) -> Self {
        let state = State { gate, before: None, picture: None, segment: gst::FormattedSegment::new() };
        Capture { state: Mutex::new(state), bridge, tell }
    }

    pub fn watch(self, pad: &gst::Pad) {
        let types = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(types, move |_, info| match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                self.frame(buffer);
                gst::PadProbeReturn::Drop
            }
            Some(gst::PadProbeData::Event(event)) => self.event(event),
            _ => gst::PadProbeReturn::Ok,
        });
    }

    fn frame(&self, buffer: &gst::Buffer) {
        let wanted = self.bridge.wanted();
        if wanted == Wanted::Nothing {
            return;
        }
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { gate, before, segment, .. } = &mut *guard;
        if wanted == Wanted::Picture {
            gate.open();
        }
        let running = segment.to_running_time(buffer.pts()).map_or(0, gst::ClockTime::nseconds);
        match gate.judge(running, || before.as_ref().is_some_and(|before| same(before, buffer))) {
            Verdict::TooSoon => {}
            Verdict::Skip => self.bridge.skipped(running),
            Verdict::Pass => {
                *before = gate.rules.changes_only.then(|| buffer.clone());
                self.bridge.captured(buffer, running);
            }
        }
    }

    fn event(&self, event: &gst::Event) -> gst::PadProbeReturn {
        match event.view() {
            gst::EventView::Segment(segment) => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(segment) = segment.segment().downcast_ref::<gst::ClockTime>() {
                    state.segment = segment.clone();
                }
            }
            gst::EventView::Caps(caps) => return self.caps(caps.caps_owned()),
            gst::EventView::Eos(_) => self.bridge.close(),
            _ => {}
        }
        gst::PadProbeReturn::Ok
    }

    /// The first caps are the track's; with others it ends.
    fn caps(&self, caps: gst::Caps) -> gst::PadProbeReturn {
        let Some(structure) = caps.structure(0) else { return gst::PadProbeReturn::Ok };
        let picture =
            (structure.get("format").ok(), structure.get("width").ok(), structure.get("height").ok());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.picture.replace(picture.clone());
        drop(state);
        match before {
            None => (self.tell)(Event::Picture(caps)),
            Some(before) if before == picture => {}
            Some(_) => {
                self.bridge.close();
                let (_, width, height) = picture;
                let (width, height) = (width.unwrap_or(0), height.unwrap_or(0));
                (self.tell)(Event::Changed(format!("the picture is now {width}x{height}")));
                return gst::PadProbeReturn::Drop;
            }
        }
        gst::PadProbeReturn::Ok
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
    fn another_encoder_gets_two_frames_of_a_still_screen_at_once() {
        let mut gate = Gate::new(RULES);
        let mut passing = |from: u64, to: u64| -> Vec<u64> {
            (from..to).step_by(100).filter(|ms| gate.judge(ms * MS, || true) == Verdict::Pass).collect()
        };
        assert_eq!(passing(0, 2000), [0, 100, 1100]);
        gate.open();
        let mut passing = |from: u64, to: u64| -> Vec<u64> {
            (from..to).step_by(100).filter(|ms| gate.judge(ms * MS, || true) == Verdict::Pass).collect()
        };
        assert_eq!(passing(2000, 5000), [2000, 2100, 3100]);
    }

    #[test]
    fn a_source_that_is_too_fast_is_thinned_to_the_rate_that_is_wanted() {
        let rules = Rules { changes_only: false, period: 100 * MS, ..RULES };
        assert_eq!(passing(rules, 50, 500, &[]), [0, 100, 200, 300, 400]);
        assert_eq!(passing(rules, 100, 500, &[]), [0, 100, 200, 300, 400]);
        assert_eq!(passing(rules, 200, 900, &[]), [0, 200, 400, 600, 800]);
    }
}
