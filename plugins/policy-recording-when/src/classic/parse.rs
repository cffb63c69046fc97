//! Parses the classic expression. Depends on nothing, so that it can be fuzzed by itself.
//!
//! ```text
//! value     = "off" / condition *( "," condition )
//! condition = "random" "(" percent ")" / "userState" "=" state
//! ```

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
    /// An error names the column, counted from 1.
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
        return Err(format!("`{text}` is not a condition; {hint}"));
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
    fn conditions_are_parsed_as_documented() {
        let both = Classic::All(vec![Condition::Random(60), Condition::UserState("Ready".into())]);
        assert_eq!(Classic::parse("random(60),userState=Ready").unwrap(), both);
        assert_eq!(Classic::parse(" random( 60 ) , userState = Ready ").unwrap(), both);
        assert_eq!(Classic::parse("off").unwrap(), Classic::Off);
    }

    #[test]
    fn a_mistake_is_reported_with_its_column() {
        let error = |text| Classic::parse(text).unwrap_err();
        assert_eq!(error("random(101)"), "`random(101)` takes a whole number from 0 to 100 at column 1");
        assert_eq!(
            error("random(5), on"),
            "`on` is not a condition; the conditions are random(60) and userState=Ready; `off` stands alone at column 12"
        );
        assert_eq!(error("userState=Ready,"), "a condition is missing at column 17");
        assert_eq!(error("state=Ready"), "there is no condition `state`; write userState=Ready at column 1");
    }
}
