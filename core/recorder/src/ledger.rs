//! Keeps the manifest of a recording that runs, and decides when it is worth saving.
//!
//! Fragments describe themselves, so the manifest need not be saved for each: what it does not name yet is taken
//! in after a crash. It is saved whenever something happens that no fragment tells, and when fragments have grown
//! by a sixteenth, which bounds what saving costs over hours: a manifest of n fragments is written 16 ln n times.

use std::collections::HashMap;
use std::time::Duration;

use deskreel_model::manifest::{Anchor, Cause, Fragment, FrameCounts, Gap, Incident, Outcome, Part, Track};
use deskreel_model::worker::{OpenedPart, TrackBeat};
use deskreel_model::{Manifest, MediaTime, PartNumber};
use deskreel_spool::RecordingDir;

pub struct Ledger {
    folder: RecordingDir,
    manifest: Manifest,
    part: PartNumber,
    /// Why the present part began.
    cause: Cause,
    /// Media time up to which the screen is known to have stood still, by track.
    still_until: HashMap<String, MediaTime>,
    bytes: u64,
    fragments: usize,
    saved_fragments: usize,
    changed: bool,
    published: bool,
}

impl Ledger {
    pub fn new(folder: RecordingDir, manifest: Manifest) -> Self {
        Ledger {
            folder,
            manifest,
            part: PartNumber::FIRST,
            cause: Cause::Start,
            still_until: HashMap::new(),
            bytes: 0,
            fragments: 0,
            saved_fragments: 0,
            changed: true,
            published: false,
        }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes of footage on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Frames of all tracks together.
    pub fn frames(&self) -> FrameCounts {
        self.manifest.tracks.iter().map(Track::frames).fold(FrameCounts::default(), |a, b| FrameCounts {
            captured: a.captured + b.captured,
            encoded: a.encoded + b.encoded,
            skipped: a.skipped + b.skipped,
            lost: a.lost + b.lost,
        })
    }

    pub fn begin_part(&mut self, part: PartNumber, cause: Cause) {
        (self.part, self.cause) = (part, cause);
        self.still_until.clear();
    }

    pub fn part_opened(&mut self, track: &str, opened: OpenedPart) {
        let part = Part {
            number: self.part,
            cause: self.cause,
            source: opened.source,
            encoder: opened.encoder,
            codec: opened.codec,
            width: opened.width,
            height: opened.height,
            fps: opened.fps,
            timescale: opened.timescale,
            init: opened.init,
            fragments: Vec::new(),
            frames: FrameCounts::default(),
        };
        if let Some(track) = self.track(track) {
            track.parts.push(part);
            self.changed = true;
        }
    }

    /// Where footage is missing before the fragment, that is a gap: by the part's cause if the fragment is the
    /// part's first, else for want of room, the only thing that interrupts a part.
    pub fn fragment_closed(&mut self, track: &str, fragment: Fragment, frames: FrameCounts) {
        let (number, cause) = (self.part, self.cause);
        self.bytes += fragment.file.size;
        self.fragments += 1;
        let Some(track) = self.track(track) else { return };
        let before = track.end();
        let Some(part) = track.parts.iter_mut().find(|part| part.number == number) else { return };
        let cause = if part.fragments.is_empty() { cause } else { Cause::DiskFull };
        let start = fragment.start;
        part.fragments.push(fragment);
        let missing = before.map_or(0, |end| part.frames_in(start.0.saturating_sub(end.0)));
        part.frames = frames;
        if let Some(from) = before.filter(|end| deskreel_spool::is_jump(*end, start)) {
            track.gaps.push(Gap { from, to: start, frames: missing, cause });
            self.changed = true;
        }
    }

    pub fn beat(&mut self, beat: &TrackBeat) {
        self.still_until.insert(beat.track.clone(), beat.still_until);
        let number = self.part;
        let Some(track) = self.track(&beat.track) else { return };
        if let Some(part) = track.parts.iter_mut().find(|part| part.number == number) {
            part.frames = beat.frames;
        }
    }

    /// The part's worker is gone: what it left on disk and did not report is taken in. Gives what could not be, for
    /// people.
    pub fn end_part(&mut self) -> Vec<String> {
        let folder = self.folder.path();
        let mut problems = Vec::new();
        for track in &mut self.manifest.tracks {
            let still_until = self.still_until.get(&track.name).copied().unwrap_or_default();
            match deskreel_spool::reconcile(folder, track, still_until) {
                Ok(summary) => {
                    let lost = summary.set_aside.iter().chain(&summary.missing);
                    problems.extend(lost.map(|file| format!("{file} is not whole and was set aside")));
                }
                Err(error) => problems.push(format!("what the worker left could not be taken in: {error}")),
            }
        }
        self.changed = true;
        problems
    }

    pub fn anchor(&mut self, anchor: Anchor) {
        self.manifest.anchors.push(anchor);
        self.changed = true;
    }

    pub fn note(&mut self, at: MediaTime, cause: Cause, detail: String) {
        self.manifest.incidents.push(Incident { at, cause, detail });
        self.changed = true;
    }

    /// Saves if it is worth it. A manifest that cannot be saved now is saved later: nothing is lost but time at a
    /// recovery.
    pub fn save_if_due(&mut self) {
        let due = self.fragments > self.saved_fragments + self.saved_fragments / 16;
        if !self.changed && !due {
            return;
        }
        match self.save() {
            Ok(()) => (self.changed, self.saved_fragments) = (false, self.fragments),
            Err(error) => tracing::debug!(%error, "manifest not saved"),
        }
    }

    fn save(&mut self) -> Result<(), deskreel_spool::Error> {
        match self.published {
            true => self.folder.save(&self.manifest)?,
            false => self.folder.publish(&self.manifest)?,
        }
        self.published = true;
        Ok(())
    }

    /// Footage that ended before the recording did, by more than `slack`.
    pub fn gap_at_end(&mut self, ended: MediaTime, slack: Duration, cause: Cause) {
        for track in &mut self.manifest.tracks {
            if let Some(from) = track.end().filter(|end| deskreel_spool::is_jump(*end + slack, ended)) {
                let missing = ended.0.saturating_sub(from.0);
                let frames = track.parts.last().map_or(0, |part| part.frames_in(missing));
                track.gaps.push(Gap { from, to: ended, frames, cause });
            }
        }
    }

    /// Why the present part began.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Parts that have footage.
    pub fn parts(&self) -> u32 {
        let parts = self.manifest.tracks.iter().map(|track| track.parts.len()).max().unwrap_or(0);
        u32::try_from(parts).unwrap_or(u32::MAX)
    }

    /// The last save.
    pub fn seal(&mut self, outcome: Outcome, ended: MediaTime) -> Result<(), deskreel_spool::Error> {
        self.manifest.outcome = Some(outcome);
        self.manifest.ended = Some(ended);
        self.save().inspect_err(|_| self.manifest.outcome = None)
    }

    fn track(&mut self, name: &str) -> Option<&mut Track> {
        self.manifest.tracks.iter_mut().find(|track| track.name == name)
    }
}
