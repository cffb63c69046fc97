//! Footage of calls. Both policies want it for the same time; they differ in the interaction it belongs to.
//!
//! They have no state: at each event they decide about the calls that it has changed, and a decision about a
//! call ends with the agent's part in it. So a transfer, in which one part ends and another begins, leaves
//! the footage in one piece.

use std::time::Duration;

use deskreel_sdk::durations;
use deskreel_sdk::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StartOn {
    VoiceRecording,
    Call,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    start_on: Option<StartOn>,
    #[serde(default = "half_a_second", deserialize_with = "durations::duration")]
    linger: Duration,
}

fn half_a_second() -> Duration {
    Duration::from_millis(500)
}

struct FirstCall {
    start_on: StartOn,
    linger: Duration,
}

struct AllCalls {
    start_on: StartOn,
    linger: Duration,
}

impl Policy for FirstCall {
    type Settings = Settings;
    type State = ();

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        let start_on = settings.start_on.unwrap_or(StartOn::VoiceRecording);
        Ok(FirstCall { start_on, linger: settings.linger })
    }

    fn decide(&self, _state: &mut (), fact: &Fact<()>) -> Result<Vec<Decision>> {
        Ok(footage(fact, self.start_on, self.linger, |call| {
            Decision::map("footage belongs to the first call in it", &call.interaction, call.role)
                .with("until", "recording")
                .with("first", true)
        }))
    }
}

impl Policy for AllCalls {
    type Settings = Settings;
    type State = ();

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        Ok(AllCalls { start_on: settings.start_on.unwrap_or(StartOn::Call), linger: settings.linger })
    }

    fn decide(&self, _state: &mut (), fact: &Fact<()>) -> Result<Vec<Decision>> {
        Ok(footage(fact, self.start_on, self.linger, |call| {
            Decision::map("every call has its segment", &call.interaction, call.role)
        }))
    }
}

/// Decides about the calls that an event has changed.
fn footage(
    fact: &Fact<()>,
    start_on: StartOn,
    linger: Duration,
    map: impl Fn(&CallFacts) -> Decision,
) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for call in fact.changed_calls().filter(|call| call.is_up()) {
        let why = match (start_on, call.voice) {
            (StartOn::Call, _) => format!("call {} is up", call.call),
            (StartOn::VoiceRecording, Voice::On | Voice::Paused) => {
                format!("call {} is recorded by voice", call.call)
            }
            (StartOn::VoiceRecording, Voice::Off) => {
                let linger = u64::try_from(linger.as_millis()).unwrap_or(u64::MAX);
                let stop = Decision::stop(format!("the voice recording of call {} has ended", call.call));
                decisions.push(stop.for_call(&call.call).with("after_ms", linger));
                continue;
            }
        };
        decisions.push(Decision::start(why).for_call(&call.call));
        decisions.push(map(call).for_call(&call.call));
    }
    decisions
}

export_plugin! {
    descriptor: "plugin.toml",
    policy "policy.voice-first-call" => FirstCall,
    policy "policy.voice-all-calls" => AllCalls,
}
