//! Verification: compares every statement of a manifest with the bytes on disk. It decodes nothing; a worker
//! does.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use deskreel_fmp4::{codec_string, read_fragment, read_header};
use deskreel_model::manifest::{CaptureMode, FileRef, Fragment, Outcome, Part, Track};
use deskreel_model::segment::Footage;
use deskreel_model::{Manifest, MediaTime, PartNumber, layout};

use crate::disk::{has_suffix, names};
use crate::jumps::{jumps, meets};
use crate::{load, sha256_hex};

/// The findings about a recording, and the extent of the check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerificationReport {
    /// Findings, in the order of the manifest.
    pub findings: Vec<Finding>,
    pub fragments: u64,
    pub frames: u64,
    /// Bytes of headers and fragments that were read and hashed.
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Relative to the recording's folder.
    pub file: String,
    pub sentence: String,
}

impl VerificationReport {
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks a recording's folder. Reads every byte once. A damaged recording has findings, and never causes an
/// error.
pub fn verify_bytes(recording_dir: &Path) -> VerificationReport {
    let mut check =
        Check { dir: recording_dir, named: BTreeSet::new(), report: VerificationReport::default() };
    match load(recording_dir) {
        Ok(manifest) => check.recording(&manifest),
        Err(error) => check.find(layout::MANIFEST, with_sources(&error)),
    }
    check.report
}

struct Check<'a> {
    dir: &'a Path,
    /// Files that the manifest names.
    named: BTreeSet<String>,
    report: VerificationReport,
}

