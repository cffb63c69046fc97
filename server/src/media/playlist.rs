//! The HLS playlist (RFC 8216; for live recordings also the low-latency part of its second edition). A part
//! begins with a discontinuity and has its own header. A run is an HLS segment, and its fragments are partial
//! segments while they are new.

use std::fmt::Write;

use super::{Reel, ReelPart, Run};
use crate::time::rfc3339;

/// Runs at the live edge whose fragments are listed; no player asks for those further back.
const EDGE: usize = 3;

/// The length of a playlist: complete runs, and fragments of the run that may still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub runs: usize,
    pub parts: usize,
}

pub fn playlist(reel: &Reel) -> (String, Extent) {
    let all: Vec<(&ReelPart, &Run)> = reel.runs().collect();
    // The last run of a live recording may still grow.
    let (complete, growing) = match all.split_last() {
        Some((last, complete)) if reel.live => (complete, Some(*last)),
        _ => (&all[..], None),
    };
    let mut lines = Lines(String::from("#EXTM3U\n#EXT-X-VERSION:9\n"));
    lines.head(reel, complete, &all);
    let mut part_before = None;
    for (index, (part, run)) in complete.iter().copied().chain(growing).enumerate() {
        if part_before != Some(part.number) {
            if part_before.is_some() {
                lines.push(format_args!("#EXT-X-DISCONTINUITY"));
            }
            lines.push(format_args!("#EXT-X-MAP:URI=\"{}\"", address(part, 0, 0)));
            part_before = Some(part.number);
        }
        let at = reel.zero_ms + i64::try_from(run.start_ns() / 1_000_000).unwrap_or(i64::MAX);
        lines.push(format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", rfc3339(at)));
        let is_growing = index == complete.len();
        if reel.live && (is_growing || index + EDGE >= complete.len()) {
            lines.partial_segments(part, run);
        }
        if !is_growing {
            lines.push(format_args!("#EXTINF:{:.6},", duration(run)));
            lines.push(format_args!("{}", address(part, run.first(), run.last())));
        }
    }
    if !reel.live {
        lines.push(format_args!("#EXT-X-ENDLIST"));
    }
    let parts = growing.map_or(0, |(_, run)| run.fragments.len());
    (lines.0, Extent { runs: complete.len(), parts })
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
    fn head(&mut self, reel: &Reel, complete: &[(&ReelPart, &Run)], all: &[(&ReelPart, &Run)]) {
        let longest = complete.iter().map(|(_, run)| duration(run)).fold(2.0, f64::max);
        self.push(format_args!("#EXT-X-TARGETDURATION:{}", longest.round()));
        self.push(format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
        if !reel.live {
            self.push(format_args!("#EXT-X-PLAYLIST-TYPE:VOD"));
            return;
        }
        let longest =
            all.iter().flat_map(|(_, run)| &run.fragments).map(|(_, times)| times.duration_ns).max();
        let target = seconds(longest.unwrap_or(0)).max(1.1);
        let hold_back = 2.2 * target;
        self.push(format_args!("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={hold_back:.3}"));
        self.push(format_args!("#EXT-X-PART-INF:PART-TARGET={target:.3}"));
    }

    fn partial_segments(&mut self, part: &ReelPart, run: &Run) {
        for (position, (fragment, times)) in run.fragments.iter().enumerate() {
            let number = fragment.name.number;
            self.push(format_args!(
                "#EXT-X-PART:DURATION={:.6},URI=\"{}\"{}",
                seconds(times.duration_ns),
                address(part, number, number),
                if position == 0 { ",INDEPENDENT=YES" } else { "" }
            ));
        }
    }
}

/// Seconds.
fn duration(run: &Run) -> f64 {
    seconds(run.end_ns().saturating_sub(run.start_ns()))
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
        assert_eq!(extent, Extent { runs: 2, parts: 0 });
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
        assert_eq!(extent, Extent { runs: 1, parts: 2 });
        assert!(!text.contains("ENDLIST") && text.contains("CAN-BLOCK-RELOAD=YES"), "{text}");
        let parts: Vec<_> = text.lines().filter(|line| line.starts_with("#EXT-X-PART:")).collect();
        assert_eq!(parts.len(), 3, "{text}");
        assert!(!text.contains("fragments/2-3"), "{text}");
    }
}
