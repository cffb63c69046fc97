//! The capture point: counts the source's frames and drops those that show nothing new before they cost
//! anything.
//!
//! Comparing two frames reads both from memory and stops at the first difference: on a still 1080p screen at
//! 10 frames per second that is 160 MB/s, about one percent of a core; converting and encoding the same
//! frames would cost twenty times that.
//!
//! Nothing that is withheld gets past this point: while the screen is withheld, every frame that would go to
//! the encoder is replaced by a slate. Switching the mode takes the same lock as the frames, so frames and
//! switches have one order, and once a switch is reported no later frame shows the screen.

pub mod frames;
pub mod slate;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deskreel_contract::CaptureMode;
use gstreamer as gst;
use gstreamer::prelude::*;

use crate::encode::bridge::{Bridge, FrameDemand, KeyframeNeed};

/// Decides frame by frame what goes to the encoder. Pure: times in, verdicts out.
pub struct FrameGate {
    pub rules: GateRules,
    next_due_ns: u64,
    /// Number of frames that passed.
    passed: u64,
    last_passed_ns: u64,
    /// The last frame that passed showed something new.
    last_was_new: bool,
    mode: CaptureMode,
    /// Set from when the screen is shown again until a frame passes: frames up to this time may still show
    /// what had to be withheld.
    withheld_until_ns: Option<u64>,
    /// Somebody watches until this time.
    watched_until_ns: u64,
    /// A viewer has joined and wants a keyframe.
    joins: bool,
    /// Time of the first frame of the fragment that is open, as the cutter cuts.
    open_since_ns: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct GateRules {
    pub changes_only: bool,
    /// Time between frames at the highest rate that is wanted.
    pub period_ns: u64,
    /// An unchanged frame passes when nothing has passed for this long.
    pub keepalive_ns: u64,
    /// After the last change, one unchanged frame passes when this much time, a fragment's length, is over:
    /// it closes the fragment, so that the change is on disk in time even though nothing follows it.
    pub settle_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameVerdict {
    Pass,
    /// Passes although it shows the same as the previous one, since somebody watches.
    Repeat,
    /// The first frame after the screen was withheld, or after a viewer has joined: it passes as a keyframe.
    Keyframe,
    /// The slate passes in place of this frame.
    Slate,
    /// The slate passes in place of this frame, as a keyframe.
    SlateKeyframe,
    /// Shows the same as the previous one.
    Skip,
    /// The source delivers more frames than wanted; this one does not count as captured.
    TooSoon,
}

impl FrameGate {
    pub fn new(rules: GateRules, mode: CaptureMode) -> Self {
        FrameGate {
            rules,
            next_due_ns: 0,
            passed: 0,
            last_passed_ns: 0,
            last_was_new: false,
            mode,
            withheld_until_ns: None,
            watched_until_ns: 0,
            joins: false,
            open_since_ns: 0,
        }
    }

    /// Until this time a frame passes each fragment's length, whatever it shows. `joins`: the next frame
    /// passes as a keyframe, as soon as a fragment may begin with it.
    pub fn watch(&mut self, until_ns: u64, joins: bool) {
        self.watched_until_ns = self.watched_until_ns.max(until_ns);
        self.joins |= joins;
    }

    /// Returns whether a fragment begins with the frame that has just passed.
    pub fn begins_fragment(&self) -> bool {
        self.open_since_ns == self.last_passed_ns
    }

    /// Notes that the frame that has just passed was requested as a keyframe.
    pub fn note_keyframe(&mut self) {
        if self.last_passed_ns.saturating_sub(self.open_since_ns) >= self.rules.settle_ns / 2 {
            self.open_since_ns = self.last_passed_ns;
        }
    }

    /// The next two frames pass whatever they show, as at the start.
    pub fn open(&mut self) {
        self.passed = 0;
    }

    /// Sets the mode. Returns the time from which it holds, which is later than every frame that has passed,
    /// and whether a slate has to pass at that time.
    pub fn switch(&mut self, mode: CaptureMode, now_ns: u64) -> (u64, bool) {
        let at_ns = now_ns.max(self.last_passed_ns + 1);
        let before = std::mem::replace(&mut self.mode, mode);
        if before != mode {
            self.withheld_until_ns = (mode == CaptureMode::Live).then_some(at_ns);
        }
        (at_ns, before != mode && mode != CaptureMode::Live)
    }

    /// Notes a slate that passes without a frame of the source.
    pub fn pass_slate(&mut self, at_ns: u64) {
        self.pass(at_ns, true);
    }

    fn withholds(&self, pts_ns: u64) -> bool {
        self.mode != CaptureMode::Live || self.withheld_until_ns.is_some_and(|until| pts_ns <= until)
    }

    fn pass(&mut self, pts_ns: u64, is_new: bool) {
        // The first frame is a fragment of its own.
        if self.passed < 2 || self.fragment_is_full(pts_ns) {
            self.open_since_ns = pts_ns;
        }
        self.passed += 1;
        self.last_passed_ns = pts_ns;
        self.last_was_new = is_new;
    }

    /// Returns whether a frame of this time closes the open fragment.
    fn fragment_is_full(&self, pts_ns: u64) -> bool {
        let GateRules { settle_ns, period_ns, .. } = self.rules;
        pts_ns.saturating_sub(self.open_since_ns) + period_ns / 4 >= settle_ns
    }

    /// Judges one frame. `unchanged` is called only if it matters, since it costs a comparison.
    pub fn judge(&mut self, pts_ns: u64, unchanged: impl FnOnce() -> bool) -> FrameVerdict {
        let GateRules { changes_only, period_ns, keepalive_ns, settle_ns } = self.rules;
        // A quarter of a period: sources jitter, and with half of one every frame of a source that is twice
        // as fast as wanted would pass.
        if self.passed > 0 && pts_ns + period_ns / 4 < self.next_due_ns {
            return FrameVerdict::TooSoon;
        }
        self.next_due_ns = (self.next_due_ns + period_ns).max(pts_ns + period_ns / 2);
        let withheld = self.withholds(pts_ns);
        // It was on its way when the slate passed, which has a later time.
        if withheld && self.last_passed_ns > 0 && pts_ns <= self.last_passed_ns {
            return FrameVerdict::Skip;
        }
        let resumes = !withheld && self.withheld_until_ns.take().is_some();
        // The first frame is a fragment of its own, and the second determines how long the first lasts. A
        // slate shows nothing new.
        let is_new = self.passed < 2 || resumes || !withheld && (!changes_only || !unchanged());
        let quiet_ns = pts_ns.saturating_sub(self.last_passed_ns);
        let joins = self.joins && pts_ns.saturating_sub(self.open_since_ns) >= settle_ns / 2;
        let is_due = quiet_ns >= keepalive_ns || self.last_was_new && quiet_ns >= settle_ns;
        let is_watched = pts_ns < self.watched_until_ns && self.fragment_is_full(pts_ns);
        if !is_new && !joins && !is_due && !is_watched {
            return FrameVerdict::Skip;
        }
        self.pass(pts_ns, is_new);
        self.joins &= !joins;
        match (withheld, resumes || joins) {
            (true, true) => FrameVerdict::SlateKeyframe,
            (true, false) => FrameVerdict::Slate,
            (false, true) => FrameVerdict::Keyframe,
            (false, false) if is_new || is_due => FrameVerdict::Pass,
            (false, false) => FrameVerdict::Repeat,
        }
    }
}

/// An event of the capture point, for the session.
pub enum Event {
    /// The layout of the pictures is known; pictures follow.
    Picture(gst::Caps),
    /// The pictures now have another size or format than at the start.
    Changed(String),
}

/// The pad probe on the source's last pad. It drops frames that the gate does not let pass and hands the
/// others to the track's bridge: from here on they belong to the encoder, and nothing downstream of this pad
/// gets a frame.
pub struct FrameFilter {
    state: Mutex<State>,
    bridge: Arc<Bridge>,
    tell: Box<dyn Fn(Event) + Send + Sync>,
}

struct State {
    gate: FrameGate,
    /// The last frame that passed, to compare with.
    before: Option<gst::Buffer>,
    layout: Option<PictureLayout>,
    caps: Option<gst::Caps>,
    /// Painted in the layout of `caps` when it is first needed.
    slate: Option<gst::Buffer>,
    segment: gst::FormattedSegment<gst::ClockTime>,
}

/// Format, width and height.
type PictureLayout = (Option<String>, Option<i32>, Option<i32>);

impl FrameFilter {
    pub fn new(
        gate: FrameGate,
        bridge: Arc<Bridge>,
        tell: impl Fn(Event) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let segment = gst::FormattedSegment::new();
        let state = State { gate, before: None, layout: None, caps: None, slate: None, segment };
        Arc::new(FrameFilter { state: Mutex::new(state), bridge, tell: Box::new(tell) })
    }

    pub fn watch(self: &Arc<Self>, pad: &gst::Pad) {
        let filter = self.clone();
        let types = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(types, move |_, info| match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                filter.frame(buffer);
                gst::PadProbeReturn::Drop
            }
            Some(gst::PadProbeData::Event(event)) => filter.event(event),
            _ => gst::PadProbeReturn::Ok,
        });
    }

