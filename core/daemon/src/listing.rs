//! Lists an agent's own recordings for the API.

use std::path::Path;

use deskreel_model::manifest::Manifest;
use deskreel_model::{AgentId, MediaTime, RecordingId};

use deskreel_desk_api::{RecordingSummary, RecordingsPage};

/// One page of an agent's recordings, newest first, from the one after `after` on.
pub fn page(
    directory: &Path,
    agent: &AgentId,
    after: Option<&RecordingId>,
    limit: usize,
) -> Result<RecordingsPage, String> {
    let entries = std::fs::read_dir(directory).map_err(|error| error.to_string())?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    // Ids begin with the time: newest first.
    names.sort_by(|a, b| b.cmp(a));
    let behind = |name: &&String| after.is_none_or(|after| name.as_str() < after.as_str());
    let mut page = RecordingsPage::default();
    for name in names.iter().filter(behind) {
        let Ok(manifest) = deskreel_spool::load(&directory.join(name)) else { continue };
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

fn listed(manifest: Manifest) -> Option<RecordingSummary> {
    let fragments = manifest.tracks.iter().flat_map(|track| &track.parts).flat_map(|part| &part.fragments);
    Some(RecordingSummary {
        started: manifest.anchors.first()?.utc,
        duration: manifest.tracks.iter().filter_map(|track| track.end()).max().unwrap_or(MediaTime::ZERO),
        bytes: fragments.map(|fragment| fragment.file.size).sum(),
        gaps: manifest.tracks.iter().map(|track| track.gaps.len()).sum(),
        recording: manifest.recording,
        outcome: manifest.outcome,
        pending: Vec::new(),
    })
}
