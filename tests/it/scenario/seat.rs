//! Feeds events, one per line, to `deskreel_daemon::seat::step`; prints the effects in order, then the state
//! if it changed. Clients are numbered in the order of their requests, recordings in that of their admission.
//!
//! Beginning: `seat` (policies decide) or `seat served` (a server decides); `remember ...` before
//! `started [<patience>]`.
//! Events: `event <type> <key>=<value> ...`
//! Policies: `start | stop | mode <agent> [live | masked | paused] [at <place>] because <why>`
//! Server: `order start <id> <agent> [as <name>] | stop <id> | mode <id> <mode> | tag <id> <name> <value> |
//! unknown`
//! Desktop: `ask login | logout | start | stop | pause [<ms>] | mask | resume <agent>`, `gave_up <client>`
//! Recording: `began | frame | holds <mode> | count <n> | rests | sealed | failed <why> | gone <why>`, of the
//! newest
//! Surroundings: `around [link <why> | room <why> | place <place> | occupied <recorder> | sink <sink> <why> |
//! failing <sink> <time> <why> | certificate <what>]`, all else being well; `ready | unready <why> |
//! standby_ended [<why>] | lock | unlock | no_room <why> | room`, `full <why>`
//! Others: `after <duration>`, `reloaded [<error>]`, `down`

use std::cell::Cell;
use std::fmt::Write;
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_daemon::seat::{
    Effect, Ending, Event, FailingDelivery, Now, ReplyId, State, Surroundings, Warning, carry_out,
};
use deskreel_desk::Act;
use deskreel_desk::status::{Health, SpoolStatus, Status};
use deskreel_interaction::{Command, RecorderCommand};
use deskreel_model::event::{Event as InteractionEvent, Request};
use deskreel_model::link::{self, CommandId, CommandKind};
use deskreel_model::manifest::{Cause, FrameCounts, Outcome};
use deskreel_model::{AgentId, Failure, Fault, MediaTime, PartNumber, Place, RecordingId, Utc};
use deskreel_platform::session_lock::LockState;
use deskreel_recorder::{Notice, RecordingProgress as Count};

const START: &str = "2026-01-05T09:00:00.000Z";

pub fn run(blocks: &[String]) -> Vec<String> {
    let mut seat = Seat::new();
    blocks.iter().map(|block| block.lines().map(|line| seat.line(line)).collect()).collect()
}

struct Seat {
    state: State,
    uptime: Cell<Duration>,
    requests: u64,
    orders: u64,
    /// Admitted recordings, the newest last.
    recordings: Vec<RecordingId>,
    /// Why there is no room.
    full: Option<String>,
    shown: String,
}

impl Seat {
    fn new() -> Seat {
        Seat {
            state: State::new(status(), false),
            uptime: Cell::default(),
            requests: 0,
            orders: 0,
            recordings: Vec::new(),
            full: None,
            shown: String::new(),
        }
    }

    fn line(&mut self, line: &str) -> String {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut out = String::new();
        let event = match word {
            "seat" => {
                self.state = State::new(status(), rest == "served");
                return out;
            }
            "no_room" => return drop_after(&mut self.full, Some(rest.to_owned())),
            "room" => return drop_after(&mut self.full, None),
            "after" => {
                self.uptime.set(self.uptime.get() + seconds(rest));
                Event::Tick
            }
            _ => self.event(word, rest),
        };
        let now =
            || Now { utc: Utc::parse(START).unwrap().plus(self.uptime.get()), uptime: self.uptime.get() };
        let (recordings, full) = (&mut self.recordings, &self.full);
        carry_out(&mut self.state, event, &now, &mut |effect| perform(effect, recordings, full, &mut out));
        let shown = self.show();
        if shown != self.shown {
            writeln!(out, "-> {shown}").unwrap();
            self.shown = shown;
        }
        out
    }

