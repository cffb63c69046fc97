//! Coded frames -> fragments: where one ends and the next begins. Pure.

use deskreel_fmp4::SampleInfo;

/// The smallest step of decoding time that a file can tell, rounded up; nanoseconds.
const TICK: u64 = 1_000_000_000 / deskreel_fmp4::TIMESCALE as u64 + 1;

/// A coded frame on the recording's timeline; times in nanoseconds.
#[derive(Debug)]
pub struct Frame<D> {
    pub pts: u64,
    pub dts: u64,
    pub keyframe: bool,
    pub data: D,
}

/// A fragment that is complete and not written yet.
#[derive(Debug)]
pub struct Closed<D> {
    pub number: u32,
    pub frames: Vec<Frame<D>>,
    /// How long the last frame stands, in nanoseconds.
    pub last_duration: u64,
}

/// Collects frames until a fragment is full.
///
/// A fragment is closed by the frame that follows it, so that its last frame's duration is known and fragments
/// meet without a hole; on a still screen the capture sends one frame for just that. The first fragment of a part
/// holds one frame only: from then on a keyframe is on disk, and "recording" is a fact.
#[derive(Debug)]
pub struct Cutter<D> {
    /// Aimed length, in nanoseconds.
    length: u64,
    /// Duration of a frame that nothing follows, in nanoseconds.
    period: u64,
    open: Vec<Frame<D>>,
    number: u32,
    /// Where the fragment before ended; the next one begins there.
    end: Option<u64>,
}

impl<D: AsRef<[u8]>> Cutter<D> {
    pub fn new(length: u64, period: u64) -> Self {
        Cutter { length, period, open: Vec::new(), number: 1, end: None }
    }

    /// Number of the fragment that is open.
    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn open(&self) -> &[Frame<D>] {
        &self.open
    }

    /// The fragment that `frame` closes, if it does. `frame` itself is the next one's first.
    pub fn cut(&mut self, frame: &Frame<D>) -> Option<Closed<D>> {
        let first = self.open.first()?;
        // Early at a keyframe, so that what can be decoded by itself begins with a fragment.
        let enough = if frame.keyframe { self.length / 2 } else { self.length };
        if frame.dts.saturating_sub(first.dts) < enough {
            return None;
        }
        let last = self.open.last()?.dts;
        self.close(frame.dts.saturating_sub(last))
    }

    /// Takes a frame into the open fragment; gives the fragment if that completes it.
    pub fn push(&mut self, mut frame: Frame<D>) -> Option<Closed<D>> {
        // The first fragment guessed how long its frame lasts. Decoding goes on where it ended; the presentation
        // time stays as it is.
        // Where it guessed too long, that may go for more than one.
        match (self.end.take(), self.open.last()) {
            (Some(end), _) => frame.dts = end,
            (None, Some(before)) => frame.dts = frame.dts.max(before.dts + TICK),
            (None, None) => {}
        }
        self.open.push(frame);
        if self.number == 1 { self.close(self.period) } else { None }
    }

    /// What is open, at the end of the part. The last frame stands until `still_until` at least.
    pub fn finish(&mut self, still_until: u64) -> Option<Closed<D>> {
        let last = self.open.last()?;
        self.close(still_until.saturating_sub(last.pts).max(self.period))
    }

    /// Gives up what is open: it cannot be decoded any more. The next fragment begins wherever its first frame
    /// does.
    pub fn abandon(&mut self) -> Option<Closed<D>> {
        let abandoned = self.finish(0)?;
        self.number -= 1;
        self.end = None;
        Some(abandoned)
    }

    fn close(&mut self, last_duration: u64) -> Option<Closed<D>> {
        let frames = std::mem::take(&mut self.open);
        self.end = Some(frames.last()?.dts + last_duration);
        let number = self.number;
        self.number += 1;
        Some(Closed { number, frames, last_duration })
    }
}

impl<D: AsRef<[u8]>> Closed<D> {
    pub fn samples(&self) -> Vec<SampleInfo> {
        let next = self.frames.iter().skip(1).map(|frame| Some(frame.dts)).chain([None]);
        let samples = self.frames.iter().zip(next).map(|(frame, next)| SampleInfo {
            pts_ns: frame.pts,
            dts_ns: frame.dts,
            duration_ns: next.map_or(self.last_duration, |next| next.saturating_sub(frame.dts)),
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

    /// Media time of the first frame and of the end of the last, in nanoseconds.
    pub fn span(&self) -> (u64, u64) {
        let first = self.frames.first().map_or(0, |frame| frame.dts);
        let last = self.frames.last().map_or(0, |frame| frame.dts);
        (first, last + self.last_duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn frame(ms: u64) -> Frame<Vec<u8>> {
        Frame { pts: ms * MS, dts: ms * MS, keyframe: ms == 0, data: vec![0; 3] }
    }

    /// Number, first and last time and end of each fragment, in milliseconds.
    fn fragments(times: &[u64], still_until: u64) -> Vec<(u32, u64, u64)> {
        let mut cutter = Cutter::new(1000 * MS, 100 * MS);
        let mut closed = Vec::new();
        for ms in times {
            closed.extend(cutter.cut(&frame(*ms)));
            closed.extend(cutter.push(frame(*ms)));
        }
        closed.extend(cutter.finish(still_until * MS));
        closed.iter().map(|c| (c.number, c.span().0 / MS, c.span().1 / MS)).collect()
    }

    #[test]
    fn the_first_frame_is_a_fragment_and_then_each_second_is_one() {
        let times: Vec<u64> = (0..25).map(|n| n * 100).collect();
        assert_eq!(fragments(&times, 0), [(1, 0, 100), (2, 100, 1100), (3, 1100, 2100), (4, 2100, 2500)]);
    }

    #[test]
    fn fragments_meet_however_rare_frames_are() {
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
    fn frames_that_come_faster_than_guessed_are_still_decoded_one_after_the_other() {
        let mut cutter = Cutter::new(1000 * MS, 100 * MS);
        let _ = [0, 30, 60, 200].map(|ms| cutter.push(frame(ms)));
        let times: Vec<u64> = cutter.open().iter().map(|frame| frame.dts / 1000).collect();
        assert_eq!(times, [100_000, 100_011, 200_000]);
    }

    #[test]
    fn a_keyframe_begins_a_fragment_where_one_is_half_full() {
        let mut cutter = Cutter::new(1000 * MS, 100 * MS);
        let keyframe = |ms| Frame { keyframe: true, ..frame(ms) };
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
