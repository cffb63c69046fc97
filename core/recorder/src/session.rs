//! Decides what a recording does next. Pure: it uses no clock, process or file; time comes in as events.

use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::{Cause, Outcome};
use deskreel_model::{Failure, Fault, PartNumber};

// Selecting: a worker finds out which encoders work; nothing records.
// Preparing: a worker starts a part; its first frame is not on disk yet.
// Recording: fragments are being written.
// Renewing:  the part ends for the given cause, but not the recording; its worker hands over its frames.
// Waiting:   no worker; the next part is tried after a pause, because the last try recorded nothing.
// Resting:   no worker while the PC sleeps or its session is locked; the next part begins after that.
// Draining:  a stop was requested; the worker hands over its frames.
// Closing:   no worker, and none will follow; the manifest is being sealed.
// Ended:     final; no event has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Selecting(Cause),
    Preparing,
    Recording,
    Renewing(Cause),
    Waiting(Cause),
    Resting(Cause),
    Draining,
    Closing,
    Ended,
}

#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub phase: Phase,
    /// The newest part that has begun, or the one to begin next.
    pub part: PartNumber,
    /// Captures into memory, for a recording that may be wanted later. Nothing is kept, and when a part ends
    /// for whatever reason, another one begins.
    pub standby: bool,
    /// The mode that was requested last.
    pub capture: CaptureMode,
    /// Why nothing may be captured now.
    pub rest: Option<Cause>,
    /// Number of mode requests that the worker has not confirmed yet.
    pub unconfirmed: u32,
    /// Set if it is known which encoders work for the sources' present pictures.
    pub selected: bool,
    /// Set once a frame is on disk.
    pub footage: bool,
    /// Number of parts in a row that ended without a frame.
    pub fruitless: u32,
    /// The failure that this part's worker reported.
    pub failure: Option<Failure>,
    /// Why the last part without a frame ended, if that is known.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It is known now which encoders work.
    Selected,
    /// The worker has opened this part.
    PartOpened(PartNumber),
    /// A standby has its first frame.
    StandingBy,
    /// A standby is to be a recording.
    KeepAsked,
    /// A fragment is on disk.
    FrameOnDisk,
    /// An encoder failed or hangs, for the given cause. If there is a next part, the worker continues by
    /// itself; else `WorkerFailed` follows.
    EncoderFailed(Cause, String, Option<PartNumber>),
    /// The worker cannot continue. It still writes its frames, and ends.
    WorkerFailed(Failure),
    /// The screen changed. The worker writes its frames, and ends.
    SourceChanged(String),
    /// A source can capture no more. The worker writes its frames, and ends.
    SourceFailed(Failure),
    /// The worker reported nothing for too long, or its frame counts no longer grow.
    WorkerSilent(String),
    /// A source has no more frames. The worker writes its frames, and ends.
    SourceEnded,
    /// The worker's process is gone, and all its reports have been handled. The text says how it ended, for
    /// people.
    WorkerGone(String),
    /// A slate is to be captured in place of the screen, or the screen again.
    ModeAsked(CaptureMode),
    /// Nothing is to be captured until `RestOver`, for the given cause.
    RestAsked(Cause, String),
    RestOver,
    /// The PC slept while a worker captured.
    Slept,
    /// The worker has confirmed a `ModeAsked`.
    ModeHolds,
    StopAsked,
    /// The limit that `AskStop`, `AskEnd` or `AwaitEnd` set has run out.
    DrainExpired,
    /// The pause that `Retry` asked for is over.
    RetryDue,
    Sealed,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Find out which encoders work. `Selected` follows, or the failure or end of the worker that looked.
    Select,
    StopSelecting,
    /// Start a worker on this part, with the state's `capture`.
    StartPart(PartNumber, Cause),
    /// Set the worker's capture mode. `ModeHolds` follows, or the worker's end.
    AskMode(CaptureMode),
    /// Let the worker keep the footage in its memory.
    Keep,
    /// The mode holds from now on, because no worker captures.
    ModeHolds(CaptureMode),
    /// Come back with `RetryDue`.
    Retry(Duration),
    /// Ask the worker to stop, and come back with `DrainExpired` if it has not ended by then.
    AskStop,
    /// The same as `AskStop`, but only the part ends: the recording continues.
    AskEnd,
    /// The worker ends by itself. Come back with `DrainExpired` if it has not ended by then.
    AwaitEnd,
    /// Kill the worker. `WorkerGone` follows, whether the process obeys or not.
    Kill,
    Note(Cause, String),
    /// Write the last manifest; `Sealed` follows.
    Seal(Outcome),
}