    fn event(&mut self, word: &str, rest: &str) -> Event {
        let newest = self.recordings.last().cloned();
        let recording = || newest.clone().expect("a recording was admitted");
        let notice = |notice| Event::Notice(recording(), notice);
        let reason = || Some(rest.to_owned()).filter(|rest| !rest.is_empty());
        match word {
            "remember" => Event::Remembered(Box::new(self.interaction_event(rest))),
            "started" => Event::Started { patience: reason().map(|rest| seconds(&rest)) },
            "event" => Event::Entered(Box::new(self.interaction_event(rest))),
            "start" | "stop" | "mode" => Event::Commanded(commanded(word, rest)),
            "order" => self.order(rest),
            "ask" => {
                self.requests += 1;
                Event::Asked { act: Box::new(act(rest)), reply: ReplyId(self.requests) }
            }
            "gave_up" => Event::GaveUp(vec![ReplyId(rest.parse().unwrap())]),
            "began" => notice(Notice::Began { recording: recording(), folder: "folder".into() }),
            "frame" => notice(Notice::Recording { part: PartNumber(1), zero: None }),
            "holds" => notice(Notice::ModeHolds { at: MediaTime::ZERO, capture: mode(rest) }),
            "rests" => notice(Notice::Resting { cause: Cause::Locked }),
            "count" => notice(Notice::Progress(count(rest.parse().unwrap()))),
            "sealed" => Event::Ended(recording(), sealed(Outcome::Finished)),
            "failed" => {
                let failure = Failure::new(Fault::Device, rest);
                Event::Ended(recording(), sealed(Outcome::Failed { failure }))
            }
            "gone" => Event::Ended(recording(), Ending::Failed(rest.to_owned())),
            "ready" => Event::Prepared(Ok(())),
            "unready" => Event::Prepared(Err(rest.to_owned())),
            "standby_ended" => Event::StandbyEnded(reason().map_or(Ok(()), Err)),
            "lock" => Event::Lock(LockState { is_locked: true, unknown: None }),
            "unlock" => Event::Lock(LockState { is_locked: false, unknown: None }),
            "full" => Event::Room { spool: SpoolStatus::default(), must_end: Some(rest.to_owned()) },
            "around" => Event::Surroundings(Box::new(self.around(rest))),
            "reloaded" if rest.is_empty() => Event::Reloaded { name: Some("other".to_owned()), error: None },
            "reloaded" => Event::Reloaded { name: None, error: Some(rest.to_owned()) },
            "down" => Event::GoingDown,
            _ => panic!("no such event: {word} {rest}"),
        }
    }

    fn around(&self, rest: &str) -> Surroundings {
        let mut around = Surroundings::default();
        let (part, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let text = || Some(rest.to_owned());
        match part {
            "" => {}
            "link" => around.link = text(),
            "room" => around.room = text(),
            "place" => around.place_at_server = text(),
            "occupied" => around.occupied_by = text(),
            "certificate" => around.certificate = text(),
            "sink" => {
                let (sink, why) = rest.split_once(' ').unwrap();
                around.sinks.push((sink.to_owned(), why.to_owned()));
            }
            "failing" => {
                let [sink, lasts, reason] = rest.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                    panic!("{rest}")
                };
                let (sink, reason, lasts) = (sink.to_owned(), reason.to_owned(), seconds(lasts));
                let since = Utc::parse(START).unwrap();
                around.failing.push(FailingDelivery { sink, lasts, since, reason });
            }
            _ => panic!("no such part: {part}"),
        }
        around
    }

    fn interaction_event(&self, rest: &str) -> InteractionEvent {
        let at = Utc::parse(START).unwrap().plus(self.uptime.get());
        InteractionEvent::parse(&deskreel_test_support::scenario_file::event(at, rest).to_string()).unwrap()
    }

    fn order(&mut self, rest: &str) -> Event {
        let (text, why) = because(rest);
        let words: Vec<&str> = text.split(' ').collect();
        let kind = match words[..] {
            ["start", id, agent, ref name @ ..] => CommandKind::Start {
                recording: recording_id(id),
                agent: agent.into(),
                capture: CaptureMode::Live,
                why,
                seated: name.last().map(|name| (*name).into()),
            },
            ["stop", id] => CommandKind::Stop { recording: recording_id(id), why },
            ["mode", id, word] => {
                CommandKind::SetMode { recording: recording_id(id), capture: mode(word), why }
            }
            ["tag", id, name, value] => {
                CommandKind::Tag { recording: recording_id(id), name: name.into(), value: value.into() }
            }
            ["watch", id, seconds, joins] => CommandKind::Watch {
                recording: recording_id(id),
                seconds: seconds.parse().unwrap(),
                joins: joins == "joins",
            },
            ["unknown"] => CommandKind::Unknown,
            _ => panic!("no such order: {rest}"),
        };
        self.orders += 1;
        let command = link::Command {
            id: CommandId(format!("c{}", self.orders).into()),
            deadline: Utc::parse(START).unwrap(),
            kind,
        };
        Event::Ordered { command: Box::new(command), is_known: false }
    }

    fn show(&self) -> String {
        let status = &self.state.status;
        let agent = status.agent.as_ref().map_or("nobody".to_owned(), |seated| seated.agent.to_string());
        let recording = status.recording.as_ref().map_or("no recording".to_owned(), |running| {
            format!("{} {:?} {:?}", short(&running.recording), running.phase, running.capture)
        });
        let problems = status.health.texts().join("; ");
        let problems = if problems.is_empty() { problems } else { format!(", problems: {problems}") };
        format!("{agent}, {recording}{problems}")
    }
}

