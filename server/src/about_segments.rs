//! Segments of recorders that decide by themselves: which interactions a recording belongs to, by its
//! `about`. They count only as long as this server has decided nothing about the recording. Pure;
//! `db/segments.rs` stores them.

use deskreel_model::{AgentId, CallId, InteractionId, RecordingId};

use crate::manifest::About;
use crate::time;

/// The index's knowledge of the recording. Times are milliseconds since 1970 by the server's clock.
#[derive(Debug, Clone)]
pub struct Footage {
    pub agent: Option<AgentId>,
    pub started: i64,
    pub ended: Option<i64>,
    /// The server's clock minus the recorder's.
    pub clock_offset_ms: i64,
}

/// One segment for each interaction; all have the same agent and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AboutSegments {
    pub agent: AgentId,
    pub from: i64,
    pub to: Option<i64>,
    pub media: &'static str,
    /// Interactions, each with the call that its segment is of.
    pub interactions: Vec<(InteractionId, Option<CallId>)>,
    /// Every call of `about`, with the interaction it belongs to.
    pub calls: Vec<(CallId, InteractionId)>,
}

impl AboutSegments {
    pub fn new(recording: &RecordingId, about: &About, footage: &Footage) -> AboutSegments {
        let Footage { started, ended, .. } = *footage;
        // `from` and `to` of `about`, within the footage as soon as its end is known.
        let within = |text: Option<&String>| {
            let at = text.and_then(|text| time::parse(text))? + footage.clock_offset_ms;
            Some(ended.map_or(at, |ended| at.clamp(started, ended.max(started))))
        };
        let calls = &about.calls;
        let of_call = |call: &CallId| InteractionId::from(call.as_str());
        let interactions = match (about.interactions.is_empty(), calls.first()) {
            (false, _) => about.interactions.clone(),
            (true, Some(call)) => vec![of_call(call)],
            // Footage that belongs to no contact is found by the recording's id.
            (true, None) => vec![InteractionId::from(recording.as_str())],
        };
        let call_of = |interaction: &InteractionId| match &calls[..] {
            [only] => Some(only.clone()),
            calls => calls.iter().find(|call| call.as_str() == interaction.as_str()).cloned(),
        };
        let interaction_of = |call: &CallId| {
            let own = of_call(call);
            let of = interactions.iter().find(|one| **one == own).or(interactions.first());
            Some((call.clone(), of?.clone()))
        };
        AboutSegments {
            agent: footage.agent.clone().unwrap_or_else(|| "unknown".into()),
            from: within(about.from.as_ref()).unwrap_or(started),
            to: within(about.to.as_ref()).or(ended),
            media: if calls.is_empty() { "screen" } else { "voice" },
            calls: calls.iter().filter_map(interaction_of).collect(),
            interactions: interactions.iter().map(|one| (one.clone(), call_of(one))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use deskreel_model::Utc;

    use super::*;

    fn about(calls: &[&str], interactions: &[&str]) -> About {
        About {
            calls: calls.iter().map(|call| (*call).into()).collect(),
            interactions: interactions.iter().map(|one| (*one).into()).collect(),
            ..About::default()
        }
    }

    const FOOTAGE: Footage = Footage { agent: None, started: 1_000, ended: Some(9_000), clock_offset_ms: 0 };

    fn of(about: &About, footage: &Footage) -> AboutSegments {
        AboutSegments::new(&RecordingId::new(Utc::MIN, 7), about, footage)
    }

    /// `interaction/call` of each segment, then `call>interaction` of each call.
    fn written(about: &About) -> String {
        let segments = of(about, &FOOTAGE);
        let of_segment = |(interaction, call): &(InteractionId, Option<CallId>)| {
            format!("{interaction}/{}", call.as_ref().map_or("-", CallId::as_str))
        };
        let of_call = |(call, interaction): &(CallId, InteractionId)| format!("{call}>{interaction}");
        let all = segments.interactions.iter().map(of_segment).chain(segments.calls.iter().map(of_call));
        format!("{} {}", segments.media, all.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_recording_belongs_to_its_interactions_or_its_first_call_or_itself() {
        let own = RecordingId::new(Utc::MIN, 7);
        assert_eq!(written(&about(&[], &[])), format!("screen {own}/-"));
        assert_eq!(written(&about(&[], &["i-1", "i-2"])), "screen i-1/- i-2/-");
        assert_eq!(written(&about(&["77"], &[])), "voice 77/77 77>77");
        assert_eq!(written(&about(&["77", "78"], &[])), "voice 77/77 77>77 78>77");
        // The only call is in every segment; of several, a segment has the one that its interaction is named
        // by.
        assert_eq!(written(&about(&["77"], &["i-1", "i-2"])), "voice i-1/77 i-2/77 77>i-1");
        assert_eq!(written(&about(&["77", "78"], &["i-1", "78"])), "voice i-1/- 78/78 77>i-1 78>78");
    }

    #[test]
    fn a_segment_has_the_times_of_about_by_the_servers_clock_within_the_footage() {
        let at = |ms: i64| Some(time::rfc3339(ms));
        let times = |from: Option<i64>, to: Option<i64>, footage: &Footage| {
            let text = |ms: Option<i64>| ms.and_then(at);
            let segments = of(&About { from: text(from), to: text(to), ..About::default() }, footage);
            (segments.from, segments.to)
        };
        assert_eq!(times(None, None, &FOOTAGE), (1_000, Some(9_000)));
        assert_eq!(times(Some(2_000), Some(3_000), &FOOTAGE), (2_000, Some(3_000)));
        assert_eq!(times(Some(0), Some(99_000), &FOOTAGE), (1_000, Some(9_000)));
        let running = Footage { ended: None, ..FOOTAGE };
        assert_eq!(times(Some(0), None, &running), (0, None));
        let behind = Footage { clock_offset_ms: 500, ..FOOTAGE };
        assert_eq!(times(Some(2_000), Some(3_000), &behind), (2_500, Some(3_500)));
        // A broken end before the start counts as the start.
        let broken = Footage { ended: Some(0), ..FOOTAGE };
        assert_eq!(times(Some(2_000), None, &broken), (1_000, Some(0)));
        assert_eq!(of(&About::default(), &FOOTAGE).agent.as_str(), "unknown");
    }
}
