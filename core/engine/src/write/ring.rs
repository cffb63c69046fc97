//! The newest encoded frames of a standby, beginning with a keyframe. Pure.
//!
//! Frames are dropped from the front, in whole groups from one keyframe to the next, since the rest of a
//! group cannot be decoded without its first frame. So the ring holds up to one keyframe interval more than
//! was asked for.

use std::collections::VecDeque;

use crate::write::fragments::CodedFrame;

#[derive(Debug, Clone, Copy)]
pub struct RingLimits {
    /// Footage that must be there at any moment.
    pub length_ns: u64,
    /// Most bytes of encoded frames. Takes precedence over the length.
    pub bytes: usize,
}

#[derive(Debug)]
pub struct Ring<D> {
    limits: RingLimits,
    frames: VecDeque<RingFrame<D>>,
    bytes: usize,
    /// Time of the newest frame that was pushed, kept or not.
    newest_ns: Option<u64>,
    /// Frames have been chosen, so nothing is dropped any more.
    chosen: bool,
}

#[derive(Debug)]
pub struct RingFrame<D> {
    pub frame: CodedFrame<D>,
    /// Number of frames that were skipped before it.
    pub skipped: u64,
    /// Number of frames that were lost before it.
    pub lost: u64,
}

impl<D: AsRef<[u8]>> Ring<D> {
    pub fn new(limits: RingLimits) -> Self {
        Ring { limits, frames: VecDeque::new(), bytes: 0, newest_ns: None, chosen: false }
    }

    /// Adds a frame. Returns false if nothing can be kept before the next keyframe.
    pub fn push(&mut self, kept: RingFrame<D>) -> bool {
        self.newest_ns = self.newest_ns.max(Some(kept.frame.pts_ns));
        if self.frames.is_empty() && !kept.frame.keyframe {
            return false;
        }
        self.bytes += kept.frame.data.as_ref().len();
        self.frames.push_back(kept);
        while !self.chosen
            && let Some(second) = self.second_group()
        {
            let oldest_wanted = self.newest_ns.unwrap_or(0).saturating_sub(self.limits.length_ns);
            let is_enough = self.frames.get(second).is_some_and(|kept| kept.frame.pts_ns <= oldest_wanted);
            if !is_enough && self.bytes <= self.limits.bytes {
                break;
            }
            self.drop_front(second);
        }
        if self.bytes > self.limits.bytes && !self.chosen {
            self.drop_front(self.frames.len());
        }
        !self.frames.is_empty()
    }

    /// Keeps the frames needed to show everything from `from_ns` on, and all later ones. Returns the time of
    /// the first kept frame or, if there is none yet, a time that is not later.
    pub fn choose(&mut self, from_ns: u64) -> Option<u64> {
        let is_before = |kept: &RingFrame<D>| kept.frame.keyframe && kept.frame.pts_ns <= from_ns;
        if let Some(first) = self.frames.iter().rposition(is_before) {
            self.drop_front(first);
        }
        self.chosen = true;
        self.frames.front().map(|kept| kept.frame.pts_ns).or(self.newest_ns)
    }

    pub fn into_frames(self) -> VecDeque<RingFrame<D>> {
        self.frames
    }

    fn second_group(&self) -> Option<usize> {
        self.frames.iter().skip(1).position(|kept| kept.frame.keyframe).map(|at| at + 1)
    }

    fn drop_front(&mut self, count: usize) {
        let dropped = self.frames.drain(..count);
        self.bytes -= dropped.map(|kept| kept.frame.data.as_ref().len()).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RingLimits = RingLimits { length_ns: 3000, bytes: 1000 };

    /// A frame, in a stream with ten frames per second and a keyframe each second. Times are in milliseconds
    /// here.
    fn kept(ms: u64, size: usize) -> RingFrame<Vec<u8>> {
        let frame =
            CodedFrame { pts_ns: ms, dts_ns: ms, keyframe: ms.is_multiple_of(1000), data: vec![0; size] };
        RingFrame { frame, skipped: 0, lost: 0 }
    }

    fn filled(until: u64, size: usize) -> Ring<Vec<u8>> {
        let mut ring = Ring::new(LIMITS);
        (0..until).step_by(100).for_each(|ms| {
            ring.push(kept(ms, size));
            assert!(ring.bytes <= LIMITS.bytes, "{} bytes at {ms}", ring.bytes);
        });
        ring
    }

    fn times(ring: &Ring<Vec<u8>>) -> (u64, u64) {
        let pts = |kept: Option<&RingFrame<Vec<u8>>>| kept.map_or(0, |kept| kept.frame.pts_ns);
        (pts(ring.frames.front()), pts(ring.frames.back()))
    }

    #[test]
    fn after_any_time_it_holds_the_wanted_length_and_less_than_a_group_more() {
        for until in [3500, 4000, 4100, 60_000, 60_300] {
            let ring = filled(until, 10);
            let (first, last) = times(&ring);
            assert!(first.is_multiple_of(1000), "it begins with a keyframe");
            let length = last - first;
            assert!((3000..4000).contains(&length), "{length} ms after {until}");
        }
    }

    #[test]
    fn bytes_take_precedence_over_length_and_whole_groups_are_dropped() {
        // Ten frames per group: two groups fit, a third does not.
        let ring = filled(60_000, 45);
        assert_eq!(times(&ring), (58_000, 59_900));
        assert_eq!(ring.bytes, 900);
    }

    #[test]
    fn a_group_that_is_too_large_by_itself_is_dropped_and_another_keyframe_is_wanted() {
        let mut ring = Ring::new(LIMITS);
        assert!(ring.push(kept(0, 600)));
        assert!(!ring.push(kept(100, 600)));
        assert!(!ring.push(kept(200, 10)));
        assert!(ring.push(kept(1000, 10)));
        assert_eq!(times(&ring), (1000, 1000));
    }

    #[test]
    fn the_choice_begins_with_the_keyframe_before_and_stays() {
        let mut ring = filled(10_000, 10);
        assert_eq!(ring.choose(7900), Some(7000));
        (10_000..20_000).step_by(100).for_each(|ms| assert!(ring.push(kept(ms, 10))));
        assert_eq!(times(&ring), (7000, 19_900));
    }

    #[test]
    fn looking_back_too_far_yields_all_kept_frames() {
        assert_eq!(filled(2000, 10).choose(0), Some(0));
        let mut empty = Ring::<Vec<u8>>::new(LIMITS);
        assert_eq!(empty.choose(500), None);
        empty.push(kept(700, 10));
        assert_eq!(empty.choose(500), Some(700));
    }
}
