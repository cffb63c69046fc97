//! After a crash: from what lies on disk to a sealed recording. The steps are told in the crate's documentation.

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

/// A worker ends within 1.3 s once it is alone; one that takes longer hangs, and is left to the next start.
const ORPHAN_LIMIT: Duration = Duration::from_secs(3);
const ORPHAN_LOOK: Duration = Duration::from_millis(20);

/// One recording that was found without an outcome.
#[derive(Debug)]
pub struct Recovered {
    pub folder: PathBuf,
    /// An error leaves the recording as it was, for the next start.
    pub result: Result<Summary, Error>,
}

/// What recovery did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// There was no manifest; what the files do not tell (source, encoder) is lost.
    pub manifest_rebuilt: bool,
    /// Fragments that were complete on disk and that the manifest did not know.
    pub taken_in: u32,
    /// Fragments made from a tail.
    pub salvaged: u32,
    /// Files that the manifest named and that were not there, or not whole.
    pub missing: Vec<String>,
    /// Files that could not be read; they have `.torn` behind their names now.
    pub set_aside: Vec<String>,
    /// Frames of the whole recording, all tracks together.
    pub frames: u64,
}

/// Seals every recording in `directory` that has no outcome and no living owner.
pub fn recover(directory: &Path) -> Result<Vec<Recovered>, Error> {
    recover_with(&Disk::new(), directory)
}

fn recover_with(disk: &Disk, directory: &Path) -> Result<Vec<Recovered>, Error> {
    let mut recovered = Vec::new();
    for name in candidates(directory)? {
        let folder = directory.join(&name);
        if let Some(result) = recover_folder(disk, &folder, &name).transpose() {
            recovered.push(Recovered { folder, result });
        }
    }
    Ok(recovered)
}

/// Folders that may be recordings, by name. Whatever else lies there (`lost+found`) is not even opened: it need not
/// be ours to open, and a lock would be in somebody's way.
fn candidates(directory: &Path) -> Result<Vec<String>, Error> {
    let mut names = names(directory)?.unwrap_or_default();
    names.retain(|name| {
        let folder = directory.join(name);
        folder.is_dir() && (parse_id(name).is_some() || folder.join(layout::MANIFEST).exists())
    });
    Ok(names)
}

/// None if there is nothing to recover.
fn recover_folder(disk: &Disk, folder: &Path, name: &str) -> Result<Option<Summary>, Error> {
    let owned = match RecordingDir::open(folder) {
        Err(Error::Busy { .. }) => return Ok(None),
        owned => owned?,
    };
    let mut summary = Summary::default();
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

/// What was withheld when nobody lived to tell more was withheld until the footage ended.
fn close_withheld(manifest: &mut Manifest, end: MediaTime) {
    manifest.withheld.retain(|withheld| withheld.from < end);
    for withheld in &mut manifest.withheld {
        withheld.to = Some(withheld.to.map_or(end, |to| to.min(end)));
    }
}

/// A worker that lost its supervisor brings what it has to disk and ends; it locks the folder of its part until
/// then.
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

/// A manifest for a folder that has none, if its name and content say that it is a recording.
fn blank(folder: &Path, name: &str) -> Result<Option<Manifest>, Error> {
    let tracks = tracks_on_disk(folder)?;
    let Some((recording, started)) = parse_id(name) else { return Ok(None) };
    if tracks.is_empty() {
        return Ok(None);
    }
    // The name tells the start to the second.
    let anchor = Anchor { media: MediaTime::ZERO, utc: started, uncertainty_ns: 1_000_000_000 };
    Ok(Some(Manifest::new(recording, String::new(), &tracks, anchor)))
}

/// `20261123T071002Z-4f2a91` and the moment that it names.
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

impl Summary {
    /// For the manifest.
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
