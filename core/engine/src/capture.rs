//! Where frames are captured, and those that show nothing new are dropped before they cost anything.
//!
//! Comparing two frames reads both from memory and stops at the first difference: on a still 1080p screen at
//! 10 frames per second that is 160 MB/s, about one percent of a core; converting and encoding the same frames
//! would cost twenty times that.
//!
//! Here also ends what must not be seen: while the screen is withheld, a slate goes to the encoder in place of every
//! frame that would. The switch takes the lock that the frames take, so what came before it came before, and whoever is
//! told that it is done knows that no later frame shows the screen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deskreel_contract::CaptureMode;
use gstreamer as gst;
use gstreamer::prelude::*;

use crate::bridge::{Bridge, Wanted};
use crate::slate;

/// Decides frame by frame what goes on to the encoder. Pure: times in, verdicts out.
pub struct Gate {
    pub rules: Rules,
    next_due: u64,
    passed: u64,
    last_passed: u64,
    /// The frame that passed last showed something new.
    last_was_new: bool,
    shown: CaptureMode,
    /// Where the screen is shown again: frames up to here may still show what had to be withheld, and no frame has passed
    /// since.
    withheld_until: Option<u64>,
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
    /// The first that is shown again: it passes as a keyframe.
    Return,
    /// The slate passes in its place.
    Slate,
    /// Shows what the one before showed.
    Skip,
    /// The source gives more frames than are wanted; this one does not count as captured.
    TooSoon,
}

impl Gate {
    pub fn new(rules: Rules, shown: CaptureMode) -> Self {
        Gate {
            rules,
            next_due: 0,
            passed: 0,
            last_passed: 0,
            last_was_new: false,
            shown,
            withheld_until: None,
        }
    }

    /// As at the start: two frames pass, whatever they show.
    pub fn open(&mut self) {
        self.passed = 0;
    }

    /// Gives the time from which it holds, which is later than that of every frame that has passed, and whether a slate
    /// has to pass right then.
    pub fn switch(&mut self, shown: CaptureMode, now: u64) -> (u64, bool) {
        let at = now.max(self.last_passed + 1);
        let before = std::mem::replace(&mut self.shown, shown);
        if before != shown {
            self.withheld_until = (shown == CaptureMode::Live).then_some(at);
        }
        (at, before != shown && shown != CaptureMode::Live)
    }

    /// A slate passes that no frame brought.
    pub fn pass_slate(&mut self, at: u64) {
        self.pass(at, true);
    }

    fn withholds(&self, pts: u64) -> bool {
        self.shown != CaptureMode::Live || self.withheld_until.is_some_and(|until| pts <= until)
    }

    fn pass(&mut self, pts: u64, is_new: bool) {
        self.passed += 1;
        self.last_passed = pts;
        self.last_was_new = is_new;
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
        let withheld = self.withholds(pts);
        // It was on its way when the slate went before it.
        if withheld && self.last_passed > 0 && pts <= self.last_passed {
            return Verdict::Skip;
        }
        let returns = !withheld && self.withheld_until.take().is_some();
        // The first frame is a fragment of its own, and the second one says how long it lasts. A slate shows nothing new.
        let is_new = self.passed < 2 || returns || !withheld && (!changes_only || !unchanged());
        let quiet = pts.saturating_sub(self.last_passed);
        if !is_new && quiet < keepalive && !(self.last_was_new && quiet >= settle) {
            return Verdict::Skip;
        }
        self.pass(pts, is_new);
        match (withheld, returns) {
            (true, _) => Verdict::Slate,
            (_, true) => Verdict::Return,
            _ => Verdict::Pass,
        }
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
pub struct Capture {
    state: Mutex<State>,
    bridge: Arc<Bridge>,
    tell: Box<dyn Fn(Event) + Send + Sync>,
}

struct State {
    gate: Gate,
    before: Option<gst::Buffer>,
    /// Format, width and height.
    picture: Option<Picture>,
    caps: Option<gst::Caps>,
    /// In the layout of the caps, once one was needed.
    slate: Option<gst::Buffer>,
    segment: gst::FormattedSegment<gst::ClockTime>,
}

type Picture = (Option<String>, Option<i32>, Option<i32>);

impl Capture {
    pub fn new(gate: Gate, bridge: Arc<Bridge>, tell: impl Fn(Event) + Send + Sync + 'static) -> Arc<Self> {
        let segment = gst::FormattedSegment::new();
        let state = State { gate, before: None, picture: None, caps: None, slate: None, segment };
        Arc::new(Capture { state: Mutex::new(state), bridge, tell: Box::new(tell) })
    }

    pub fn watch(self: &Arc<Self>, pad: &gst::Pad) {
        let capture = self.clone();
        let types = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(types, move |_, info| match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                capture.frame(buffer);
                gst::PadProbeReturn::Drop
            }
            Some(gst::PadProbeData::Event(event)) => capture.event(event),
            _ => gst::PadProbeReturn::Ok,
        });
    }

