//! The recordings in the folder, as agents may see their own.

use std::path::PathBuf;

use deskreel_model::manifest::Manifest;
use deskreel_model::{AgentId, MediaTime, RecordingId};

use crate::api::{Listed, Page, Recordings};

pub struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    pub fn new(directory: PathBuf) -> Shelf {
        Shelf { directory }
    }
}

impl Recordings for Shelf {
    fn recordings(&self, agent: &AgentId, after: Option<&RecordingId>, limit: usize) -> Result<Page, String> {
        let entries = std::fs::read_dir(&self.directory).map_err(|error| error.to_string())?;
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        // Ids begin with the time: newest first.
        names.sort_by(|a, b| b.cmp(a));
        let behind = |name: &&String| after.is_none_or(|after| name.as_str() < after.as_str());
        let mut page = Page::default();
        for name in names.iter().filter(behind) {
            let Ok(manifest) = deskreel_spool::load(&self.directory.join(name)) else { continue };
            if manifest.agent.as_ref() != Some(agent) {
                continue;
            }
            if page.recordings.len() == limit {
                page.more = true;
                break;
            }
            page.recordings.extend(listed(manifest));
        }
        Ok(page)
    }
}

fn listed(manifest: Manifest) -> Option<Listed> {
    let fragments = manifest.tracks.iter().flat_map(|track| &track.parts).flat_map(|part| &part.fragments);
    Some(Listed {
        started: manifest.anchors.first()?.utc,
        duration: manifest.tracks.iter().filter_map(|track| track.end()).max().unwrap_or(MediaTime::ZERO),
        bytes: fragments.map(|fragment| fragment.file.size).sum(),
        gaps: manifest.tracks.iter().map(|track| track.gaps.len()).sum(),
        recording: manifest.recording,
        outcome: manifest.outcome,
        pending: Vec::new(),
    })
}
