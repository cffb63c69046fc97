//! Footage, made from all wishes of one agent together.
//!
//! - Footage runs while some policy wants it, none forbids it, and the agent is not logged out. Whether a
//!   recorder is there to make it does not matter: footage that is wanted and does not exist is missing.
//! - If several policies or pauses hold the capture back, the most private one wins.
//! - Footage ends when the agent moves to another place, and when it reaches its maximum length. New footage
//!   begins if it is still wanted. If the rules say so, an agent with two seats has footage at both.
//! - A segment is the overlap of a mapping and footage (`segments.rs`).

use std::sync::Arc;

use deskreel_contract::{CaptureMode, Voice};
use deskreel_model::segment::{Footage, Tag, WithheldPeriod};
use deskreel_model::{AgentId, CallId, FeedName, Place, Utc};
use serde::Serialize;

use crate::agent::Agent;
use crate::segments::{SegmentOrigin, merge_overlaps};
use crate::wishes::MappingEnd;
use deskreel_model::{Pause, PolicyRules, TwoSeats};

/// Running footage.
#[derive(Debug, Clone)]
pub(crate) struct OpenFootage {
    pub serial: u32,
    pub footage: Footage,
    pub capture: CaptureMode,
    pub(crate) origins: Vec<SegmentOrigin>,
}

/// A policy's decision that changed something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionRecord {
    pub agent: AgentId,
    pub at: Utc,
    /// Id of the plugin.
    pub policy: Arc<str>,
    pub action: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    pub why: Arc<str>,
}

/// A problem that the program running the engine should know of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// The policy failed or returned an invalid answer, and its earlier wishes stand; or it reports a problem
    /// of its own, beside its decisions.
    PolicyFailed { at: Utc, policy: Arc<str>, agent: AgentId, message: String },
    /// Events of a feed are missing before this time.
    Missing { at: Utc, feed: FeedName, events: u64 },
    /// An event was too late for the past to be corrected: it counts as of now.
    TooLate { at: Utc, event: Box<str> },
    /// An event names no agent and no device, or an unknown one.
    Unresolved { at: Utc, event: Box<str> },
    /// An event came from the future: it counts as of its arrival.
    Early { at: Utc, received: Utc, event: Box<str> },
}

impl Agent {
    /// Brings footage and segments in line with the wishes. Returns the footage that has ended.
    pub(crate) fn update_footage(&mut self, rules: &PolicyRules, at: Utc) -> Vec<Footage> {
        let mut finished = Vec::new();
        let split = self.split.take();
        let reason = self.reason.take();
        self.end_segments(at);
        let wanted = self.why_wanted();
        // Most events change nothing here.
        let goes_on = match (&self.open[..], &wanted) {
            ([], None) => true,
            ([open], Some(_)) => {
                let is_at_seat = !self.is_out() && open.footage.place.as_ref() == self.place();
                let has_limit = rules.max_duration.is_some() || split.is_some();
                is_at_seat && !has_limit && rules.two_seats == TwoSeats::Newest
            }
            _ => false,
        };
        if !goes_on {
            finished = self.change_footage(rules, at, wanted, (split, reason));
        }
        self.update_capture(rules, at);
        self.begin_segments(at);
        if self.mappings.iter().any(|mapping| mapping.end != MappingEnd::No) {
            Arc::make_mut(&mut self.mappings).retain(|mapping| mapping.end == MappingEnd::No);
        }
        finished
    }

    /// Ends footage that is no longer to go on, and begins what is wanted. `split` and `reason` say why it is
    /// to be split, and why the last wish for it ended.
    fn change_footage(
        &mut self,
        rules: &PolicyRules,
        at: Utc,
        wanted: Option<Arc<str>>,
        (split, reason): (Option<Arc<str>>, Option<Arc<str>>),
    ) -> Vec<Footage> {
        let places = self.recorded_places(rules);
        let mut finished = Vec::new();
        for open in std::mem::take(&mut self.open) {
            let ran = at.saturating_since(open.footage.from);
            let why_ended: Option<Arc<str>> = if self.is_out() {
                Some("the agent has logged out".into())
            } else if !places.contains(&open.footage.place) {
                Some("the agent has moved to another place".into())
            } else if wanted.is_none() {
                let why = self.why_forbidden().or_else(|| reason.clone());
                Some(why.unwrap_or_else(|| "nothing wants it any longer".into()))
            } else if rules.max_duration.is_some_and(|max| ran >= max) {
                Some("it has reached its maximum length".into())
            } else {
                split.clone()
            };
            match why_ended {
                Some(why) => finished.extend(end_footage(open, at, &why)),
                None => self.open.push(open),
            }
        }
        if let Some(why) = wanted {
            for place in places {
                if self.open.iter().all(|open| open.footage.place != place) {
                    self.begin_footage(at, place, &why);
                }
            }
        }
        finished
    }

    /// When something next happens by itself, after `done`.
    pub(crate) fn next_due(&self, rules: &PolicyRules, done: Utc) -> Option<Utc> {
        let longest = rules.max_duration.map(|max| {
            let running = self.open.iter();
            running.map(move |open| open.footage.from.plus(max))
        });
        let pauses = self.connections.iter().flat_map(|c| [c.voice_paused, c.hidden]).flatten();
        let resumes = rules.pause_limit.map(|limit| pauses.map(move |since| since.plus(limit)));
        let is_held = self.open.iter().any(|open| open.capture != CaptureMode::Live);
        let resumes = resumes.into_iter().flatten().filter(|_| is_held);
        let calls = self.connections.iter().map(|c| c.since.plus(rules.longest_call));
        let times = longest.into_iter().flatten().chain(resumes).chain(calls).chain(self.due_times());
        times.filter(|time| *time > done).min()
    }

