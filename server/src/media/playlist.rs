//! The HLS playlist (RFC 8216, and the low-latency parts of its second edition for what runs). A part is a discontinuity with
//! a header of its own; a run is a segment, its fragments are partial segments while they are new.

use std::fmt::Write;

use super::{Part, Reel, Run};
use crate::time::rfc3339;

/// Runs at the end of what is live whose fragments are told one by one; nobody asks for those further back.
const EDGE: usize = 3;

/// How far a playlist goes: whole runs, and fragments of the run that may still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub runs: usize,
    pub parts: usize,
}

pub fn playlist(reel: &Reel) -> (String, Extent) {
    let all: Vec<(&Part, &Run)> = reel.runs().collect();
    // The last run of what goes on may still grow.
    let (whole, growing) = match all.split_last() {
        Some((last, whole)) if reel.live => (whole, Some(*last)),
        _ => (&all[..], None),
    };
    let seconds = |run: &Run| seconds(run.end_ns().saturating_sub(run.start_ns()));
    let longest = whole.iter().map(|(_, run)| seconds(run)).fold(2.0, f64::max);
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:9\n");
    let mut line = |args: std::fmt::Arguments<'_>| {
        // Writing to a String does not fail.
        let _ = text.write_fmt(args);
        text.push('\n');
    };
    line(format_args!("#EXT-X-TARGETDURATION:{}", longest.round()));
    line(format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
    if reel.live {
        let longest =
            all.iter().flat_map(|(_, run)| &run.fragments).map(|(_, times)| times.duration_ns).max();
        let target = (longest.unwrap_or(0) as f64 / 1e9).max(1.1);
        line(format_args!("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3}", 2.2 * target));
        line(format_args!("#EXT-X-PART-INF:PART-TARGET={target:.3}"));
    } else {
        line(format_args!("#EXT-X-PLAYLIST-TYPE:VOD"));
    }
    let mut part_before = None;
    for (index, (part, run)) in whole.iter().copied().chain(growing).enumerate() {
        if part_before != Some(part.number) {
            if part_before.is_some() {
                line(format_args!("#EXT-X-DISCONTINUITY"));
            }
            line(format_args!("#EXT-X-MAP:URI=\"{}\"", address(part, 0, 0)));
            part_before = Some(part.number);
        }
        let at = reel.zero_ms + i64::try_from(run.start_ns() / 1_000_000).unwrap_or(i64::MAX);
        line(format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", rfc3339(at)));
        let is_growing = index == whole.len();
        if reel.live && (is_growing || index + EDGE >= whole.len()) {
            for (position, (held, times)) in run.fragments.iter().enumerate() {
                let number = held.name.number;
                line(format_args!(
                    "#EXT-X-PART:DURATION={:.6},URI=\"{}\"{}",
                    self::seconds(times.duration_ns),
                    address(part, number, number),
                    if position == 0 { ",INDEPENDENT=YES" } else { "" }
                ));
            }
        }
        if !is_growing {
            line(format_args!("#EXTINF:{:.6},", seconds(run)));
            line(format_args!("{}", address(part, run.first(), run.last())));
        }
    }
    if !reel.live {
        line(format_args!("#EXT-X-ENDLIST"));
    }
    let parts = growing.map_or(0, |(_, run)| run.fragments.len());
    (text, Extent { runs: whole.len(), parts })
}

/// Seen from `/recordings/{id}/hls/{track}.m3u8`. With a file's ending: some players refuse what has none.
fn address(part: &Part, first: u32, last: u32) -> String {
    let track = crate::media::encoded(&part.header.name.track);
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
    use super::super::tests::held;
    use super::*;

    #[test]
    fn a_closed_recording_is_a_list_of_runs_with_a_discontinuity_where_a_part_begins() {
        let fragments = vec![
            held(1, 0, 0, false),
            held(1, 1, 0, true),
            held(1, 2, 1, false),
            held(2, 0, 0, false),
            held(2, 1, 3, true),
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
        assert_eq!(extent, Extent { runs: 2, parts: 0 });
    }

    #[test]
    fn what_runs_has_no_end_and_tells_its_newest_fragments_one_by_one() {
        let fragments =
            vec![held(1, 0, 0, false), held(1, 1, 0, true), held(1, 2, 1, true), held(1, 3, 2, false)];
        let (text, extent) = playlist(&Reel::new(0, true, "video", fragments));
        assert_eq!(extent, Extent { runs: 1, parts: 2 });
        assert!(!text.contains("ENDLIST") && text.contains("CAN-BLOCK-RELOAD=YES"), "{text}");
        let parts: Vec<_> = text.lines().filter(|line| line.starts_with("#EXT-X-PART:")).collect();
        assert_eq!(parts.len(), 3, "{text}");
        assert!(!text.contains("fragments/2-3"), "{text}");
    }
}
