//! Footage and segments, made from all wishes of one agent together.
//!
//! - Footage runs while some policy wants it, none forbids it, and the agent is not logged out. Whether a
//!   recorder is there to make it does not matter: footage that is wanted and does not exist is missing.
//! - If several policies or pauses hold the capture back, the most private one wins.
//! - Footage ends when the agent logs in at another place, and when it reaches its maximum length. New
//!   footage begins if it is still wanted.
//! - A segment is the overlap of a mapping and footage.

use std::sync::Arc;

use deskreel_contract::{CaptureMode, Voice};
use deskreel_model::segment::{Footage, Segment, Tag, WithheldPeriod};
use deskreel_model::{AgentId, CallId, FeedName, Utc};
use serde::Serialize;

use crate::agent::Agent;
use crate::wishes::{Mapping, MappingEnd, Reach};
use deskreel_model::{Pause, PolicyRules};

/// Running footage.
#[derive(Debug, Clone)]
pub(crate) struct OpenFootage {
    pub serial: u32,
    pub footage: Footage,
    pub capture: CaptureMode,
    origins: Vec<SegmentOrigin>,
}

/// The mapping that a segment of running footage comes from, and how far the segment reaches.
#[derive(Debug, Clone, PartialEq)]
struct SegmentOrigin {
    /// Serial number of the mapping.
    mapping: u32,
    /// The footage's first mapping, for policies that want only that one.
    is_first: bool,
    reach: Reach,
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
    /// An event does not say whose it is, or names an agent or a device whom nobody knows.
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
        if let Some(open) = &self.open {
            let ran = at.saturating_since(open.footage.from);
            let why_ended: Option<Arc<str>> = if self.is_out() {
                Some("the agent has logged out".into())
            } else if open.footage.place.as_ref() != self.place() {
                Some("the agent has moved to another place".into())
            } else if wanted.is_none() {
                Some(self.why_forbidden().or(reason).unwrap_or_else(|| "nothing wants it any longer".into()))
            } else if rules.max_duration.is_some_and(|max| ran >= max) {
                Some("it has reached its maximum length".into())
            } else {
                split
            };
            if let Some(why) = why_ended {
                finished.extend(self.end_footage(at, &why));
            }
        }
        if self.open.is_none()
            && !self.is_out()
            && let Some(why) = wanted
        {
            self.begin_footage(at, &why);
        }
        self.update_capture(rules, at);
        self.begin_segments(at);
        if self.mappings.iter().any(|mapping| mapping.end != MappingEnd::No) {
            Arc::make_mut(&mut self.mappings).retain(|mapping| mapping.end == MappingEnd::No);
        }
        finished
    }

    /// When something next happens by itself, after `done`.
    pub(crate) fn next_due(&self, rules: &PolicyRules, done: Utc) -> Option<Utc> {
        let longest =
            self.open.as_ref().zip(rules.max_duration).map(|(open, max)| open.footage.from.plus(max));
        let pauses = self.connections.iter().flat_map(|c| [c.voice_paused, c.hidden]).flatten();
        let resumes = rules.pause_limit.map(|limit| pauses.map(move |since| since.plus(limit)));
        let is_held = self.open.as_ref().is_some_and(|open| open.capture != CaptureMode::Live);
        let resumes = resumes.into_iter().flatten().filter(|_| is_held);
        let calls = self.connections.iter().map(|c| c.since.plus(rules.longest_call));
        let times = longest.into_iter().chain(resumes).chain(calls).chain(self.due_times());
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

    fn begin_footage(&mut self, at: Utc, why: &str) {
        let footage = Footage {
            agent: self.id.clone(),
            place: self.place().cloned(),
            from: at,
            to: None,
            why: why.to_owned(),
            why_ended: None,
            withheld: Vec::new(),
            tags: Vec::new(),
            segments: Vec::new(),
        };
        let serial = self.next_serial();
        self.open =
            Some(OpenFootage { serial, footage, capture: CaptureMode::Live, origins: Vec::new() }.into());
    }

    fn end_footage(&mut self, at: Utc, why: &str) -> Option<Footage> {
        let open = self.open.take()?;
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

    fn update_capture(&mut self, rules: &PolicyRules, at: Utc) {
        let Some(open) = &self.open else { return };
        let (capture, why) = self.strictest_hold(rules, at).unwrap_or((CaptureMode::Live, "".into()));
        if capture == open.capture {
            return;
        }
        let Some(open) = self.open.as_mut().map(Arc::make_mut) else { return };
        open.capture = capture;
        if let Some(last) = open.footage.withheld.last_mut() {
            last.to.get_or_insert(at);
        }
        if capture != CaptureMode::Live {
            open.footage.withheld.push(WithheldPeriod { capture, from: at, to: None, why: why.to_string() });
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
        let Some(open) = self.open.as_mut().map(Arc::make_mut) else { return false };
        let is_new = !open.footage.tags.contains(&tag);
        if is_new {
            open.footage.tags.push(tag);
        }
        is_new
    }

    /// Ends the segments of mappings that have ended.
    fn end_segments(&mut self, at: Utc) {
        if self.mappings.iter().all(|mapping| mapping.end == MappingEnd::No) {
            return;
        }
        let Some(open) = self.open.as_mut().map(Arc::make_mut) else { return };
        for mapping in self.mappings.iter() {
            let to = match mapping.end {
                MappingEnd::No => continue,
                MappingEnd::Now => at,
                MappingEnd::At(to) => to.min(at),
            };
            for (segment, origin) in open.footage.segments.iter_mut().zip(&open.origins) {
                if origin.mapping == mapping.serial && origin.reach == Reach::Participation {
                    segment.to.get_or_insert(to.max(segment.from));
                }
            }
        }
    }

    /// Begins a segment for each mapping that has none yet in this footage, and extends the reach of a
    /// segment whose mapping wants more than before.
    fn begin_segments(&mut self, at: Utc) {
        let Some(open) = &self.open else { return };
        let lasting = self.mappings.iter().filter(|mapping| mapping.end == MappingEnd::No);
        if lasting.clone().all(|mapping| open.is_settled(mapping)) {
            return;
        }
        // The first mapping is the one that began first, not the one that was decided first.
        let mut lasting: Vec<_> = lasting.collect();
        lasting.sort_by(|a, b| (a.from, &a.call, &a.interaction).cmp(&(b.from, &b.call, &b.interaction)));
        let mut origins = open.origins.clone();
        let mut fresh = Vec::new();
        for mapping in lasting {
            // An agent who returns to a call needs no new segment if the old one reaches to the end of the
            // footage.
            let goes_on = |segment: &Segment| {
                segment.to.is_none()
                    && (&segment.interaction, &segment.call, segment.role)
                        == (&mapping.interaction, &mapping.call, mapping.role)
            };
            let known = origins.iter().position(|origin| origin.mapping == mapping.serial);
            let known = known.or_else(|| open.footage.segments.iter().position(goes_on));
            let is_first = mapping.first.is_some()
                && origins.iter().enumerate().all(|(index, origin)| !origin.is_first || Some(index) == known);
            let Some(reach) = mapping.always.max(mapping.first.filter(|_| is_first)) else { continue };
            let origin = SegmentOrigin { mapping: mapping.serial, is_first, reach };
            match known {
                Some(index) => origins[index] = origin,
                None => {
                    origins.push(origin);
                    fresh.push(new_segment(mapping, open.footage.from, at));
                }
            }
        }
        if origins != open.origins
            && let Some(open) = self.open.as_mut().map(Arc::make_mut)
        {
            open.origins = origins;
            open.footage.segments.extend(fresh);
        }
    }
}

/// Merges overlapping segments of the same call, interaction and role: a call may have had several ids
/// meanwhile.
fn merge_overlaps(segments: Vec<Segment>) -> Vec<Segment> {
    let mut joined: Vec<Segment> = Vec::with_capacity(segments.len());
    for segment in segments {
        let same = |known: &&mut Segment| {
            (&known.interaction, &known.call, known.role)
                == (&segment.interaction, &segment.call, segment.role)
                && known.to > Some(segment.from)
                && segment.to > Some(known.from)
        };
        match joined.iter_mut().find(same) {
            Some(known) => {
                known.to = known.to.max(segment.to);
                if segment.from < known.from {
                    (known.from, known.offset_ms) = (segment.from, segment.offset_ms);
                }
            }
            None => joined.push(segment),
        }
    }
    joined
}

fn new_segment(mapping: &Mapping, start: Utc, at: Utc) -> Segment {
    let from = mapping.from.max(start).min(at);
    Segment {
        interaction: mapping.interaction.clone(),
        call: mapping.call.clone(),
        role: mapping.role,
        from,
        to: None,
        offset_ms: u64::try_from(from.saturating_since(start).as_millis()).unwrap_or(u64::MAX),
        why: mapping.why.to_string(),
    }
}

impl OpenFootage {
    /// Returns whether the mapping's segment has everything that it wants; if so, no other mapping can change
    /// that.
    fn is_settled(&self, mapping: &Mapping) -> bool {
        let origin = self.origins.iter().find(|origin| origin.mapping == mapping.serial);
        let has_all = |origin: &SegmentOrigin| {
            origin.is_first == mapping.first.is_some()
                && Some(origin.reach) == mapping.always.max(mapping.first)
        };
        origin.is_some_and(has_all)
    }

    pub(crate) fn drop_segment(&mut self, mapping: &Mapping) {
        while let Some(index) = self.origins.iter().position(|origin| origin.mapping == mapping.serial) {
            self.origins.remove(index);
            self.footage.segments.remove(index);
        }
    }

    /// Copies the mapping's interaction and role to its segment.
    pub(crate) fn correct(&mut self, mapping: &Mapping) {
        for (segment, origin) in self.footage.segments.iter_mut().zip(&self.origins) {
            if origin.mapping == mapping.serial {
                segment.interaction = mapping.interaction.clone();
                segment.role = mapping.role;
            }
        }
    }
}
