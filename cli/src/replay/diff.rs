//! What a change of policies would alter: the footage and segments of two replays of one log.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Utc};
use serde_json::{Value, json};

use super::text::{clock, name};

/// One line of either table: recordings and segments by agent and time.
type Line = (AgentId, Utc, String);

pub struct Difference {
    /// In the order of agents and time: with the old policies only, or with the new ones only.
    lines: Vec<(Line, bool)>,
    old: Total,
    new: Total,
}

#[derive(Clone, Copy, PartialEq)]
struct Total {
    recordings: usize,
    time: Duration,
}

pub fn compare(old: &[Footage], new: &[Footage]) -> Difference {
    let (before, after) = (lines(old), lines(new));
    let gone = before.difference(&after).map(|line| (line.clone(), false));
    let come = after.difference(&before).map(|line| (line.clone(), true));
    let mut lines: Vec<_> = gone.chain(come).collect();
    lines.sort();
    Difference { lines, old: total(old), new: total(new) }
}

fn lines(footage: &[Footage]) -> BTreeSet<Line> {
    let mut lines = BTreeSet::new();
    for recording in footage {
        let until = |to: Option<Utc>| to.map_or_else(|| "the end".to_owned(), clock);
        let place = recording.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
        let text = format!("recording{place}, until {}", until(recording.to));
        lines.insert((recording.agent.clone(), recording.from, text));
        for segment in &recording.segments {
            let text = format!("{}, until {}", name(segment), until(segment.to));
            lines.insert((recording.agent.clone(), segment.from, text));
        }
        for held in &recording.withheld {
            let text = format!("{:?}, until {}", held.capture, until(held.to)).to_lowercase();
            lines.insert((recording.agent.clone(), held.from, text));
        }
    }
    lines
}

fn total(footage: &[Footage]) -> Total {
    let time = footage.iter().filter_map(Footage::duration).sum();
    Total { recordings: footage.len(), time }
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn to_json(&self) -> Value {
        let lines = self.lines.iter().map(|((agent, at, text), is_new)| {
            json!({ "side": if *is_new { "new" } else { "old" }, "agent": agent, "at": at.to_string(), "what": text })
        });
        let total =
            |total: Total| json!({ "recordings": total.recordings, "seconds": total.time.as_secs_f64() });
        json!({ "old": total(self.old), "new": total(self.new), "differences": lines.collect::<Vec<_>>() })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((agent, at, text), is_new) in &self.lines {
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
