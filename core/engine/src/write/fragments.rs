//! Cuts encoded frames into fragments. Pure.

use deskreel_fmp4::SampleInfo;

/// The smallest step of decoding time that a file can express, rounded up.
const TICK_NS: u64 = 1_000_000_000 / deskreel_fmp4::TIMESCALE as u64 + 1;

/// An encoded frame on the recording's timeline.
#[derive(Debug)]
pub struct CodedFrame<D> {
    pub pts_ns: u64,
    pub dts_ns: u64,
    pub keyframe: bool,
    pub data: D,
}

/// A complete fragment that is not written yet.
#[derive(Debug)]
pub struct ClosedFragment<D> {
    pub number: u32,
    pub frames: Vec<CodedFrame<D>>,
    /// How long the last frame lasts.
    pub last_duration_ns: u64,
}

/// Collects frames until a fragment is full.
///
/// A fragment is closed by the frame that follows it, so that the duration of its last frame is known and
/// fragments meet without a hole; on a still screen the capture point passes one frame for just that. The
/// first fragment of a part holds a single frame: from then on a keyframe is on disk, and "recording" is a
/// fact.
#[derive(Debug)]
pub struct Cutter<D> {
    /// Target length.
    length_ns: u64,
    /// Duration of a frame that nothing follows.
    period_ns: u64,
    open: Vec<CodedFrame<D>>,
    number: u32,
    /// End of the previous fragment; the next one begins there.
    end_ns: Option<u64>,
}

impl<D: AsRef<[u8]>> Cutter<D> {
    pub fn new(length_ns: u64, period_ns: u64) -> Self {
        Cutter { length_ns, period_ns, open: Vec::new(), number: 1, end_ns: None }
    }

    /// Number of the open fragment.
    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn open(&self) -> &[CodedFrame<D>] {
        &self.open
    }

    /// Returns the fragment that `frame` closes, if it closes one. `frame` itself is then the first of the
    /// next.
    pub fn cut(&mut self, frame: &CodedFrame<D>) -> Option<ClosedFragment<D>> {
        let first = self.open.first()?;
        // Close early at a keyframe, so that a fragment begins with it.
        // Otherwise close at the frame that is nearest to the target length: sources jitter.
        let enough = if frame.keyframe { self.length_ns / 2 } else { self.length_ns - self.period_ns / 4 };
        if frame.dts_ns.saturating_sub(first.dts_ns) < enough {
            return None;
        }
        let last = self.open.last()?.dts_ns;
        self.close(frame.dts_ns.saturating_sub(last))
    }

    /// Adds a frame to the open fragment. Returns the fragment if that completes it.
    pub fn push(&mut self, mut frame: CodedFrame<D>) -> Option<ClosedFragment<D>> {
        // The first fragment's length was a guess. Decoding continues at that fragment's end. If the guess
        // was too long, this may shift several frames. None is shown before it is decoded.
        let is_reordered = frame.pts_ns != frame.dts_ns;
        match (self.end_ns.take(), self.open.last()) {
            (Some(end), _) => frame.dts_ns = end,
            (None, Some(before)) => frame.dts_ns = frame.dts_ns.max(before.dts_ns + TICK_NS),
            (None, None) => {}
        }
        if !is_reordered {
            frame.pts_ns = frame.pts_ns.max(frame.dts_ns);
        }
        self.open.push(frame);
        if self.number == 1 { self.close(self.period_ns) } else { None }
    }

    /// Completes the open fragment at the end of the part. The last frame lasts at least until
    /// `still_until_ns`.
    pub fn finish(&mut self, still_until_ns: u64) -> Option<ClosedFragment<D>> {
        let last = self.open.last()?;
        self.close(still_until_ns.saturating_sub(last.pts_ns).max(self.period_ns))
    }

    /// Gives up the open fragment, which cannot be decoded any more. The next one begins wherever its first
    /// frame does.
    pub fn abandon(&mut self) -> Option<ClosedFragment<D>> {
        let abandoned = self.finish(0)?;
        self.number -= 1;
        self.end_ns = None;
        Some(abandoned)
    }

    fn close(&mut self, last_duration_ns: u64) -> Option<ClosedFragment<D>> {
        let frames = std::mem::take(&mut self.open);
        self.end_ns = Some(frames.last()?.dts_ns + last_duration_ns);
        let number = self.number;
        self.number += 1;
        Some(ClosedFragment { number, frames, last_duration_ns })
    }
}

