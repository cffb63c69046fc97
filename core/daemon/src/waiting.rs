//! Who has asked for something that is not so yet.

use deskreel_contract::CaptureMode;
use deskreel_model::RecordingId;
use tokio::sync::oneshot;

use deskreel_desk::{Done, Refused};

pub type Reply = oneshot::Sender<Result<Done, Refused>>;

/// What an answer waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// The recording takes this of the screen, and nothing else any more.
    ModeHolds(RecordingId, CaptureMode),
    Sealed(RecordingId),
    /// A recording is in the making.
    Begun,
}

#[derive(Default)]
pub struct Waiting(Vec<(Until, Reply)>);

impl Waiting {
    pub fn push(&mut self, until: Until, reply: Reply) {
        // Who has given up waiting is forgotten here, so that the list stays short.
        self.0.retain(|(_, reply)| !reply.is_closed());
        self.0.push((until, reply));
    }

    pub fn mode_holds(&mut self, recording: &RecordingId, capture: CaptureMode) {
        let done = Done { recording: Some(recording.clone()), capture: Some(capture) };
        // Another capture than the one that was waited for has overtaken it; that is the answer then.
        self.answer(
            |until| matches!(until, Until::ModeHolds(waited, _) if waited == recording),
            |until| match until {
                Until::ModeHolds(_, wanted) if *wanted != capture => Err(Refused::NotAllowed(format!(
                    "something else has decided meanwhile: the recording is {}",
                    word(capture)
                ))),
                _ => Ok(done.clone()),
            },
        );
    }

    pub fn begun(&mut self, recording: &RecordingId, capture: CaptureMode) {
        let done = Done { recording: Some(recording.clone()), capture: Some(capture) };
        self.answer(|until| *until == Until::Begun, |_| Ok(done.clone()));
    }

    pub fn sealed(&mut self, recording: &RecordingId) {
        let done = Done { recording: Some(recording.clone()), capture: None };
        self.answer(
            |until| matches!(until, Until::Sealed(waited) | Until::ModeHolds(waited, _) if waited == recording),
            |until| match until {
                Until::Sealed(_) => Ok(done.clone()),
                // It ended before it could be paused: no pixel is taken any more.
                Until::ModeHolds(..) | Until::Begun => Err(Refused::NothingRecorded),
            },
        );
    }

    fn answer(
        &mut self,
        is_meant: impl Fn(&Until) -> bool,
        answer: impl Fn(&Until) -> Result<Done, Refused>,
    ) {
        for (until, reply) in self.0.extract_if(.., |(until, _)| is_meant(until)) {
            let _ = reply.send(answer(&until));
        }
    }
}

pub fn word(capture: CaptureMode) -> &'static str {
    match capture {
        CaptureMode::Live => "live",
        CaptureMode::Masked => "masked",
        CaptureMode::Paused => "paused",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn recording(salt: u32) -> RecordingId {
        RecordingId::new(deskreel_model::Utc::MIN, salt)
    }

    #[test]
    fn a_pause_is_answered_once_it_holds_and_only_for_its_recording() {
        let mut waiting = Waiting::default();
        let (reply, mut answer) = oneshot::channel();
        waiting.push(Until::ModeHolds(recording(1), CaptureMode::Paused), reply);
        waiting.mode_holds(&recording(2), CaptureMode::Paused);
        assert!(answer.try_recv().is_err(), "another recording's pause is no answer");
        waiting.mode_holds(&recording(1), CaptureMode::Paused);
        assert_eq!(answer.try_recv().unwrap().unwrap().capture, Some(CaptureMode::Paused));
    }

    #[test]
    fn a_pause_that_was_overtaken_is_not_called_done() {
        let mut waiting = Waiting::default();
        let (reply, mut answer) = oneshot::channel();
        waiting.push(Until::ModeHolds(recording(1), CaptureMode::Paused), reply);
        waiting.mode_holds(&recording(1), CaptureMode::Live);
        assert!(matches!(answer.try_recv().unwrap(), Err(Refused::NotAllowed(_))));
    }

    #[test]
    fn an_end_answers_stops_and_refuses_pauses() {
        let mut waiting = Waiting::default();
        let (stop, mut stopped) = oneshot::channel();
        let (pause, mut paused) = oneshot::channel();
        waiting.push(Until::Sealed(recording(1)), stop);
        waiting.push(Until::ModeHolds(recording(1), CaptureMode::Paused), pause);
        waiting.sealed(&recording(1));
        assert!(stopped.try_recv().unwrap().is_ok());
        assert_eq!(paused.try_recv().unwrap(), Err(Refused::NothingRecorded));
    }
}
