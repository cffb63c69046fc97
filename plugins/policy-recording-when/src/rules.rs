//! Rules in CEL, over the facts of one event.
//!
//! A rule about calls is evaluated whenever something in it changes, with the time at which the call began
//! for this agent, so that no call is cut off when an hour is over. A ringing call is judged as soon as its
//! voice is recorded: from then on a policy may want its footage. A rule about agents that names `time` is
//! evaluated again when that part of the time changes.
//!
//! If a rule cannot be evaluated (`call.attached.x` without an `x`), `on_error` decides, and a `problem` says
//! so.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use cel::{Context, Env, Program, Value};
use deskreel_sdk::prelude::{CallFacts, Decision, Deserialize, Fact, PluginError, Result, Voice};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Unit, Zoned};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::names::Names;
use crate::{map_digital, sample};

/// The name of the timer for the next change of `time`.
const TIME: &str = "time";

/// What a rule that cannot be evaluated does with the call or the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    #[default]
    Forbid,
    Allow,
}

pub struct Rules {
    env: Arc<Env>,
    calls: Option<Rule>,
    agents: Option<Rule>,
    timezone: TimeZone,
    on_error: OnError,
}

struct Rule {
    program: Program,
    names: Names,
}

/// `call` in a rule, with every field that the rule names. An unknown text is empty.
struct Call<'f> {
    facts: &'f CallFacts<'f>,
    names: &'f Names,
}

impl Serialize for Call<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Call { facts, names } = self;
        let is_named = |field: &str| names.has_field("call", field);
        let queue = if is_named("queue") { facts.attached.text("queue") } else { None };
        let texts = [
            ("id", &*facts.call),
            ("interaction", &facts.interaction),
            ("role", facts.role.name()),
            ("direction", facts.direction.as_deref().unwrap_or_default()),
            ("type", facts.call_type.as_deref().unwrap_or_default()),
            ("queue", queue.as_deref().unwrap_or_default()),
            ("device", facts.device.as_deref().unwrap_or_default()),
        ];
        let mut map = serializer.serialize_map(None)?;
        for (field, text) in texts.into_iter().filter(|(field, _)| is_named(field)) {
            map.serialize_entry(field, text)?;
        }
        if is_named("attached") {
            map.serialize_entry("attached", &facts.attached)?;
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
struct Agent<'f> {
    id: &'f str,
    place: &'f str,
    devices: &'f [Cow<'f, str>],
    groups: &'f [Cow<'f, str>],
    skills: &'f [Cow<'f, str>],
}

#[derive(serde::Serialize)]
struct Medium<'f> {
    state: &'f str,
    work_mode: &'f str,
    reason: &'f str,
    since: &'f str,
}

#[derive(serde::Serialize)]
struct Time {
    hour: i8,
    minute: i8,
    /// `monday`
    weekday: String,
    /// `2026-01-05`
    date: String,
}

impl Rules {
    pub fn new(
        calls: Option<String>,
        agents: Option<String>,
        timezone: &str,
        on_error: OnError,
    ) -> Result<Rules> {
        let env = Arc::new(Env::stdlib());
        let compile = |key: &str, text: Option<String>| {
            let program = text.map(|text| env.compile(&text)).transpose();
            let rule =
                program.map(|program| program.map(|program| Rule { names: Names::of(&program), program }));
            rule.map_err(|errors| PluginError::settings(format!("`{key}`: {}", first(&errors))))
        };
        let (calls, agents) = (compile("record_calls", calls)?, compile("record_agents", agents)?);
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(timezone);
        let timezone = zone.map_err(|error| PluginError::settings(format!("`timezone`: {error}")))?;
        Ok(Rules { env, calls, agents, timezone, on_error })
    }