impl<D: AsRef<[u8]>> ClosedFragment<D> {
    pub fn samples(&self) -> Vec<SampleInfo> {
        let next = self.frames.iter().skip(1).map(|frame| Some(frame.dts_ns)).chain([None]);
        let samples = self.frames.iter().zip(next).map(|(frame, next)| SampleInfo {
            pts_ns: frame.pts_ns,
            dts_ns: frame.dts_ns,
            duration_ns: next.map_or(self.last_duration_ns, |next| next.saturating_sub(frame.dts_ns)),
            keyframe: frame.keyframe,
            size: frame.data.as_ref().len(),
        });
        samples.collect()
    }

    /// Bytes of payload.
    pub fn size(&self) -> usize {
        self.frames.iter().map(|frame| frame.data.as_ref().len()).sum()
    }

    pub fn starts_with_keyframe(&self) -> bool {
        self.frames.first().is_some_and(|frame| frame.keyframe)
    }

    /// Media times of the first frame and of the end of the last, in nanoseconds.
    pub fn span_ns(&self) -> (u64, u64) {
        let first = self.frames.first().map_or(0, |frame| frame.dts_ns);
        let last = self.frames.last().map_or(0, |frame| frame.dts_ns);
        (first, last + self.last_duration_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn frame(ms: u64) -> CodedFrame<Vec<u8>> {
        CodedFrame { pts_ns: ms * MS, dts_ns: ms * MS, keyframe: ms == 0, data: vec![0; 3] }
    }

    /// Number, start and end of each fragment, in milliseconds.
    fn fragments(times: &[u64], still_until: u64) -> Vec<(u32, u64, u64)> {
        let mut cutter = Cutter::new(1000 * MS, 100 * MS);
        let mut closed = Vec::new();
        for ms in times {
            closed.extend(cutter.cut(&frame(*ms)));
            closed.extend(cutter.push(frame(*ms)));
        }
        closed.extend(cutter.finish(still_until * MS));
        closed.iter().map(|c| (c.number, c.span_ns().0 / MS, c.span_ns().1 / MS)).collect()
    }

    #[test]
    fn the_first_frame_is_a_fragment_and_then_each_second() {
        let times: Vec<u64> = (0..25).map(|n| n * 100).collect();
        assert_eq!(fragments(&times, 0), [(1, 0, 100), (2, 100, 1100), (3, 1100, 2100), (4, 2100, 2500)]);
    }

    #[test]
    fn fragments_meet_even_if_frames_are_rare() {
        assert_eq!(
            fragments(&[0, 100, 1100, 6100], 6300),
            [(1, 0, 100), (2, 100, 1100), (3, 1100, 6100), (4, 6100, 6300)]
        );
    }

    #[test]
    fn a_second_frame_that_jitters_begins_where_the_first_fragment_ended() {
        assert_eq!(fragments(&[0, 90, 200], 0), [(1, 0, 100), (2, 100, 300)]);
    }

    #[test]
    fn frames_that_come_faster_than_guessed_are_still_decoded_in_sequence() {
        let mut cutter = Cutter::new(1000 * MS, 100 * MS);
        let _ = [0, 30, 60, 200].map(|ms| cutter.push(frame(ms)));
        let times: Vec<u64> = cutter.open().iter().map(|frame| frame.dts_ns / 1000).collect();
        assert_eq!(times, [100_000, 100_011, 200_000]);
        let shown: Vec<u64> = cutter.open().iter().map(|frame| frame.pts_ns / 1000).collect();
        assert_eq!(shown, times, "a frame is not shown before it is decoded");
    }

    #[test]
    fn reordered_frames_keep_the_times_at_which_they_are_shown() {
        let mut cutter = Cutter::new(1000 * MS, 100 * MS);
        let reordered = |pts: u64, dts: u64| CodedFrame { pts_ns: pts * MS, ..frame(dts) };
        let _ = [reordered(40, 0), reordered(120, 90), reordered(80, 130)].map(|one| cutter.push(one));
        let shown: Vec<u64> = cutter.open().iter().map(|frame| frame.pts_ns / MS).collect();
        assert_eq!(shown, [120, 80]);
    }

    #[test]
    fn a_keyframe_begins_a_fragment_if_the_open_one_is_half_full() {
        let mut cutter = Cutter::new(1000 * MS, 100 * MS);
        let keyframe = |ms| CodedFrame { keyframe: true, ..frame(ms) };
        let _ = cutter.push(frame(0));
        let _ = cutter.push(frame(100));
        assert!(cutter.cut(&keyframe(500)).is_none());
        assert!(cutter.cut(&frame(700)).is_none());
        assert!(cutter.cut(&keyframe(700)).is_some());
    }

    #[test]
    fn a_part_without_frames_has_no_fragment() {
        assert_eq!(fragments(&[], 900), []);
    }
}
