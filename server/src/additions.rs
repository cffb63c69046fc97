//! What the index lacks of a mapping that was done again. Pure.
//!
//! It adds and never removes: not the footage or segments of anybody, whatever else would be decided today.
//! Segments go on footage that exists; footage that was never made is added, and is then missing with its
//! reason.

use deskreel_model::segment::{Footage, Segment};
use deskreel_model::{CallId, InteractionId, RecordingId, Utc};
use jiff::Timestamp;

use crate::segments::Stretch;
use crate::time::to_ms;

/// Shorter remainders, in milliseconds, are differences of clocks.
const SLIVER_MS: i64 = 1000;

/// Footage of the index.
#[derive(Debug, Clone)]
pub struct IndexedFootage {
    pub id: RecordingId,
    pub from: i64,
    /// `None`: it runs.
    pub to: Option<i64>,
    /// The recordings that it became, without deleted ones.
    pub stretches: Vec<Stretch>,
}

/// A segment of the index.
#[derive(Debug, Clone)]
pub struct IndexedSegment {
    pub call: Option<CallId>,
    pub interaction: InteractionId,
    pub from: i64,
    pub to: Option<i64>,
}

/// What the index has of one agent.
#[derive(Debug, Default)]
pub struct IndexedAgent {
    pub footage: Vec<IndexedFootage>,
    pub segments: Vec<IndexedSegment>,
}

/// What the index lacks.
#[derive(Debug, PartialEq)]
pub struct Addition {
    /// The footage of the index that the segments lie on; `None`: it was never made.
    pub on: Option<RecordingId>,
    pub footage: Footage,
}

/// What of this footage the index lacks. `now` is the end of what still runs.
pub fn additions(redone: &Footage, indexed: &IndexedAgent, now: i64) -> Vec<Addition> {
    let (from, to) = (to_ms(redone.from), redone.to.map_or(now, to_ms));
    let of_index = |one: &&IndexedFootage| one.from < to && one.to.unwrap_or(now) > from;
    let existing: Vec<&IndexedFootage> = indexed.footage.iter().filter(of_index).collect();
    let made: Vec<(i64, i64)> = existing.iter().map(|one| (one.from, one.to.unwrap_or(now))).collect();
    let mut additions: Vec<Addition> = existing
        .iter()
        .map(|one| {
            let stretch = (one.from.max(from), one.to.unwrap_or(now).min(to));
            Addition { on: Some(one.id.clone()), footage: cut(redone, stretch, indexed, now) }
        })
        // A segment needs a place in the index only if it is not there.
        .filter(|addition| !addition.footage.segments.is_empty())
        .collect();
    for stretch in remainders((from, to), &made) {
        let footage = cut(redone, stretch, indexed, now);
        if !footage.segments.is_empty() {
            additions.push(Addition { on: None, footage });
        }
    }
    additions
}

/// The calls in which the agent of this footage is at its end, if it still runs.
pub fn live_calls(redone: &Footage) -> impl Iterator<Item = &CallId> {
    let is_live = |segment: &&Segment| segment.to.is_none();
    let segments = redone.segments.iter().filter(is_live).filter(|_| redone.to.is_none());
    segments.filter_map(|segment| segment.call.as_ref())
}

/// The part of footage within this stretch, with those segments that the index lacks.
fn cut(redone: &Footage, stretch: (i64, i64), indexed: &IndexedAgent, now: i64) -> Footage {
    let segments = redone.segments.iter().flat_map(|segment| {
        let own = (to_ms(segment.from).max(stretch.0), segment.to.map_or(now, to_ms).min(stretch.1));
        let is_same = |known: &&IndexedSegment| match (&segment.call, &known.call) {
            (Some(call), Some(known)) => call == known,
            (None, None) => segment.interaction == known.interaction,
            _ => false,
        };
        let known = indexed.segments.iter().filter(is_same);
        let known: Vec<(i64, i64)> = known.map(|known| (known.from, known.to.unwrap_or(now))).collect();
        remainders(own, &known).into_iter().filter_map(|(from, to)| {
            let offset_ms = from.abs_diff(stretch.0);
            Some(Segment { from: utc(from)?, to: Some(utc(to)?), offset_ms, ..segment.clone() })
        })
    });
    Footage {
        from: utc(stretch.0).unwrap_or(redone.from),
        to: utc(stretch.1).or(redone.to),
        segments: segments.collect(),
        withheld: Vec::new(),
        ..redone.clone()
    }
}

/// The parts of a stretch that none of these cover, without slivers.
fn remainders((from, to): (i64, i64), covered: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut covered: Vec<(i64, i64)> = covered.to_vec();
    covered.sort_unstable();
    let (mut rest, mut at) = (Vec::new(), from);
    for (begin, end) in covered.into_iter().chain([(to, to)]) {
        let begin = begin.min(to);
        if begin - at > SLIVER_MS {
            rest.push((at, begin));
        }
        at = at.max(end);
    }
    rest
}

