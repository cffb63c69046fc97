//! Footage while an agent is in one of the configured states.
//!
//! Off -(a state has held for `debounce`)-> On -(none has held for `debounce`)-> Off. A shorter change has no
//! effect. While it is On, footage is split after each `state_max`.

use std::time::Duration;

use deskreel_sdk::durations;
use deskreel_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    states: Vec<StatePattern>,
    #[serde(default = "one_second", deserialize_with = "durations::duration")]
    debounce: Duration,
    #[serde(default, deserialize_with = "durations::optional_duration")]
    state_max: Option<Duration>,
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatePattern {
    media: Option<String>,
    state: Option<String>,
    work_mode: Option<String>,
    reason: Option<String>,
}

struct AgentState(Settings);

#[derive(Default, Serialize, Deserialize)]
struct State {
    is_on: bool,
    /// The opposite has begun to hold, and the debounce timer runs.
    is_flipping: bool,
}

const DEBOUNCE: &str = "debounce";
const MAX: &str = "max";

impl Policy for AgentState {
    type Settings = Settings;
    type State = State;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        Ok(AgentState(settings))
    }

    fn decide(&self, state: &mut State, fact: &Fact<()>) -> Result<Vec<Decision>> {
        let mut decisions = Vec::new();
        let matching = self.0.states.iter().find_map(|pattern| pattern.matching(fact));
        if matching.is_some() == state.is_on {
            state.is_flipping = false;
        } else if self.0.debounce.is_zero() || (state.is_flipping && fact.is_timer(DEBOUNCE)) {
            *state = State { is_on: matching.is_some(), is_flipping: false };
            match matching {
                Some(state) => {
                    decisions.push(Decision::start(format!("the agent is {state}")));
                    decisions.extend(self.wake(MAX, self.0.state_max));
                }
                None => decisions.push(Decision::stop("the agent is in no state that is recorded")),
            }
        } else if !state.is_flipping {
            state.is_flipping = true;
            decisions.extend(self.wake(DEBOUNCE, Some(self.0.debounce)));
        }
        if fact.is_timer(MAX) && state.is_on {
            decisions.push(Decision::split("footage of a state has reached its greatest length"));
            decisions.extend(self.wake(MAX, self.0.state_max));
        }
        for interaction in fact.changed_interactions() {
            let why = format!("the agent has accepted this {}", interaction.media);
            decisions.push(Decision::map(why, &interaction.interaction, Role::Digital));
        }
        Ok(decisions)
    }
}

impl AgentState {
    fn wake(&self, name: &str, after: Option<Duration>) -> Option<Decision> {
        let after_ms = u64::try_from(after?.as_millis()).unwrap_or(u64::MAX);
        Some(Decision::wake_after("a state has to last", name, after_ms))
    }
}

impl StatePattern {
    /// Describes the first medium that is in this state.
    fn matching(&self, fact: &Fact<()>) -> Option<String> {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| found.is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
        };
        let (media, facts) = fact.media.iter().find(|(media, facts)| {
            is(&self.media, Some(media))
                && is(&self.state, Some(&facts.state))
                && is(&self.work_mode, facts.work_mode.as_deref())
                && is(&self.reason, facts.reason.as_deref())
        })?;
        let mode = facts.work_mode.as_deref().map_or_else(String::new, |mode| format!(" ({mode})"));
        Some(format!("{}{mode} in {media}", facts.state))
    }
}

export_plugin! {
    descriptor: "plugin.toml",
    policy "policy.agent-state" => AgentState,
}
