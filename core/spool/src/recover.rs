//! Recovery after a crash: seals the recordings on disk. The crate's documentation lists the steps.

#[cfg(test)]
mod tests;
mod track;

pub use track::gaps;
use track::remove_temporary;
pub(crate) use track::{Scope, recover_track};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deskreel_model::manifest::{Anchor, Cause, Incident, Outcome, Track};
use deskreel_model::{Manifest, MediaTime, RecordingId, Utc, layout};

use crate::disk::{Disk, names};
use crate::{Error, RecordingDir};

/// Longest wait for a worker that lost its supervisor. It ends within 1.3 s; one that takes longer hangs, and
/// its recording is left to the next start.
const ORPHAN_LIMIT: Duration = Duration::from_secs(3);
/// Interval between looks whether the worker has ended.
const ORPHAN_LOOK: Duration = Duration::from_millis(20);

/// One recording that was found without an outcome.
#[derive(Debug)]
pub struct RecoveredFolder {
    pub folder: PathBuf,
    /// An error leaves the recording unchanged, for the next start.
    pub result: Result<RecoverySummary, Error>,
}

/// The effects of recovery on one recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoverySummary {
    /// There was no manifest. Facts that the files do not contain (source, encoder) are lost.
    pub manifest_rebuilt: bool,
    /// Number of fragments that were complete on disk and not in the manifest.
    pub taken_in: u32,
    /// Number of fragments made from a tail.
    pub salvaged: u32,
    /// Files in the manifest that were missing or not whole.
    pub missing: Vec<String>,
    /// Files that could not be read; their names end in `.torn` now.
    pub set_aside: Vec<String>,
    /// Number of frames of the whole recording, all tracks together.
    pub frames: u64,
}

/// Seals every recording in `directory` that has no outcome and no living owner.
pub fn recover(directory: &Path) -> Result<Vec<RecoveredFolder>, Error> {
    recover_with(&Disk::new(), directory)
}

fn recover_with(disk: &Disk, directory: &Path) -> Result<Vec<RecoveredFolder>, Error> {
    let mut recovered = Vec::new();
    for name in candidates(directory)? {
        let folder = directory.join(&name);
        if let Some(result) = recover_folder(disk, &folder, &name).transpose() {
            recovered.push(RecoveredFolder { folder, result });
        }
    }
    Ok(recovered)
}

/// Names of folders that may be recordings. Others (`lost+found`) are not even opened: they may not be ours
/// to open, and a lock could disturb their owner.
fn candidates(directory: &Path) -> Result<Vec<String>, Error> {
    let mut names = names(directory)?.unwrap_or_default();
    names.retain(|name| {
        let folder = directory.join(name);
        folder.is_dir() && (parse_id(name).is_some() || folder.join(layout::MANIFEST).exists())
    });
    Ok(names)
}

/// Returns `None` if there is nothing to recover.
fn recover_folder(disk: &Disk, folder: &Path, name: &str) -> Result<Option<RecoverySummary>, Error> {
    let owned = match RecordingDir::open(folder) {
        Err(Error::Busy { .. }) => return Ok(None),
        owned => owned?,
    };
    let mut summary = RecoverySummary::default();
    let mut manifest = match owned.load() {
        Ok(manifest) if manifest.outcome.is_some() => return Ok(None),
        Ok(manifest) => manifest,
        Err(error) if error.is_not_found() => match blank(folder, name)? {
            None => return Ok(None),
            Some(manifest) => {
                summary.manifest_rebuilt = true;
                manifest
            }
        },
        Err(error) => return Err(error),
    };
    await_writers(folder)?;

    remove_temporary(disk, folder)?;
    for name in tracks_on_disk(folder)? {
        if !manifest.tracks.iter().any(|track| track.name == name) {
            manifest.tracks.push(Track { name, parts: Vec::new(), gaps: Vec::new() });
        }
    }
    for track in &mut manifest.tracks {
        recover_track(disk, folder, track, Scope::All, &mut summary)?;
    }
    summary.frames = manifest.tracks.iter().map(|track| track.frames().encoded).sum();
    let at = manifest.tracks.iter().filter_map(Track::end).max().unwrap_or(MediaTime::ZERO);
    close_withheld(&mut manifest, at);
    manifest.incidents.push(Incident { at, cause: Cause::WorkerDied, detail: summary.sentence() });
    manifest.outcome = Some(Outcome::Recovered);
    owned.save_with(disk, &manifest)?;
    Ok(Some(summary))
}