    pub fn decide(&self, fact: &Fact<()>, decisions: &mut Vec<Decision>) {
        if let Some(rule) = &self.calls {
            // A state of the agent changes no call, but may change the answer.
            let is_about_state = fact.is("agent.state") && rule.names.has_variable("media");
            let is_asked = |call: &&CallFacts<'_>| {
                (is_about_state || fact.changed.contains(&call.call))
                    && (call.is_up() || call.voice != Voice::Off)
            };
            fact.calls.iter().filter(is_asked).for_each(|call| self.judge_call(rule, fact, call, decisions));
        }
        if let Some(rule) = &self.agents {
            self.judge_agent(rule, fact, decisions);
        }
    }

    fn judge_call(&self, rule: &Rule, fact: &Fact<()>, call: &CallFacts<'_>, decisions: &mut Vec<Decision>) {
        let context = self.context(rule, fact, &call.since, &call.interaction);
        let verdict = context.and_then(|mut context| {
            if rule.names.has_variable("call") {
                let call = Call { facts: call, names: &rule.names };
                context.add_variable_from_value("call", value(&call)?);
            }
            answer(rule, &context)
        });
        let decision = match (&verdict, self.on_error) {
            (Ok(true), _) => Decision::allow("record_calls says so"),
            (Ok(false), _) => Decision::forbid("record_calls does not hold"),
            (Err(_), OnError::Allow) => Decision::allow("record_calls could not be evaluated"),
            (Err(_), OnError::Forbid) => Decision::forbid("record_calls could not be evaluated"),
        };
        decisions.push(decision.for_call(&call.call));
        if let Err(error) = verdict {
            let outcome = self.outcome();
            decisions.push(Decision::problem(format!(
                "record_calls could not be evaluated for call {}: {error}; the call {outcome}",
                call.call
            )));
        }
    }

    fn judge_agent(&self, rule: &Rule, fact: &Fact<()>, decisions: &mut Vec<Decision>) {
        let verdict = self.context(rule, fact, &fact.at, "").and_then(|context| answer(rule, &context));
        match (&verdict, self.on_error) {
            (Ok(true), _) => decisions.push(Decision::start("record_agents holds")),
            (Ok(false), _) => decisions.push(Decision::stop("record_agents holds no longer")),
            (Err(_), OnError::Allow) => {
                decisions.push(Decision::start("record_agents could not be evaluated"));
            }
            (Err(_), OnError::Forbid) => {
                decisions.push(Decision::stop("record_agents could not be evaluated"));
            }
        }
        if verdict.as_ref().map_or(self.on_error == OnError::Allow, |holds| *holds) {
            map_digital(fact, decisions);
        }
        if let Err(error) = verdict {
            let outcome = self.outcome();
            decisions.push(Decision::problem(format!(
                "record_agents could not be evaluated: {error}; the agent {outcome}"
            )));
        }
        decisions.extend(self.next_look(rule, fact));
    }

    fn outcome(&self) -> &'static str {
        match self.on_error {
            OnError::Forbid => "is not recorded",
            OnError::Allow => "is recorded",
        }
    }

    /// Asks to be asked when the part of `time` that the rule names changes. An agent who has logged out is
    /// not recorded, and needs no timer.
    fn next_look(&self, rule: &Rule, fact: &Fact<()>) -> Option<Decision> {
        let wake = Decision::new("wake_at", "the rule depends on the time").with("name", TIME);
        if !rule.names.has_variable("time") && !rule.names.has_function("sample_day") {
            return None;
        }
        if fact.is("agent.logged_out") {
            return Some(wake);
        }
        let now = self.local(&fact.at).ok()?;
        let names = |field| rule.names.has_field("time", field);
        let next = if names("minute") {
            after(&now, Unit::Minute)
        } else if names("hour") {
            after(&now, Unit::Hour)
        } else {
            now.tomorrow().and_then(|tomorrow| tomorrow.start_of_day()).ok()
        };
        Some(wake.with("at", format!("{:.3}", next?.timestamp())))
    }

    /// The variables and functions that the rule names, except the call.
    fn context(
        &self,
        rule: &Rule,
        fact: &Fact<()>,
        at: &str,
        interaction: &str,
    ) -> Result<Context<'_, '_>, String> {
        let mut context = Context::with_env(self.env.clone());
        let names = &rule.names;
        let mut add = |name: &str, value: &dyn Fn() -> Result<Value, String>| {
            if names.has_variable(name) {
                context.add_variable_from_value(name, value()?);
            }
            Ok::<(), String>(())
        };
        add("agent", &|| {
            let agent = &*fact.agent;
            value(&Agent {
                id: &agent.id,
                place: agent.place.as_deref().unwrap_or_default(),
                devices: &agent.devices,
                groups: &agent.groups,
                skills: &agent.skills,
            })
        })?;
        add("media", &|| {
            let media = fact.media.iter().map(|(name, medium)| {
                let (work_mode, reason) = (medium.work_mode.as_deref(), medium.reason.as_deref());
                let (work_mode, reason) = (work_mode.unwrap_or_default(), reason.unwrap_or_default());
                (name, Medium { state: &medium.state, work_mode, reason, since: &medium.since })
            });
            value(&media.collect::<BTreeMap<_, _>>())
        })?;
        add("interactions", &|| value(&fact.interactions))?;
        add("time", &|| value(&self.time(at)?))?;
        let mut sample = |name: &str, key: String| {
            let added = context.add_function(name, move |percent: Value| drawn(&key, percent));
            added.map_err(|error| format!("{error:?}"))
        };
        if names.has_function("sample") {
            sample("sample", interaction.to_owned())?;
        }
        if names.has_function("sample_day") {
            sample("sample_day", format!("{}/{}", fact.agent.id, self.time(at)?.date))?;
        }
        Ok(context)
    }

    fn time(&self, at: &str) -> Result<Time, String> {
        let local = self.local(at)?;
        Ok(Time {
            hour: local.hour(),
            minute: local.minute(),
            weekday: format!("{:?}", local.weekday()).to_lowercase(),
            date: local.date().to_string(),
        })
    }

    fn local(&self, at: &str) -> Result<Zoned, String> {
        let at: Timestamp = at.parse().map_err(|error| format!("{at} is not a time: {error}"))?;
        Ok(at.to_zoned(self.timezone.clone()))
    }
}

