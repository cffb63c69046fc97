//! Segments: where the mappings of an agent meet footage.

use std::sync::Arc;

use deskreel_model::Utc;
use deskreel_model::segment::Segment;

use crate::agent::Agent;
use crate::footage::OpenFootage;
use crate::wishes::{Mapping, MappingEnd, Reach};

/// The mapping that a segment of running footage comes from, and how far the segment reaches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SegmentOrigin {
    /// Serial number of the mapping.
    mapping: u32,
    /// The footage's first mapping, for policies that want only that one.
    is_first: bool,
    reach: Reach,
}

impl Agent {
    /// Ends the segments of mappings that have ended.
    pub(crate) fn end_segments(&mut self, at: Utc) {
        if self.mappings.iter().all(|mapping| mapping.end == MappingEnd::No) {
            return;
        }
        for open in self.open.iter_mut().map(Arc::make_mut) {
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
    }

    /// Begins the segments of mappings that have none yet.
    pub(crate) fn begin_segments(&mut self, at: Utc) {
        let lasting = self.mappings.iter().filter(|mapping| mapping.end == MappingEnd::No);
        if self.open.iter().all(|open| lasting.clone().all(|mapping| open.is_settled(mapping))) {
            return;
        }
        // The first mapping is the one that began first, not the one that was decided first.
        let mut lasting: Vec<_> = lasting.collect();
        lasting.sort_by(|a, b| (a.from, &a.call, &a.interaction).cmp(&(b.from, &b.call, &b.interaction)));
        for open in &mut self.open {
            if let Some(changed) = open.with_segments_of(&lasting, at) {
                *open = Arc::new(changed);
            }
        }
    }
}

impl OpenFootage {
    /// Begins a segment for each mapping that has none yet in this footage, and extends the reach of a
    /// segment whose mapping wants more than before. Returns nothing if that changes nothing.
    fn with_segments_of(&self, lasting: &[&Mapping], at: Utc) -> Option<OpenFootage> {
        let mut origins = self.origins.clone();
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
            let known = known.or_else(|| self.footage.segments.iter().position(goes_on));
            let is_first = mapping.first.is_some()
                && origins.iter().enumerate().all(|(index, origin)| !origin.is_first || Some(index) == known);
            let Some(reach) = mapping.always.max(mapping.first.filter(|_| is_first)) else { continue };
            let origin = SegmentOrigin { mapping: mapping.serial, is_first, reach };
            match known {
                Some(index) => origins[index] = origin,
                None => {
                    origins.push(origin);
                    fresh.push(new_segment(mapping, self.footage.from, at));
                }
            }
        }
        if origins == self.origins {
            return None;
        }
        let mut footage = self.footage.clone();
        footage.segments.extend(fresh);
        Some(OpenFootage { origins, footage, ..self.clone() })
    }

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
/// Merges overlapping segments of the same call, interaction and role: a call may have had several ids
/// meanwhile.
pub(crate) fn merge_overlaps(segments: Vec<Segment>) -> Vec<Segment> {
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