/// Closes the stretch that was withheld at the crash: it was withheld to the end of the footage.
fn close_withheld(manifest: &mut Manifest, end: MediaTime) {
    manifest.withheld.retain(|withheld| withheld.from < end);
    for withheld in &mut manifest.withheld {
        withheld.to = Some(withheld.to.map_or(end, |to| to.min(end)));
    }
}

/// Waits for workers that lost their supervisor: each writes what it has to disk and ends. Until then it
/// holds a lock on the folder of its part.
fn await_writers(folder: &Path) -> Result<(), Error> {
    let limit = Instant::now() + ORPHAN_LIMIT;
    for track in tracks_on_disk(folder)? {
        let path = folder.join(track);
        for part in names(&path)?.unwrap_or_default() {
            while let Err(busy @ Error::Busy { .. }) = RecordingDir::open(&path.join(&part)) {
                if Instant::now() > limit {
                    return Err(busy);
                }
                std::thread::sleep(ORPHAN_LOOK);
            }
        }
    }
    Ok(())
}

/// Makes a manifest for a folder that has none, if its name and content say that it is a recording.
fn blank(folder: &Path, name: &str) -> Result<Option<Manifest>, Error> {
    let tracks = tracks_on_disk(folder)?;
    let Some((recording, started)) = parse_id(name) else { return Ok(None) };
    if tracks.is_empty() {
        return Ok(None);
    }
    // The name has the start to the second.
    let anchor = Anchor { media: MediaTime::ZERO, utc: started, uncertainty_ns: 1_000_000_000 };
    Ok(Some(Manifest::new(recording, String::new(), &tracks, anchor)))
}

/// Reads an id as in `20261123T071002Z-4f2a91`, and the time that it names.
pub(crate) fn parse_id(name: &str) -> Option<(RecordingId, Utc)> {
    let (stamp, _salt) = name.split_once('-')?;
    let at = |range| stamp.get(range);
    let (year, month, day) = (at(0..4)?, at(4..6)?, at(6..8)?);
    let (hour, minute, second) = (at(9..11)?, at(11..13)?, at(13..15)?);
    let rfc3339 = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    let started = serde_json::from_value(rfc3339.into()).ok()?;
    let recording = serde_json::from_value(name.into()).ok()?;
    Some((recording, started))
}

/// Names of the folders that hold parts.
fn tracks_on_disk(folder: &Path) -> Result<Vec<String>, Error> {
    let mut tracks = Vec::new();
    for name in names(folder)?.unwrap_or_default() {
        let path = folder.join(&name);
        if path.is_dir()
            && names(&path)?.unwrap_or_default().iter().any(|part| layout::part_number(part).is_some())
        {
            tracks.push(name);
        }
    }
    Ok(tracks)
}

impl RecoverySummary {
    /// A sentence for the manifest.
    fn sentence(&self) -> String {
        let mut sentence = format!(
            "the recorder ended without sealing the recording; {} fragments were taken in, {} salvaged",
            self.taken_in, self.salvaged
        );
        if self.manifest_rebuilt {
            sentence.push_str("; the manifest was rebuilt from the files");
        }
        if !self.missing.is_empty() {
            sentence.push_str(&format!("; not there: {}", self.missing.join(", ")));
        }
        if !self.set_aside.is_empty() {
            sentence.push_str(&format!("; not readable and set aside: {}", self.set_aside.join(", ")));
        }
        sentence
    }
}
