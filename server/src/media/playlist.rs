//! The HLS playlist (RFC 8216; for live recordings also the low-latency part of its second edition). A part
//! of a recording begins with a discontinuity and has its own header. A run is an HLS segment; its fragments
//! are partial segments while they are new.
//!
//! The constants of a live playlist are the same for all recordings, since a playlist must not change them
//! and nobody knows what a recording will do. Footage that does not fit them is listed in another way: a run
//! that is too long as several segments, of which only the first begins with a keyframe, a fragment that is
//! too long as a gap, and fragments that are too long for partial segments with their run, once it is
//! complete.

use std::fmt::Write;

use super::{Reel, ReelPart, Run};
use crate::fragments::{FragmentTimes, StoredFragment};
use crate::time::rfc3339;

/// Segments at the live edge whose fragments are listed; no player asks for those further back.
const EDGE: usize = 3;
/// Longest segment of a live playlist, in seconds: a run of a still screen that nobody watches lasts as long
/// as a keyframe interval and a keepalive.
const TARGET: u64 = 120;
/// Longest partial segment, in milliseconds. Recorders that are watched send a fragment a second, with the
/// frame that is nearest to it.
const PART_TARGET_MS: u64 = 1120;
/// A partial segment has at least this share of the longest, except for the first and the last of a segment.
const LEAST_SHARE: u64 = 85;
/// Two partial segments, the least that the standard allows: later parts are on their way meanwhile.
const HOLD_BACK_MS: u64 = 2 * PART_TARGET_MS;

/// The length of a playlist: complete segments, and partial segments of the one that may still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub segments: usize,
    pub parts: usize,
}

type Fragments<'a> = &'a [(StoredFragment, FragmentTimes)];

/// A segment of the playlist.
struct Segment<'a> {
    part: &'a ReelPart,
    fragments: Fragments<'a>,
    /// It cannot be played: its one fragment is too long.
    is_gap: bool,
}

pub fn playlist(reel: &Reel) -> (String, Extent) {
    let all = segments(reel);
    // The last segment of a live recording may still grow.
    let (complete, growing) = match all.split_last() {
        Some((last, complete)) if reel.live && !last.is_gap => (complete, Some(last)),
        _ => (&all[..], None),
    };
    let mut lines = Lines(String::from("#EXTM3U\n#EXT-X-VERSION:9\n"));
    lines.head(reel, complete);
    let mut extent = Extent { segments: 0, parts: 0 };
    let mut part_before = None;
    for (index, segment) in complete.iter().chain(growing).enumerate() {
        let part = segment.part;
        if part_before != Some(part.number) {
            if part_before.is_some() {
                lines.push(format_args!("#EXT-X-DISCONTINUITY"));
            }
            lines.push(format_args!("#EXT-X-MAP:URI=\"{}\"", address(part, 0, 0)));
            part_before = Some(part.number);
        }
        if segment.is_gap {
            extent.segments += lines.gap(reel, segment);
            continue;
        }
        let is_growing = index == complete.len();
        let lists_parts = reel.live && (is_growing || index + EDGE >= complete.len());
        let parts = if lists_parts { partial_segments(segment.fragments, !is_growing) } else { Vec::new() };
        if !is_growing || !parts.is_empty() {
            lines.date(reel, segment.start_ns());
        }
        parts.iter().for_each(|partial| lines.partial_segment(segment, partial));
        if is_growing {
            extent.parts = parts.len();
        } else {
            lines.push(format_args!("#EXTINF:{:.6},", seconds(segment.duration_ns())));
            lines.push(format_args!("{}", address(part, segment.first(), segment.last())));
            extent.segments += 1;
        }
    }
    if !reel.live {
        lines.push(format_args!("#EXT-X-ENDLIST"));
    }
    (lines.0, extent)
}

/// The segments of a reel. Those of a live one stay the same while it grows.
fn segments(reel: &Reel) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    for (part, Run { fragments }) in reel.runs() {
        let mut rest = &fragments[..];
        while !rest.is_empty() {
            let count = if reel.live { fitting(rest) } else { rest.len() };
            let (own, behind) = rest.split_at(count.max(1));
            segments.push(Segment { part, fragments: own, is_gap: count == 0 });
            rest = behind;
        }
    }
    segments
}

