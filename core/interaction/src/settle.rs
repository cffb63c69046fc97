//! Footage and segments, from all wishes of one agent together.
//!
//! Footage runs while the agent is there, somebody wants it, and nobody forbids it; it begins and ends only while the
//! recorder can be commanded. Where several hold it back, the most private one wins. It ends when the agent sits down
//! elsewhere, and where it has reached its greatest length, another begins where it is still wanted. A segment is
//! where a mapping and footage meet.

use std::sync::Arc;

use deskreel_contract::{CaptureMode, Voice};
use deskreel_model::segment::{Footage, Segment, Tag, Withheld};
use deskreel_model::{AgentId, CallId, FeedName, Utc};
use serde::Serialize;

use crate::agent::Agent;
use crate::wishes::{Ended, Mapping, Reach};
use deskreel_model::{Pause, PolicyRules};

/// Footage that runs.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub serial: u32,
    pub footage: Footage,
    pub capture: CaptureMode,
    parts: Vec<Part>,
}

/// Beside each of the footage's segments: whose it is, and how it ends.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    mapping: u32,
    /// It is the one that the footage belongs to first of all.
    is_first: bool,
    reach: Reach,
}

/// A decision that changed something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decided {
    pub agent: AgentId,
    pub at: Utc,
    /// Id of the plugin.
    pub policy: Arc<str>,
    pub action: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    pub why: Arc<str>,
}

/// Something that whoever runs this should know.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// The policy was asked and did not answer as it should; what it wanted before stands.
    PolicyFailed { at: Utc, policy: Arc<str>, agent: AgentId, message: String },
    /// Events of a feed are missing before this time.
    Missing { at: Utc, feed: FeedName, events: u64 },
    /// An event was later than may be put right: it counts from now on.
    TooLate { at: Utc, event: Box<str> },
}

impl Agent {
    /// Brings footage and segments in line with what is wanted; gives the footage that has ended.
    pub(crate) fn settle(&mut self, rules: &PolicyRules, online: bool, at: Utc) -> Vec<Footage> {
        let mut finished = Vec::new();
        let split = self.split.take();
        let reason = self.reason.take();
        self.close_mapped(at);
        let wanted = self.wanted();
        if let Some(open) = &self.open {
            let ran = at.saturating_since(open.footage.from);
            let ends: Option<Arc<str>> = if self.is_out() {
                Some("the agent has logged out".into())
            } else if open.footage.place.as_ref() != self.place() {
                Some("the agent has moved to another place".into())
            } else if !online {
                None
            } else if wanted.is_none() {
                Some(self.forbidden().or(reason).unwrap_or_else(|| "nothing wants it any longer".into()))
            } else if rules.max_duration.is_some_and(|max| ran >= max) {
                Some("it has reached its greatest length".into())
            } else {
                split
            };
            if let Some(why) = ends {
                finished.extend(self.end(at, &why));
            }
        }
        if self.open.is_none()
            && online
            && !self.is_out()
            && let Some(why) = wanted
        {
            self.begin(at, &why);
        }
        self.capture(rules, at);
        self.open_mapped(at);
        if self.mappings.iter().any(|mapping| mapping.ended != Ended::No) {
            Arc::make_mut(&mut self.mappings).retain(|mapping| mapping.ended == Ended::No);
        }
        finished
    }

    /// When something happens by itself, after `done`.
    pub(crate) fn next_due(&self, rules: &PolicyRules, done: Utc) -> Option<Utc> {
        let longest =
            self.open.as_ref().zip(rules.max_duration).map(|(open, max)| open.footage.from.plus(max));
        let pauses = self.connections.iter().flat_map(|c| [c.voice_paused, c.hidden]).flatten();
        let resumes = rules.pause_limit.map(|limit| pauses.map(move |since| since.plus(limit)));
        let now_held = self.open.as_ref().is_some_and(|open| open.capture != CaptureMode::Live);
        let resumes = resumes.into_iter().flatten().filter(|_| now_held);
        let calls = self.connections.iter().map(|c| c.since.plus(rules.longest_call));
        let times = longest.into_iter().chain(resumes).chain(calls).chain(self.asked_times());
        times.filter(|time| *time > done).min()
    }