/// Number of tries after which a recording without any footage is given up.
const FRUITLESS_LIMIT: u32 = 3;
/// Pauses before the first, second, ... try after parts without a frame. The last one repeats forever,
/// because an agent's screen may come back hours later.
const PAUSES_MS: [u64; 6] = [0, 250, 500, 1000, 2000, 5000];

impl State {
    /// `selected`: whether it is known from an earlier recording which encoders work.
    pub fn start(
        selected: bool,
        capture: CaptureMode,
        standby: bool,
        rest: Option<Cause>,
    ) -> (State, Vec<Effect>) {
        let mut state = State {
            phase: Phase::Preparing,
            part: PartNumber::FIRST,
            standby,
            capture,
            rest,
            unconfirmed: 0,
            selected,
            footage: false,
            fruitless: 0,
            failure: None,
            reason: String::new(),
        };
        let effects = state.begin_part(Cause::Start);
        (state, effects)
    }

    fn begin_part(&mut self, cause: Cause) -> Vec<Effect> {
        if let Some(rest) = self.rest {
            self.phase = Phase::Resting(rest);
            vec![]
        } else if self.selected {
            self.phase = Phase::Preparing;
            vec![Effect::StartPart(self.part, cause)]
        } else {
            self.phase = Phase::Selecting(cause);
            vec![Effect::Select]
        }
    }

    /// Moves on to the next part of a recording; a standby has only one.
    fn renumber(&mut self) {
        if !self.standby {
            self.part = self.part.next();
        }
    }

    /// The standby's failures do not concern the recording.
    fn becomes_recording(&mut self) {
        (self.standby, self.fruitless, self.failure) = (false, 0, None);
    }

    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }
}

