//! Decides which screen is shown at each moment of an interaction unless a person chooses: that of the agent
//! who has the customer. The player has the same rule (web/src/player/follow.ts). Pure.

use deskreel_model::RecordingId;

/// A segment with footage. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<'a> {
    pub recording: &'a RecordingId,
    pub role: &'a str,
    pub from: i64,
    pub to: i64,
}

/// A recording that is shown for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn<'a> {
    pub recording: &'a RecordingId,
    pub from: i64,
    pub to: i64,
}

/// The turns in order of time. Moments without footage are left out.
pub fn turns<'a>(spans: &[Span<'a>]) -> Vec<Turn<'a>> {
    let mut edges: Vec<i64> = spans.iter().flat_map(|span| [span.from, span.to]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut turns: Vec<Turn> = Vec::new();
    for (from, to) in edges.iter().zip(edges.iter().skip(1)) {
        let current = turns.last().map(|turn| turn.recording);
        let there = spans.iter().filter(|span| span.from <= *from && *from < span.to);
        // Among equal ranks, the one on screen stays, so that a conference does not jump between its agents;
        // otherwise the latest one is shown, since that agent took the call over.
        let best = there.max_by_key(|span| (rank(span.role), Some(span.recording) == current, span.from));
        let Some(Span { recording, .. }) = best else { continue };
        match turns.last_mut() {
            Some(turn) if turn.recording == *recording && turn.to == *from => turn.to = *to,
            _ => turns.push(Turn { recording, from: *from, to: *to }),
        }
    }
    turns
}

/// The agent who has the customer ranks highest, wrap-up lowest: by then another agent may have the call.
fn rank(role: &str) -> u8 {
    match role {
        "primary" => 4,
        "digital" => 3,
        "conference" => 2,
        "consult" => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::names::known_recording;

    fn span(recording: &str, role: &'static str, from: i64, to: i64) -> Span<'static> {
        let recording = known_recording(recording).unwrap();
        Span { recording: Box::leak(Box::new(recording)), role, from, to }
    }

    fn written(spans: &[Span]) -> String {
        let turns = turns(spans);
        turns
            .iter()
            .map(|turn| format!("{} {}-{}", turn.recording, turn.from, turn.to))
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn the_agent_who_has_the_customer_is_shown() {
        // A consult transfer: bob is consulted at 40 and has the call at 60; ann wraps up.
        let transfer = [
            span("ann", "primary", 0, 60),
            span("ann", "after_call_work", 60, 80),
            span("bob", "consult", 40, 60),
            span("bob", "primary", 60, 100),
            span("bob", "after_call_work", 100, 120),
        ];
        assert_eq!(written(&transfer), "ann 0-60, bob 60-120");
        // After a while without footage, the next agent follows.
        assert_eq!(
            written(&[span("ann", "primary", 0, 10), span("bob", "primary", 30, 40)]),
            "ann 0-10, bob 30-40"
        );
    }

    #[test]
    fn a_conference_does_not_jump_between_its_agents() {
        let conference = [
            span("ann", "primary", 0, 30),
            span("ann", "conference", 30, 60),
            span("bob", "conference", 30, 70),
            span("cid", "conference", 40, 50),
        ];
        assert_eq!(written(&conference), "ann 0-60, bob 60-70");
        assert_eq!(written(&[]), "");
    }
}
