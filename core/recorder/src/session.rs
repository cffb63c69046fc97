//! What a recording does next. Pure: no clock, no process, no file; time comes in as events.

use std::time::Duration;

use deskreel_model::manifest::{Cause, Outcome};
use deskreel_model::{Failure, Fault, PartNumber};

// Preparing: a worker starts a part; its first frame is not on disk yet.
// Recording: fragments flow.
// Renewing:  the part ends by itself, for the cause given; its worker hands over what it has.
// Waiting:   no worker; the next part is tried after a pause, since the last try gave nothing.
// Draining:  a stop was asked for; the worker hands over what it has.
// Closing:   no worker any more, and none will be; the manifest is being sealed.
// Ended:     nothing moves again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Preparing,
    Recording,
    Renewing(Cause),
    Waiting(Cause),
    Draining,
    Closing,
    Ended,
}

#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub phase: Phase,
    pub part: PartNumber,
    /// There is at least one frame on disk.
    pub footage: bool,
    /// Parts in a row that ended without a frame.
    pub fruitless: u32,
    /// What the worker of this part said last.
    pub failure: Option<Failure>,
    /// Why the last part that gave nothing ended, as far as it is known.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A fragment is on disk.
    FrameOnDisk,
    /// The worker cannot go on; it still writes what it has and ends.
    WorkerFailed(Failure),
    /// The screen changed; the worker writes what it has and ends.
    SourceChanged(String),
    /// The worker said nothing for too long, or its frames no longer grow.
    WorkerSilent(String),
    /// A source has nothing more to give; the worker writes what it has and ends.
    SourceEnded,
    /// The worker's process is gone, and everything that it said has been heard. How it ended, for people.
    WorkerGone(String),
    StopAsked,
    /// The limit that `AskStop` or `AwaitEnd` set has run out.
    DrainExpired,
    /// The pause that `Retry` asked for is over.
    RetryDue,
    Sealed,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start a worker on this part.
    StartPart(PartNumber, Cause),
    /// Come back with `RetryDue`.
    Retry(Duration),
    /// Tell the worker to stop, and come back with `DrainExpired` if it has not ended by then.
    AskStop,
    /// The worker ends by itself; come back with `DrainExpired` if it has not.
    AwaitEnd,
    /// `WorkerGone` follows, whether the process obeys or not.
    Kill,
    Note(Cause, String),
    /// Write the last manifest; `Sealed` follows.
    Seal(Outcome),
}

/// How often a recording without any footage is tried before it is given up.
const FRUITLESS_LIMIT: u32 = 3;
/// Pause before the first, second, ... try after parts that gave nothing; the last one repeats for ever, because
/// an agent's screen may come back hours later.
const PAUSES_MS: [u64; 6] = [0, 250, 500, 1000, 2000, 5000];

impl State {
    pub fn start() -> (State, Vec<Effect>) {
        let part = PartNumber::FIRST;
        let state = State {
            phase: Phase::Preparing,
            part,
            footage: false,
            fruitless: 0,
            failure: None,
            reason: String::new(),
        };
        (state, vec![Effect::StartPart(part, Cause::Start)])
    }

    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }
}

/// The only place where a recording's state changes.
pub fn step(mut state: State, event: Event) -> (State, Vec<Effect>) {
    use Effect::{AskStop, AwaitEnd, Kill, Note, Retry, Seal, StartPart};
    use Phase::{Closing, Draining, Ended, Preparing, Recording, Renewing, Waiting};
    let effects = match (state.phase, event) {
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
            state.phase = Renewing(Cause::WorkerFailed);
            vec![note, AwaitEnd]
        }
        (Preparing | Recording, Event::SourceChanged(detail)) => {
            state.phase = Renewing(Cause::SourceChanged);
            vec![Note(Cause::SourceChanged, detail), AwaitEnd]
        }
        (Preparing | Recording, Event::WorkerSilent(detail)) => {
            state.phase = Renewing(Cause::WorkerHung);
            state.reason.clone_from(&detail);
            vec![Note(Cause::WorkerHung, detail), Kill]
        }
        (Preparing | Recording, Event::SourceEnded) => {
            state.phase = Draining;
            vec![Note(Cause::SourceEnded, "the source has nothing more to give".to_owned()), AwaitEnd]
        }
        (Preparing | Recording, Event::WorkerGone(how)) => {
            let detail = format!("the worker of part {} {how}", state.part.0);
            state.reason.clone_from(&detail);
            let mut effects = vec![Note(Cause::WorkerDied, detail)];
            effects.extend(next_part(&mut state, Cause::WorkerDied));
            effects
        }
        (Renewing(cause), Event::WorkerGone(_)) => next_part(&mut state, cause),
        (Renewing(_) | Draining, Event::DrainExpired) => {
            vec![Note(Cause::WorkerHung, "the worker did not end in time".to_owned()), Kill]
        }
        (Waiting(cause), Event::RetryDue) => {
            state.phase = Preparing;
            vec![StartPart(state.part, cause)]
        }
        (Preparing | Recording, Event::StopAsked) => {
            state.phase = Draining;
            vec![AskStop]
        }
        // Its end is under way, and has a limit.
        (Renewing(_), Event::StopAsked) => {
            state.phase = Draining;
            vec![]
        }
        (Waiting(_), Event::StopAsked) | (Draining, Event::WorkerGone(_)) => {
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
        // Everything else comes too late to matter.
        _ => vec![],
    };
    return (state, effects);

    fn next_part(state: &mut State, cause: Cause) -> Vec<Effect> {
        let failure = state.failure.take();
        state.fruitless += 1;
        if let Some(outcome) = given_up(state, failure) {
            state.phase = Closing;
            return vec![Seal(outcome)];
        }
        state.part = state.part.next();
        // The part that just ended had footage, or is the first that did not: no pause.
        let tries = (state.fruitless as usize - 1).min(PAUSES_MS.len() - 1);
        match PAUSES_MS[tries] {
            0 => {
                state.phase = Preparing;
                vec![StartPart(state.part, cause)]
            }
            pause => {
                state.phase = Waiting(cause);
                vec![Retry(Duration::from_millis(pause))]
            }
        }
    }

    /// A recording that never had a frame ends at a failure that says why, or after some tries without one.
    fn given_up(state: &State, failure: Option<Failure>) -> Option<Outcome> {
        if state.footage || (failure.is_none() && state.fruitless < FRUITLESS_LIMIT) {
            return None;
        }
        let silent = || {
            let text = format!("{FRUITLESS_LIMIT} workers recorded no frame; the last one: {}", state.reason);
            Failure::new(Fault::Plugin, text)
        };
        Some(Outcome::Failed { failure: failure.unwrap_or_else(silent) })
    }
}
