//! Maps the past again once a name has got its agent.
//!
//! The log of events runs through an engine of its own, with the names, policies and rules of now. What it
//! maps for the agents concerned is compared with the index (`additions.rs`), and what the index lacks is
//! added. Calls that still go on are told to the running engine, as a feed tells them after a gap.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use deskreel_interaction::{Engine, Output};
use deskreel_model::event::{Event, Kind};
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, CallId, Identities, InteractionId, Utc};
use serde_json::{Value, json};

use super::policies;
use crate::additions::{Addition, additions, live_calls};
use crate::config::Config;
use crate::db::Db;
use crate::db::identities::{UnresolvedEvents, UnresolvedName};
use crate::error::Result;
use crate::segments::{CallSummaries, Stretch};
use crate::time::to_ms;

/// Events before the first one with the name: the log-in of its agent, and calls that had begun.
const BEFORE_MS: i64 = 12 * 3600 * 1000;
/// Events that are read from the index at once.
const WINDOW_MS: i64 = 3600 * 1000;

/// Names that mean an agent now, and that agent.
pub struct NewNames {
    pub names: Vec<(UnresolvedName, UnresolvedEvents)>,
    pub agents: BTreeSet<AgentId>,
}

/// The result of a redo.
#[derive(Debug)]
pub struct Redone {
    /// Segments that were added.
    pub added: usize,
    /// Events that tell the running engine of calls that go on.
    pub live: Vec<Value>,
}

/// One run of the log.
struct Rerun {
    engine: Engine,
    identities: Arc<Identities>,
    /// The device that each agent had in each call last.
    devices: Devices,
    footage: Vec<MappedFootage>,
}

type Devices = HashMap<(AgentId, CallId), Box<str>>;

struct MappedFootage {
    footage: Footage,
    /// The calls of its segments.
    calls: CallSummaries,
}

/// Maps the events again in which these names were unknown. `now` ends what still goes on.
pub async fn redo(
    config: &Config,
    db: &Db,
    identities: Arc<Identities>,
    new: &NewNames,
    now: Utc,
) -> Result<Redone> {
    let first = new.names.iter().map(|(_, events)| events.first).min().unwrap_or_else(|| to_ms(now));
    let mut engine = Engine::new(policies(config)?, config.graph.deciders.rules.clone());
    engine.set_identities(identities.clone());
    let mut rerun = Rerun::new(engine, identities);
    let mut at = first - BEFORE_MS;
    while at < to_ms(now) {
        for (event, received) in db.events_between(at, at + WINDOW_MS, to_ms(now)).await? {
            rerun.push(event, received);
        }
        at += WINDOW_MS;
        tokio::task::yield_now().await;
    }
    let (devices, footage) = rerun.finish(now);
    let names = interactions_of_index(db, &footage, &new.agents, to_ms(now)).await?;
    let mut planned: Vec<(Addition, Vec<Stretch>, CallSummaries)> = Vec::new();
    let mut live = Vec::new();
    for MappedFootage { footage, calls } in &footage {
        let (from, to) = (to_ms(footage.from), footage.to.map_or(to_ms(now), to_ms));
        if !new.agents.contains(&footage.agent) || to < first {
            continue;
        }
        live.extend(live_calls(footage).map(|call| up_call(&footage.agent, call, &devices, now)));
        let indexed = db.indexed_agent(&footage.agent, from, to).await?;
        let renamed = with_interactions(footage, &names);
        let calls: CallSummaries = calls
            .iter()
            .map(|((interaction, call), known)| {
                let interaction = names.get(interaction).unwrap_or(interaction);
                ((interaction.clone(), call.clone()), known.clone())
            })
            .collect();
        for addition in additions(&renamed, &indexed, to_ms(now)) {
            let on = indexed.footage.iter().find(|one| Some(&one.id) == addition.on.as_ref());
            let none = || vec![Stretch { recording: None, from: None, to: None }];
            let stretches = on.map_or_else(none, |one| one.stretches.clone());
            planned.push((addition, stretches, calls.clone()));
        }
    }
    let (mut write, mut added) = (db.write().await?, 0);
    for (addition, stretches, calls) in &planned {
        added += write.add_redone(addition, stretches, calls).await?;
    }
    write.resolve(&new.names).await?;
    write.commit().await?;
    Ok(Redone { added, live })
}

