//! The classic expression: `off`, or conditions with commas, all of which must hold.
//!
//! ```text
//! value     = "off" / condition *( "," condition )
//! condition = "random" "(" percent ")" / "userState" "=" state
//! ```
//!
//! As documented for it: calls are recorded whatever it says, unless it is `off`; without calls, an agent is recorded
//! while all conditions hold; of an agent who has voice, only calls are. What is not documented we decided: the die of
//! `random` is thrown once for each stretch of a state, by agent and its beginning; states compare without regard to
//! case.

use deskreel_sdk::prelude::*;

use crate::{map_digital, sample};

#[derive(Debug, Clone, PartialEq)]
pub enum Classic {
    Off,
    All(Vec<Condition>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Random(u8),
    UserState(String),
}

impl Classic {
    /// An error names the column, from 1.
    pub fn parse(text: &str) -> Result<Classic, String> {
        if text.trim() == "off" {
            return Ok(Classic::Off);
        }
        let mut column = 1;
        let mut conditions = Vec::new();
        for part in text.split(',') {
            let place = column + part.chars().take_while(|letter| letter.is_whitespace()).count();
            column += part.chars().count() + 1;
            let condition = condition(part.trim()).map_err(|error| format!("{error} at column {place}"))?;
            conditions.push(condition);
        }
        Ok(Classic::All(conditions))
    }

    pub fn decide(&self, fact: &Fact<()>, decisions: &mut Vec<Decision>) {
        let conditions = match self {
            Classic::Off => return decisions.push(Decision::forbid("recordingWhen is off")),
            Classic::All(conditions) => conditions,
        };
        let has_voice = !fact.agent.devices.is_empty() || fact.media.contains_key("voice");
        let held = fact.media.iter().find(|(_, medium)| {
            conditions.iter().all(|condition| match condition {
                Condition::UserState(state) => medium.state.eq_ignore_ascii_case(state),
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

fn condition(text: &str) -> Result<Condition, String> {
    if text.is_empty() {
        return Err("a condition is missing".to_owned());
    }
    if let Some((name, state)) = text.split_once('=') {
        return match (name.trim(), state.trim()) {
            ("userState", "") => Err("`userState=` needs a state".to_owned()),
            ("userState", state) => Ok(Condition::UserState(state.to_owned())),
            (name, _) => Err(format!("there is no condition `{name}`; write userState=Ready")),
        };
    }
    let inner = text.strip_prefix("random").map(str::trim_start);
    let inner = inner.and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
    let Some(percent) = inner else {
        let hint = "the conditions are random(60) and userState=Ready; `off` stands alone";
        return Err(format!("`{text}` is no condition; {hint}"));
    };
    match percent.trim().parse() {
        Ok(percent) if percent <= 100 => Ok(Condition::Random(percent)),
        _ => Err(format!("`random({percent})` takes a whole number from 0 to 100")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn conditions_are_read_as_they_are_documented() {
        let both = Classic::All(vec![Condition::Random(60), Condition::UserState("Ready".into())]);
        assert_eq!(Classic::parse("random(60),userState=Ready").unwrap(), both);
        assert_eq!(Classic::parse(" random( 60 ) , userState = Ready ").unwrap(), both);
        assert_eq!(Classic::parse("off").unwrap(), Classic::Off);
    }

    #[test]
    fn a_mistake_is_told_with_its_column() {
        let error = |text| Classic::parse(text).unwrap_err();
        assert_eq!(error("random(101)"), "`random(101)` takes a whole number from 0 to 100 at column 1");
        assert_eq!(
            error("random(5), on"),
            "`on` is no condition; the conditions are random(60) and userState=Ready; `off` stands alone at column 12"
        );
        assert_eq!(error("userState=Ready,"), "a condition is missing at column 17");
        assert_eq!(error("state=Ready"), "there is no condition `state`; write userState=Ready at column 1");
    }
}
