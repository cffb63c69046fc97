//! The footage of a recording on its own timeline, in milliseconds of media time: what is stored, and the
//! stretches without that its manifest explains.

use serde::{Deserialize, Serialize};

use super::{Absence, FootageState};
use crate::manifest::{Manifest, ManifestTrack, gap_reason};

/// Fragments that are closer than this belong together: times are rounded to ticks.
const TICK_MS: i64 = 50;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    pub covered: Vec<(i64, i64)>,
    /// Begin, end, whether it was withheld, and why.
    pub absences: Vec<(i64, i64, bool, String)>,
}

impl Coverage {
    /// All tracks have to be there.
    pub fn of_manifest(manifest: &Manifest) -> Coverage {
        let ms = |ns: u64| i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX);
        let stored = |track: &ManifestTrack| {
            let fragments = track.parts.iter().flat_map(|part| &part.fragments);
            let span = |start: u64, duration: u64| (ms(start), ms(start.saturating_add(duration)));
            join(fragments.map(|one| span(one.start, one.duration_ns)).collect())
        };
        let end = ms(manifest.end_ns());
        let withheld = manifest.withheld.iter().map(|one| {
            let (to, what) = (one.to.map_or(end, ms), &one.capture);
            let why = if one.why.is_empty() { what.clone() } else { format!("{what}: {}", one.why) };
            (ms(one.from), to, true, why)
        });
        let gaps = manifest.tracks.iter().flat_map(|track| &track.gaps);
        let gaps = gaps.map(|gap| (ms(gap.from), ms(gap.to), false, gap_reason(&gap.cause).to_owned()));
        Coverage {
            covered: on_all_tracks(manifest.tracks.iter().map(stored)),
            absences: withheld.chain(gaps).collect(),
        }
    }

    /// The absences by the server's clock.
    pub fn absences_at(&self, zero: i64) -> Vec<Absence> {
        let absence = |(from, to, is_withheld, why): &(i64, i64, bool, String)| Absence {
            from: zero + from,
            to: zero + to,
            state: if *is_withheld { FootageState::Withheld } else { FootageState::Missing },
            why: why.clone(),
        };
        self.absences.iter().map(absence).collect()
    }

    /// The stored footage by the server's clock.
    pub fn covered_at(&self, zero: i64) -> Vec<(i64, i64)> {
        self.covered.iter().map(|(from, to)| (zero + from, zero + to)).collect()
    }
}

/// Joins spans that touch.
pub fn join(mut spans: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    spans.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (from, to) in spans {
        match joined.last_mut() {
            Some(last) if from <= last.1 + TICK_MS => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// The spans in which every track has footage.
pub fn on_all_tracks(tracks: impl IntoIterator<Item = Vec<(i64, i64)>>) -> Vec<(i64, i64)> {
    let both = |one: Vec<(i64, i64)>, other: Vec<(i64, i64)>| {
        let overlap = |a: &(i64, i64), b: &(i64, i64)| (a.0.max(b.0), a.1.min(b.1));
        let pairs = one.iter().flat_map(|a| other.iter().map(move |b| overlap(a, b)));
        pairs.filter(|(from, to)| from < to).collect()
    };
    tracks.into_iter().reduce(both).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn spans_are_joined_and_every_track_counts() {
        let left = join(vec![(2000, 3000), (0, 1000), (1000, 2010), (5000, 9000)]);
        assert_eq!(left, [(0, 3000), (5000, 9000)]);
        assert_eq!(on_all_tracks([left.clone(), vec![(500, 6000)]]), [(500, 3000), (5000, 6000)]);
        assert_eq!(on_all_tracks([left, Vec::new()]), []);
    }

    #[test]
    fn a_manifest_explains_its_gaps_and_pauses() {
        let fragment = |number: u32, start: u64| json!({ "number": number, "sha256": "", "start": start, "duration_ns": 1_000_000_000 });
        let manifest = json!({
            "recording": "20260105T090000Z-000007",
            "withheld": [{ "capture": "paused", "from": 4_000_000_000_u64, "to": 5_000_000_000_u64, "why": "card" }],
            "tracks": [{
                "name": "screen",
                "gaps": [{ "from": 1_000_000_000_u64, "to": 3_000_000_000_u64, "cause": "disk_full" }],
                "parts": [{
                    "number": 1,
                    "init": { "sha256": "" },
                    "fragments": [fragment(1, 0), fragment(2, 3_000_000_000)],
                }],
            }],
        });
        let coverage = Coverage::of_manifest(&serde_json::from_value(manifest).unwrap());
        assert_eq!(coverage.covered, [(0, 1000), (3000, 4000)]);
        let absences = [
            (4000, 5000, true, "paused: card".to_owned()),
            (1000, 3000, false, "the disk was full".to_owned()),
        ];
        assert_eq!(coverage.absences, absences);
    }
}
