//! Salvage: makes a fragment of the tail that a dead worker left.

use std::fs;
use std::path::Path;

use deskreel_fmp4::{Sample, fragment, nanos, read_fragment, read_tail, ticks};
use deskreel_model::manifest::{Fragment, Part};
use deskreel_model::{MediaTime, layout};

use crate::Error;
use crate::disk::Disk;
use crate::recording_dir::file_ref;

/// Turns the tail in a part's folder into the part's next fragment, synced, if the tail carries that number.
/// Any other tail is a leftover of a fragment that is already complete. Afterwards there is no tail. The
/// fragment's last frame lasts at least until `still_until`, and until the time that the tail names.
///
/// Call it only when the worker is certainly gone. If this process dies between writing the fragment and
/// removing the tail, recovery finds the fragment like any other and does not mark it as salvaged; its frames
/// are the same.
pub(crate) fn salvage(
    disk: &Disk,
    recording_dir: &Path,
    track: &str,
    part: &Part,
    still_until: MediaTime,
) -> Result<Option<Fragment>, Error> {
    let tail_path = recording_dir.join(layout::part_folder(track, part.number)).join(layout::TAIL);
    let tail_bytes = match fs::read(&tail_path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(Error::io("read", &tail_path))?,
    };
    let last = part.fragments.last();
    let next = last.map_or(1, |last| last.number + 1);
    let (mut samples, still_until) = match read_tail(&tail_bytes) {
        Some(tail) if tail.fragment == next => {
            (tail.samples, still_until.max(MediaTime(tail.still_until_ns)))
        }
        _ => (Vec::new(), still_until),
    };
    put_in_order(&mut samples, last.map(Fragment::end), still_until);
    let salvaged = match samples.first() {
        None => None,
        Some(first) => {
            let file = layout::fragment_file(track, part.number, next);
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

/// Moves decode times so that they begin no earlier than the fragment before ended, whose end may have been a
/// guess, and grow by at least a tick a frame. Presentation times stay unchanged.
fn put_in_order(samples: &mut [Sample<'_>], begins: Option<MediaTime>, still_until: MediaTime) {
    let stands = samples.last().map_or(0, |last| last.dts_ns.saturating_add(last.duration_ns));
    let mut earliest = ticks(begins.unwrap_or_default().0);
    for sample in samples.iter_mut() {
        if ticks(sample.dts_ns) < earliest {
            sample.dts_ns = nanos(earliest);
        }
        earliest = ticks(sample.dts_ns).saturating_add(1);
    }
    if let Some(last) = samples.last_mut() {
        let ends = stands.max(still_until.0).max(nanos(earliest));
        last.duration_ns = ends.saturating_sub(last.dts_ns);
    }
}
