//! Whose screen is shown at a moment of an interaction, where nobody chose: that of the agent who has the customer. The same rule as the
//! player's (web/src/player/follow.ts). Pure.

/// A segment with footage. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<'a> {
    pub recording: &'a str,
    pub role: &'a str,
    pub from: i64,
    pub to: i64,
}

/// A recording that is shown for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn<'a> {
    pub recording: &'a str,
    pub from: i64,
    pub to: i64,
}

/// From the first moment to the last; where there is no footage, nothing is.
pub fn turns<'a>(spans: &[Span<'a>]) -> Vec<Turn<'a>> {
    let mut edges: Vec<i64> = spans.iter().flat_map(|span| [span.from, span.to]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut turns: Vec<Turn> = Vec::new();
    for (from, to) in edges.iter().zip(edges.iter().skip(1)) {
        let current = turns.last().map(|turn| turn.recording);
        let there = spans.iter().filter(|span| span.from <= *from && *from < span.to);
        // Of two that rank the same it stays with the one that is shown, so that a conference does not jump between its agents; else the
        // one that came last is shown, since that is who took the call over.
        let best = there.max_by_key(|span| (rank(span.role), Some(span.recording) == current, span.from));
        let Some(Span { recording, .. }) = best else { continue };
        match turns.last_mut() {
            Some(turn) if turn.recording == *recording && turn.to == *from => turn.to = *to,
            _ => turns.push(Turn { recording, from: *from, to: *to }),
        }
    }
    turns
}

/// Who has the customer comes first; wrap-up last, since by then somebody else may have the call.
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
    use super::*;

    fn span(recording: &'static str, role: &'static str, from: i64, to: i64) -> Span<'static> {
        Span { recording, role, from, to }
    }

    fn told(spans: &[Span]) -> String {
        let turns = turns(spans);
        turns
            .iter()
            .map(|turn| format!("{} {}-{}", turn.recording, turn.from, turn.to))
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn who_has_the_customer_is_shown() {
        // A transfer in two steps: bob is asked at 40, has the call at 60; ann wraps up.
        let transfer = [
            span("ann", "primary", 0, 60),
            span("ann", "after_call_work", 60, 80),
            span("bob", "consult", 40, 60),
            span("bob", "primary", 60, 100),
            span("bob", "after_call_work", 100, 120),
        ];
        assert_eq!(told(&transfer), "ann 0-60, bob 60-120");
        // Nobody for a while: the file goes on with who is next.
        assert_eq!(
            told(&[span("ann", "primary", 0, 10), span("bob", "primary", 30, 40)]),
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
        assert_eq!(told(&conference), "ann 0-60, bob 60-70");
        assert_eq!(told(&[]), "");
    }
}