/// The only place where the state of a recording changes.
pub fn step(mut state: State, event: Event) -> (State, Vec<Effect>) {
    use Effect::{
        AskEnd, AskMode, AskStop, AwaitEnd, Keep, Kill, ModeHolds, Note, Retry, Seal, StopSelecting,
    };
    use Phase::{Closing, Draining, Ended, Preparing, Recording, Renewing, Resting, Selecting, Waiting};
    // A worker that is gone captures nothing, so whatever it has not confirmed holds.
    let is_moot = matches!(event, Event::WorkerGone(_)) && std::mem::take(&mut state.unconfirmed) > 0;
    let moot = is_moot.then_some(ModeHolds(state.capture));
    let effects = match (state.phase, event) {
        (Selecting(cause), Event::Selected) => {
            state.selected = true;
            state.begin_part(cause)
        }
        // The next part still begins for the cause that ended the previous one.
        (Selecting(cause), Event::WorkerFailed(failure)) => {
            let note = Note(Cause::WorkerFailed, failure.to_string());
            state.failure = Some(failure);
            with(note, try_again(&mut state, cause))
        }
        (Selecting(cause), Event::WorkerGone(how)) => {
            state.reason = format!("the worker that looked at the sources {how}");
            let note = Note(Cause::WorkerDied, state.reason.clone());
            with(note, try_again(&mut state, cause))
        }
        (Selecting(cause), Event::WorkerSilent(detail)) => {
            state.reason.clone_from(&detail);
            with(Note(Cause::WorkerHung, detail), try_again(&mut state, cause))
        }
        (Preparing | Recording | Renewing(_) | Draining, Event::PartOpened(part)) => {
            state.part = state.part.max(part);
            vec![]
        }
        (Preparing | Recording | Renewing(_) | Draining, Event::EncoderFailed(cause, detail, next)) => {
            state.part = next.map_or(state.part, |next| state.part.max(next));
            vec![Note(cause, detail)]
        }
        (Preparing | Recording, Event::StandingBy) if state.standby => {
            (state.phase, state.fruitless) = (Recording, 0);
            vec![]
        }
        (Preparing | Recording, Event::KeepAsked) if state.standby => {
            state.becomes_recording();
            vec![Keep]
        }
        (Renewing(_) | Resting(_), Event::KeepAsked) if state.standby => {
            state.becomes_recording();
            vec![]
        }
        (Selecting(_), Event::KeepAsked) if state.standby => {
            state.becomes_recording();
            state.phase = Selecting(Cause::Start);
            vec![]
        }
        (Waiting(_), Event::KeepAsked) if state.standby => {
            state.becomes_recording();
            state.begin_part(Cause::Start)
        }
        (Preparing | Recording, Event::FrameOnDisk) => {
            state.phase = Recording;
            (state.footage, state.fruitless) = (true, 0);
            vec![]
        }
        (Renewing(_) | Draining, Event::FrameOnDisk) => {
            (state.footage, state.fruitless) = (true, 0);
            vec![]
        }
        (Preparing | Recording, Event::WorkerFailed(failure)) => {
            let note = Note(Cause::WorkerFailed, failure.to_string());
            state.failure = Some(failure);
            state.selected = false;
            state.phase = Renewing(Cause::WorkerFailed);
            vec![note, AwaitEnd]
        }
        (Preparing | Recording, Event::SourceChanged(detail)) => {
            state.selected = false;
            state.phase = Renewing(Cause::SourceChanged);
            vec![Note(Cause::SourceChanged, detail), AwaitEnd]
        }
        (Preparing | Recording, Event::SourceFailed(failure)) => {
            let note = Note(Cause::SourceFailed, failure.to_string());
            state.failure = Some(failure);
            // A survey tells whether the source is back, and keeps the cause.
            state.selected = false;
            state.phase = Renewing(Cause::SourceFailed);
            vec![note, AwaitEnd]
        }
        (Preparing | Recording, Event::WorkerSilent(detail)) => {
            state.selected &= state.phase == Recording;
            state.phase = Renewing(Cause::WorkerHung);
            state.reason.clone_from(&detail);
            vec![Note(Cause::WorkerHung, detail), Kill]
        }
        (Preparing | Recording, Event::SourceEnded) => {
            state.phase = Draining;
            vec![Note(Cause::SourceEnded, "the source has nothing more to deliver".to_owned()), AwaitEnd]
        }
        (Preparing | Recording, Event::WorkerGone(how)) => {
            let detail = format!("the worker of part {} {how}", state.part.0);
            state.reason.clone_from(&detail);
            // A part that died without a frame may have had an encoder that no longer works.
            state.selected &= state.phase == Recording;
            with(Note(Cause::WorkerDied, detail), next_part(&mut state, Cause::WorkerDied))
        }
        // A part ended by a sleep or a lock may well have no frame, so it is not counted as fruitless.
        (Renewing(cause @ (Cause::Slept | Cause::Locked)), Event::WorkerGone(_)) => {
            state.renumber();
            state.begin_part(cause)
        }
        (Renewing(cause), Event::WorkerGone(_)) => next_part(&mut state, cause),
        (Renewing(_) | Draining, Event::DrainExpired) => {
            vec![Note(Cause::WorkerHung, "the worker did not end in time".to_owned()), Kill]
        }
        (Preparing | Recording | Renewing(_) | Draining, Event::ModeAsked(capture)) => {
            state.capture = capture;
            state.unconfirmed += 1;
            vec![AskMode(capture)]
        }
        (Preparing | Recording, Event::Slept) => {
            state.phase = Renewing(Cause::Slept);
            vec![AskEnd]
        }
        (Preparing | Recording, Event::RestAsked(cause, detail)) => {
            (state.rest, state.phase) = (Some(cause), Renewing(cause));
            vec![Note(cause, detail), AskEnd]
        }
        (Selecting(_), Event::RestAsked(cause, detail)) => {
            (state.rest, state.phase) = (Some(cause), Resting(cause));
            vec![StopSelecting, Note(cause, detail)]
        }
        (Waiting(_), Event::RestAsked(cause, detail)) => {
            (state.rest, state.phase) = (Some(cause), Resting(cause));
            vec![Note(cause, detail)]
        }
        // The next part begins for the cause for which the rest began.
        (Renewing(_) | Resting(_), Event::RestAsked(cause, detail)) => {
            state.rest.get_or_insert(cause);
            vec![Note(cause, detail)]
        }
        (Resting(cause), Event::RestOver) => {
            state.rest = None;
            state.begin_part(cause)
        }
        (_, Event::RestOver) => {
            state.rest = None;
            vec![]
        }
        (Selecting(_) | Waiting(_) | Resting(_), Event::ModeAsked(capture)) => {
            state.capture = capture;
            vec![ModeHolds(capture)]
        }
        (_, Event::ModeHolds) => {
            state.unconfirmed = state.unconfirmed.saturating_sub(1);
            vec![]
        }
        (Waiting(cause), Event::RetryDue) => state.begin_part(cause),
        (Selecting(_), Event::StopAsked) => {
            state.phase = Closing;
            vec![StopSelecting, Seal(if state.footage { Outcome::Finished } else { Outcome::Abandoned })]
        }
        (Preparing | Recording, Event::StopAsked) => {
            state.phase = Draining;
            vec![AskStop]
        }
        // The worker's end is under way, and has a limit.
        (Renewing(_), Event::StopAsked) => {
            state.phase = Draining;
            vec![]
        }
        (Waiting(_) | Resting(_), Event::StopAsked) | (Draining, Event::WorkerGone(_)) => {
            state.phase = Closing;
            vec![Seal(if state.footage { Outcome::Finished } else { Outcome::Abandoned })]
        }
        (Draining, Event::WorkerFailed(failure)) => {
            vec![Note(Cause::WorkerFailed, failure.to_string())]
        }
        (Closing, Event::Sealed) => {
            state.phase = Ended;
            vec![]
        }
        // Every other event comes too late to matter.
        _ => vec![],
    };
    return (state, moot.into_iter().chain(effects).collect());

    fn with(first: Effect, mut others: Vec<Effect>) -> Vec<Effect> {
        others.insert(0, first);
        others
    }

    fn next_part(state: &mut State, cause: Cause) -> Vec<Effect> {
        state.renumber();
        try_again(state, cause)
    }

    fn try_again(state: &mut State, cause: Cause) -> Vec<Effect> {
        let failure = state.failure.take();
        state.fruitless += 1;
        if let Some(outcome) = given_up(state, failure) {
            state.phase = Closing;
            return vec![Seal(outcome)];
        }
        // The part that just ended had footage, or is the first one without: no pause.
        let tries = (state.fruitless as usize - 1).min(PAUSES_MS.len() - 1);
        match PAUSES_MS[tries] {
            0 => state.begin_part(cause),
            pause => {
                state.phase = Waiting(cause);
                vec![Retry(Duration::from_millis(pause))]
            }
        }
    }

    /// A standby is never given up. A recording that never had a frame ends at the first failure with a
    /// reason, or after `FRUITLESS_LIMIT` tries without one.
    fn given_up(state: &State, failure: Option<Failure>) -> Option<Outcome> {
        if state.standby || state.footage || (failure.is_none() && state.fruitless < FRUITLESS_LIMIT) {
            return None;
        }
        let silent = || {
            let text = format!("{FRUITLESS_LIMIT} workers recorded no frame; the last one: {}", state.reason);
            Failure::new(Fault::Plugin, text)
        };
        Some(Outcome::Failed { failure: failure.unwrap_or_else(silent) })
    }
}
