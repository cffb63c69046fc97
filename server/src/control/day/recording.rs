//! What a simulated recorder records: it follows commands as the real one does.

use deskreel_model::link::{Command, CommandId, CommandKind, CommandResult};
use deskreel_model::{Failure, Fault, RecordingId};

use super::seat::Seat;
use crate::control::ControlInput;

pub const FULL: &str = "the disk is full";

pub struct WantedRecording {
    pub assigned: RecordingId,
    /// When it was commanded.
    pub asked: i64,
    /// A recording of this name exists or existed here.
    pub is_taken: bool,
}

pub struct ModelRecording {
    pub id: RecordingId,
    /// When the server commanded it, or the one that it continues.
    pub asked: i64,
    pub began: i64,
    pub ended: Option<i64>,
    /// Fragments that the server has.
    pub delivered: u32,
    pub is_closed: bool,
}

impl Seat {
    pub fn obey(&mut self, command: Command, now: i64) -> Vec<ControlInput> {
        let Command { id, kind, .. } = command;
        let result = match kind {
            CommandKind::Start { recording, .. } => self.start(recording, now),
            CommandKind::Stop { recording, .. } => {
                let is_wanted = self.wanted.as_ref().is_some_and(|wanted| wanted.assigned == recording);
                if is_wanted || self.running().is_some_and(|running| running.id == recording) {
                    self.wanted = None;
                    self.end_running(now);
                }
                CommandResult::Done
            }
            _ => CommandResult::Done,
        };
        let mut inputs = self.report(now);
        inputs.extend(self.answer(&id, result));
        inputs
    }

    fn answer(&mut self, id: &CommandId, result: CommandResult) -> Vec<ControlInput> {
        let effects = self.end.answer(id, result);
        self.messages(effects).0
    }

    fn start(&mut self, recording: RecordingId, now: i64) -> CommandResult {
        if self.wanted.as_ref().is_none_or(|wanted| wanted.assigned != recording) {
            // A recording that was delivered has left the disk, and is no longer known here.
            let is_taken = self.recordings.iter().any(|one| one.id == recording && !one.is_closed);
            self.end_running(now);
            self.wanted = Some(WantedRecording { assigned: recording, asked: now, is_taken });
            self.strive(now);
        }
        if self.is_full {
            return CommandResult::Failed { failure: Failure::new(Fault::Device, FULL.to_owned()) };
        }
        CommandResult::Done
    }

    /// Begins the wanted recording, if it does not run and there is room.
    pub fn strive(&mut self, now: i64) {
        let own_time = self.own_time(now);
        let (salt, number) = (self.salt, self.recordings.len() as u32);
        let is_idle = self.running().is_none() && !self.is_full;
        let Some(wanted) = self.wanted.as_mut().filter(|_| is_idle) else { return };
        let asked = wanted.asked;
        let id = match std::mem::replace(&mut wanted.is_taken, true) {
            true => RecordingId::new(own_time, salt + number),
            false => wanted.assigned.clone(),
        };
        self.recordings.push(ModelRecording {
            id,
            asked,
            began: now,
            ended: None,
            delivered: 0,
            is_closed: false,
        });
    }

    fn running(&mut self) -> Option<&mut ModelRecording> {
        self.recordings.last_mut().filter(|one| one.ended.is_none())
    }

    pub fn end_running(&mut self, now: i64) {
        if let Some(running) = self.running() {
            running.ended = Some(now);
        }
    }
}
