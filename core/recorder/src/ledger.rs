//! The manifest of a running recording; decides when it is saved.
//!
//! Fragments describe themselves, so the manifest need not be saved for each one: after a crash, recovery
//! takes in those that it does not name. It is saved whenever something happens that no fragment records, and
//! when the number of fragments has grown by a sixteenth. That bounds the cost over hours: a manifest of n
//! fragments is written 16 ln n times.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::{
    Anchor, Cause, Fragment, FrameCounts, Gap, Incident, Outcome, Part, Track, WithheldStretch,
};
use deskreel_model::worker::{OpenedPart, TrackBeat};
use deskreel_model::{Manifest, MediaTime, PartNumber};
use deskreel_spool::RecordingDir;

pub struct Ledger {
    /// `None` for a standby.
    folder: Option<RecordingDir>,
    manifest: Manifest,
    /// Why the present worker was started.
    cause: Cause,
    /// Media time up to which the screen is known not to have changed, by track.
    still_until: HashMap<String, MediaTime>,
    bytes: u64,
    fragments: usize,
    saved_fragments: usize,
    /// The last withheld stretch was closed before the worker confirmed that the screen is shown again.
    is_closed_early: bool,
    changed: bool,
    published: bool,
}

impl Ledger {
    pub fn new(folder: Option<RecordingDir>, manifest: Manifest) -> Self {
        Ledger {
            folder,
            manifest,
            cause: Cause::Start,
            still_until: HashMap::new(),
            bytes: 0,
            fragments: 0,
            saved_fragments: 0,
            is_closed_early: false,
            changed: true,
            published: false,
        }
    }

    /// A standby becomes a recording.
    pub fn keep(&mut self, folder: RecordingDir, about: impl FnOnce(&mut Manifest)) {
        self.folder = Some(folder);
        about(&mut self.manifest);
        self.changed = true;
    }

    /// Moves media time zero to `from`: times noted before are counted from there, and withheld stretches
    /// that ended before it are dropped.
    pub fn move_zero(&mut self, from: MediaTime, anchor: Anchor) {
        self.manifest.anchors = vec![anchor];
        let moved = |at: MediaTime| MediaTime(at.0.saturating_sub(from.0));
        self.manifest.withheld.retain(|withheld| withheld.to.is_none_or(|to| to > from));
        for withheld in &mut self.manifest.withheld {
            (withheld.from, withheld.to) = (moved(withheld.from), withheld.to.map(moved));
        }
        for incident in &mut self.manifest.incidents {
            incident.at = moved(incident.at);
        }
        self.changed = true;
    }

    /// Forgets a standby's lost footage: media time restarts. A stretch that is still withheld stays
    /// withheld, from zero.
    pub fn restart_time(&mut self) {
        self.manifest.withheld.retain(|withheld| withheld.to.is_none());
        self.manifest.withheld.iter_mut().for_each(|withheld| withheld.from = MediaTime::ZERO);
        self.changed = true;
    }

    /// The recording's folder; a standby has none.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(RecordingDir::path)
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes of fragments on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Frame counts of all tracks together.
    pub fn frames(&self) -> FrameCounts {
        self.manifest.tracks.iter().map(Track::frames).fold(FrameCounts::default(), |a, b| FrameCounts {
            captured: a.captured + b.captured,
            encoded: a.encoded + b.encoded,
            skipped: a.skipped + b.skipped,
            lost: a.lost + b.lost,
        })
    }

    pub fn begin_part(&mut self, cause: Cause) {
        self.cause = cause;
        self.still_until.clear();
    }

    pub fn part_opened(&mut self, track: &str, opened: OpenedPart) {
        let OpenedPart { number, cause, source, encoder, codec, width, height, fps, timescale, init } =
            opened;
        // The worker does not know why the supervisor started it.
        let cause = if cause == Cause::Start { self.cause } else { cause };
        let (fragments, frames) = (Vec::new(), FrameCounts::default());
        let part = Part {
            number,
            cause,
            source,
            encoder,
            codec,
            width,
            height,
            fps,
            timescale,
            init,
            fragments,
            frames,
        };
        if let Some(track) = self.track(track) {
            track.parts.push(part);
            self.changed = true;
        }
    }

