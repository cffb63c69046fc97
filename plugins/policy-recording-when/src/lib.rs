//! Rules about the calls and agents that are recorded. README.md is the manual.
//!
//! For calls it only forbids: other policies want the footage of a call and decide what it belongs to. Apart
//! from calls it starts and stops footage by itself. The classic expression (`classic.rs`) and rules in CEL
//! (`rules.rs`) can be combined: footage is forbidden if either forbids it.

mod classic;
mod names;
mod rules;
mod sample;
mod words;

use std::collections::BTreeMap;

use deskreel_sdk::prelude::*;

use classic::Classic;
use rules::{OnError, Rules};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(rename = "recordingWhen")]
    recording_when: Option<String>,
    #[serde(default, rename = "recordingWhen_of")]
    recording_when_of: BTreeMap<String, String>,
    record_calls: Option<String>,
    record_agents: Option<String>,
    #[serde(default)]
    on_error: OnError,
    #[serde(default = "utc")]
    timezone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

struct RecordingWhen {
    classic: Option<Classic>,
    of: BTreeMap<String, Classic>,
    rules: Rules,
}

impl Policy for RecordingWhen {
    type Settings = Settings;
    type State = ();

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        let classic = |key: &str, text: &str| {
            Classic::parse(text).map_err(|error| PluginError::settings(format!("`{key}`: {error}")))
        };
        let of = settings.recording_when_of.iter();
        Ok(RecordingWhen {
            classic: settings.recording_when.map(|text| classic("recordingWhen", &text)).transpose()?,
            of: of.map(|(agent, text)| Ok((agent.clone(), classic(agent, text)?))).collect::<Result<_>>()?,
            rules: Rules::new(
                settings.record_calls,
                settings.record_agents,
                &settings.timezone,
                settings.on_error,
            )?,
        })
    }

    fn decide(&self, _state: &mut (), fact: &Fact<()>) -> Result<Vec<Decision>> {
        let mut decisions = Vec::new();
        // An agent's own expression replaces the general one.
        if let Some(classic) = self.of.get(&*fact.agent.id).or(self.classic.as_ref()) {
            classic.decide(fact, &mut decisions);
        }
        self.rules.decide(fact, &mut decisions);
        Ok(decisions)
    }
}

/// Maps each digital interaction that begins while states are recorded.
fn map_digital(fact: &Fact<()>, decisions: &mut Vec<Decision>) {
    for interaction in fact.changed_interactions() {
        let why = format!("the agent has accepted this {}", interaction.media);
        decisions.push(Decision::map(why, &interaction.interaction, Role::Digital));
    }
}

export_plugin! {
    descriptor: "plugin.toml",
    policy "policy.recording-when" => RecordingWhen,
}
