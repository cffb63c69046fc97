//! The classic expression: `off`, or conditions separated by commas, all of which must hold.
//!
//! Its documentation says: calls are always recorded, unless it is `off`; without calls, an agent is recorded
//! while all conditions hold; of an agent with voice, only calls are recorded. It does not say the following,
//! which we decided: `random` decides once for each stretch of a state, by agent and begin; states are
//! compared as `words.rs` does, with the state of a medium and with its work mode.

mod parse;

use deskreel_sdk::prelude::*;

use crate::{map_digital, sample, words};
pub use parse::{Classic, Condition};

impl Classic {
    pub fn decide(&self, fact: &Fact<()>, decisions: &mut Vec<Decision>) {
        let conditions = match self {
            Classic::Off => return decisions.push(Decision::forbid("recordingWhen is off")),
            Classic::All(conditions) => conditions,
        };
        let has_voice = !fact.agent.devices.is_empty() || fact.media.get("voice").is_some();
        let held = fact.media.iter().find(|(_, medium)| {
            conditions.iter().all(|condition| match condition {
                Condition::UserState(state) => {
                    let mode = medium.work_mode.as_deref();
                    words::are_equal(&medium.state, state)
                        || mode.is_some_and(|mode| words::are_equal(mode, state))
                }
                Condition::Random(percent) => {
                    let key = format!("{}/{}", fact.agent.id, medium.since);
                    sample::percent(&key) < f64::from(*percent)
                }
            })
        });
        match held.filter(|_| !has_voice) {
            Some((media, medium)) => {
                decisions.push(Decision::start(format!("recordingWhen holds: {} in {media}", medium.state)));
                map_digital(fact, decisions);
            }
            None => decisions.push(Decision::stop("recordingWhen holds no longer")),
        }
    }
}
