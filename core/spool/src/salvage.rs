//! What a dead worker had put aside becomes a fragment.

use std::fs;
use std::path::Path;

use deskreel_fmp4::{fragment, read_fragment, read_tail};
use deskreel_model::manifest::Fragment;
use deskreel_model::{MediaTime, PartNumber, layout};

use crate::Error;
use crate::disk::Disk;
use crate::folder::file_ref;

/// Turns the tail in a part's folder into fragment `next`, synced, if that is what the tail was for; any other
/// tail is a left-over of a fragment that is already complete. Afterwards there is no tail.
///
/// Call it when the worker is gone for sure. If this process dies between the fragment and the tail's removal, the
/// fragment is found by recovery like any other and is not marked as salvaged; its frames are the same.
pub fn salvage(
    recording_dir: &Path,
    track: &str,
    part: PartNumber,
    next: u32,
) -> Result<Option<Fragment>, Error> {
    salvage_with(&Disk::new(), recording_dir, track, part, next, MediaTime::ZERO)
}

pub(crate) fn salvage_with(
    disk: &Disk,
    recording_dir: &Path,
    track: &str,
    part: PartNumber,
    next: u32,
    still_until: MediaTime,
) -> Result<Option<Fragment>, Error> {
    let tail_path = recording_dir.join(layout::part_folder(track, part)).join(layout::TAIL);
    let tail_bytes = match fs::read(&tail_path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(Error::io("read", &tail_path))?,
    };
    let mut samples = match read_tail(&tail_bytes) {
        Some(tail) if tail.fragment == next => tail.samples,
        _ => Vec::new(),
    };
    if let Some(last) = samples.last_mut() {
        last.duration_ns = last.duration_ns.max(still_until.0.saturating_sub(last.dts_ns));
    }
    let salvaged = match samples.first() {
        None => None,
        Some(first) => {
            let file = layout::fragment_file(track, part, next);
            let path = recording_dir.join(&file);
            let media = |source| Error::Media { path: path.clone(), source };
            let bytes = fragment(next, &samples).map_err(media)?;
            let info = read_fragment(&bytes).map_err(media)?;
            disk.write_atomic(&path, &bytes)?;
            Some(Fragment {
                number: next,
                file: file_ref(file, &bytes),
                start: MediaTime(info.start_ns),
                duration_ns: info.duration_ns,
                frames: info.samples.len() as u32,
                starts_with_keyframe: first.keyframe,
                salvaged: true,
            })
        }
    };
    disk.remove_file(&tail_path)?;
    Ok(salvaged)
}
