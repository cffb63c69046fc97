//! The commands to recorders: the difference between the footage that now runs and the last commands.

use deskreel_contract::CaptureMode;
use deskreel_model::{AgentId, Place, Utc};
use serde::Serialize;

use super::{Engine, Output};

/// A command to the recorder of one agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecorderCommand {
    pub agent: AgentId,
    pub place: Option<Place>,
    pub at: Utc,
    /// Milliseconds by which the command comes later than it should have.
    pub late_ms: u64,
    #[serde(flatten)]
    pub command: Command,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    Start {
        capture: CaptureMode,
    },
    Stop,
    #[serde(rename = "capture")]
    SetMode {
        capture: CaptureMode,
    },
}

/// The footage that an agent's recorder makes, by the last commands to it.
pub(super) struct CommandedFootage {
    serial: u32,
    from: Utc,
    place: Option<Place>,
    capture: CaptureMode,
}

impl Engine {
    /// Sends each of these agents' recorders the differences from its last commands.
    pub(super) fn command_recorders(&mut self, mut touched: Vec<AgentId>, out: &mut impl FnMut(Output)) {
        touched.sort();
        touched.dedup();
        for id in touched {
            self.command_recorder(&id, out);
            out(Output::Touched(id));
        }
    }

    pub(super) fn command_recorder(&mut self, id: &AgentId, out: &mut impl FnMut(Output)) {
        let running = self.world.agent(id).map(|agent| &agent.open[..]).unwrap_or_default();
        let mut commanded = self.commanded.remove(id).unwrap_or_default();
        let mut send = |place: &Option<Place>, command, since: Utc, why: &str| {
            let late_ms = u64::try_from(self.now.saturating_since(since).as_millis()).unwrap_or(u64::MAX);
            out(Output::Command(RecorderCommand {
                agent: id.clone(),
                place: place.clone(),
                at: self.now,
                late_ms,
                command,
                why: why.to_owned(),
            }));
        };
        commanded.retain(|commanded| {
            let goes_on = running.iter().any(|open| {
                commanded.place == open.footage.place
                    && (commanded.serial == open.serial || open.footage.from <= commanded.from)
            });
            if !goes_on {
                send(&commanded.place, Command::Stop, self.now, "");
            }
            goes_on
        });
        for open in running {
            let (footage, capture) = (&open.footage, open.capture);
            let (from, place) = (footage.from, footage.place.clone());
            let new = CommandedFootage { serial: open.serial, from, place, capture };
            match commanded.iter_mut().find(|commanded| commanded.place == footage.place) {
                None => {
                    send(&footage.place, Command::Start { capture }, footage.from, &footage.why);
                    commanded.push(new);
                }
                Some(commanded) => {
                    if commanded.capture != capture {
                        let withheld = footage.withheld.last().filter(|_| capture != CaptureMode::Live);
                        let (since, why) =
                            withheld.map_or((self.now, ""), |withheld| (withheld.from, &withheld.why));
                        send(&footage.place, Command::SetMode { capture }, since, why);
                    }
                    *commanded = new;
                }
            }
        }
        if !commanded.is_empty() {
            self.commanded.insert(id.clone(), commanded);
        }
    }
}