/// How many of these fragments a segment of a live playlist takes.
fn fitting(fragments: Fragments<'_>) -> usize {
    let start_ns = fragments.first().map_or(0, |(_, times)| times.start_ns);
    let fits = |times: &FragmentTimes| times.end_ns().saturating_sub(start_ns) <= TARGET * 1_000_000_000;
    fragments.iter().take_while(|(_, times)| fits(times)).count()
}

/// A partial segment: some fragments of a segment.
#[derive(Debug, PartialEq, Eq)]
struct PartialSegment {
    first: u32,
    last: u32,
    duration_ns: u64,
    /// It begins with a keyframe.
    is_independent: bool,
}

/// The partial segments of a segment, up to the first fragment that does not fit one. Those of a growing
/// segment stay the same while it grows.
fn partial_segments(fragments: Fragments<'_>, is_complete: bool) -> Vec<PartialSegment> {
    let longest_ns = PART_TARGET_MS * 1_000_000;
    let mut partial = Vec::new();
    let mut rest = fragments.iter().peekable();
    while let Some((first, times)) = rest.next() {
        let is_independent = partial.is_empty() && times.keyframe;
        let mut next = PartialSegment {
            first: first.name.number,
            last: first.name.number,
            duration_ns: times.duration_ns,
            is_independent,
        };
        while !is_independent && next.duration_ns * 100 < longest_ns * LEAST_SHARE {
            match rest.next() {
                Some((more, times)) => {
                    next.last = more.name.number;
                    next.duration_ns += times.duration_ns;
                }
                None if is_complete => break,
                None => return partial,
            }
        }
        if next.duration_ns > longest_ns {
            return partial;
        }
        partial.push(next);
    }
    partial
}

impl Segment<'_> {
    fn start_ns(&self) -> u64 {
        self.fragments.first().map_or(0, |(_, times)| times.start_ns)
    }

    fn duration_ns(&self) -> u64 {
        let end_ns = self.fragments.last().map_or(0, |(_, times)| times.end_ns());
        end_ns.saturating_sub(self.start_ns())
    }

    fn first(&self) -> u32 {
        self.fragments.first().map_or(0, |(fragment, _)| fragment.name.number)
    }

    fn last(&self) -> u32 {
        self.fragments.last().map_or(0, |(fragment, _)| fragment.name.number)
    }
}

/// The text of a playlist.
struct Lines(String);

impl Lines {
    fn push(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.0.write_fmt(line);
        self.0.push('\n');
    }

