//! Compares two policies: the footage and segments of two replays of one log.
//!
//! A row that only one side has is a difference. If the other side has the same at another time (the same
//! agent, place, call, interaction and role), the two are one difference: it has moved.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Utc};
use serde_json::{Value, json};

use super::text::{clock, name};

/// Rows of the same thing that are further apart are two.
const NEAR: Duration = Duration::from_secs(60);

/// One row of either table: a recording, a segment or a withheld stretch, by agent and time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct TableRow {
    agent: AgentId,
    span: Span,
    what: String,
}

/// `None` at the end: it lasts.
type Span = (Utc, Option<Utc>);

#[derive(Debug, PartialEq)]
enum Change {
    Old,
    New,
    /// From this span of the old side to that of the row.
    Moved(Span),
}

pub struct Difference {
    /// By agent and time.
    rows: Vec<(TableRow, Change)>,
    old: Total,
    new: Total,
}

#[derive(Clone, Copy, PartialEq)]
struct Total {
    recordings: usize,
    time: Duration,
}

pub fn compare(old: &[Footage], new: &[Footage]) -> Difference {
    let (before, after) = (rows(old), rows(new));
    let removed = before.difference(&after).cloned();
    let added = after.difference(&before).cloned();
    let mut rows = pair(removed.collect(), added.collect());
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    Difference { rows, old: total(old), new: total(new) }
}

/// Pairs rows that have moved: first those that overlap, then those that are near. Both lists are in the
/// order of agent and time.
fn pair(removed: Vec<TableRow>, added: Vec<TableRow>) -> Vec<(TableRow, Change)> {
    let mut rows = Vec::with_capacity(removed.len() + added.len());
    let mut removed: Vec<Option<TableRow>> = removed.into_iter().map(Some).collect();
    let mut added: Vec<Option<TableRow>> = added.into_iter().map(Some).collect();
    for near in [Duration::ZERO, NEAR] {
        pair_within(near, &mut removed, &mut added, &mut rows);
    }
    rows.extend(removed.into_iter().flatten().map(|row| (row, Change::Old)));
    rows.extend(added.into_iter().flatten().map(|row| (row, Change::New)));
    rows
}

/// Pairs rows that are at most `near` apart.
fn pair_within(
    near: Duration,
    removed: &mut [Option<TableRow>],
    added: &mut [Option<TableRow>],
    rows: &mut Vec<(TableRow, Change)>,
) {
    let mut first = 0;
    for old in removed {
        let Some(row) = &*old else { continue };
        let is_past = |other: &TableRow| {
            (&other.agent, other.span.1.map(|to| to.plus(near))) < (&row.agent, Some(row.span.0))
                && other.span.1.is_some()
        };
        while added.get(first).is_some_and(|other| other.as_ref().is_none_or(is_past)) {
            first += 1;
        }
        let reach = row.span.1.map(|to| to.plus(near));
        let mut candidates = added[first..].iter_mut().take_while(|other| {
            let Some(other) = other else { return true };
            other.agent < row.agent
                || (other.agent == row.agent && reach.is_none_or(|reach| other.span.0 <= reach))
        });
        let moved = candidates.find(|other| other.as_ref().is_some_and(|other| is_near(row, other, near)));
        if let Some(moved) = moved.and_then(Option::take)
            && let Some(row) = old.take()
        {
            rows.push((moved, Change::Moved(row.span)));
        }
    }
}

fn is_near(one: &TableRow, other: &TableRow, near: Duration) -> bool {
    let reaches = |(_, to): Span, (from, _): Span| to.is_none_or(|to| to.plus(near) >= from);
    (&one.agent, &one.what) == (&other.agent, &other.what)
        && reaches(one.span, other.span)
        && reaches(other.span, one.span)
}

fn rows(footage: &[Footage]) -> BTreeSet<TableRow> {
    let mut rows = BTreeSet::new();
    for recording in footage {
        let mut add = |span: Span, what: String| {
            rows.insert(TableRow { agent: recording.agent.clone(), span, what });
        };
        let place = recording.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
        add((recording.from, recording.to), format!("recording{place}"));
        for segment in &recording.segments {
            add((segment.from, segment.to), name(segment));
        }
        for stretch in &recording.withheld {
            add((stretch.from, stretch.to), stretch.capture.name().to_owned());
        }
    }
    rows
}

