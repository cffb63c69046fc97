//! Asks the policies about an agent, and turns their wishes into footage and segments.

use std::sync::Arc;

use deskreel_model::Utc;

use super::Engine;
use crate::answer::Answer;
use crate::calls::Touch;
use crate::facts;
use crate::footage::Note;
use crate::order::{Effects, PendingOutput};
use crate::policy::Policy;
use crate::wishes::DueWake;

/// One question to the policies: about which agent, and because of which event (JSON).
pub(super) struct Question<'a> {
    pub touch: &'a Touch,
    pub event: &'a str,
    pub at: Utc,
}

impl Engine {
    /// Asks each policy whose wake is due, and all policies if the agent's call was ended for its length.
    pub(super) fn ask_about_timers(
        &mut self,
        touch: &Touch,
        wakes: &[DueWake],
        at: Utc,
        effects: &mut Effects,
    ) {
        for wake in wakes {
            let asked = self.policies[wake.policy].id().clone();
            let event = facts::timer_json(at, &wake.name);
            self.ask_policies(
                &Question { touch, event: &event, at },
                |policy| *policy.id() == asked,
                effects,
            );
        }
        if !touch.ended.is_empty() {
            let event = facts::event_json("call.cleared", at, &touch.agent);
            let is_asked = |policy: &Policy| policy.wants_event("call.cleared");
            self.ask_policies(&Question { touch, event: &event, at }, is_asked, effects);
        } else if wakes.is_empty() {
            self.ask_policies(&Question { touch, event: "null", at }, |_| false, effects);
        }
    }

    /// Asks the policies about one agent, and turns their wishes into footage and segments.
    pub(super) fn ask_policies(
        &mut self,
        question: &Question<'_>,
        is_asked: impl Fn(&Policy) -> bool,
        effects: &mut Effects,
    ) {
        let Question { touch, event, at } = *question;
        let Effects { undo, outputs } = effects;
        let agent = self.world.agent_mut(&touch.agent, undo);
        let mut prefix = None;
        for (index, policy) in self.policies.iter_mut().enumerate().filter(|(_, policy)| is_asked(policy)) {
            let length = *prefix.get_or_insert_with(|| {
                facts::write_fact(&mut self.fact, at, event, agent, touch);
                self.fact.len()
            });
            self.fact.truncate(length);
            self.fact.push_str(&agent.wishes[index].state);
            self.fact.push('}');
            let outcome = policy.decide(&self.fact).and_then(|answer| {
                let answer = Answer::read(&answer)?;
                let state = answer.state.get();
                if *state != *agent.wishes[index].state {
                    Arc::make_mut(&mut agent.wishes[index]).state = state.into();
                }
                let who = (index, policy.id());
                answer.decisions.iter().try_for_each(|decision| {
                    if &*decision.action == "problem" {
                        let (policy, agent) = (policy.id().clone(), touch.agent.clone());
                        let message = decision.why.to_string();
                        outputs.push(PendingOutput::Note(Note::PolicyFailed { at, policy, agent, message }));
                        return Ok(());
                    }
                    let mut record = |decision| outputs.push(PendingOutput::Decision(decision));
                    agent.apply_decision(who, decision, at, &mut record)
                })
            });
            if let Err(message) = outcome {
                let (policy, agent) = (policy.id().clone(), touch.agent.clone());
                outputs.push(PendingOutput::Note(Note::PolicyFailed { at, policy, agent, message }));
            }
        }
        if let Some((name, value)) = &touch.tag {
            agent.tag(name, value);
        }
        outputs.extend(agent.update_footage(&self.rules, at).into_iter().map(PendingOutput::Footage));
    }
}