/// The next full minute or hour of the wall clock.
fn after(now: &Zoned, unit: Unit) -> Option<Zoned> {
    let full = now.round(jiff::ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Floor)).ok()?;
    let step = if unit == Unit::Hour { 1.hour() } else { 1.minute() };
    full.checked_add(step).ok()
}

fn value(facts: &impl Serialize) -> Result<Value, String> {
    cel::to_value(facts).map_err(|error| error.to_string())
}

fn answer(rule: &Rule, context: &Context<'_, '_>) -> Result<bool, String> {
    match rule.program.execute(context) {
        Ok(Value::Bool(verdict)) => Ok(verdict),
        Ok(_) => Err("its result is neither true nor false".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn drawn(key: &str, percent: Value) -> Result<bool, cel::ExecutionError> {
    let percent = match percent {
        Value::Int(percent) => percent as f64,
        Value::UInt(percent) => percent as f64,
        Value::Float(percent) => percent,
        _ => return Err(cel::ExecutionError::function_error("sample", "takes a number of percent")),
    };
    Ok(sample::percent(key) < percent)
}

/// The first mistake only; the others tend to follow from it.
fn first(errors: &cel::ParseErrors) -> String {
    errors.errors.first().map_or_else(String::new, |error| {
        let (line, column) = error.pos;
        format!("{} at line {line}, column {column}", error.msg)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value as Json, json};

    use super::*;

    fn rules(calls: &str) -> Rules {
        Rules::new(Some(calls.to_owned()), None, "UTC", OnError::Forbid).unwrap()
    }

    fn actions(rules: &Rules) -> Vec<String> {
        let fact = json!({
            "state": null, "at": "2026-01-05T09:00:00.000Z", "event": { "type": "call.established" },
            "agent": { "id": "ann", "place": "PC-1", "devices": ["1"], "groups": [], "skills": [] },
            "media": { "voice": { "state": "ready", "since": "2026-01-05T08:00:00.000Z" } },
            "calls": [{
                "call": "77", "interaction": "77", "role": "primary", "state": "up", "voice": "off",
                "since": "2026-01-05T09:00:00.000Z", "attached": {},
            }],
            "changed": ["77"],
        });
        let text = fact.to_string();
        let fact: Fact<()> = serde_json::from_str(&text).unwrap();
        let mut decisions = Vec::new();
        rules.decide(&fact, &mut decisions);
        decisions.iter().map(|decision| format!("{}: {}", decision.action, decision.why)).collect()
    }

    /// The names that plugin.toml lists for a rule, each with its type.
    fn listed(setting: &str) -> Json {
        let descriptor: Json = toml::from_str(include_str!("../plugin.toml")).unwrap();
        descriptor["provides"][0]["settings"]["properties"][setting]["x-names"].clone()
    }

    #[test]
    fn facts_have_the_types_that_the_descriptor_lists() {
        let holds = |rule: String| {
            assert_eq!(actions(&rules(&rule)), ["allow: record_calls says so"], "{rule}");
        };
        let names = listed("record_calls");
        for (name, fields) in names.as_object().unwrap() {
            let Some(fields) = fields.as_object().filter(|fields| !fields.contains_key("function")) else {
                holds(format!("type({name}(100)) == bool"));
                continue;
            };
            let (owner, fields) = match fields.get("*") {
                Some(of) => (format!("{name}.voice"), of.as_object().unwrap()),
                None => (name.clone(), fields),
            };
            for (field, what) in fields {
                let what = what.as_str().unwrap().split('(').next().unwrap();
                holds(format!("type({owner}.{field}) == {what}"));
            }
            holds(format!("size({owner}) == {}", fields.len()));
        }
    }

    #[test]
    fn the_manual_lists_the_names_of_the_descriptor() {
        let manual = include_str!("../README.md");
        for setting in ["record_calls", "record_agents"] {
            for (name, what) in listed(setting).as_object().unwrap() {
                let begins = [format!("| `{name}`"), format!("| `{name}(")];
                let row = manual.lines().find(|line| begins.iter().any(|begin| line.starts_with(begin)));
                let row = row.unwrap_or_else(|| panic!("no row for `{name}`"));
                let fields = what.get(0).or(what.get("*")).unwrap_or(what).as_object().unwrap();
                for field in fields.keys().filter(|_| !fields.contains_key("function")) {
                    assert!(row.contains(&format!("`{field}`")), "`{field}` of `{name}`");
                }
            }
        }
    }

    #[test]
    fn a_rule_without_an_answer_is_a_problem_and_forbids() {
        let found = actions(&rules("call.attached.consent == 'yes'"));
        let problem = "record_calls could not be evaluated for call 77: No such key: consent; \
             the call is not recorded";
        assert_eq!(found, ["forbid: record_calls could not be evaluated", &format!("problem: {problem}")]);
        let found = actions(&rules("dyn('yes')"));
        assert!(found[1].contains("its result is neither true nor false"), "{found:?}");
    }

    #[test]
    fn the_next_look_is_at_the_next_full_hour_of_the_wall_clock() {
        let next = |at: &str, unit| {
            let at: Timestamp = at.parse().unwrap();
            after(&at.to_zoned(TimeZone::get("Europe/Berlin").unwrap()), unit)
                .unwrap()
                .timestamp()
                .to_string()
        };
        assert_eq!(next("2026-01-05T09:59:59.5Z", Unit::Hour), "2026-01-05T10:00:00Z");
        assert_eq!(next("2026-01-05T09:00:00Z", Unit::Minute), "2026-01-05T09:01:00Z");
        // An hour is skipped, an hour comes twice.
        assert_eq!(next("2026-03-29T00:30:00Z", Unit::Hour), "2026-03-29T01:00:00Z");
        assert_eq!(next("2026-10-25T00:30:00Z", Unit::Hour), "2026-10-25T01:00:00Z");
    }
}