    /// If footage is missing before the fragment, adds a gap. Its cause is the part's if the fragment is the
    /// part's first, else a full disk, the only thing that interrupts a part.
    pub fn fragment_closed(
        &mut self,
        track: &str,
        number: PartNumber,
        fragment: Fragment,
        frames: FrameCounts,
    ) {
        self.bytes += fragment.file.size;
        self.fragments += 1;
        let Some(track) = self.track(track) else { return };
        let Some(at) = track.parts.iter().position(|part| part.number == number) else { return };
        // An encoder that failed may still have had a fragment to write after the next one had begun.
        let is_late = track.parts.iter().skip(at + 1).any(|part| !part.fragments.is_empty());
        let before = track.parts.iter().rposition(|part| !part.fragments.is_empty());
        let end = track.end();
        let Some(part) = track.parts.get_mut(at) else { return };
        let cause = if part.fragments.is_empty() { part.cause } else { Cause::DiskFull };
        let start = fragment.start;
        part.fragments.push(fragment);
        part.frames = frames;
        if is_late {
            track.gaps = deskreel_spool::gaps(track);
            self.changed = true;
        } else if let Some(from) = end.filter(|end| deskreel_spool::is_jump(*end, start)) {
            let before = before.and_then(|before| track.parts.get(before));
            let frames = before.map_or(0, |part| part.frames_in(start.0 - from.0));
            track.gaps.push(Gap { from, to: start, frames, cause });
            self.changed = true;
        }
    }

    pub fn beat(&mut self, beat: &TrackBeat) {
        self.still_until.insert(beat.track.clone(), beat.still_until);
        let number = beat.part;
        let Some(track) = self.track(&beat.track) else { return };
        if let Some(part) = track.parts.iter_mut().find(|part| part.number == number) {
            part.frames = beat.frames;
        }
    }

    /// Called after the part's worker is gone: takes in everything that it left on disk and did not report.
    /// Returns the problems, for people.
    pub fn end_part(&mut self) -> Vec<String> {
        let mut problems = Vec::new();
        let Some(folder) = self.folder.as_ref().map(RecordingDir::path) else { return problems };
        for track in &mut self.manifest.tracks {
            let still_until = self.still_until.get(&track.name).copied().unwrap_or_default();
            match deskreel_spool::reconcile(folder, track, still_until) {
                Ok(summary) => {
                    let lost = summary.set_aside.iter().chain(&summary.missing);
                    problems.extend(lost.map(|file| format!("{file} is not whole and was set aside")));
                }
                Err(error) => problems.push(format!("could not take in what the worker left: {error}")),
            }
        }
        self.changed = true;
        problems
    }

    /// Sets media time zero to this anchor instead of the time at which the recording was requested.
    pub fn set_zero(&mut self, anchor: Anchor) {
        self.manifest.anchors = vec![anchor];
        self.changed = true;
    }

    pub fn anchor(&mut self, anchor: Anchor) {
        self.manifest.anchors.push(anchor);
        self.changed = true;
    }

    /// Notes that `capture` is the capture mode from this time on.
    pub fn note_mode(&mut self, capture: CaptureMode, at: MediaTime, why: String) {
        if std::mem::take(&mut self.is_closed_early)
            && let Some(last) = self.manifest.withheld.last_mut()
        {
            last.to = last.to.max(Some(at));
            self.changed = true;
        }
        let open = self.manifest.withheld.last().filter(|last| last.to.is_none());
        if open.map_or(CaptureMode::Live, |open| open.capture) == capture {
            return;
        }
        self.close_withheld(at);
        if capture != CaptureMode::Live {
            let before = self.manifest.withheld.last().and_then(|last| last.to).unwrap_or_default();
            self.manifest.withheld.push(WithheldStretch { capture, from: at.max(before), to: None, why });
        }
        self.changed = true;
    }

    /// Closes the withheld stretch on disk before the screen is shown again. Otherwise, after a crash in
    /// between, the manifest would say that frames are withheld although they are not.
    pub fn about_to_show(&mut self, at: MediaTime) {
        if self.close_withheld(at) {
            (self.is_closed_early, self.changed) = (true, true);
            self.save_if_due();
        }
    }

    fn close_withheld(&mut self, at: MediaTime) -> bool {
        let open = self.manifest.withheld.last_mut().filter(|last| last.to.is_none());
        open.map(|open| open.to = Some(at.max(open.from))).is_some()
    }

    pub fn note(&mut self, at: MediaTime, cause: Cause, detail: String) {
        self.manifest.incidents.push(Incident { at, cause, detail });
        self.changed = true;
    }

