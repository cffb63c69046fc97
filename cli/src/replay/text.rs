//! The output of a replay, as lines for people and as JSON Lines for programs.

use std::io::{self, Write};

use deskreel_contract::CaptureMode;
use deskreel_interaction::{Counts, Note, Output};
use deskreel_model::Utc;
use deskreel_model::segment::{Footage, Segment};
use serde_json::{Value, json};

use super::EventLog;
use super::voice::WithoutVoice;

/// Writes an output for people. Commands are left out: in simulated time, they repeat what the footage says.
pub fn lines(out: &mut impl Write, output: &Output) -> io::Result<()> {
    match output {
        Output::Command(_) | Output::Touched(_) => Ok(()),
        Output::Decision(decided) => {
            let call = decided.call.as_ref().map_or_else(String::new, |call| format!(" {call}"));
            let (at, agent) = (clock(decided.at), &decided.agent);
            writeln!(out, "{at} {agent}: {}{call}: {} ({})", decided.action, decided.why, decided.policy)
        }
        Output::Note(note) => match note {
            Note::PolicyFailed { at, policy, agent, message } => {
                writeln!(out, "{} {agent}: {policy} failed: {message}", clock(*at))
            }
            Note::Missing { at, feed, events } => {
                writeln!(out, "{} {events} events of the feed {feed} are missing", clock(*at))
            }
            Note::TooLate { at, .. } => {
                writeln!(out, "{} an event came too late to be put in order", clock(*at))
            }
            Note::Unresolved { at, event } => {
                writeln!(out, "{} an event names no known agent: {event}", clock(*at))
            }
            Note::Early { at, received, .. } => {
                writeln!(out, "{} an event came with a time of the future, {at}", clock(*received))
            }
        },
        Output::Footage(footage) => table(out, footage),
    }
}

fn table(out: &mut impl Write, footage: &Footage) -> io::Result<()> {
    let place = footage.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
    let until = footage.to.map_or_else(|| "continues".to_owned(), |to| format!("to {}", clock(to)));
    writeln!(out, "recording of {}{place}: {} {until}", footage.agent, footage.from)?;
    let ended = footage.why_ended.as_ref().map_or_else(String::new, |why| format!("; {why}"));
    writeln!(out, "    {}{ended}", footage.why)?;
    for tag in &footage.tags {
        writeln!(out, "    tag {} = {}", tag.name, tag.value)?;
    }
    for stretch in &footage.withheld {
        let what = if stretch.capture == CaptureMode::Masked { "masked" } else { "paused" };
        writeln!(out, "    {} {what}: {}", span(stretch.from, stretch.to), stretch.why)?;
    }
    for segment in &footage.segments {
        writeln!(out, "    {} {}", span(segment.from, segment.to), name(segment))?;
    }
    Ok(())
}

/// Writes for people that a call went on without voice recording.
pub fn without_voice(out: &mut impl Write, stretch: &WithoutVoice) -> io::Result<()> {
    let WithoutVoice { agent, call, from, to, .. } = stretch;
    let until = to.map_or_else(|| "continues".to_owned(), |to| format!("to {}", clock(to)));
    writeln!(out, "{} {agent}: call {call} went on without voice recording, {until}", clock(*from))
}

/// The same as one line of JSON.
pub fn without_voice_json(out: &mut impl Write, stretch: &WithoutVoice) -> io::Result<()> {
    let WithoutVoice { agent, call, interaction, from, to } = stretch;
    let row = json!({
        "row": "without_voice", "agent": agent, "call": call, "interaction": interaction, "from": from, "to": to,
    });
    writeln!(out, "{row}")
}

/// A segment's name, such as `consult of 77 (call 78)`.
pub fn name(segment: &Segment) -> String {
    let call = segment.call.as_ref().filter(|call| call.as_str() != segment.interaction.as_str());
    let call = call.map_or_else(String::new, |call| format!(" (call {call})"));
    format!("{} of {}{call}", segment.role, segment.interaction)
}

/// The time of day, such as `09:00:10.000`.
pub fn clock(at: Utc) -> String {
    let text = at.to_string();
    text.split_once('T').map_or(text.clone(), |(_, time)| time.trim_end_matches('Z').to_owned())
}

fn span(from: Utc, to: Option<Utc>) -> String {
    format!("{} to {:12}", clock(from), to.map(clock).unwrap_or_default())
}

/// Writes an output as one line of JSON; `row` is its kind.
pub fn json(out: &mut impl Write, output: &Output) -> io::Result<()> {
    let (row, mut value) = match output {
        Output::Command(_) | Output::Touched(_) => return Ok(()),
        Output::Decision(decided) => ("decision", json!(decided)),
        Output::Note(note) => ("note", json!(note)),
        Output::Footage(footage) => ("recording", json!(footage)),
    };
    if let Value::Object(value) = &mut value {
        value.insert("row".to_owned(), row.into());
    }
    writeln!(out, "{value}")
}

pub fn summary(counts: &Counts, log: &EventLog) -> String {
    let mut text = format!("{} events", counts.events);
    let mut add = |number: u64, what: &str| {
        if number > 0 {
            text += &format!(", {number} {what}");
        }
    };
    add(counts.late, "late");
    add(counts.too_late, "too late");
    add(counts.early, "from the future");
    add(counts.doubled, "duplicates");
    add(counts.missing, "missing");
    add(log.malformed, "lines that are not events");
    text
}

pub fn summary_json(counts: &Counts, log: &EventLog) -> Value {
    json!({
        "row": "summary",
        "events": counts.events,
        "late": counts.late,
        "too_late": counts.too_late,
        "early": counts.early,
        "doubled": counts.doubled,
        "missing": counts.missing,
        "malformed": log.malformed,
    })
}