    /// Why footage is wanted, if it is and may be.
    fn wanted(&self) -> Option<Arc<str>> {
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

    fn forbidden(&self) -> Option<Arc<str>> {
        let mut forbids = self.wishes.iter().flat_map(|wishes| &wishes.forbids);
        forbids.next().map(|forbid| forbid.why.clone())
    }

    fn begin(&mut self, at: Utc, why: &str) {
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
        self.open = Some(Open { serial, footage, capture: CaptureMode::Live, parts: Vec::new() }.into());
    }

    fn end(&mut self, at: Utc, why: &str) -> Option<Footage> {
        let open = self.open.take()?;
        let mut footage = Arc::unwrap_or_clone(open).footage;
        for segment in &mut footage.segments {
            segment.to = Some(segment.to.unwrap_or(at).min(at));
        }
        footage.segments.retain(|segment| segment.to > Some(segment.from));
        footage.segments = joined(footage.segments);
        for withheld in &mut footage.withheld {
            withheld.to.get_or_insert(at);
        }
        footage.withheld.retain(|withheld| withheld.to > Some(withheld.from));
        footage.to = Some(at);
        footage.why_ended = Some(why.to_owned());
        (footage.from < at).then_some(footage)
    }

    fn capture(&mut self, rules: &PolicyRules, at: Utc) {
        let Some(open) = &self.open else { return };
        let (capture, why) = self.held(rules, at).unwrap_or((CaptureMode::Live, "".into()));
        if capture == open.capture {
            return;
        }
        let Some(open) = self.open.as_mut().map(Arc::make_mut) else { return };
        open.capture = capture;
        if let Some(last) = open.footage.withheld.last_mut() {
            last.to.get_or_insert(at);
        }
        if capture != CaptureMode::Live {
            open.footage.withheld.push(Withheld { capture, from: at, to: None, why: why.to_string() });
        }
    }

    /// The most private of all that hold the capture back, and why.
    fn held(&self, rules: &PolicyRules, at: Utc) -> Option<(CaptureMode, Arc<str>)> {
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
                Some((rules.pause_as, format!("the attached data of call {call} say so").into()))
            } else {
                None
            }
        });
        // Of equals the first one gives the reason.
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
    fn close_mapped(&mut self, at: Utc) {
        if self.mappings.iter().all(|mapping| mapping.ended == Ended::No) {
            return;
        }
        let Some(open) = self.open.as_mut().map(Arc::make_mut) else { return };
        for mapping in self.mappings.iter() {
            let to = match mapping.ended {
                Ended::No => continue,
                Ended::Now => at,
                Ended::At(to) => to.min(at),
            };
            for (segment, part) in open.footage.segments.iter_mut().zip(&open.parts) {
                if part.mapping == mapping.serial && part.reach == Reach::Part {
                    segment.to.get_or_insert(to.max(segment.from));
                }
            }
        }
    }

    /// Begins a segment for each mapping that has none yet in this footage, and lets one reach further where more is
    /// wanted of it than before.
    fn open_mapped(&mut self, at: Utc) {
        let Some(open) = &self.open else { return };
        let lasting = self.mappings.iter().filter(|mapping| mapping.ended == Ended::No);
        if lasting.clone().all(|mapping| open.has(mapping)) {
            return;
        }
        // The first is the one that began first, whoever named it first.
        let mut lasting: Vec<_> = lasting.collect();
        lasting.sort_by(|a, b| (a.from, &a.call, &a.interaction).cmp(&(b.from, &b.call, &b.interaction)));
        let mut parts = open.parts.clone();
        let mut fresh = Vec::new();
        for mapping in lasting {
            // Back in a call whose segment reaches to the end of the footage anyway, the agent needs no other.
            let goes_on = |segment: &Segment| {
                segment.to.is_none()
                    && (&segment.interaction, &segment.call, segment.role)
                        == (&mapping.interaction, &mapping.call, mapping.role)
            };
            let known = parts.iter().position(|part| part.mapping == mapping.serial);
            let known = known.or_else(|| open.footage.segments.iter().position(goes_on));
            let is_first = mapping.first.is_some()
                && parts.iter().enumerate().all(|(index, part)| !part.is_first || Some(index) == known);
            let Some(reach) = mapping.always.max(mapping.first.filter(|_| is_first)) else { continue };
            let part = Part { mapping: mapping.serial, is_first, reach };
            match known {
                Some(index) => parts[index] = part,
                None => {
                    parts.push(part);
                    fresh.push(segment(mapping, open.footage.from, at));
                }
            }
        }
        if parts != open.parts
            && let Some(open) = self.open.as_mut().map(Arc::make_mut)
        {
            open.parts = parts;
            open.footage.segments.extend(fresh);
        }
    }
}

/// Of one thing, whatever the switch called it meanwhile, there is one segment at a time.
fn joined(segments: Vec<Segment>) -> Vec<Segment> {
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

fn segment(mapping: &Mapping, start: Utc, at: Utc) -> Segment {
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

impl Open {
    /// Whether the mapping has all that it wants: nothing of the others can change that.
    fn has(&self, mapping: &Mapping) -> bool {
        let part = self.parts.iter().find(|part| part.mapping == mapping.serial);
        let has_all = |part: &Part| {
            part.is_first == mapping.first.is_some() && Some(part.reach) == mapping.always.max(mapping.first)
        };
        part.is_some_and(has_all)
    }

    /// The mapping's segment says what the mapping says.
    pub(crate) fn amend(&mut self, mapping: &Mapping) {
        for (segment, part) in self.footage.segments.iter_mut().zip(&self.parts) {
            if part.mapping == mapping.serial {
                segment.interaction = mapping.interaction.clone();
                segment.role = mapping.role;
            }
        }
    }
}