    /// The lines about the playlist as a whole.
    fn head(&mut self, reel: &Reel, segments: &[Segment<'_>]) {
        if reel.live {
            let (hold_back, target) = (HOLD_BACK_MS as f64 / 1000.0, PART_TARGET_MS as f64 / 1000.0);
            self.push(format_args!("#EXT-X-TARGETDURATION:{TARGET}"));
            self.push(format_args!(
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold_back:.3}"
            ));
            self.push(format_args!("#EXT-X-PART-INF:PART-TARGET={target:.3}"));
            return;
        }
        let longest = segments.iter().map(|segment| seconds(segment.duration_ns())).fold(2.0, f64::max);
        self.push(format_args!("#EXT-X-TARGETDURATION:{}", longest.round()));
        self.push(format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
        self.push(format_args!("#EXT-X-PLAYLIST-TYPE:VOD"));
    }

    fn date(&mut self, reel: &Reel, start_ns: u64) {
        let at = reel.zero_ms + i64::try_from(start_ns / 1_000_000).unwrap_or(i64::MAX);
        self.push(format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", rfc3339(at)));
    }

    fn partial_segment(&mut self, segment: &Segment<'_>, partial: &PartialSegment) {
        let &PartialSegment { first, last, duration_ns, is_independent } = partial;
        self.push(format_args!(
            "#EXT-X-PART:DURATION={:.6},URI=\"{}\"{}",
            seconds(duration_ns),
            address(segment.part, first, last),
            if is_independent { ",INDEPENDENT=YES" } else { "" }
        ));
    }

    /// A segment that is too long, as several that are not to be loaded. Returns how many.
    fn gap(&mut self, reel: &Reel, segment: &Segment<'_>) -> usize {
        let (start_ns, whole_ns) = (segment.start_ns(), segment.duration_ns());
        let count = whole_ns.div_ceil(TARGET * 1_000_000_000).max(1);
        for index in 0..count {
            let (from_ns, to_ns) = (whole_ns * index / count, whole_ns * (index + 1) / count);
            self.date(reel, start_ns + from_ns);
            self.push(format_args!("#EXT-X-GAP"));
            self.push(format_args!("#EXTINF:{:.6},", seconds(to_ns - from_ns)));
            self.push(format_args!("{}", address(segment.part, segment.first(), segment.last())));
        }
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

/// URL relative to `/recordings/{id}/hls/{track}.m3u8`. Some players refuse one without a file extension.
fn address(part: &ReelPart, first: u32, last: u32) -> String {
    let track = crate::media::percent_encoded(&part.header.name.track);
    let number = part.number;
    match first == last {
        true if first == 0 => format!("../tracks/{track}/parts/{number}/fragments/0.mp4"),
        true => format!("../tracks/{track}/parts/{number}/fragments/{first}.m4s"),
        false => format!("../tracks/{track}/parts/{number}/fragments/{first}-{last}.m4s"),
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::fragment;
    use super::*;

    #[test]
    fn a_closed_recording_is_a_list_of_runs_with_a_discontinuity_where_a_part_begins() {
        let fragments = vec![
            fragment(1, 0, 0, false),
            fragment(1, 1, 0, true),
            fragment(1, 2, 1, false),
            fragment(2, 0, 0, false),
            fragment(2, 1, 3, true),
        ];
        let (text, extent) = playlist(&Reel::new(1_767_603_600_000, false, "video", fragments));
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n\
             #EXT-X-MAP:URI=\"../tracks/video/parts/1/fragments/0.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-01-05T09:00:00.000Z\n\
             #EXTINF:2.000000,\n../tracks/video/parts/1/fragments/1-2.m4s\n\
             #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"../tracks/video/parts/2/fragments/0.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-01-05T09:00:03.000Z\n\
             #EXTINF:1.000000,\n../tracks/video/parts/2/fragments/1.m4s\n\
             #EXT-X-ENDLIST\n"
        );
        assert_eq!(extent, Extent { segments: 2, parts: 0 });
    }

    #[test]
    fn a_live_playlist_has_no_end_and_lists_its_newest_fragments() {
        let fragments = vec![
            fragment(1, 0, 0, false),
            fragment(1, 1, 0, true),
            fragment(1, 2, 1, true),
            fragment(1, 3, 2, false),
        ];
        let (text, extent) = playlist(&Reel::new(0, true, "video", fragments));
        assert_eq!(extent, Extent { segments: 1, parts: 2 });
        assert!(!text.contains("ENDLIST") && text.contains("CAN-BLOCK-RELOAD=YES"), "{text}");
        let parts: Vec<_> = text.lines().filter(|line| line.starts_with("#EXT-X-PART:")).collect();
        assert_eq!(parts.len(), 3, "{text}");
        assert!(!text.contains("fragments/2-3"), "{text}");
    }

    /// A reel of fragments of these seconds; those in `keyframes` begin with one.
    fn reel(live: bool, durations: &[f64], keyframes: &[usize]) -> Reel {
        let mut fragments = vec![fragment(1, 0, 0, false)];
        let mut start_ns = 0;
        for (index, seconds) in durations.iter().enumerate() {
            let number = u32::try_from(index + 1).unwrap();
            let duration_ns = (seconds * 1e9).round() as u64;
            let times = FragmentTimes { start_ns, duration_ns, keyframe: keyframes.contains(&index) };
            fragments.push(StoredFragment { times: Some(times), ..fragment(1, number, 0, false) });
            start_ns += duration_ns;
        }
        Reel::new(0, live, "video", fragments)
    }

    fn value(text: &str, name: &str) -> f64 {
        let at = text.find(name).unwrap_or_else(|| panic!("no {name}: {text}")) + name.len();
        let rest = &text[at..];
        rest[..rest.find([',', '\n']).unwrap_or(rest.len())].parse().unwrap()
    }

    /// The rules of RFC 8216bis for the durations in a live playlist.
    fn judge(text: &str) {
        let target = value(text, "TARGETDURATION:");
        let part_target = value(text, "PART-TARGET=");
        assert!(value(text, "PART-HOLD-BACK=") >= 2.0 * part_target);
        let mut parts: Vec<(f64, bool)> = Vec::new();
        for line in text.lines() {
            if line.starts_with("#EXT-X-PART:") {
                parts.push((value(line, "DURATION="), line.contains("INDEPENDENT")));
            } else if line.starts_with("#EXTINF") {
                let duration = value(line, "EXTINF:");
                assert!(duration.round() <= target, "{text}");
                let sum: f64 = parts.iter().map(|(duration, _)| duration).sum();
                assert!(sum <= duration + 1e-3, "{text}");
                if (sum - duration).abs() < 1e-3 {
                    parts.pop();
                }
                judge_parts(&parts, part_target, text);
                parts.clear();
            }
        }
        judge_parts(&parts, part_target, text);
    }

    fn judge_parts(parts: &[(f64, bool)], target: f64, text: &str) {
        for (duration, is_independent) in parts {
            assert!(*duration <= target && (*is_independent || *duration >= 0.85 * target), "{text}");
        }
    }

    #[test]
    fn the_constants_stay_and_the_rules_hold_whatever_a_live_recording_does() {
        let durations =
            [0.1, 1.0, 1.0, 5.0, 0.6, 1.0, 39.0, 1.0, 1.1, 1.5, 1.0, 300.0, 1.0, 1.0, 119.0, 0.5, 0.5, 0.5];
        let keyframes = [0, 3, 5, 6, 7, 10, 11, 12, 15];
        let mut before = String::new();
        let mut heads = std::collections::BTreeSet::new();
        for count in 1..=durations.len() {
            let (text, _) = playlist(&reel(true, &durations[..count], &keyframes));
            judge(&text);
            heads.insert(text.lines().take(5).collect::<Vec<_>>().join(" "));
            // What was listed stays listed, except for partial segments that are no longer new.
            let of = |text: &str| -> Vec<String> {
                let lines = text.lines().filter(|line| !line.starts_with("#EXT-X-PART:"));
                lines.map(str::to_owned).collect()
            };
            let (old, new) = (of(&before), of(&text));
            assert!(new.starts_with(&old), "{before}\n{text}");
            before = text;
        }
        assert_eq!(heads.len(), 1, "{heads:?}");
    }

    #[test]
    fn a_fragment_that_is_too_long_for_a_partial_segment_comes_with_its_run() {
        let (text, extent) = playlist(&reel(true, &[0.1, 39.0, 1.0], &[0]));
        assert_eq!(extent, Extent { segments: 0, parts: 1 }, "{text}");
        let (text, extent) = playlist(&reel(true, &[0.1, 39.0, 1.0, 1.0], &[0, 3]));
        assert_eq!(extent, Extent { segments: 1, parts: 1 }, "{text}");
        assert!(text.contains("#EXTINF:40.100000,\n"), "{text}");
    }

    #[test]
    fn short_fragments_share_a_partial_segment() {
        let (text, extent) = playlist(&reel(true, &[0.5, 0.5, 0.5, 0.5], &[0]));
        assert_eq!(extent, Extent { segments: 0, parts: 2 }, "{text}");
        assert!(
            text.contains("DURATION=1.000000,URI=\"../tracks/video/parts/1/fragments/2-3.m4s\"\n"),
            "{text}"
        );
    }

    #[test]
    fn a_fragment_that_is_too_long_for_a_segment_is_a_gap() {
        let (text, extent) = playlist(&reel(true, &[1.0, 300.0, 1.0], &[0, 2]));
        assert_eq!(extent, Extent { segments: 4, parts: 1 }, "{text}");
        assert_eq!(text.matches("#EXT-X-GAP\n#EXTINF:100.000000,\n").count(), 3, "{text}");
        let (text, _) = playlist(&reel(false, &[1.0, 300.0, 1.0], &[0, 2]));
        assert!(text.contains("TARGETDURATION:301\n") && !text.contains("GAP"), "{text}");
    }
}
