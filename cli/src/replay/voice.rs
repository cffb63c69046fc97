//! Calls that went on after their voice recording had stopped. With `start_on = "voice-recording"` nothing of
//! them is recorded from then on.
//!
//! They are observed by a policy without wishes, which is asked like any other: so it sees the calls as the
//! policies see them, and late events correct what it says. It reports the beginning and the end of a stretch
//! as a `problem`.

use std::collections::BTreeMap;
use std::time::Duration;

use deskreel_contract::{CallFacts, Decision, Fact, PolicyAnswer, Voice};
use deskreel_interaction::{Note, Output, Policy, PolicyError};
use deskreel_model::Utc;
use serde::{Deserialize, Serialize};

const OBSERVER: &str = "replay.voice";
/// The recorder and the switch report the end of a call separately.
const USUAL: Duration = Duration::from_secs(2);

/// A stretch of a call without voice recording, after a stretch with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WithoutVoice {
    pub agent: String,
    pub call: String,
    pub interaction: String,
    pub from: Utc,
    /// `None` while it lasts.
    pub to: Option<Utc>,
}

/// The agent's calls that are or were recorded by voice, by the time at which they were answered: a transfer
/// may change their id.
type Observed = BTreeMap<String, Option<WithoutVoice>>;

pub fn observer() -> Policy {
    Policy::from_fn(OBSERVER, |fact: &str| {
        // Mostly there is nothing to observe, and a replay has millions of facts.
        if fact.ends_with("\"state\":null}") && !fact.contains("\"voice\":\"o") {
            return Ok("{\"state\":null}".to_owned());
        }
        let fact: Fact<'_, Option<Observed>> =
            serde_json::from_str(fact).map_err(|error| error.to_string())?;
        observe(fact)
    })
}

fn observe(fact: Fact<'_, Option<Observed>>) -> Result<String, PolicyError> {
    let (state, fact) = fact.take_state();
    let before = state.unwrap_or_default();
    let at = Utc::parse(&fact.at).ok_or_else(|| format!("{} is not a time", fact.at))?;
    let (mut after, mut decisions) = (Observed::new(), Vec::new());
    for call in fact.calls.iter().filter(|call| call.is_up()) {
        let known = before.get(&*call.since);
        let now = match (call.voice, known) {
            (Voice::On | Voice::Paused, _) => None,
            (Voice::Off, Some(Some(stretch))) => Some(stretch.clone()),
            (Voice::Off, Some(None)) => {
                let stretch = begin(&fact.agent.id, call, at);
                decisions.push(report(&stretch)?);
                Some(stretch)
            }
            (Voice::Off, None) => continue,
        };
        after.insert(call.since.to_string(), now);
    }
    let lasting = |since: &String| after.get(since).is_some_and(Option::is_some);
    let ended =
        before.iter().filter(|(since, _)| !lasting(since)).filter_map(|(_, stretch)| stretch.as_ref());
    for stretch in ended {
        decisions.push(report(&WithoutVoice { to: Some(at), ..stretch.clone() })?);
    }
    let state = Some(after).filter(|after| !after.is_empty());
    serde_json::to_string(&PolicyAnswer { state, decisions }).map_err(|error| error.to_string())
}

fn begin(agent: &str, call: &CallFacts<'_>, from: Utc) -> WithoutVoice {
    let (agent, call, interaction) = (agent.to_owned(), call.call.to_string(), call.interaction.to_string());
    WithoutVoice { agent, call, interaction, from, to: None }
}

fn report(stretch: &WithoutVoice) -> Result<Decision, PolicyError> {
    serde_json::to_string(stretch).map(Decision::problem).map_err(|error| error.to_string())
}

/// Collects what the observer reports.
#[derive(Default)]
pub struct Stretches(Vec<WithoutVoice>);

/// An output of the engine that may be one of the observer.
pub enum Sorted {
    Output(Output),
    WithoutVoice(WithoutVoice),
    /// Nothing to show.
    Observed,
}

impl Stretches {
    pub fn sort(&mut self, output: Output) -> Sorted {
        let Output::Note(Note::PolicyFailed { policy, message, .. }) = &output else {
            return Sorted::Output(output);
        };
        if **policy != *OBSERVER {
            return Sorted::Output(output);
        }
        let Ok(stretch) = serde_json::from_str::<WithoutVoice>(message) else {
            return Sorted::Output(output);
        };
        let Some(to) = stretch.to else {
            self.0.push(stretch);
            return Sorted::Observed;
        };
        self.0.retain(|known| {
            (&known.agent, &known.call, known.from) != (&stretch.agent, &stretch.call, stretch.from)
        });
        if to.saturating_since(stretch.from) > USUAL {
            Sorted::WithoutVoice(stretch)
        } else {
            Sorted::Observed
        }
    }

    /// Those that last at the end of the log.
    pub fn lasting(self) -> Vec<WithoutVoice> {
        self.0
    }
}
