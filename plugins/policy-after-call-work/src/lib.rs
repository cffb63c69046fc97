//! Continues footage through wrap-up.
//!
//! Idle -(the last call ends, and was recorded)-> Waiting for the work mode -(it begins)-> WrappingUp -(it
//! ends, a call comes, or the time is over)-> Idle. If wrap-up has a fixed time or lasts until the next call,
//! Waiting is skipped.

use std::time::Duration;

use deskreel_sdk::durations;
use deskreel_sdk::prelude::*;

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrapUp {
    #[default]
    WorkMode,
    Fixed,
    NextCall,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NextCall {
    #[default]
    Split,
    Continue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    wrap_up: WrapUp,
    #[serde(default = "time", deserialize_with = "durations::duration")]
    wrap_up_time: Duration,
    #[serde(default = "grace", deserialize_with = "durations::duration")]
    wrap_up_grace: Duration,
    #[serde(default = "max", deserialize_with = "durations::duration")]
    wrap_up_max: Duration,
    #[serde(default)]
    next_call: NextCall,
}

fn time() -> Duration {
    Duration::from_secs(30)
}

fn grace() -> Duration {
    Duration::from_secs(2)
}

fn max() -> Duration {
    Duration::from_secs(600)
}

struct AfterCallWork(Settings);

#[derive(Default, Serialize, Deserialize)]
enum State {
    #[default]
    Idle,
    Waiting(Call),
    WrappingUp(Call),
}

/// The call that is being wrapped up.
#[derive(Clone, Serialize, Deserialize)]
struct Call {
    call: String,
    interaction: String,
}

const TIMER: &str = "wrap-up";

impl Policy for AfterCallWork {
    type Settings = Settings;
    type State = State;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        Ok(AfterCallWork(settings))
    }

    fn decide(&self, state: &mut State, fact: &Fact<()>) -> Result<Vec<Decision>> {
        let mut decisions = Vec::new();
        let works = is_wrapping_up(fact);
        let is_up = fact.calls.iter().any(CallFacts::is_up);
        let next = match std::mem::take(state) {
            State::Idle => match fact.ended.last() {
                Some(ended) if ended.is_up() && !is_up && fact.recording.is_some() => {
                    self.call_ended(ended, works, &mut decisions)
                }
                _ => State::Idle,
            },
            State::Waiting(call) if works && !is_up => self.wrap_up(call, &mut decisions),
            // The call may have come back in another form, or there is no wrap-up.
            State::Waiting(_) if is_up || fact.is_timer(TIMER) || is_gone(fact) => {
                decisions.push(Decision::stop("no wrap-up followed the call"));
                State::Idle
            }
            State::WrappingUp(call) => self.wrapping_up(call, works, is_up, fact, &mut decisions),
            waiting => waiting,
        };
        *state = next;
        Ok(decisions)
    }
}

impl AfterCallWork {
    fn call_ended(&self, ended: &CallFacts, works: bool, decisions: &mut Vec<Decision>) -> State {
        let call = Call { call: ended.call.to_string(), interaction: ended.interaction.to_string() };
        if works || self.0.wrap_up != WrapUp::WorkMode {
            return self.wrap_up(call, decisions);
        }
        decisions.push(Decision::start(format!("wrap-up of call {} may follow", call.call)));
        decisions.push(wake(self.0.wrap_up_grace));
        State::Waiting(call)
    }

    fn wrap_up(&self, call: Call, decisions: &mut Vec<Decision>) -> State {
        let why = format!("wrap-up of call {}", call.call);
        decisions.push(Decision::start(&why));
        decisions.push(Decision::map(why, &call.interaction, Role::AfterCallWork).for_call(&call.call));
        decisions.push(wake(match self.0.wrap_up {
            WrapUp::Fixed => self.0.wrap_up_time,
            WrapUp::WorkMode | WrapUp::NextCall => self.0.wrap_up_max,
        }));
        State::WrappingUp(call)
    }

    fn wrapping_up(
        &self,
        call: Call,
        works: bool,
        is_up: bool,
        fact: &Fact<()>,
        decisions: &mut Vec<Decision>,
    ) -> State {
        let why = if is_up {
            "another call has ended the wrap-up"
        } else if is_gone(fact) {
            "the agent has logged out"
        } else if fact.is_timer(TIMER) {
            "the time for wrap-up is over"
        } else if self.0.wrap_up == WrapUp::WorkMode && !works {
            "the agent has finished the wrap-up"
        } else {
            return State::WrappingUp(call);
        };
        if is_up && self.0.next_call == NextCall::Split {
            decisions.push(Decision::split("another call begins other footage"));
        }
        let stop = Decision::stop(why);
        // Another policy may want footage of the next call only a little later, when its voice is recorded.
        let lingers = is_up && self.0.next_call == NextCall::Continue;
        decisions.push(if lingers {
            stop.with("after_ms", milliseconds(self.0.wrap_up_grace))
        } else {
            stop
        });
        let map = Decision::map(why, &call.interaction, Role::AfterCallWork);
        decisions.push(map.for_call(&call.call).with("to", &*fact.at));
        State::Idle
    }
}

fn wake(after: Duration) -> Decision {
    Decision::wake_after("wrap-up has its time", TIMER, milliseconds(after))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns whether the work mode, or the state itself, is one of after-call work. An agent who is ready has
/// ended it, even if the sender repeats the old work mode.
fn is_wrapping_up(fact: &Fact<()>) -> bool {
    let Some(voice) = fact.media.get("voice") else { return false };
    let words = [voice.work_mode.as_deref(), Some(&*voice.state)];
    plain(&voice.state) != "ready" && words.into_iter().flatten().any(|word| WORDS.contains(&&*plain(word)))
}

/// Words for after-call work, without case and separators: of CSTA's normalized events, of CSTA's agent
/// states, and of agent desktops.
const WORDS: [&str; 6] =
    ["aftercallwork", "workingaftercall", "aftercall", "acw", "wrapup", "postprocessing"];

fn plain(word: &str) -> String {
    word.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn is_gone(fact: &Fact<()>) -> bool {
    fact.is("agent.logged_out")
}

export_plugin! {
    descriptor: "plugin.toml",
    policy "policy.after-call-work" => AfterCallWork,
}