fn total(footage: &[Footage]) -> Total {
    let time = footage.iter().filter_map(Footage::duration).sum();
    Total { recordings: footage.len(), time }
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of rows that have moved, and by how much at most.
    fn moved(&self) -> (usize, Duration) {
        let distance = |one: Utc, other: Utc| one.max(other).saturating_since(one.min(other));
        let moved = self.rows.iter().filter_map(|(row, change)| match change {
            Change::Moved(was) => Some((row.span, *was)),
            _ => None,
        });
        let by = moved.clone().map(|((from, to), (old_from, old_to))| {
            let ends = to.zip(old_to).map_or(Duration::ZERO, |(to, old_to)| distance(to, old_to));
            distance(from, old_from).max(ends)
        });
        (moved.count(), by.max().unwrap_or_default())
    }

    pub fn to_json(&self) -> Value {
        let text = |at: Utc| at.to_string();
        let rows = self.rows.iter().map(|(TableRow { agent, span: (from, to), what }, change)| {
            let side = match change {
                Change::Old => "old",
                Change::New => "new",
                Change::Moved(_) => "moved",
            };
            let mut row =
                json!({ "side": side, "agent": agent, "at": text(*from), "to": to.map(text), "what": what });
            if let Change::Moved((from, to)) = change {
                row["was"] = json!({ "at": text(*from), "to": to.map(text) });
            }
            row
        });
        let total =
            |total: Total| json!({ "recordings": total.recordings, "seconds": total.time.as_secs_f64() });
        let (moved, by) = self.moved();
        json!({
            "old": total(self.old), "new": total(self.new),
            "moved": { "rows": moved, "seconds": by.as_secs_f64() },
            "differences": rows.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |(from, to): Span| {
            format!("{} to {}", clock(from), to.map_or_else(|| "the end".to_owned(), clock))
        };
        for (TableRow { agent, span: now, what }, change) in &self.rows {
            match change {
                Change::Old => writeln!(f, "- {agent}: {what}, {}", span(*now))?,
                Change::New => writeln!(f, "+ {agent}: {what}, {}", span(*now))?,
                Change::Moved(was) => {
                    writeln!(f, "~ {agent}: {what}, {}, has moved to {}", span(*was), span(*now))?;
                }
            }
        }
        let total = |total: Total| {
            format!("{} recordings, {:.1} h", total.recordings, total.time.as_secs_f64() / 3600.0)
        };
        if self.is_empty() {
            return writeln!(f, "no difference: {}", total(self.old));
        }
        write!(f, "old: {}; new: {}", total(self.old), total(self.new))?;
        match self.moved() {
            (0, _) => writeln!(f),
            (moved, by) => writeln!(f, "; {moved} moved by at most {:.3} s", by.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(agent: &str, what: &str, from: i64, to: Option<i64>) -> TableRow {
        let start = Utc::parse("2026-01-05T09:00:00.000Z").unwrap_or(Utc::MIN);
        let at = |seconds: i64| start.shifted_ms(seconds * 1000);
        TableRow { agent: agent.into(), span: (at(from), to.map(at)), what: what.into() }
    }

    fn changes(old: Vec<TableRow>, new: Vec<TableRow>) -> Vec<(TableRow, Change)> {
        let mut rows = pair(old, new);
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        rows
    }

    #[test]
    fn the_same_thing_at_another_time_has_moved() {
        let (old, new) = (row("ann", "primary of 7", 10, Some(20)), row("ann", "primary of 7", 12, Some(20)));
        let moved = Change::Moved(old.span);
        assert_eq!(changes(vec![old], vec![new.clone()]), [(new, moved)]);
    }

    #[test]
    fn other_things_have_not_moved() {
        let old = row("ann", "primary of 7", 10, Some(20));
        for other in [
            row("bob", "primary of 7", 12, Some(20)),
            row("ann", "primary of 8", 12, Some(20)),
            row("ann", "primary of 7", 81, Some(90)),
        ] {
            let found = changes(vec![old.clone()], vec![other.clone()]);
            assert!(found.contains(&(old.clone(), Change::Old)) && found.contains(&(other, Change::New)));
        }
    }

    #[test]
    fn each_row_is_paired_once_and_in_order() {
        let old: Vec<_> = (0..100).map(|n| row("ann", "recording", n * 100, Some(n * 100 + 90))).collect();
        let new: Vec<_> =
            (1..100).map(|n| row("ann", "recording", n * 100 + 1, Some(n * 100 + 91))).collect();
        let long = row("bob", "recording", 0, None);
        let found = changes(
            [old.clone(), vec![long.clone()]].concat(),
            [new, vec![row("bob", "recording", 5, None)]].concat(),
        );
        assert_eq!(found[0], (old[0].clone(), Change::Old));
        let moved = found.iter().filter(|(_, change)| matches!(change, Change::Moved(_))).count();
        assert_eq!((moved, found.len()), (100, 101));
        assert!(found.iter().any(|(_, change)| *change == Change::Moved(long.span)));
    }
}