fn perform(
    effect: Effect,
    recordings: &mut Vec<RecordingId>,
    full: &Option<String>,
    out: &mut String,
) -> Vec<Event> {
    let line = match effect {
        Effect::Admit { assigned, agent, why } => {
            writeln!(out, "check for room for {agent}: {why}").unwrap();
            if let Some(why) = full {
                return vec![Event::NotAdmitted { agent, why: why.clone() }];
            }
            let id = assigned.unwrap_or_else(|| recording_id(&format!("r{}", recordings.len() + 1)));
            recordings.push(id.clone());
            return vec![Event::Admitted(id)];
        }
        Effect::Publish(what) => {
            let json = serde_json::to_value(&what).unwrap();
            format!("publish {}", json["type"].as_str().unwrap())
        }
        Effect::PushEvent(event) => {
            let json: serde_json::Value = serde_json::from_str(&event.json).unwrap();
            let place = json["place"].as_str().map_or_else(String::new, |place| format!(" at {place}"));
            format!("ask the policies about {}{place}", json["type"].as_str().unwrap())
        }
        Effect::Begin(order) => format!("begin {} {:?}", short(&order.recording), order.capture),
        Effect::Control(recording, control) => format!("tell {}: {control:?}", short(&recording)),
        Effect::Rest(rest) => format!("rest {:?}", rest.map(|rest| rest.cause)),
        Effect::Release(recording, about) => {
            format!("release {} of {:?}, tags {:?}", short(&recording), about.agent, about.tags)
        }
        // Every tick has one.
        Effect::CheckRoom { .. } | Effect::LookAround => return Vec::new(),
        Effect::Reply(ReplyId(id), answer) => match answer {
            Ok(done) => format!("reply to {id}: {:?} {:?}", done.recording.as_ref().map(short), done.capture),
            Err(refused) => format!("refuse {id}: {refused}"),
        },
        Effect::Answer(CommandId(id), result) => format!("answer {id}: {result:?}"),
        Effect::StandBy => "stand by".to_owned(),
        Effect::StandDown => "stand down".to_owned(),
        Effect::Prepare => "try the encoders".to_owned(),
        Effect::StopAll => "stop everything".to_owned(),
        Effect::Warn(Warning::NotStarted { agent, why }) => format!("warn: not started for {agent}: {why}"),
        Effect::Warn(Warning::DesktopGone { agent }) => format!("warn: {agent}'s desktop is gone"),
        Effect::Warn(Warning::Elsewhere { agent, place }) => format!("warn: {agent} sits at {place}"),
        Effect::Then(_) => unreachable!("`carry_out` takes it in"),
    };
    writeln!(out, "{line}").unwrap();
    Vec::new()
}

fn commanded(word: &str, rest: &str) -> RecorderCommand {
    let (text, why) = because(rest);
    let (text, place) = text.split_once(" at ").map_or((text, None), |(text, place)| (text, Some(place)));
    let (agent, word_of_mode) = text.split_once(' ').unwrap_or((text, "live"));
    let capture = mode(word_of_mode);
    let command = match word {
        "start" => Command::Start { capture },
        "stop" => Command::Stop,
        _ => Command::SetMode { capture },
    };
    let at = Utc::parse(START).unwrap();
    RecorderCommand { agent: agent.into(), place: place.map(Place::from), at, late_ms: 0, command, why }
}

fn act(rest: &str) -> Act {
    let words: Vec<&str> = rest.split(' ').collect();
    let (word, agent) = (words[0], AgentId::from(words[1]));
    let limit_ms = words.get(2).map(|ms| ms.parse().unwrap());
    let request = match word {
        "login" => return Act::LogIn { agent, seat: Default::default() },
        "logout" => return Act::LogOut { agent },
        "start" => Request::Start,
        "stop" => Request::Stop,
        "pause" => Request::Pause { limit_ms },
        "mask" => Request::Mask { limit_ms },
        "resume" => Request::Resume,
        _ => panic!("no such request: {rest}"),
    };
    Act::Request { agent, request }
}

fn because(rest: &str) -> (&str, String) {
    let (text, why) = rest.split_once(" because ").unwrap_or((rest, ""));
    (text, why.to_owned())
}

fn mode(word: &str) -> CaptureMode {
    serde_json::from_value(word.into()).unwrap_or_else(|_| panic!("no such capture mode: {word}"))
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs_f64(text.trim_end_matches('s').parse().unwrap())
}

fn sealed(outcome: Outcome) -> Ending {
    Ending::Sealed { outcome, duration: MediaTime::from_millis(1500), frames: 15, gaps: 0 }
}

fn count(captured: u64) -> Count {
    let frames = FrameCounts { captured, ..FrameCounts::default() };
    Count { at: MediaTime::ZERO, frames, bytes: 0, parts: 1, disk_full: false }
}

/// `r7` as an id, and back.
fn recording_id(name: &str) -> RecordingId {
    let number = name.trim_start_matches('r').parse().unwrap_or_else(|_| panic!("no recording id: {name}"));
    RecordingId::new(Utc::parse(START).unwrap(), number)
}

fn short(recording: &RecordingId) -> String {
    let (_, salt) = recording.as_str().rsplit_once('-').unwrap();
    format!("r{}", u32::from_str_radix(salt, 16).unwrap())
}

fn drop_after<T>(place: &mut T, value: T) -> String {
    *place = value;
    String::new()
}

fn status() -> Status {
    Status {
        version: "0",
        pipeline: "seat".to_owned(),
        started: Utc::parse(START).unwrap(),
        place: "seat-12".into(),
        health: Health { problems: Vec::new() },
        stale: None,
        counts: Default::default(),
        agent: None,
        recording: None,
        spool: SpoolStatus::default(),
    }
}