impl Check<'_> {
    fn find(&mut self, file: impl Into<String>, sentence: impl Into<String>) {
        self.report.findings.push(Finding { file: file.into(), sentence: sentence.into() });
    }

    fn recording(&mut self, manifest: &Manifest) {
        if self.dir.file_name().and_then(|name| name.to_str()) != Some(manifest.recording.as_str()) {
            self.find(
                layout::MANIFEST,
                format!("names the recording {}, unlike its folder", manifest.recording),
            );
        }
        if manifest.anchors.is_empty() {
            self.find(layout::MANIFEST, "does not tie the timeline to the world: no anchors");
        }
        for track in &manifest.tracks {
            self.track(track);
        }
        self.withheld(manifest);
        match manifest.outcome {
            None => self.find(layout::MANIFEST, "is not sealed: there is no outcome"),
            Some(Outcome::Abandoned) if self.report.fragments > 0 => {
                self.find(layout::MANIFEST, "says that there is no footage, and there is");
            }
            _ => {}
        }
        self.named.insert(layout::MANIFEST.to_owned());
        self.named.insert(layout::FOOTAGE.to_owned());
        // Missing until segments are final, and for recordings without a policy.
        if let Ok(bytes) = std::fs::read(self.dir.join(layout::FOOTAGE))
            && let Err(error) = serde_json::from_slice::<Footage>(&bytes)
        {
            self.find(layout::FOOTAGE, format!("is not a row of the segment table: {error}"));
        }
        self.strangers("");
    }

    /// Checks that withheld stretches are in order and within the recording. The content of their frames is
    /// not checked.
    fn withheld(&mut self, manifest: &Manifest) {
        let footage = manifest.tracks.iter().filter_map(Track::end).max();
        let end = footage.max(manifest.ended).unwrap_or_default();
        let mut before = MediaTime::ZERO;
        for withheld in &manifest.withheld {
            let from = withheld.from;
            let Some(to) = withheld.to else {
                let sentence = format!("says that the screen is withheld from {from} on, and not until when");
                self.find(layout::MANIFEST, sentence);
                continue;
            };
            let sentence = if withheld.capture == CaptureMode::Live {
                "says that nothing is withheld"
            } else if to < from {
                "ends before it begins"
            } else if from < before {
                "begins before the one before it ends"
            } else if to > end {
                "ends after the recording"
            } else {
                before = to;
                continue;
            };
            self.find(layout::MANIFEST, format!("the withheld stretch from {from} to {to} {sentence}"));
            before = before.max(to);
        }
    }

    fn track(&mut self, track: &Track) {
        let mut last: Option<(PartNumber, MediaTime)> = None;
        for part in &track.parts {
            if last.is_some_and(|(number, _)| number >= part.number) {
                self.find(part_folder(&track.name, part), "is out of order");
            }
            let begins = part.fragments.first().map(|fragment| fragment.start);
            if let (Some((number, shown)), Some(begins)) = (last, begins)
                && begins < shown
            {
                let sentence =
                    format!("begins at {begins}, before the last frame of part {number} at {shown}");
                self.find(part_folder(&track.name, part), sentence);
            }
            let shown = self.part(&track.name, part);
            last = Some((part.number, shown.or(last.map(|(_, shown)| shown)).unwrap_or_default()));
        }
        self.gaps(track);
    }

    /// Returns the time of the part's last frame.
    fn part(&mut self, track: &str, part: &Part) -> Option<MediaTime> {
        self.header(track, part);
        let dir = part_folder(track, part);
        let counts = part.frames;
        if counts.captured != counts.encoded + counts.skipped + counts.lost {
            let sentence = format!(
                "{} frames captured are not {} encoded + {} skipped + {} lost",
                counts.captured, counts.encoded, counts.skipped, counts.lost
            );
            self.find(&dir, sentence);
        }
        let frames: u64 = part.fragments.iter().map(|fragment| u64::from(fragment.frames)).sum();
        if counts.encoded != frames {
            self.find(&dir, format!("{} frames encoded, but its fragments hold {frames}", counts.encoded));
        }
        if part.fragments.first().is_some_and(|first| !first.starts_with_keyframe) {
            self.find(&dir, "does not start with a keyframe");
        }

        let mut shown = None;
        let mut before: Option<&Fragment> = None;
        for fragment in &part.fragments {
            let file = layout::fragment_file(track, part.number, fragment.number);
            if let Some(before) = before {
                if before.number >= fragment.number {
                    self.find(&file, "is out of order");
                }
                if fragment.start < before.end() && !meets(fragment.start, before.end()) {
                    let sentence =
                        format!("begins at {}, before fragment {} ends", fragment.start, before.number);
                    self.find(&file, sentence);
                }
            }
            shown = self.fragment(file, fragment).or(shown);
            before = Some(fragment);
        }
        shown
    }

    fn header(&mut self, track: &str, part: &Part) {
        let file = layout::init_file(track, part.number);
        let Some(bytes) = self.file(&file, &part.init) else { return };
        let header = match read_header(&bytes) {
            Ok(header) => header,
            Err(error) => return self.find(file, with_sources(&error)),
        };
        let config = header.config;
        let read = (codec_string(&config), config.width, config.height, header.timescale);
        let said = (part.codec.clone(), part.width, part.height, part.timescale);
        if read != said {
            self.find(file, format!("holds {}, the manifest says {}", describe(&read), describe(&said)));
        }
    }

    /// Returns the time of the fragment's last frame.
    fn fragment(&mut self, file: String, said: &Fragment) -> Option<MediaTime> {
        self.report.fragments += 1;
        self.report.frames += u64::from(said.frames);
        let bytes = self.file(&file, &said.file)?;
        let read = match read_fragment(&bytes) {
            Ok(read) => read,
            Err(error) => {
                self.find(file, with_sources(&error));
                return None;
            }
        };
        if read.sequence != said.number {
            self.find(&file, format!("carries the number {}", read.sequence));
        }
        let end = MediaTime(read.start_ns + read.duration_ns);
        if !meets(MediaTime(read.start_ns), said.start) || !meets(end, said.end()) {
            let sentence = format!(
                "lasts from {} to {end}, the manifest says {} to {}",
                MediaTime(read.start_ns),
                said.start,
                said.end()
            );
            self.find(&file, sentence);
        }
        if read.samples.len() as u64 != u64::from(said.frames) {
            let sentence = format!("holds {} frames, the manifest says {}", read.samples.len(), said.frames);
            self.find(&file, sentence);
        }
        if read.samples.first().is_some_and(|first| first.keyframe) != said.starts_with_keyframe {
            self.find(&file, "and the manifest disagree on whether it starts with a keyframe");
        }
        read.samples.last().map(|last| MediaTime(last.dts_ns))
    }

    /// Returns the bytes of the file from its only valid place, after checking size and hash.
    fn file(&mut self, due: &str, said: &FileRef) -> Option<Vec<u8>> {
        // Only the layout's name is ever opened, so a manifest cannot point out of its folder.
        if said.file != due {
            self.find(due, format!("is called `{}` in the manifest", said.file));
        }
        self.named.insert(due.to_owned());
        let bytes = match fs::read(self.dir.join(due)) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.find(due, format!("cannot be read: {error}"));
                return None;
            }
        };
        self.report.bytes += bytes.len() as u64;
        if bytes.len() as u64 != said.size {
            self.find(due, format!("has {} bytes, the manifest says {}", bytes.len(), said.size));
        } else if sha256_hex(&bytes) != said.sha256 {
            self.find(due, "does not have the hash that the manifest says");
        }
        Some(bytes)
    }

    fn gaps(&mut self, track: &Track) {
        let jumps = jumps(track);
        for jump in &jumps {
            if !track.gaps.iter().any(|gap| jump.matches(gap)) {
                let sentence = format!(
                    "begins at {}, its predecessor ends at {}, and the manifest has no such gap",
                    jump.to, jump.from
                );
                self.find(layout::fragment_file(&track.name, jump.part, jump.fragment), sentence);
            }
        }
        for gap in &track.gaps {
            let at_the_end = gap.to > gap.from && track.end().is_some_and(|end| meets(end, gap.from));
            if !at_the_end && !jumps.iter().any(|jump| jump.matches(gap)) {
                let sentence = format!("the gap from {} to {} is not there", gap.from, gap.to);
                self.find(track.name.clone(), sentence);
            }
        }
    }

    /// Finds files that the manifest does not name. Those that recovery has set aside are in an incident
    /// already.
    fn strangers(&mut self, under: &str) {
        for name in names(&self.dir.join(under)).ok().flatten().unwrap_or_default() {
            let file = if under.is_empty() { name } else { format!("{under}/{name}") };
            let path = self.dir.join(&file);
            if path.is_dir() && !path.is_symlink() {
                self.strangers(&file);
            } else if !self.named.contains(&file) && !has_suffix(&file, layout::TORN) {
                self.find(file, "is not in the manifest");
            }
        }
    }
}

fn part_folder(track: &str, part: &Part) -> String {
    layout::in_manifest(&layout::part_folder(track, part.number))
}

fn describe((codec, width, height, timescale): &(String, u32, u32, u32)) -> String {
    format!("{codec}, {width}x{height}, {timescale} ticks per second")
}

/// An error and its causes, in one sentence.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        sentence.push_str(&format!(": {error}"));
        source = error.source();
    }
    sentence
}