fn utc(ms: i64) -> Option<Utc> {
    Timestamp::from_millisecond(ms).ok().map(Utc)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use deskreel_contract::Role;

    use super::*;

    const S: i64 = 1000;

    /// Footage of Ann with a segment for each of these calls, in seconds.
    fn redone(from: i64, to: Option<i64>, calls: &[(&str, i64, Option<i64>)]) -> Footage {
        let at = |seconds: i64| utc(seconds * S).unwrap();
        let segment = |(call, from, to): &(&str, i64, Option<i64>)| Segment {
            interaction: (*call).into(),
            call: Some((*call).into()),
            role: Role::Primary,
            from: at(*from),
            to: to.map(at),
            offset_ms: 0,
            why: "a call".to_owned(),
        };
        Footage {
            agent: "ann".into(),
            place: Some("pc-1".into()),
            from: at(from),
            to: to.map(at),
            why: "a call".to_owned(),
            why_ended: None,
            withheld: Vec::new(),
            tags: Vec::new(),
            segments: calls.iter().map(segment).collect(),
        }
    }

    fn indexed(footage: &[(u32, i64, Option<i64>)], segments: &[(&str, i64, i64)]) -> IndexedAgent {
        let footage = footage.iter().map(|(salt, from, to)| IndexedFootage {
            id: RecordingId::new(Utc::MIN, *salt),
            from: from * S,
            to: to.map(|to| to * S),
            stretches: Vec::new(),
        });
        let segments = segments.iter().map(|(call, from, to)| IndexedSegment {
            call: Some((*call).into()),
            interaction: "another".into(),
            from: from * S,
            to: Some(to * S),
        });
        IndexedAgent { footage: footage.collect(), segments: segments.collect() }
    }

    /// `footage from..to: call from..to, ...` in seconds; `-` is footage that was never made.
    fn show(redone: &Footage, indexed: &IndexedAgent) -> Vec<String> {
        let span = |from: Utc, to: Option<Utc>| format!("{}..{}", to_ms(from) / S, to.map_or(0, to_ms) / S);
        let show = |addition: &Addition| {
            let on = addition.on.as_ref().map_or("-", |id| &id.as_str()[id.as_str().len() - 1..]);
            let footage = &addition.footage;
            let segments = footage.segments.iter().map(|segment| {
                format!("{} {}", segment.call.as_ref().unwrap(), span(segment.from, segment.to))
            });
            let segments = segments.collect::<Vec<_>>().join(", ");
            format!("{on} {}: {segments}", span(footage.from, footage.to))
        };
        additions(redone, indexed, 100 * S).iter().map(show).collect()
    }

    #[test]
    fn a_call_without_footage_is_missing_footage() {
        let call = redone(10, Some(60), &[("77", 10, Some(60))]);
        assert_eq!(show(&call, &IndexedAgent::default()), ["- 10..60: 77 10..60"]);
        // What still runs ends now.
        let live = redone(90, None, &[("77", 10, Some(20)), ("78", 90, None)]);
        assert_eq!(show(&live, &IndexedAgent::default()), ["- 90..100: 78 90..100"]);
        assert_eq!(live_calls(&live).map(CallId::as_str).collect::<Vec<_>>(), ["78"]);
        assert_eq!(live_calls(&call).count(), 0);
    }

    #[test]
    fn footage_that_exists_gets_the_segments_and_the_rest_is_missing() {
        let call = redone(10, Some(60), &[("77", 10, Some(40)), ("78", 40, Some(60))]);
        let known = indexed(&[(1, 0, Some(30)), (2, 50, None)], &[]);
        assert_eq!(
            show(&call, &known),
            ["1 10..30: 77 10..30", "2 50..60: 78 50..60", "- 30..50: 77 30..40, 78 40..50"]
        );
    }

    #[test]
    fn what_the_index_has_is_not_added_again() {
        let call = redone(10, Some(60), &[("77", 10, Some(60))]);
        let known = indexed(&[(1, 10, Some(60))], &[("77", 10, 60)]);
        assert_eq!(show(&call, &known), [""; 0]);
        // Clocks differ a little, and another call is none of this one.
        let known = indexed(&[(1, 10, Some(59))], &[("77", 10, 59), ("76", 0, 100)]);
        assert_eq!(show(&call, &known), [""; 0]);
        // A call that was known from its middle on is completed, and no segment overlaps another.
        let known = indexed(&[(1, 30, Some(60))], &[("77", 30, 60)]);
        assert_eq!(show(&call, &known), ["- 10..30: 77 10..30"]);
        // Doing it again changes nothing.
        let known = indexed(&[(1, 30, Some(60)), (2, 10, Some(30))], &[("77", 30, 60), ("77", 10, 30)]);
        assert_eq!(show(&call, &known), [""; 0]);
    }
}
