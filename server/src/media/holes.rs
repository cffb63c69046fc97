//! Stretches of an export without footage, and what its slates say about them. Pure.

use super::{Reel, ReelPart};
use crate::manifest::{ManifestGap, gap_reason};
use crate::time::wall_clock;

/// Shorter stretches get no slate: the last picture stands that long.
const LEAST_NS: u64 = 500_000_000;

/// A stretch of media time without footage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    pub from_ns: u64,
    pub to_ns: u64,
    /// The manifest's cause; `None`: footage is missing that the manifest has.
    pub cause: Option<String>,
    /// The part before it, or after it at the beginning: its pictures have the slate's size.
    pub part: u32,
}

/// The stretches without footage from `from_ns` to `to_ns`: between any two fragments, and before the first
/// and after the last one as far as the manifest has a gap there.
pub fn holes(reel: &Reel, gaps: &[ManifestGap], from_ns: u64, to_ns: u64) -> Vec<Hole> {
    let mut all: Vec<Hole> = Vec::new();
    let gap_at = |from: u64, to: u64| gaps.iter().find(|gap| gap.from < to && gap.to > from);
    let mut before: Option<(u64, u32)> = None;
    for (ReelPart { number, .. }, run) in reel.runs() {
        for (_, times) in &run.fragments {
            let (from, part) = match before {
                Some((end, part)) => (Some(end), part),
                None => (gap_at(0, times.start_ns).map(|gap| gap.from), *number),
            };
            if let Some(from) = from.filter(|from| *from < times.start_ns) {
                let cause = gap_at(from, times.start_ns).map(|gap| gap.cause.clone());
                all.push(Hole { from_ns: from, to_ns: times.start_ns, cause, part });
            }
            before = Some((times.start_ns.saturating_add(times.duration_ns), *number));
        }
    }
    if let Some((end, part)) = before
        && let Some(gap) = gaps.iter().filter(|gap| gap.to > end).max_by_key(|gap| gap.to)
    {
        all.push(Hole { from_ns: end, to_ns: gap.to, cause: Some(gap.cause.clone()), part });
    }
    // A whole gap counts, and only then is it clipped.
    all.retain(|hole| hole.to_ns - hole.from_ns >= LEAST_NS);
    let clipped = all.into_iter().map(|hole| Hole {
        from_ns: hole.from_ns.max(from_ns),
        to_ns: hole.to_ns.min(to_ns),
        ..hole
    });
    clipped.filter(|hole| hole.from_ns < hole.to_ns).collect()
}

impl Hole {
    /// The text of its slate. `zero_ms` is media time zero by the wall clock.
    pub fn lines(&self, zero_ms: i64) -> Vec<String> {
        let at = |ns: u64| zero_ms.saturating_add(i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX));
        let length = length(self.to_ns - self.from_ns);
        let why = self.cause.as_deref().map_or("it is not stored on the server", gap_reason);
        let (from, to) = (wall_clock(at(self.from_ns)), wall_clock(at(self.to_ns)));
        vec![format!("No footage for {length}: {why}"), format!("{from} - {to} UTC")]
    }
}

/// `64 s`, or `1:02:09` beyond two minutes.
fn length(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("0.{} s", ns / 100_000_000),
        (0, minutes, rest) if minutes < 2 => format!("{} s", minutes * 60 + rest),
        (hours, minutes, rest) => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fragment;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn gap(from: u64, to: u64, cause: &str) -> ManifestGap {
        ManifestGap { from: from * SECOND, to: to * SECOND, cause: cause.to_owned() }
    }

    /// Footage from 2 to 4 s in part 1, at 6 s in part 1, and at 80 s in part 2.
    fn reel() -> Reel {
        let fragments = vec![
            fragment(1, 0, 0, false),
            fragment(1, 1, 2, true),
            fragment(1, 2, 3, false),
            fragment(1, 4, 6, true),
            fragment(2, 0, 0, false),
            fragment(2, 1, 80, true),
        ];
        Reel::new(0, false, "video", fragments)
    }

    fn written(gaps: &[ManifestGap], from: u64, to: u64) -> Vec<String> {
        let holes = holes(&reel(), gaps, from * SECOND, to.saturating_mul(SECOND));
        let write = |hole: &Hole| {
            let cause = hole.cause.as_deref().unwrap_or("?");
            format!("{}-{} {cause} {}", hole.from_ns / SECOND, hole.to_ns / SECOND, hole.part)
        };
        holes.iter().map(write).collect()
    }

    #[test]
    fn a_hole_is_where_fragments_do_not_meet() {
        let gaps = [gap(0, 2, "start"), gap(7, 80, "worker_failed"), gap(81, 90, "disk_full")];
        assert_eq!(
            written(&gaps, 0, u64::MAX),
            ["0-2 start 1", "4-6 ? 1", "7-80 worker_failed 1", "81-90 disk_full 2"]
        );
        // Clipped to the stretch, also if it lies in one hole.
        assert_eq!(written(&gaps, 5, 20), ["5-6 ? 1", "7-20 worker_failed 1"]);
        assert_eq!(written(&gaps, 10, 20), ["10-20 worker_failed 1"]);
        // At both ends, without the manifest nothing is known to be missing.
        assert_eq!(written(&[], 0, u64::MAX), ["4-6 ? 1", "7-80 ? 1"]);
    }

    #[test]
    fn a_slate_names_the_reason_and_the_time() {
        let hole = |from: u64, to: u64, cause: Option<&str>| Hole {
            from_ns: from * SECOND,
            to_ns: to * SECOND,
            cause: cause.map(str::to_owned),
            part: 1,
        };
        assert_eq!(
            hole(15, 79, Some("source_ended")).lines(1_767_603_600_000),
            ["No footage for 64 s: the screen disappeared", "2026-01-05 09:00:15 - 2026-01-05 09:01:19 UTC"]
        );
        let long = hole(0, 200_000, None).lines(0);
        assert_eq!(long[0], "No footage for 55:33:20: it is not stored on the server");
        assert_eq!(length(700_000_000), "0.7 s");
        assert_eq!(length(120 * SECOND), "0:02:00");
    }
}