    /// Why footage is wanted, if it is wanted and allowed.
    fn why_wanted(&self) -> Option<Arc<str>> {
        let is_forbidden = |is_inherited: bool, call: Option<&CallId>| {
            let policies = self.wishes.iter().filter(|wishes| wishes.is_inherited == is_inherited);
            let mut forbids = policies.flat_map(|wishes| &wishes.forbids);
            forbids.any(|forbid| forbid.call.is_none() || forbid.call.as_ref() == call)
        };
        let wants =
            self.wishes.iter().flat_map(|wishes| wishes.wants.iter().map(|want| (wishes.is_inherited, want)));
        let mut allowed =
            wants.filter(|(is_inherited, want)| !is_forbidden(*is_inherited, want.call.as_ref()));
        let wanted = allowed.next().map(|(_, want)| want.why.clone());
        let asked = || self.requested.footage && !is_forbidden(false, None);
        wanted.or_else(|| asked().then(|| "asked by the agent desktop".into()))
    }

    fn why_forbidden(&self) -> Option<Arc<str>> {
        let mut forbids = self.wishes.iter().flat_map(|wishes| &wishes.forbids);
        forbids.next().map(|forbid| forbid.why.clone())
    }

    fn begin_footage(&mut self, at: Utc, place: Option<Place>, why: &str) {
        let footage = Footage {
            agent: self.id.clone(),
            place,
            from: at,
            to: None,
            why: why.to_owned(),
            why_ended: None,
            withheld: Vec::new(),
            tags: Vec::new(),
            segments: Vec::new(),
        };
        let serial = self.next_serial();
        let open = OpenFootage { serial, footage, capture: CaptureMode::Live, origins: Vec::new() };
        self.open.push(open.into());
    }

    fn update_capture(&mut self, rules: &PolicyRules, at: Utc) {
        if self.open.is_empty() {
            return;
        }
        let (capture, why) = self.strictest_hold(rules, at).unwrap_or((CaptureMode::Live, "".into()));
        for open in self.open.iter_mut().filter(|open| open.capture != capture).map(Arc::make_mut) {
            open.capture = capture;
            if let Some(last) = open.footage.withheld.last_mut() {
                last.to.get_or_insert(at);
            }
            if capture != CaptureMode::Live {
                let why = why.to_string();
                open.footage.withheld.push(WithheldPeriod { capture, from: at, to: None, why });
            }
        }
    }

    /// The most private capture that a policy, the desktop or a call requires, and why.
    fn strictest_hold(&self, rules: &PolicyRules, at: Utc) -> Option<(CaptureMode, Arc<str>)> {
        let policies = self.wishes.iter().filter_map(|wishes| wishes.hold.as_ref());
        let requested = self.requested.hold.as_ref().filter(|_| rules.pause != Pause::Ignore);
        let asked = policies.chain(requested).map(|hold| (hold.capture, hold.why.clone()));
        let lasts = |since: Option<Utc>| {
            since.is_some_and(|since| rules.pause_limit.is_none_or(|limit| at < since.plus(limit)))
        };
        let calls = self.connections.iter().filter_map(|connection| {
            let call = &connection.call;
            if rules.pause == Pause::Follow
                && connection.voice == Voice::Paused
                && lasts(connection.voice_paused)
            {
                Some((rules.pause_as, format!("the voice recording of call {call} is paused").into()))
            } else if rules.pause != Pause::Ignore && lasts(connection.hidden) {
                Some((rules.pause_as, format!("the attached data of call {call} pause it").into()))
            } else {
                None
            }
        });
        // Among equally private ones, the first provides the reason.
        asked.chain(calls).reduce(|most, next| if next.0 > most.0 { next } else { most })
    }

    pub(crate) fn tag(&mut self, name: &str, value: &str) -> bool {
        let tag = Tag { name: name.to_owned(), value: value.to_owned() };
        let mut is_new = false;
        for open in self.open.iter_mut().filter(|open| !open.footage.tags.contains(&tag)) {
            Arc::make_mut(open).footage.tags.push(tag.clone());
            is_new = true;
        }
        is_new
    }
}

/// Ends footage and its segments; `None` if nothing of it remains.
fn end_footage(open: Arc<OpenFootage>, at: Utc, why: &str) -> Option<Footage> {
    let mut footage = Arc::unwrap_or_clone(open).footage;
    for segment in &mut footage.segments {
        segment.to = Some(segment.to.unwrap_or(at).min(at));
    }
    footage.segments.retain(|segment| segment.to > Some(segment.from));
    footage.segments = merge_overlaps(footage.segments);
    for withheld in &mut footage.withheld {
        withheld.to.get_or_insert(at);
    }
    footage.withheld.retain(|withheld| withheld.to > Some(withheld.from));
    footage.to = Some(at);
    footage.why_ended = Some(why.to_owned());
    (footage.from < at).then_some(footage)
}
