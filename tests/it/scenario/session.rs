//! Scenarios of a recording's session: events, one a line, go into `deskreel_recorder::session::step`;
//! effects come out, and the phase after each event.
//!
//! start [unknown|locked] | stand by | selected | frame | failed <fault> <text> | encoder_failed <text> [->
//! <part>] | source_changed <text> | source_failed <text> | slept | lock | unlock | source_ended |
//! silent <text> | gone [<how>] | pause | mask | resume | captured | standing_by | keep | stop |
//! drain_expired | retry_due | sealed
//!
//! `start` begins with encoders that are known to work, `start unknown` has to select them, and `start
//! locked` begins while the session is locked. `stand by` begins a standby, which `standing_by` and `keep`
//! are for.

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::Cause;
use deskreel_model::{Failure, Fault, PartNumber};
use deskreel_recorder::session::{Effect, Event, State, step};

pub fn run(blocks: &[String]) -> Vec<String> {
    let mut state = None;
    blocks.iter().map(|block| block.lines().map(|line| one(&mut state, line)).collect()).collect()
}

fn one(state: &mut Option<State>, line: &str) -> String {
    let (next, effects) = match state.take() {
        None => {
            let starts = ["start", "start unknown", "start locked", "stand by"];
            assert!(starts.contains(&line), "a scenario begins with `start`");
            let rest = (line == "start locked").then_some(Cause::Locked);
            State::start(line != "start unknown", CaptureMode::Live, line == "stand by", rest)
        }
        Some(before) => step(before, event(line)),
    };
    let effects: String = effects.iter().map(|effect| format!("{}\n", show(effect))).collect();
    let text = format!("{effects}-> {:?}\n", next.phase);
    *state = Some(next);
    text
}

fn event(line: &str) -> Event {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "selected" => Event::Selected,
        "encoder_failed" => {
            let (text, next) = match rest.split_once(" -> ") {
                Some((text, next)) => (text, Some(PartNumber(next.parse().expect("a part")))),
                None => (rest, None),
            };
            Event::EncoderFailed(Cause::EncoderFailed, text.to_owned(), next)
        }
        "frame" => Event::FrameOnDisk,
        "failed" => {
            let (fault, text) = rest.split_once(' ').expect("a fault and a text");
            Event::WorkerFailed(Failure::new(fault_of(fault), text))
        }
        "source_changed" => Event::SourceChanged(rest.to_owned()),
        "source_failed" => Event::SourceFailed(Failure::new(Fault::Device, rest)),
        "slept" => Event::Slept,
        "lock" => Event::RestAsked(Cause::Locked, "the session is locked".to_owned()),
        "unlock" => Event::RestOver,
        "silent" => Event::WorkerSilent(rest.to_owned()),
        "source_ended" => Event::SourceEnded,
        "gone" => {
            Event::WorkerGone(if rest.is_empty() { "ended by signal 9".to_owned() } else { rest.to_owned() })
        }
        "pause" => Event::ModeAsked(CaptureMode::Paused),
        "mask" => Event::ModeAsked(CaptureMode::Masked),
        "resume" => Event::ModeAsked(CaptureMode::Live),
        "captured" => Event::ModeHolds,
        "standing_by" => Event::StandingBy,
        "keep" => Event::KeepAsked,
        "stop" => Event::StopAsked,
        "drain_expired" => Event::DrainExpired,
        "retry_due" => Event::RetryDue,
        "sealed" => Event::Sealed,
        _ => panic!("no such event: {line}"),
    }
}

fn fault_of(word: &str) -> Fault {
    serde_json::from_value(word.into()).unwrap_or_else(|_| panic!("no such fault: {word}"))
}

fn show(effect: &Effect) -> String {
    match effect {
        Effect::Select => "select the encoders".to_owned(),
        Effect::StopSelecting => "stop selecting".to_owned(),
        Effect::StartPart(part, cause) => format!("start part {} because of {cause:?}", part.0),
        Effect::AskMode(capture) => format!("ask the worker to capture {capture:?}"),
        Effect::Keep => "tell the worker to keep its footage".to_owned(),
        Effect::ModeHolds(capture) => format!("captured {capture:?} from now on"),
        Effect::Retry(pause) => format!("retry in {pause:?}"),
        Effect::AskStop => "ask the worker to stop".to_owned(),
        Effect::AskEnd => "ask the worker to end".to_owned(),
        Effect::AwaitEnd => "await the worker's end".to_owned(),
        Effect::Kill => "kill the worker".to_owned(),
        Effect::Note(cause, detail) => format!("note {cause:?}: {detail}"),
        Effect::Seal(outcome) => format!("seal as {outcome:?}"),
    }
}