impl Rerun {
    fn new(engine: Engine, identities: Arc<Identities>) -> Rerun {
        Rerun { engine, identities, devices: HashMap::new(), footage: Vec::new() }
    }

    fn push(&mut self, event: Event, received: Utc) {
        if let Kind::Call { call, agent, about, .. } = &event.kind
            && let Some(device) = &about.device
        {
            let known = match agent {
                Some(agent) => Some(self.identities.agent(agent.as_str()).unwrap_or(agent)),
                None => self.identities.device(device),
            };
            if let Some(agent) = known {
                self.devices.insert((agent.clone(), call.clone()), device.clone());
            }
        }
        let footage = self.run(|engine, out| engine.push(event, received, &mut |output| out.push(output)));
        self.footage.extend(footage);
    }

    fn finish(mut self, now: Utc) -> (Devices, Vec<MappedFootage>) {
        let rest = self.run(|engine, out| {
            engine.advance(now, &mut |output| out.push(output));
            engine.finish(&mut |output| out.push(output));
        });
        self.footage.extend(rest);
        (self.devices, self.footage)
    }

    fn run(&mut self, step: impl FnOnce(&mut Engine, &mut Vec<Output>)) -> Vec<MappedFootage> {
        let mut outputs = Vec::new();
        step(&mut self.engine, &mut outputs);
        let footage = outputs.into_iter().filter_map(|output| match output {
            Output::Footage(footage) => Some(self.with_calls(footage)),
            _ => None,
        });
        footage.collect()
    }

    fn with_calls(&self, footage: Footage) -> MappedFootage {
        let calls = footage.segments.iter().filter_map(|segment| {
            let (interaction, call) = (&segment.interaction, segment.call.as_ref()?);
            let known = self.engine.call_summary(call, interaction)?;
            Some(((interaction.clone(), call.clone()), known))
        });
        MappedFootage { calls: calls.collect(), footage }
    }
}

/// The interactions of the index that those of the run are, as far as some agent's segments tell.
async fn interactions_of_index(
    db: &Db,
    footage: &[MappedFootage],
    agents: &BTreeSet<AgentId>,
    now: i64,
) -> Result<BTreeMap<InteractionId, InteractionId>> {
    let of_agents = footage.iter().filter(|one| agents.contains(&one.footage.agent));
    let segments = of_agents.flat_map(|one| &one.footage.segments);
    let concerned: BTreeSet<&InteractionId> = segments.map(|segment| &segment.interaction).collect();
    let mut names = BTreeMap::new();
    for segment in footage.iter().flat_map(|one| &one.footage.segments) {
        if concerned.contains(&segment.interaction)
            && !names.contains_key(&segment.interaction)
            && let Some(known) = db.indexed_interaction(segment, now).await?
        {
            names.insert(segment.interaction.clone(), known);
        }
    }
    Ok(names)
}

fn with_interactions(footage: &Footage, names: &BTreeMap<InteractionId, InteractionId>) -> Footage {
    let mut footage = footage.clone();
    for segment in &mut footage.segments {
        if let Some(known) = names.get(&segment.interaction) {
            segment.interaction = known.clone();
        }
    }
    footage
}

/// The event that this agent is in this call.
fn up_call(agent: &AgentId, call: &CallId, devices: &Devices, now: Utc) -> Value {
    let mut event =
        json!({ "type": "call.established", "at": now.to_string(), "agent": agent, "call": call });
    if let Some(device) = devices.get(&(agent.clone(), call.clone())) {
        event["device"] = json!(device);
    }
    event
}
