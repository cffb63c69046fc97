//! Who sits where.
//!
//! A place has one agent: whoever logs in there unseats whoever sat there. An agent sits where the newest
//! log-in says, but an agent desktop runs on the PC that it names, while other feeds may only know an agent's
//! usual place; so no other feed moves an agent away from a desktop, or takes a desktop's place.

use std::sync::Arc;
use std::time::Duration;

use deskreel_model::event::Seat;
use deskreel_model::{AgentId, FeedName, Place};

use super::EventFold;
use crate::agent::{LogIn, Presence};
use crate::facts;

/// An agent who logs in again within this time may still be in the call: a PC restarts. After it, what is
/// known of the agent's calls, chats and states is of another working day.
const RETURN_WITHIN: Duration = Duration::from_secs(15 * 60);

impl EventFold<'_> {
    pub(super) fn log_in(&mut self, agent: &AgentId, seat: &Seat, feed: Option<&FeedName>) {
        if let Presence::Out { since } = self.agent_mut(agent).presence
            && self.at.saturating_since(since) > RETURN_WITHIN
        {
            self.end_connections(agent, |_| true);
            self.agent_mut(agent).forget_day();
        }
        let devices = seat.devices.iter().map(|device| &**device);
        self.world.note_names(agent, devices, self.undo);
        let mut log_in = LogIn { feed: feed.cloned(), place: seat.place.clone() };
        if let Some(place) = &seat.place {
            match self.unseat_others(agent, place, &log_in) {
                true => self.world.seat_agent(agent, place),
                false => log_in.place = None,
            }
        }
        let told = self.told;
        let known = self.agent_mut(agent);
        let log_ins = &mut Arc::make_mut(&mut known.profile).log_ins;
        let is_repeated = log_in.place.is_none() && log_ins.iter().any(|known| known.feed == log_in.feed);
        if !is_repeated {
            log_ins.retain(|known| known.feed != log_in.feed || known.place.is_some());
            log_ins.retain(|known| *known != log_in);
            log_ins.push(log_in);
        }
        known.presence_told = told;
        known.update_seat(seat);
        known.sit();
        known.json = facts::agent_json(known);
        // Policies decide on a call when it changes, and on this PC it is new.
        let calls: Vec<_> = known.connections.iter().map(|connection| connection.call.0.clone()).collect();
        let digital: Vec<_> = known.digital.iter().map(|digital| digital.interaction.0.clone()).collect();
        self.touch(agent).changed.extend(calls.into_iter().chain(digital));
    }

    /// Ends the log-ins at this place, or those of this feed.
    pub(super) fn log_out(&mut self, agent: &AgentId, place: Option<&Place>, feed: Option<&FeedName>) {
        let (at, told) = (self.at, self.told);
        let is_of_desktop = feed.is_some_and(FeedName::is_desktop);
        let known = self.agent_mut(agent);
        let left: Vec<_> = match place {
            Some(place) => vec![place.clone()],
            None => {
                let own = known.profile.log_ins.iter().filter(|log_in| log_in.feed.as_ref() == feed);
                own.filter_map(|log_in| log_in.place.clone()).collect()
            }
        };
        Arc::make_mut(&mut known.profile).log_ins.retain(|log_in| {
            let ends = match (is_of_desktop, place) {
                // The telephone says nothing about who sits at the PC.
                (false, _) if log_in.is_of_desktop() => false,
                (false, None) => true,
                _ => {
                    log_in.place.as_ref().is_some_and(|place| left.contains(place))
                        || (place.is_none() && log_in.feed.as_ref() == feed)
                }
            };
            !ends
        });
        known.presence_told = told;
        match known.profile.log_ins.is_empty() {
            true if !known.is_out() => known.presence = Presence::Out { since: at },
            true => {}
            false => known.sit(),
        }
    }

    /// Ends the log-ins of others at this place. Returns false if this log-in must not do so: another agent
    /// sits there according to a desktop, and this log-in comes from another kind of feed.
    fn unseat_others(&mut self, agent: &AgentId, place: &Place, new: &LogIn) -> bool {
        let others: Vec<_> = self.world.agents_at(place).into_iter().filter(|other| other != agent).collect();
        let sits_by_desktop = |other: &AgentId| {
            let log_ins = self.world.agent(other).map(|other| &other.profile.log_ins);
            log_ins
                .into_iter()
                .flat_map(|all| all.iter())
                .any(|known| known.is_of_desktop() && known.place.as_ref() == Some(place))
        };
        if !new.is_of_desktop() && others.iter().any(sits_by_desktop) {
            return false;
        }
        let at = self.at;
        for other in others {
            let known = self.agent_mut(&other);
            Arc::make_mut(&mut known.profile).log_ins.retain(|log_in| log_in.place.as_ref() != Some(place));
            match known.profile.log_ins.is_empty() {
                true => known.presence = Presence::Out { since: at },
                false => known.sit(),
            }
            let is_out = known.is_out();
            let touch = self.touch(&other);
            touch.concluded = is_out.then_some("agent.logged_out");
        }
        true
    }
}