    /// Sets the mode. Returns the running time from which it holds. `base` is the pipeline's base time.
    pub fn switch(&self, mode: CaptureMode, base: gst::ClockTime) -> u64 {
        let mut state = self.lock();
        let now_ns = gst::SystemClock::obtain().time().saturating_sub(base).nseconds();
        let (at_ns, slate_is_due) = state.gate.switch(mode, now_ns);
        if slate_is_due {
            // When the screen is shown again, it is not compared with a frame from before.
            (state.before, state.slate) = (None, None);
            // Until the source has delivered its first frame there is nothing to replace: that frame brings
            // the slate.
            if state.caps.is_some()
                && let Some(slate) = state.slate()
            {
                state.gate.pass_slate(at_ns);
                self.bridge.take_frame(&slate, at_ns, KeyframeNeed::Now);
            }
        }
        at_ns
    }

    /// Somebody watches for this long from now on. `base` is the pipeline's base time.
    pub fn set_watched(&self, time_ns: u64, joins: bool, base: gst::ClockTime) {
        let now_ns = gst::SystemClock::obtain().time().saturating_sub(base).nseconds();
        self.lock().gate.watch(now_ns + time_ns, joins);
    }

    fn frame(&self, buffer: &gst::Buffer) {
        let demand = self.bridge.demand();
        if demand == FrameDemand::Nothing {
            return;
        }
        let mut guard = self.lock();
        let State { gate, before, segment, .. } = &mut *guard;
        if demand == FrameDemand::Picture {
            gate.open();
        }
        let running_ns = segment.to_running_time(buffer.pts()).map_or(0, gst::ClockTime::nseconds);
        let verdict =
            gate.judge(running_ns, || before.as_ref().is_some_and(|before| are_equal(before, buffer)));
        let need = match verdict {
            FrameVerdict::TooSoon => return,
            FrameVerdict::Skip => return self.bridge.skip_frame(running_ns),
            FrameVerdict::Keyframe | FrameVerdict::SlateKeyframe => KeyframeNeed::Now,
            FrameVerdict::Pass | FrameVerdict::Slate if gate.begins_fragment() => KeyframeNeed::IfDue,
            FrameVerdict::Pass | FrameVerdict::Slate => KeyframeNeed::No,
            FrameVerdict::Repeat => KeyframeNeed::Rare,
        };
        let is_keyframe = if matches!(verdict, FrameVerdict::Slate | FrameVerdict::SlateKeyframe) {
            let Some(slate) = guard.slate() else { return self.bridge.skip_frame(running_ns) };
            self.bridge.take_frame(&slate, running_ns, need)
        } else {
            *before = gate.rules.changes_only.then(|| buffer.clone());
            self.bridge.take_frame(buffer, running_ns, need)
        };
        if is_keyframe {
            guard.gate.note_keyframe();
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

    /// The first caps are the track's. Caps of another layout end it.
    fn caps(&self, caps: gst::Caps) -> gst::PadProbeReturn {
        let Some(structure) = caps.structure(0) else { return gst::PadProbeReturn::Ok };
        let layout =
            (structure.get("format").ok(), structure.get("width").ok(), structure.get("height").ok());
        let mut state = self.lock();
        let before = state.layout.replace(layout.clone());
        state.caps.get_or_insert_with(|| caps.clone());
        drop(state);
        match before {
            None => (self.tell)(Event::Picture(caps)),
            Some(before) if before == layout => {}
            Some(_) => {
                self.bridge.close();
                let (_, width, height) = layout;
                let (width, height) = (width.unwrap_or(0), height.unwrap_or(0));
                (self.tell)(Event::Changed(format!("the picture is now {width}x{height}")));
                return gst::PadProbeReturn::Drop;
            }
        }
        gst::PadProbeReturn::Ok
    }
}

impl State {
    /// Returns `None` if no slate can be painted: then no frame passes.
    fn slate(&mut self) -> Option<gst::Buffer> {
        if self.slate.is_none() {
            let painted = slate::paint(self.caps.as_ref()?, self.gate.mode);
            let painted = painted
                .inspect_err(|reason| tracing::warn!(reason, "cannot paint a slate, so no frame passes"));
            self.slate = painted.ok();
        }
        self.slate.clone()
    }
}

fn are_equal(before: &gst::Buffer, now: &gst::Buffer) -> bool {
    match (before.map_readable(), now.map_readable()) {
        (Ok(before), Ok(now)) => before.as_slice() == now.as_slice(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const RULES: GateRules =
        GateRules { changes_only: true, period_ns: 100 * MS, keepalive_ns: 5000 * MS, settle_ns: 1000 * MS };

    /// Runs `length_ms` of frames, one each `period_ms`, and returns the times of those that pass, in
    /// milliseconds.
    fn passing(rules: GateRules, period_ms: u64, length_ms: u64, changes: &[u64]) -> Vec<u64> {
        let mut gate = FrameGate::new(rules, CaptureMode::Live);
        let times = (0..length_ms).step_by(usize::try_from(period_ms).unwrap_or(1));
        times.filter(|ms| gate.judge(ms * MS, || !changes.contains(ms)) == FrameVerdict::Pass).collect()
    }

    #[test]
    fn a_still_screen_passes_two_frames_and_then_one_a_keepalive() {
        assert_eq!(passing(RULES, 100, 12_000, &[]), [0, 100, 1100, 6100, 11_100]);
    }

    #[test]
    fn a_change_passes_at_once_and_one_frame_settles_it() {
        assert_eq!(passing(RULES, 100, 6000, &[3000, 3100]), [0, 100, 1100, 3000, 3100, 4100]);
    }

    /// The frames that pass and their verdicts, one frame each 100 ms.
    fn passed(gate: &mut FrameGate, from: u64, to: u64, changes: &[u64]) -> Vec<(u64, FrameVerdict)> {
        let verdicts = (from..to).step_by(100).map(|ms| (ms, gate.judge(ms * MS, || !changes.contains(&ms))));
        verdicts.filter(|(_, verdict)| *verdict != FrameVerdict::Skip).collect()
    }

    #[test]
    fn a_still_screen_that_is_watched_passes_a_frame_each_second_and_keyframes_only_for_those_who_join() {
        use FrameVerdict::{Keyframe, Pass, Repeat};
        let mut gate = FrameGate::new(RULES, CaptureMode::Live);
        assert_eq!(passed(&mut gate, 0, 4000, &[]), [(0, Pass), (100, Pass), (1100, Pass)]);
        gate.watch(8000 * MS, true);
        assert_eq!(
            passed(&mut gate, 4000, 7500, &[]),
            [(4000, Keyframe), (5000, Repeat), (6000, Repeat), (7000, Repeat)]
        );
        assert_eq!(passed(&mut gate, 7500, 13_500, &[]), [(12_000, Pass)]);
    }

    #[test]
    fn no_fragment_that_is_watched_is_longer_than_a_second_whenever_the_screen_changes() {
        let mut gate = FrameGate::new(RULES, CaptureMode::Live);
        gate.watch(60_000 * MS, false);
        let times: Vec<u64> =
            passed(&mut gate, 0, 5000, &[600, 1500, 1900]).into_iter().map(|(ms, _)| ms).collect();
        assert_eq!(times, [0, 100, 600, 1100, 1500, 1900, 2100, 3100, 4100]);
    }

    #[test]
    fn a_viewer_who_joins_just_after_a_fragment_began_waits_until_one_may_begin() {
        let mut gate = FrameGate::new(RULES, CaptureMode::Live);
        assert_eq!(passed(&mut gate, 0, 1200, &[]).len(), 3);
        gate.watch(10_000 * MS, true);
        assert_eq!(
            passed(&mut gate, 1200, 2000, &[1300]),
            [(1300, FrameVerdict::Pass), (1600, FrameVerdict::Keyframe)]
        );
    }

    #[test]
    fn another_encoder_gets_two_frames_of_a_still_screen_at_once() {
        let mut gate = FrameGate::new(RULES, CaptureMode::Live);
        let mut passing = |from: u64, to: u64| -> Vec<u64> {
            (from..to).step_by(100).filter(|ms| gate.judge(ms * MS, || true) == FrameVerdict::Pass).collect()
        };
        assert_eq!(passing(0, 2000), [0, 100, 1100]);
        gate.open();
        let mut passing = |from: u64, to: u64| -> Vec<u64> {
            (from..to).step_by(100).filter(|ms| gate.judge(ms * MS, || true) == FrameVerdict::Pass).collect()
        };
        assert_eq!(passing(2000, 5000), [2000, 2100, 3100]);
    }

    /// A gate after `length_ms` of a source with ten frames per second, each of them new.
    fn busy(length_ms: u64) -> FrameGate {
        let mut gate = FrameGate::new(RULES, CaptureMode::Live);
        (0..length_ms)
            .step_by(100)
            .for_each(|ms| assert_eq!(gate.judge(ms * MS, || false), FrameVerdict::Pass));
        gate
    }

    fn verdicts(gate: &mut FrameGate, from: u64, to: u64) -> Vec<(u64, FrameVerdict)> {
        let verdicts = (from..to).step_by(100).map(|ms| (ms, gate.judge(ms * MS, || false)));
        verdicts.filter(|(_, verdict)| *verdict != FrameVerdict::Skip).collect()
    }

    #[test]
    fn a_withheld_screen_counts_as_still_however_it_changes() {
        for changes_only in [true, false] {
            let mut gate = busy(1000);
            gate.rules.changes_only = changes_only;
            assert_eq!(gate.switch(CaptureMode::Paused, 950 * MS), (950 * MS, true));
            gate.pass_slate(950 * MS);
            assert_eq!(
                verdicts(&mut gate, 1000, 12_500),
                [(2000, FrameVerdict::Slate), (7000, FrameVerdict::Slate), (12_000, FrameVerdict::Slate)]
            );
        }
    }

    #[test]
    fn a_switch_holds_after_the_newest_frame_and_frames_on_their_way_do_not_pass() {
        let mut gate = busy(1000);
        assert_eq!(gate.switch(CaptureMode::Masked, 100 * MS), (900 * MS + 1, true));
        let mut gate = busy(1000);
        let (at, _) = gate.switch(CaptureMode::Masked, 1050 * MS);
        gate.pass_slate(at);
        gate.open();
        assert_eq!(gate.judge(1000 * MS, || false), FrameVerdict::Skip);
        assert_eq!(gate.judge(1100 * MS, || false), FrameVerdict::Slate, "another encoder gets slates");
    }

    #[test]
    fn frames_from_before_the_screen_is_shown_again_do_not_pass_and_the_next_is_a_keyframe() {
        let mut gate = busy(1000);
        let (at, _) = gate.switch(CaptureMode::Paused, 950 * MS);
        gate.pass_slate(at);
        assert!(verdicts(&mut gate, 1000, 1300).is_empty());
        assert_eq!(gate.switch(CaptureMode::Live, 1400 * MS), (1400 * MS, false));
        // Captured before, although they arrive now.
        assert_eq!(gate.judge(1300 * MS, || false), FrameVerdict::Skip);
        assert_eq!(gate.judge(1400 * MS, || false), FrameVerdict::Skip);
        assert_eq!(gate.judge(1500 * MS, || true), FrameVerdict::Keyframe, "even if it looks the same");
        assert_eq!(gate.judge(1600 * MS, || true), FrameVerdict::Skip);
        assert_eq!(gate.judge(1700 * MS, || false), FrameVerdict::Pass);
    }

    #[test]
    fn a_job_that_begins_withheld_begins_with_slates() {
        let mut gate = FrameGate::new(RULES, CaptureMode::Paused);
        let slates = verdicts(&mut gate, 0, 1500);
        assert_eq!(
            slates,
            [(0, FrameVerdict::Slate), (100, FrameVerdict::Slate), (1100, FrameVerdict::Slate)]
        );
        assert_eq!(gate.switch(CaptureMode::Paused, 1500 * MS), (1500 * MS, false), "nothing new");
        assert_eq!(gate.switch(CaptureMode::Masked, 1500 * MS), (1500 * MS, true), "another slate");
    }

    #[test]
    fn a_source_that_is_too_fast_is_thinned_to_the_wanted_rate() {
        let rules = GateRules { changes_only: false, period_ns: 100 * MS, ..RULES };
        assert_eq!(passing(rules, 50, 500, &[]), [0, 100, 200, 300, 400]);
        assert_eq!(passing(rules, 100, 500, &[]), [0, 100, 200, 300, 400]);
        assert_eq!(passing(rules, 200, 900, &[]), [0, 200, 400, 600, 800]);
    }
}
