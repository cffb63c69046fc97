//! Decides what is recorded at this seat. Pure: no clock, no process, no file, no queue.
//!
//! [`step`] takes one event into the state of the seat and returns the effects to carry out. The loop in
//! `supervisor.rs` carries them out, and feeds the outcome of an effect back as the next event. A recording
//! that ends although it is still *wanted* is followed by another.
//!
//! `requests.rs` handles requests of agent desktops, `orders.rs` commands of a server, `recordings.rs` the
//! recording from its start to its end, and `pending.rs` the replies that wait for an effect to hold.

mod health;
mod orders;
mod pending;
mod recordings;
mod requests;

use std::time::Duration;

use deskreel_contract::{CaptureMode, RecordingAbout};
use deskreel_desk::news::What;
use deskreel_desk::status::{Phase, Running, Seated, SpoolStatus, Status};
use deskreel_desk::{Act, Done, Refused};
use deskreel_interaction::RecorderCommand;
use deskreel_model::event::{Event as InteractionEvent, Kind, Request};
use deskreel_model::link::{self, CommandId, CommandResult};
use deskreel_model::manifest::{Cause, Outcome};
use deskreel_model::{AgentId, MediaTime, Place, RecordingId, Utc};
use deskreel_platform::session_lock::LockState;
use deskreel_recorder::{Control, Notice, Rest};

use crate::delivery::Progress;
use crate::desk_events;
use crate::recording_slots::StartOrder;

use health::Hindrances;

pub use health::{FailingDelivery, LOADING, Surroundings};
pub use orders::ServerOrders;
pub use pending::{PendingReplies, ReplyId};

/// The time of an event: by the wall clock, and since the daemon started. Limits run by the second, so that a
/// clock that is set does not move them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    pub utc: Utc,
    pub uptime: Duration,
}

/// The seat, its agent, and what is recorded there.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The status that the API, the metrics and the server see.
    pub status: Status,
    wanted: Option<WantedFootage>,
    /// Set if a server decides instead of policies.
    server: Option<ServerOrders>,
    hindrances: Hindrances,
    surroundings: Surroundings,
    deadlines: Deadlines,
    /// Recordings in a row that ended by themselves.
    failures: usize,
    has_standby: bool,
    /// Set when the daemon ends: nothing begins any more.
    is_going_down: bool,
    pending: PendingReplies,
}

/// Footage that policies or the server want.
#[derive(Debug, Clone, PartialEq)]
struct WantedFootage {
    agent: AgentId,
    capture: CaptureMode,
    /// Why footage is wanted, and why in this capture mode.
    why: String,
    capture_why: String,
    /// The id that the server assigned, and whether a recording has it already: one that continues the
    /// footage gets an id of its own.
    assigned: Option<RecordingId>,
    is_assigned_taken: bool,
    seating: Seating,
}

/// Whether the agent of some footage sits here. Only a server commands footage of others.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seating {
    /// The name under which the agent is logged in here, if the server knows it by another.
    known_as: Option<AgentId>,
    /// The agent was logged in here since it was commanded.
    sat_here: bool,
}

