//! The smallest policy: record while at least one call is up.
//!
//! Its state is the number of calls that are up. It comes in with each event and goes out with the decision, so
//! that a day of events can be replayed and gives the same recordings.

use deskreel_sdk::prelude::*;

struct Minimal;

impl Policy for Minimal {
    type Settings = NoSettings;

    fn open(_settings: NoSettings, _host: Host) -> Result<Self> {
        Ok(Minimal)
    }

    fn decide(&self, fact: &Fact) -> Result<Decided> {
        let before = fact.state.as_u64().unwrap_or(0);
        let after = match fact.event.kind.as_str() {
            "call.established" => before + 1,
            "call.cleared" => before.saturating_sub(1),
            _ => before,
        };
        let decisions = match (before, after) {
            (0, 1) => vec![decision("start", "the first call was answered")],
            (1, 0) => vec![decision("stop", "the last call was cleared")],
            _ => vec![],
        };
        Ok(Decided { state: json!(after), decisions })
    }
}

fn decision(action: &str, why: &str) -> Decision {
    Decision { action: action.into(), why: why.into(), fields: Default::default() }
}

export_plugin! {
    descriptor: "plugin.toml",
    policy "example.policy.minimal" => Minimal,
}
