//! Jumps: places at which a track's footage is not continuous.

use deskreel_fmp4::ticks;
use deskreel_model::manifest::{Fragment, Gap, Part, Track};
use deskreel_model::{MediaTime, PartNumber};

/// A stretch between two fragments that neither of them covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    pub from: MediaTime,
    pub to: MediaTime,
    /// Part and number of the fragment after it.
    pub part: PartNumber,
    pub fragment: u32,
}

impl Jump {
    pub fn matches(&self, gap: &Gap) -> bool {
        meets(self.from, gap.from) && meets(self.to, gap.to)
    }
}

/// Every jump of a track, in the order of time. The start is not a jump: footage begins with the first frame.
pub fn jumps(track: &Track) -> Vec<Jump> {
    let fragments: Vec<(&Part, &Fragment)> = track
        .parts
        .iter()
        .flat_map(|part| part.fragments.iter().map(move |fragment| (part, fragment)))
        .collect();
    let jump = |pair: &[(&Part, &Fragment)]| match pair {
        [(_, before), (part, after)] if is_jump(before.end(), after.start) => {
            let (from, to) = (before.end(), after.start);
            Some(Jump { from, to, part: part.number, fragment: after.number })
        }
        _ => None,
    };
    fragments.windows(2).filter_map(jump).collect()
}

/// Returns whether there is uncovered time between one fragment's end and the next one's start.
pub fn is_jump(end: MediaTime, start: MediaTime) -> bool {
    start > end && !meets(end, start)
}

/// Returns whether two times are the same to one tick, which is the precision of the files.
pub(crate) fn meets(one: MediaTime, other: MediaTime) -> bool {
    ticks(one.0).abs_diff(ticks(other.0)) <= 1
}