/// The times at which something is due, as uptime.
#[derive(Debug, Clone, Default, PartialEq)]
struct Deadlines {
    /// The next try to begin wanted footage.
    retry: Option<Duration>,
    /// The next trial of the sources and encoders.
    prepare: Option<Duration>,
    /// The agent known from before this start is logged out then, unless a desktop returns.
    desktop_return: Option<Duration>,
    /// A standby that failed is not started again earlier.
    standby_after: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An event from before this start.
    Remembered(Box<InteractionEvent>),
    /// A command that policies derived from the past. Only the last one counts.
    RememberedCommand(RecorderCommand),
    /// The past is complete. An agent known from it is logged out after `patience`, unless a desktop returns.
    Started {
        patience: Option<Duration>,
    },
    /// An event of a feed or a desktop.
    Entered(Box<InteractionEvent>),
    /// A policy's command.
    Commanded(RecorderCommand),
    /// A server's command. `is_known`: there is a recording with this id on disk.
    Ordered {
        command: Box<link::Command>,
        is_known: bool,
    },
    /// All effects of a server's start have been carried out.
    OrderDue(CommandId),
    /// A desktop's request.
    Asked {
        act: Box<Act>,
        reply: ReplyId,
    },
    /// All effects of a desktop's request have been carried out.
    AnswerDue {
        act: Box<Act>,
        reply: ReplyId,
    },
    /// Clients that no longer wait for their replies.
    GaveUp(Vec<ReplyId>),
    /// There is room: this recording may begin.
    Admitted(RecordingId),
    /// There is no room.
    NotAdmitted {
        agent: AgentId,
        why: String,
    },
    Notice(RecordingId, Notice),
    Ended(RecordingId, Ending),
    /// A standby ended without becoming a recording.
    StandbyEnded(Result<(), String>),
    /// The result of a trial of the encoders: whether a recording could begin.
    Prepared(Result<(), String>),
    Lock(LockState),
    Delivery(Progress),
    /// What the loop sees around the seat.
    Surroundings(Box<Surroundings>),
    /// The state of the spool, and why the running recording has to end for lack of room.
    Room {
        spool: SpoolStatus,
        must_end: Option<String>,
    },
    /// The pipeline file was read again. `name` is set if it replaces the old one, `error` says what is wrong
    /// with it.
    Reloaded {
        name: Option<String>,
        error: Option<String>,
    },
    /// Time has passed.
    Tick,
    /// The daemon ends.
    GoingDown,
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    Sealed {
        outcome: Outcome,
        duration: MediaTime,
        frames: u64,
        gaps: usize,
    },
    /// There is no recording.
    Failed(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Publish to all listeners at the desk.
    Publish(What),
    /// Store the event, send it to the server, and ask the policies.
    PushEvent(Box<InteractionEvent>),
    /// Check for room, under the assigned id or a new one. `Admitted` or `NotAdmitted` follows.
    Admit {
        assigned: Option<RecordingId>,
        agent: AgentId,
        why: String,
    },
    Begin(StartOrder),
    Control(RecordingId, Control),
    /// Capture nothing, or the wanted mode again.
    Rest(Option<Rest>),
    StandBy,
    StandDown,
    /// Find out whether a recording could begin. `Prepared` follows, unless a standby captures.
    Prepare,
    StopAll,
    /// Hand the recording to the sinks, with what it belongs to.
    Release(RecordingId, RecordingAbout),
    /// Look at the spool. `Room` follows; `must_end` only if `is_running`.
    CheckRoom {
        is_running: bool,
    },
    /// Look at the line to the server, the sinks and so on. `Surroundings` follows.
    LookAround,
    /// Reply to a desktop.
    Reply(ReplyId, Result<Done, Refused>),
    /// Answer a server's command.
    Answer(CommandId, CommandResult),
    Warn(Warning),
    /// Take this event in once all effects before it have been carried out.
    Then(Box<Event>),
}

/// Something to log.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning {
    NotStarted {
        agent: AgentId,
        why: String,
    },
    /// The agent's desktop has not returned since the daemon started.
    DesktopGone {
        agent: AgentId,
    },
    /// Footage is wanted of an agent who sits at another place.
    Elsewhere {
        agent: AgentId,
        place: Place,
    },
}

impl State {
    /// A seat before its first event. With `is_served`, a server decides.
    pub fn new(status: Status, is_served: bool) -> State {
        // Until the first trial of the encoders.
        let encoders = (!status.health.is_well()).then(|| health::LOADING.to_owned());
        State {
            status,
            wanted: None,
            server: is_served.then(ServerOrders::default),
            hindrances: Hindrances { encoders, ..Hindrances::default() },
            surroundings: Surroundings::default(),
            deadlines: Deadlines::default(),
            failures: 0,
            has_standby: false,
            is_going_down: false,
            pending: PendingReplies::default(),
        }
    }

    /// When the next try to record is due, as uptime.
    pub fn next_retry(&self) -> Option<Duration> {
        self.deadlines.retry
    }

    /// Server commands that have not been answered yet.
    pub fn unanswered(&self) -> Vec<CommandId> {
        self.pending.commands()
    }

    fn place(&self) -> &Place {
        &self.status.place
    }

    /// The recording that runs and has not been asked to stop.
    fn current(&self) -> Option<&Running> {
        self.status.recording.as_ref().filter(|running| running.phase != Phase::Stopping)
    }

    fn current_id(&self) -> Option<RecordingId> {
        self.current().map(|running| running.recording.clone())
    }

    fn seated(&self) -> Option<&AgentId> {
        self.status.agent.as_ref().map(|seated| &seated.agent)
    }
}

/// Carries `event` out to the end: `perform` does one effect and returns the events that it causes, which are
/// taken in before the next effect.
pub fn carry_out(
    state: &mut State,
    event: Event,
    now: &impl Fn() -> Now,
    perform: &mut impl FnMut(Effect) -> Vec<Event>,
) {
    for effect in step(state, event, now()) {
        let caused = match effect {
            Effect::Then(event) => vec![*event],
            effect => perform(effect),
        };
        caused.into_iter().for_each(|event| carry_out(state, event, now, perform));
    }
}