    /// Withholds the screen or shows it again; gives the running time from which that holds. `base` is the pipeline's.
    pub fn switch(&self, shown: CaptureMode, base: gst::ClockTime) -> u64 {
        let mut state = self.lock();
        let now = gst::SystemClock::obtain().time().saturating_sub(base).nseconds();
        let (at, slate_is_due) = state.gate.switch(shown, now);
        if slate_is_due {
            // A screen that is shown again is not compared with what was there before.
            (state.before, state.slate) = (None, None);
            // Before the source has given its first frame that one brings the slate.
            if state.caps.is_some()
                && let Some(slate) = state.slate()
            {
                state.gate.pass_slate(at);
                self.bridge.captured(&slate, at, true);
            }
        }
        at
    }

    fn frame(&self, buffer: &gst::Buffer) {
        let wanted = self.bridge.wanted();
        if wanted == Wanted::Nothing {
            return;
        }
        let mut guard = self.lock();
        let State { gate, before, segment, .. } = &mut *guard;
        if wanted == Wanted::Picture {
            gate.open();
        }
        let running = segment.to_running_time(buffer.pts()).map_or(0, gst::ClockTime::nseconds);
        let verdict = gate.judge(running, || before.as_ref().is_some_and(|before| same(before, buffer)));
        match verdict {
            Verdict::TooSoon => {}
            Verdict::Skip => self.bridge.skipped(running),
            Verdict::Pass | Verdict::Return => {
                *before = gate.rules.changes_only.then(|| buffer.clone());
                self.bridge.captured(buffer, running, verdict == Verdict::Return);
            }
            Verdict::Slate => match guard.slate() {
                Some(slate) => self.bridge.captured(&slate, running, false),
                None => self.bridge.skipped(running),
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, event: &gst::Event) -> gst::PadProbeReturn {
        match event.view() {
            gst::EventView::Segment(segment) => {
                let mut state = self.lock();
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
        let mut state = self.lock();
        let before = state.picture.replace(picture.clone());
        state.caps.get_or_insert_with(|| caps.clone());
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

impl State {
    /// `None` where none can be painted: then nothing is shown.
    fn slate(&mut self) -> Option<gst::Buffer> {
        if self.slate.is_none() {
            let painted = slate::paint(self.caps.as_ref()?, self.gate.shown);
            let painted =
                painted.inspect_err(|reason| tracing::warn!(reason, "no slate, so no frame passes"));
            self.slate = painted.ok();
        }
        self.slate.clone()
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
        let mut gate = Gate::new(rules, CaptureMode::Live);
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
        let mut gate = Gate::new(RULES, CaptureMode::Live);
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

    /// A gate that a source of ten frames a second has gone through for `length` milliseconds, every frame of it new.
    fn busy(length: u64) -> Gate {
        let mut gate = Gate::new(RULES, CaptureMode::Live);
        (0..length).step_by(100).for_each(|ms| assert_eq!(gate.judge(ms * MS, || false), Verdict::Pass));
        gate
    }

    fn verdicts(gate: &mut Gate, from: u64, to: u64) -> Vec<(u64, Verdict)> {
        let verdicts = (from..to).step_by(100).map(|ms| (ms, gate.judge(ms * MS, || false)));
        verdicts.filter(|(_, verdict)| *verdict != Verdict::Skip).collect()
    }

    #[test]
    fn a_screen_that_is_withheld_is_a_still_one_however_it_changes() {
        for changes_only in [true, false] {
            let mut gate = busy(1000);
            gate.rules.changes_only = changes_only;
            assert_eq!(gate.switch(CaptureMode::Paused, 950 * MS), (950 * MS, true));
            gate.pass_slate(950 * MS);
            assert_eq!(
                verdicts(&mut gate, 1000, 12_500),
                [(2000, Verdict::Slate), (7000, Verdict::Slate), (12_000, Verdict::Slate)]
            );
        }
    }

    #[test]
    fn it_holds_from_later_than_the_newest_frame_and_what_was_on_its_way_does_not_pass() {
        let mut gate = busy(1000);
        assert_eq!(gate.switch(CaptureMode::Masked, 100 * MS), (900 * MS + 1, true));
        let mut gate = busy(1000);
        let (at, _) = gate.switch(CaptureMode::Masked, 1050 * MS);
        gate.pass_slate(at);
        gate.open();
        assert_eq!(gate.judge(1000 * MS, || false), Verdict::Skip);
        assert_eq!(gate.judge(1100 * MS, || false), Verdict::Slate, "another encoder gets slates");
    }

    #[test]
    fn what_was_grabbed_before_the_screen_is_shown_again_does_not_pass_and_the_next_frame_is_a_keyframe() {
        let mut gate = busy(1000);
        let (at, _) = gate.switch(CaptureMode::Paused, 950 * MS);
        gate.pass_slate(at);
        assert!(verdicts(&mut gate, 1000, 1300).is_empty());
        assert_eq!(gate.switch(CaptureMode::Live, 1400 * MS), (1400 * MS, false));
        // Still from before, though they come now.
        assert_eq!(gate.judge(1300 * MS, || false), Verdict::Skip);
        assert_eq!(gate.judge(1400 * MS, || false), Verdict::Skip);
        assert_eq!(gate.judge(1500 * MS, || true), Verdict::Return, "even if it looked the same");
        assert_eq!(gate.judge(1600 * MS, || true), Verdict::Skip);
        assert_eq!(gate.judge(1700 * MS, || false), Verdict::Pass);
    }

    #[test]
    fn a_job_that_begins_withheld_begins_with_slates() {
        let mut gate = Gate::new(RULES, CaptureMode::Paused);
        let slates = verdicts(&mut gate, 0, 1500);
        assert_eq!(slates, [(0, Verdict::Slate), (100, Verdict::Slate), (1100, Verdict::Slate)]);
        assert_eq!(gate.switch(CaptureMode::Paused, 1500 * MS), (1500 * MS, false), "nothing new");
        assert_eq!(gate.switch(CaptureMode::Masked, 1500 * MS), (1500 * MS, true), "another slate");
    }

    #[test]
    fn a_source_that_is_too_fast_is_thinned_to_the_rate_that_is_wanted() {
        let rules = Rules { changes_only: false, period: 100 * MS, ..RULES };
        assert_eq!(passing(rules, 50, 500, &[]), [0, 100, 200, 300, 400]);
        assert_eq!(passing(rules, 100, 500, &[]), [0, 100, 200, 300, 400]);
        assert_eq!(passing(rules, 200, 900, &[]), [0, 200, 400, 600, 800]);
    }
}
