//! Whether the next call would be recorded, and whether the running recording grows. Pure.
//!
//! The loop reports what it sees around the seat as [`Surroundings`], with each tick. [`State::judge_health`]
//! makes the problems of them and of what happened to recordings. A text stays the same as long as its
//! problem does, so that each change is one line of the log.

use std::time::Duration;

use deskreel_desk::status::{HealthPart, HealthProblem, Phase, Running};
use deskreel_model::Utc;

use super::{Now, State};

/// A running recording counts frames, captured or skipped, twice a second. Without a new count for this long
/// it is stalled.
const STALLED: Duration = Duration::from_secs(5);
/// A delivery that fails for this long is a problem: by then the pauses between tries have grown to minutes,
/// and restarts of a server are over.
const LATE_DELIVERY: Duration = Duration::from_secs(300);

/// The hindrance before the first trial of the encoders.
pub const LOADING: &str = "the first worker is loading";

/// Reasons why nothing could be recorded now, for people.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Hindrances {
    /// Why the last recording could not begin, while it is still wanted.
    pub last_start: Option<String>,
    /// Why no recording could begin, by the last trial of the sources and encoders.
    pub encoders: Option<String>,
    /// Why the lock state of the session is unknown.
    pub lock_unknown: Option<String>,
    /// When the running recording last counted another frame, as uptime.
    pub grew: Duration,
}

/// The state of everything around the seat that a recording and its way to the server need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Surroundings {
    /// Why there is no line to the server that decides.
    pub link: Option<String>,
    /// The place of this recorder at the server, if it is another than its own.
    pub place_at_server: Option<String>,
    /// The name of another recorder that is connected at this place, which the server commands instead.
    pub occupied_by: Option<String>,
    /// Why a recording would find no room.
    pub room: Option<String>,
    /// Sinks that could not deliver, with the reason.
    pub sinks: Vec<(String, String)>,
    pub failing: Vec<FailingDelivery>,
    /// What is wrong with the certificate of the desktop API.
    pub certificate: Option<String>,
}

/// A delivery whose tries have failed since the first of them.
#[derive(Debug, Clone, PartialEq)]
pub struct FailingDelivery {
    pub sink: String,
    pub lasts: Duration,
    pub since: Utc,
    /// The reason of the last try.
    pub reason: String,
}

impl State {
    /// A start that failed says nothing about the next one once nothing is wanted any more; a trial does.
    pub(super) fn forget_failed_start(&mut self, now: Now) {
        if self.wanted.is_none() && self.hindrances.last_start.take().is_some() {
            self.deadlines.prepare = Some(now.uptime);
        }
    }

    /// Healthy means that a recording could begin now and would arrive, and that a running one grows.
    pub(super) fn judge_health(&mut self, now: Now) {
        let running = self.status.recording.as_ref();
        let mut problems = self.standing_problems();
        let should_grow = |running: &&Running| running.phase == Phase::Recording && running.resting.is_none();
        let is_stalled = now.uptime.saturating_sub(self.hindrances.grew) > STALLED;
        let stalled = running.filter(should_grow).filter(|_| is_stalled);
        problems.extend(stalled.map(|running| {
            problem(HealthPart::Growth, format!("recording {} has stopped growing", running.recording))
        }));
        let full = running.filter(|running| running.disk_full);
        problems.extend(full.map(|_| problem(HealthPart::Room, "the disk is full".to_owned())));
        problems.extend(self.surroundings.problems());
        self.status.health.problems = problems;
    }

    fn standing_problems(&self) -> Vec<HealthProblem> {
        let Hindrances { last_start, encoders, lock_unknown, .. } = &self.hindrances;
        let not_begun = |why: &String| format!("a recording could not begin: {why}");
        // A start that failed for the same reason as the last trial says nothing new.
        let last_start = last_start.as_ref().filter(|why| encoders.as_ref() != Some(why));
        let problems = [
            self.status.stale.clone().map(|text| problem(HealthPart::Pipeline, text)),
            encoders.as_ref().map(|why| problem(HealthPart::Capture, not_begun(why))),
            lock_unknown.as_ref().map(|why| {
                problem(HealthPart::Lock, format!("cannot tell whether the session is locked: {why}"))
            }),
            last_start.map(|why| problem(HealthPart::Start, not_begun(why))),
        ];
        problems.into_iter().flatten().collect()
    }
}

impl Surroundings {
    fn problems(&self) -> Vec<HealthProblem> {
        let mut problems = Vec::new();
        let mut add = |part, text| problems.push(problem(part, text));
        if let Some(why) = &self.room {
            add(HealthPart::Room, format!("there is no room for a recording: {why}"));
        }
        if let Some(why) = &self.link {
            add(HealthPart::Link, format!("no line to the server: {why}"));
        }
        if let Some(place) = &self.place_at_server {
            let text =
                format!("the server has this recorder at place `{place}`; set `place` to it, or enrol again");
            add(HealthPart::Place, text);
        }
        if let Some(other) = &self.occupied_by {
            let text = format!(
                "another recorder, `{other}`, is connected at this place and is commanded instead; \
                 enrol one of them at its own place, or revoke it"
            );
            add(HealthPart::Place, text);
        }
        for (sink, why) in &self.sinks {
            add(HealthPart::Sink, format!("sink `{sink}` cannot deliver: {why}"));
        }
        for failing in self.failing.iter().filter(|failing| failing.lasts >= LATE_DELIVERY) {
            let FailingDelivery { sink, since, reason, .. } = failing;
            let since = since.0.strftime("%H:%M");
            add(HealthPart::Delivery, format!("sink `{sink}` has not delivered since {since} UTC: {reason}"));
        }
        if let Some(what) = &self.certificate {
            add(HealthPart::Certificate, format!("the certificate of the desktop API: {what}"));
        }
        problems
    }
}

fn problem(part: HealthPart, text: String) -> HealthProblem {
    HealthProblem { part, text }
}
