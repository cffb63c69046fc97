//! Compares two policies: the footage and segments of two replays of one log.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Utc};
use serde_json::{Value, json};

use super::text::{clock, name};

/// One row of either table: a recording, a segment or a withheld stretch, by agent and time.
type TableRow = (AgentId, Utc, String);

pub struct Difference {
    /// Rows that only one side has, by agent and time; true if it is the new side.
    rows: Vec<(TableRow, bool)>,
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
    let removed = before.difference(&after).map(|row| (row.clone(), false));
    let added = after.difference(&before).map(|row| (row.clone(), true));
    let mut rows: Vec<_> = removed.chain(added).collect();
    rows.sort();
    Difference { rows, old: total(old), new: total(new) }
}

fn rows(footage: &[Footage]) -> BTreeSet<TableRow> {
    let mut rows = BTreeSet::new();
    for recording in footage {
        let until = |to: Option<Utc>| to.map_or_else(|| "the end".to_owned(), clock);
        let place = recording.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
        let text = format!("recording{place}, until {}", until(recording.to));
        rows.insert((recording.agent.clone(), recording.from, text));
        for segment in &recording.segments {
            let text = format!("{}, until {}", name(segment), until(segment.to));
            rows.insert((recording.agent.clone(), segment.from, text));
        }
        for stretch in &recording.withheld {
            let text = format!("{:?}, until {}", stretch.capture, until(stretch.to)).to_lowercase();
            rows.insert((recording.agent.clone(), stretch.from, text));
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

    pub fn to_json(&self) -> Value {
        let lines = self.rows.iter().map(|((agent, at, text), is_new)| {
            json!({ "side": if *is_new { "new" } else { "old" }, "agent": agent, "at": at.to_string(), "what": text })
        });
        let total =
            |total: Total| json!({ "recordings": total.recordings, "seconds": total.time.as_secs_f64() });
        json!({ "old": total(self.old), "new": total(self.new), "differences": lines.collect::<Vec<_>>() })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((agent, at, text), is_new) in &self.rows {
            let sign = if *is_new { '+' } else { '-' };
            writeln!(f, "{sign} {} {agent}: {text}", clock(*at))?;
        }
        let total = |total: Total| {
            format!("{} recordings, {:.1} h", total.recordings, total.time.as_secs_f64() / 3600.0)
        };
        match self.is_empty() {
            true => writeln!(f, "no difference: {}", total(self.old)),
            false => writeln!(f, "old: {}; new: {}", total(self.old), total(self.new)),
        }
    }
}
