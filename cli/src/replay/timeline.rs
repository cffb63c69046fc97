//! Draws footage as text: one lane per agent, time from left to right.

use std::collections::BTreeMap;
use std::fmt::Write;

use deskreel_contract::Role;
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Utc};

use super::text::clock;

/// Columns of the lanes if `COLUMNS` is not set.
const WIDTH: usize = 72;

/// Columns of the lanes: `COLUMNS` of the environment, if the shell exports it, less a margin.
pub fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    columns.map_or(WIDTH, |columns| columns.saturating_sub(20).clamp(20, 400))
}

pub fn draw(footage: &[Footage], width: usize) -> String {
    let Some((start, end)) = bounds(footage) else { return "no recordings\n".to_owned() };
    let total = end.saturating_since(start).as_millis().max(1);
    let column = |at: Utc| (at.saturating_since(start).as_millis() * width as u128 / total) as usize;
    let mut lanes: BTreeMap<&AgentId, Vec<char>> = BTreeMap::new();
    for recording in footage {
        let lane = lanes.entry(&recording.agent).or_insert_with(|| vec![' '; width]);
        let mut fill = |from: Utc, to: Option<Utc>, letter: char| {
            let (from, to) = (column(from).min(width - 1), column(to.unwrap_or(end)).min(width));
            // A stretch shorter than a column still gets one.
            lane[from..to.max(from + 1)].fill(letter);
        };
        fill(recording.from, recording.to, '-');
        let mut segments: Vec<_> = recording.segments.iter().collect();
        // Later ones are drawn on top: a consultation over its call, a call over a chat.
        segments.sort_by_key(|segment| match segment.role {
            Role::Digital => 0,
            Role::Primary => 1,
            Role::AfterCallWork => 2,
            Role::Conference => 3,
            Role::Monitor | Role::Coach | Role::Barge => 4,
            Role::Consult => 5,
        });
        segments.iter().for_each(|segment| fill(segment.from, segment.to, letter(segment.role)));
        recording.withheld.iter().for_each(|stretch| fill(stretch.from, stretch.to, 'x'));
    }
    let margin = lanes.keys().map(|agent| agent.as_str().chars().count()).max().unwrap_or(0);
    let mut drawn = String::new();
    let gap = width.saturating_sub(24);
    let _ = writeln!(drawn, "{:margin$}  {:12}{:gap$}{:>12}", "", clock(start), "", clock(end));
    for (agent, lane) in lanes {
        let lane: String = lane.into_iter().collect();
        let _ = writeln!(drawn, "{:margin$} |{lane}|", agent.as_str());
    }
    drawn += "C call, c consult, + conference, s supervisor, w wrap-up, d digital, - footage alone, x paused or masked\n";
    drawn
}

fn letter(role: Role) -> char {
    match role {
        Role::Primary => 'C',
        Role::Consult => 'c',
        Role::Conference => '+',
        Role::Monitor | Role::Coach | Role::Barge => 's',
        Role::AfterCallWork => 'w',
        Role::Digital => 'd',
    }
}

/// The time from the first start to the last end. Running footage ends with the last known event.
pub fn bounds(footage: &[Footage]) -> Option<(Utc, Utc)> {
    let start = footage.iter().map(|recording| recording.from).min()?;
    let known = footage.iter().flat_map(|recording| {
        let segments = recording.segments.iter().flat_map(|segment| [Some(segment.from), segment.to]);
        segments.chain([Some(recording.from), recording.to]).flatten()
    });
    Some((start, known.max()?))
}
