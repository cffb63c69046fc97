//! Rules in CEL, over the facts of one event.
//!
//! A rule about calls is evaluated whenever a call changes, with the time at which the call began for this
//! agent, so that no call is cut off when an hour is over. If a rule cannot be evaluated (`call.attached.x`
//! without an `x`), the call is recorded and a warning is logged: only a rule's answer can reduce what is
//! recorded.

use std::borrow::Cow;
use std::sync::Arc;

use cel::{Context, Env, Program, Value};
use deskreel_sdk::prelude::{CallFacts, Decision, Fact, PluginError, Result};
use deskreel_sdk::tracing;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::names::Names;
use crate::{map_digital, sample};

pub struct Rules {
    env: Arc<Env>,
    calls: Option<Rule>,
    agents: Option<Rule>,
    timezone: TimeZone,
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
struct Time {
    hour: i8,
    minute: i8,
    /// `monday`
    weekday: String,
    /// `2026-01-05`
    date: String,
}

impl Rules {
    pub fn new(calls: Option<String>, agents: Option<String>, timezone: &str) -> Result<Rules> {
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
        Ok(Rules { env, calls, agents, timezone })
    }

    pub fn decide(&self, fact: &Fact<()>, decisions: &mut Vec<Decision>) {
        if let Some(rule) = &self.calls {
            for call in fact.changed_calls().filter(|call| call.is_up()) {
                let verdict =
                    self.context(rule, fact, &call.since, &call.interaction).and_then(|mut context| {
                        if rule.names.has_variable("call") {
                            let call = Call { facts: call, names: &rule.names };
                            context.add_variable_from_value("call", value(&call)?);
                        }
                        answer(rule, &context)
                    });
                let decision = match verdict {
                    Ok(true) => Decision::allow("record_calls says so"),
                    Ok(false) => Decision::forbid("record_calls does not hold"),
                    Err(error) => {
                        tracing::warn!(
                            call = &*call.call,
                            error,
                            "record_calls could not be evaluated; the call is recorded"
                        );
                        Decision::allow(format!("record_calls could not be evaluated: {error}"))
                    }
                };
                decisions.push(decision.for_call(&call.call));
            }
        }
        if let Some(rule) = &self.agents {
            let is_wanted = self.context(rule, fact, &fact.at, "").and_then(|context| answer(rule, &context));
            match is_wanted {
                Ok(true) => {
                    decisions.push(Decision::start("record_agents holds"));
                    map_digital(fact, decisions);
                }
                Ok(false) => decisions.push(Decision::stop("record_agents holds no longer")),
                Err(error) => {
                    tracing::warn!(agent = &*fact.agent.id, error, "record_agents could not be evaluated")
                }
            }
        }
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
        add("media", &|| value(&fact.media))?;
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
        let at: Timestamp = at.parse().map_err(|error| format!("{at} is not a time: {error}"))?;
        let local = at.to_zoned(self.timezone.clone());
        Ok(Time {
            hour: local.hour(),
            minute: local.minute(),
            weekday: format!("{:?}", local.weekday()).to_lowercase(),
            date: local.date().to_string(),
        })
    }
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