    /// Saves if it is due. A manifest that cannot be saved now is saved later; only a recovery in between
    /// takes longer.
    pub fn save_if_due(&mut self) {
        let due = self.fragments > self.saved_fragments + self.saved_fragments / 16;
        if !self.changed && !due {
            return;
        }
        match self.save() {
            Ok(()) => (self.changed, self.saved_fragments) = (false, self.fragments),
            Err(error) => tracing::debug!(%error, "could not save the manifest"),
        }
    }

    fn save(&mut self) -> Result<(), deskreel_spool::Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        match self.published {
            true => folder.save(&self.manifest)?,
            false => folder.publish(&self.manifest)?,
        }
        self.published = true;
        Ok(())
    }

    /// Adds a gap to each track whose footage ended before the recording did, by more than `slack`.
    pub fn gap_at_end(&mut self, ended: MediaTime, slack: Duration, cause: Cause) {
        for track in &mut self.manifest.tracks {
            if let Some(from) = track.end().filter(|end| deskreel_spool::is_jump(*end + slack, ended)) {
                let missing = ended.0.saturating_sub(from.0);
                let before = track.parts.iter().rfind(|part| !part.fragments.is_empty());
                let frames = before.map_or(0, |part| part.frames_in(missing));
                track.gaps.push(Gap { from, to: ended, frames, cause });
            }
        }
    }

    /// The newest part that any track has.
    pub fn newest_part(&self) -> Option<PartNumber> {
        self.manifest.tracks.iter().flat_map(|track| &track.parts).map(|part| part.number).max()
    }

    /// Why the present worker was started.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Number of parts of the track that has most.
    pub fn parts(&self) -> u32 {
        let parts = self.manifest.tracks.iter().map(|track| track.parts.len()).max().unwrap_or(0);
        u32::try_from(parts).unwrap_or(u32::MAX)
    }

    /// Writes outcome and end, and saves for the last time.
    pub fn seal(&mut self, outcome: Outcome, ended: MediaTime) -> Result<(), deskreel_spool::Error> {
        self.manifest.outcome = Some(outcome);
        self.manifest.ended = Some(ended);
        self.manifest.withheld.retain(|withheld| withheld.from < ended);
        for withheld in &mut self.manifest.withheld {
            withheld.to = Some(withheld.to.map_or(ended, |to| to.min(ended)));
        }
        self.save().inspect_err(|_| self.manifest.outcome = None)
    }

    fn track(&mut self, name: &str) -> Option<&mut Track> {
        self.manifest.tracks.iter_mut().find(|track| track.name == name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use deskreel_model::manifest::{EncoderUse, FileRef, PluginUse};
    use deskreel_model::{RecordingId, Utc};

    use super::*;

    const FPS: u32 = 10;

    fn ledger(folder: &tempfile::TempDir) -> Ledger {
        let utc = Utc(jiff::Timestamp::UNIX_EPOCH);
        let recording = RecordingId::new(utc, 1);
        let anchor = Anchor { media: MediaTime::ZERO, utc, uncertainty_ns: 0 };
        let manifest = Manifest::new(recording.clone(), "test".to_owned(), &["video".to_owned()], anchor);
        Ledger::new(Some(RecordingDir::create(folder.path(), &recording).unwrap()), manifest)
    }

    fn file() -> FileRef {
        FileRef { file: String::new(), size: 1, sha256: String::new() }
    }

    fn open(ledger: &mut Ledger, number: u32, cause: Cause) {
        let plugin = || "test".to_owned();
        let encoder = EncoderUse {
            plugin: plugin(),
            version: plugin(),
            candidate: plugin(),
            memory: Default::default(),
            gpu: None,
            cannot: Vec::new(),
            refused: Vec::new(),
        };
        let part = OpenedPart {
            number: PartNumber(number),
            cause,
            source: PluginUse { plugin: plugin(), version: plugin() },
            encoder,
            codec: String::new(),
            width: 64,
            height: 48,
            fps: FPS,
            timescale: 90_000,
            init: file(),
        };
        ledger.part_opened("video", part);
    }

    /// Closes a fragment that lasts from and to these milliseconds.
    fn close(ledger: &mut Ledger, part: u32, number: u32, from: u64, to: u64) {
        let fragment = Fragment {
            number,
            file: file(),
            start: MediaTime::from_millis(from),
            duration_ns: (to - from) * 1_000_000,
            frames: 1,
            starts_with_keyframe: true,
            salvaged: false,
        };
        ledger.fragment_closed("video", PartNumber(part), fragment, FrameCounts::default());
    }

    fn gaps(ledger: &Ledger) -> Vec<(u64, u64, u64, Cause)> {
        let gaps = ledger.manifest().tracks[0].gaps.iter();
        gaps.map(|gap| (gap.from.0 / 1_000_000, gap.to.0 / 1_000_000, gap.frames, gap.cause)).collect()
    }

    #[test]
    fn a_gap_has_the_cause_of_the_part_after_it_and_is_counted_in_frames() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(&folder);
        open(&mut ledger, 1, Cause::Start);
        close(&mut ledger, 1, 1, 0, 1000);
        open(&mut ledger, 2, Cause::EncoderHung);
        close(&mut ledger, 2, 1, 3100, 4000);
        ledger.begin_part(Cause::WorkerDied);
        open(&mut ledger, 3, Cause::Start);
        close(&mut ledger, 3, 1, 4200, 5000);
        assert_eq!(gaps(&ledger), [(1000, 3100, 21, Cause::EncoderHung), (4000, 4200, 2, Cause::WorkerDied)]);
        assert_eq!(ledger.newest_part(), Some(PartNumber(3)));
    }

    #[test]
    fn withheld_stretches_begin_when_the_mode_holds_and_end_before_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(&folder);
        let ms = MediaTime::from_millis;
        let note_mode =
            |ledger: &mut Ledger, capture, at| ledger.note_mode(capture, ms(at), "card".to_owned());
        note_mode(&mut ledger, CaptureMode::Paused, 1000);
        note_mode(&mut ledger, CaptureMode::Paused, 1500);
        note_mode(&mut ledger, CaptureMode::Masked, 2000);
        ledger.about_to_show(ms(3000));
        let saved = deskreel_spool::load(ledger.folder().unwrap()).unwrap();
        assert_eq!(saved.withheld[1].to, Some(ms(3000)), "on disk before anything is shown");
        note_mode(&mut ledger, CaptureMode::Live, 3001);
        note_mode(&mut ledger, CaptureMode::Paused, 4000);
        ledger.seal(Outcome::Finished, ms(5000)).unwrap();
        let spans = ledger.manifest().withheld.iter();
        let spans: Vec<_> = spans.map(|w| (w.capture, w.from, w.to.unwrap())).collect();
        let (paused, masked) = (CaptureMode::Paused, CaptureMode::Masked);
        assert_eq!(
            spans,
            [(paused, ms(1000), ms(2000)), (masked, ms(2000), ms(3001)), (paused, ms(4000), ms(5000))]
        );
    }

    #[test]
    fn stretches_withheld_on_standby_are_withheld_in_the_recording() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(&folder);
        let ms = MediaTime::from_millis;
        for (capture, at) in [
            (CaptureMode::Paused, 1000),
            (CaptureMode::Live, 2000),
            (CaptureMode::Masked, 3000),
            (CaptureMode::Live, 5000),
            (CaptureMode::Paused, 6000),
        ] {
            ledger.note_mode(capture, ms(at), String::new());
        }
        let anchor = ledger.manifest().anchors[0];
        ledger.move_zero(ms(4000), anchor);
        let spans: Vec<_> = ledger.manifest().withheld.iter().map(|w| (w.capture, w.from, w.to)).collect();
        assert_eq!(
            spans,
            [(CaptureMode::Masked, ms(0), Some(ms(1000))), (CaptureMode::Paused, ms(2000), None)]
        );
        ledger.restart_time();
        let spans: Vec<_> = ledger.manifest().withheld.iter().map(|w| (w.capture, w.from, w.to)).collect();
        assert_eq!(spans, [(CaptureMode::Paused, ms(0), None)]);
    }

    #[test]
    fn a_late_fragment_of_the_failed_encoder_closes_the_gap() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(&folder);
        open(&mut ledger, 1, Cause::Start);
        close(&mut ledger, 1, 1, 0, 1000);
        open(&mut ledger, 2, Cause::EncoderFailed);
        close(&mut ledger, 2, 1, 1500, 2000);
        assert_eq!(gaps(&ledger), [(1000, 1500, 5, Cause::EncoderFailed)]);
        close(&mut ledger, 1, 2, 1000, 1500);
        assert_eq!(gaps(&ledger), []);
        close(&mut ledger, 2, 2, 2000, 2500);
        assert_eq!(gaps(&ledger), []);
    }
}