/// Takes in one event at the time `now`; returns the effects to carry out, in order.
pub fn step(state: &mut State, event: Event, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    let out = &mut effects;
    match event {
        // The past has no effects; those that still hold are carried out at `Started`.
        Event::Remembered(event) => {
            state.note_agent(&event.kind, event.at, &mut Vec::new());
            return effects;
        }
        Event::RememberedCommand(commanded) => {
            if state.is_here(&commanded) {
                state.want(&commanded);
            }
            return effects;
        }
        Event::Started { patience } => {
            let limit = patience.filter(|_| state.status.agent.is_some());
            state.deadlines.desktop_return = limit.map(|patience| now.uptime + patience);
            state.strive(out);
        }
        Event::Entered(event) => {
            state.note_agent(&event.kind, event.at, out);
            out.push(Effect::PushEvent(event));
        }
        Event::Commanded(commanded) if state.is_here(&commanded) => {
            state.want(&commanded);
            state.follow(commanded, out);
        }
        Event::Commanded(commanded) => state.leave_to_others(commanded, out),
        Event::Ordered { command, is_known } => state.ordered(*command, is_known, out),
        Event::OrderDue(command) => state.answer_start(command, out),
        Event::Asked { act, reply } => state.asked(act, reply, now, out),
        Event::AnswerDue { act, reply } => state.answer(*act, reply, now, out),
        Event::GaveUp(replies) => state.pending.forget(&replies),
        Event::Admitted(recording) => state.begin(recording, now, out),
        Event::NotAdmitted { agent, why } => state.not_started(agent, why, now, out),
        Event::Notice(recording, notice) => state.notice(recording, notice, now, out),
        Event::Ended(recording, ending) => state.ended(recording, ending, now, out),
        Event::StandbyEnded(result) => state.standby_ended(result, now),
        Event::Prepared(result) => state.prepared(result, now),
        Event::Lock(LockState { is_locked, unknown }) => {
            state.hindrances.lock_unknown = unknown;
            let why = "the session is locked".to_owned();
            out.push(Effect::Rest(is_locked.then_some(Rest { cause: Cause::Locked, why })));
        }
        Event::Surroundings(seen) => state.surroundings = *seen,
        Event::Delivery(progress) => out.extend(delivery_news(progress).map(Effect::Publish)),
        Event::Room { spool, must_end } => state.check_room(spool, must_end, out),
        Event::Reloaded { name, error } => state.reloaded(name, error, out),
        Event::Tick => state.tick(now, out),
        Event::GoingDown => {
            out.push(Effect::Publish(What::GoingDown));
            state.wanted = None;
            state.is_going_down = true;
            state.has_standby = false;
            state.status.recording.iter_mut().for_each(|running| running.phase = Phase::Stopping);
            out.extend([Effect::StandDown, Effect::StopAll]);
        }
    }
    state.keep_standby(now, out);
    state.forget_failed_start(now);
    state.judge_health(now);
    effects
}

impl State {
    fn note_agent(&mut self, kind: &Kind, at: Utc, out: &mut Vec<Effect>) {
        match kind {
            Kind::LoggedIn { agent, .. } if self.seated() != Some(agent) => {
                self.status.agent = Some(Seated { agent: agent.clone(), since: at });
                out.push(Effect::Publish(What::LoggedIn { agent: agent.clone() }));
                self.end_footage_of_predecessor(out);
            }
            Kind::LoggedOut { agent, .. } if self.seated() == Some(agent) => {
                self.status.agent = None;
                out.push(Effect::Publish(What::LoggedOut { agent: agent.clone() }));
            }
            _ => {}
        }
    }

    fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        let is_over = |at: &mut Duration| *at <= now.uptime;
        if self.deadlines.retry.take_if(is_over).is_some() {
            self.strive(out);
        }
        if self.deadlines.desktop_return.take_if(is_over).is_some()
            && let Some(agent) = self.seated().cloned()
            && let Ok(event) = desk_events::logged_out(&agent, self.place(), now.utc)
        {
            out.push(Effect::Warn(Warning::DesktopGone { agent }));
            out.push(Effect::Then(Box::new(Event::Entered(Box::new(event)))));
        }
        if self.status.recording.is_none() && self.deadlines.prepare.take_if(is_over).is_some() {
            self.deadlines.prepare = Some(now.uptime + recordings::PREPARE_PAUSE);
            out.push(Effect::Prepare);
        }
        self.end_hold(now, out);
        out.extend([Effect::CheckRoom { is_running: self.current().is_some() }, Effect::LookAround]);
    }

    fn reloaded(&mut self, name: Option<String>, error: Option<String>, out: &mut Vec<Effect>) {
        if let Some(name) = name {
            self.status.pipeline = name;
            // The new file's standby replaces the old one.
            self.has_standby = false;
        }
        self.status.stale.clone_from(&error);
        out.push(Effect::Publish(What::Reloaded { error }));
    }
}

fn delivery_news(progress: Progress) -> Option<What> {
    match progress {
        Progress::Delivered { sink, recording, place } => {
            Some(What::Delivered { recording, sink: sink.to_string(), place })
        }
        Progress::Refused { sink, recording, reason } => {
            Some(What::RefusedBySink { recording, sink: sink.to_string(), reason })
        }
        Progress::Failed { .. } | Progress::Left { .. } | Progress::Fragment { .. } => None,
    }
}

/// Returns whether this request asks to capture less than the whole screen.
fn hides(request: &Request) -> bool {
    matches!(request, Request::Pause { .. } | Request::Mask { .. })
}

/// The capture mode as a word in a message.
fn word(capture: CaptureMode) -> &'static str {
    match capture {
        CaptureMode::Live => "live",
        CaptureMode::Masked => "masked",
        CaptureMode::Paused => "paused",
    }
}
