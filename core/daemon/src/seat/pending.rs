//! Replies that wait until the request holds.

use deskreel_contract::CaptureMode;
use deskreel_desk::{Done, Refused};
use deskreel_model::RecordingId;
use deskreel_model::link::{CommandId, CommandRefusal, CommandResult};

use super::{Effect, word};

/// Names a desktop's request that waits for its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyId(pub u64);

/// Receives the answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Waiter {
    Desktop(ReplyId),
    Server(CommandId),
}

/// The condition that an answer waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// The recording captures in this mode, and in no other any more.
    ModeHolds(RecordingId, CaptureMode),
    Sealed(RecordingId),
    /// A recording has been commanded.
    Begun,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct PendingReplies(Vec<(Condition, Waiter)>);

impl PendingReplies {
    pub(super) fn push(&mut self, condition: Condition, waiter: Waiter) {
        self.0.push((condition, waiter));
    }

    /// Forgets clients that have given up waiting, so that the list stays short.
    pub(super) fn forget(&mut self, replies: &[ReplyId]) {
        self.0.retain(|(_, waiter)| !matches!(waiter, Waiter::Desktop(reply) if replies.contains(reply)));
    }

    pub(super) fn commands(&self) -> Vec<CommandId> {
        let commands = self.0.iter().filter_map(|(_, waiter)| match waiter {
            Waiter::Server(command) => Some(command.clone()),
            Waiter::Desktop(_) => None,
        });
        commands.collect()
    }

    pub(super) fn mode_holds(
        &mut self,
        recording: &RecordingId,
        capture: CaptureMode,
        out: &mut Vec<Effect>,
    ) {
        let done = Done { recording: Some(recording.clone()), capture: Some(capture) };
        // If another mode than the awaited one holds, a later request has overtaken it; the answer says so.
        self.answer(
            |condition| matches!(condition, Condition::ModeHolds(awaited, _) if awaited == recording),
            |condition| match condition {
                Condition::ModeHolds(_, wanted) if *wanted != capture => Err(Refused::NotAllowed(format!(
                    "a later request has overtaken it: the recording is {}",
                    word(capture)
                ))),
                _ => Ok(done.clone()),
            },
            out,
        );
    }

    pub(super) fn begun(&mut self, recording: &RecordingId, capture: CaptureMode, out: &mut Vec<Effect>) {
        let done = Done { recording: Some(recording.clone()), capture: Some(capture) };
        self.answer(|condition| *condition == Condition::Begun, |_| Ok(done.clone()), out);
    }

    pub(super) fn sealed(&mut self, recording: &RecordingId, out: &mut Vec<Effect>) {
        let done = Done { recording: Some(recording.clone()), capture: None };
        self.answer(
            |condition| match condition {
                Condition::Sealed(awaited) | Condition::ModeHolds(awaited, _) => awaited == recording,
                Condition::Begun => false,
            },
            |condition| match condition {
                Condition::Sealed(_) => Ok(done.clone()),
                // It ended before the mode held: no pixel is captured any more.
                Condition::ModeHolds(..) | Condition::Begun => Err(Refused::NothingRecorded),
            },
            out,
        );
    }

    fn answer(
        &mut self,
        is_met: impl Fn(&Condition) -> bool,
        answer: impl Fn(&Condition) -> Result<Done, Refused>,
        out: &mut Vec<Effect>,
    ) {
        for (condition, waiter) in self.0.extract_if(.., |(condition, _)| is_met(condition)) {
            let answer = answer(&condition);
            out.push(match waiter {
                Waiter::Desktop(reply) => Effect::Reply(reply, answer),
                Waiter::Server(command) => Effect::Answer(command, command_result(answer)),
            });
        }
    }
}

fn command_result(answer: Result<Done, Refused>) -> CommandResult {
    match answer {
        Ok(_) => CommandResult::Done,
        Err(refused) => CommandResult::refused(CommandRefusal::Other, refused.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(salt: u32) -> RecordingId {
        RecordingId::new(deskreel_model::Utc::MIN, salt)
    }

    fn pause_of(salt: u32) -> Condition {
        Condition::ModeHolds(recording(salt), CaptureMode::Paused)
    }

    #[test]
    fn a_pause_is_answered_once_it_holds_and_only_for_its_recording() {
        let (mut pending, mut out) = (PendingReplies::default(), Vec::new());
        pending.push(pause_of(1), Waiter::Desktop(ReplyId(7)));
        pending.mode_holds(&recording(2), CaptureMode::Paused, &mut out);
        assert_eq!(out, [], "another recording's pause is no answer");
        pending.mode_holds(&recording(1), CaptureMode::Paused, &mut out);
        let done = Done { recording: Some(recording(1)), capture: Some(CaptureMode::Paused) };
        assert_eq!(out, [Effect::Reply(ReplyId(7), Ok(done))]);
    }

    #[test]
    fn a_pause_that_was_overtaken_is_not_called_done() {
        let (mut pending, mut out) = (PendingReplies::default(), Vec::new());
        pending.push(pause_of(1), Waiter::Desktop(ReplyId(7)));
        pending.mode_holds(&recording(1), CaptureMode::Live, &mut out);
        assert!(matches!(&out[..], [Effect::Reply(ReplyId(7), Err(Refused::NotAllowed(_)))]), "{out:?}");
    }

    #[test]
    fn an_end_answers_stops_and_refuses_pauses() {
        let (mut pending, mut out) = (PendingReplies::default(), Vec::new());
        pending.push(Condition::Sealed(recording(1)), Waiter::Desktop(ReplyId(1)));
        pending.push(pause_of(1), Waiter::Desktop(ReplyId(2)));
        pending.sealed(&recording(1), &mut out);
        assert!(matches!(out[0], Effect::Reply(ReplyId(1), Ok(_))), "{out:?}");
        assert_eq!(out[1], Effect::Reply(ReplyId(2), Err(Refused::NothingRecorded)));
    }
}
