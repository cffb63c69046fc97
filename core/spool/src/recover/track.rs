//! Recovery of one track: compares the manifest's fragments with the files, in both directions.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use deskreel_fmp4::{HeaderInfo, codec_string, read_fragment, read_header, ticks};
use deskreel_model::manifest::{Cause, EncoderUse, Fragment, FrameCounts, Gap, Part, PluginUse, Track};
use deskreel_model::{MediaTime, PartNumber, layout};

use super::RecoverySummary;
use crate::Error;
use crate::disk::{Disk, has_suffix, names};
use crate::jumps::jumps;
use crate::recording_dir::file_ref;
use crate::salvage::salvage;

/// The parts of a track that are recovered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope {
    /// Every part, since it is unknown what happened.
    All,
    /// The parts in which a worker that is gone may have left something: the newest part, and parts that
    /// could not be taken in completely before. The newest part's last picture lasts until `still_until`.
    LeftBehind { still_until: MediaTime },
}

/// Recovers a track. An error does not stop the rest: everything else is taken in, known fragments stay
/// known, and counts and gaps are right. The first error is returned; another call continues with the rest.
pub(crate) fn recover_track(
    disk: &Disk,
    folder: &Path,
    track: &mut Track,
    scope: Scope,
    summary: &mut RecoverySummary,
) -> Result<(), Error> {
    let on_disk = names(&folder.join(&track.name))?.unwrap_or_default();
    let known: BTreeSet<PartNumber> = track.parts.iter().map(|part| part.number).collect();
    let mut numbers = known.clone();
    numbers.extend(on_disk.iter().filter_map(|name| layout::part_number(name)));
    let newest = numbers.last().copied();

    let mut first_error = None;
    for number in numbers {
        let still_until = match scope {
            Scope::LeftBehind { still_until } if newest == Some(number) => still_until,
            Scope::LeftBehind { .. } if known.contains(&number) && !has_tail(folder, &track.name, number) => {
                continue;
            }
            _ => MediaTime::ZERO,
        };
        if let Err(error) = recover_part(disk, folder, track, number, still_until, summary) {
            first_error.get_or_insert(error);
        }
    }
    track.parts.sort_by_key(|part| part.number);
    track.parts.iter_mut().for_each(count);
    track.gaps = gaps(track);
    first_error.map_or(Ok(()), Err)
}

fn has_tail(folder: &Path, track: &str, part: PartNumber) -> bool {
    folder.join(layout::part_folder(track, part)).join(layout::TAIL).exists()
}

/// The tail's last frame lasts at least until `still_until`.
fn recover_part(
    disk: &Disk,
    folder: &Path,
    track: &mut Track,
    number: PartNumber,
    still_until: MediaTime,
    summary: &mut RecoverySummary,
) -> Result<(), Error> {
    let Track { name: track, parts, .. } = track;
    let tidied = remove_temporary(disk, &folder.join(layout::part_folder(track, number)));
    let part = match parts.iter().position(|part| part.number == number) {
        Some(at) => parts.get_mut(at),
        None => match new_part(folder, track, number)? {
            Some(part) => {
                parts.push(part);
                parts.last_mut()
            }
            None => return discard_part(disk, folder, track, number, summary),
        },
    };
    let Some(part) = part else { return Ok(()) };
    let dropped = drop_missing(disk, folder, track, part, summary);
    let taken_in = take_in(disk, folder, track, part, still_until, summary);
    tidied.and(dropped).and(taken_in)
}

/// Removes unfinished files. Their writer is gone, so they will never be finished.
pub(super) fn remove_temporary(disk: &Disk, folder: &Path) -> Result<(), Error> {
    for name in names(folder)?.unwrap_or_default() {
        let path = folder.join(&name);
        if path.is_symlink() {
            continue;
        } else if path.is_dir() {
            remove_temporary(disk, &path)?;
        } else if has_suffix(&name, layout::UNFINISHED) {
            disk.remove_file(&path)?;
        }
    }
    Ok(())
}

/// Removes fragments from the manifest whose file is missing or has another size. Hashes are not compared:
/// that would read every byte of the recording while the recorder starts. `verify` does so.
fn drop_missing(
    disk: &Disk,
    folder: &Path,
    track: &str,
    part: &mut Part,
    summary: &mut RecoverySummary,
) -> Result<(), Error> {
    let mut first_error = None;
    part.fragments.retain(|fragment| {
        let path = folder.join(layout::fragment_file(track, part.number, fragment.number));
        let dropped = match fs::metadata(&path) {
            Ok(found) if found.is_file() && found.len() == fragment.file.size => return true,
            Ok(_) => set_aside(disk, &path, fragment.file.file.clone(), summary),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("look at", &path)(error)),
        };
        match dropped {
            Ok(()) => summary.missing.push(fragment.file.file.clone()),
            Err(error) => {
                first_error.get_or_insert(error);
                return true;
            }
        }
        false
    });
    first_error.map_or(Ok(()), Err)
}

/// Makes a part that the manifest does not know, if its header can be read.
fn new_part(folder: &Path, track: &str, number: PartNumber) -> Result<Option<Part>, Error> {
    let file = layout::init_file(track, number);
    let path = folder.join(&file);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(Error::io("read", &path))?,
    };
    let Ok(header) = read_header(&bytes) else { return Ok(None) };
    let unknown = || "unknown".to_owned();
    let HeaderInfo { timescale, config } = header;
    Ok(Some(Part {
        number,
        cause: if number == PartNumber::FIRST { Cause::Start } else { Cause::WorkerDied },
        source: PluginUse { plugin: unknown(), version: unknown() },
        encoder: EncoderUse {
            plugin: unknown(),
            version: unknown(),
            candidate: unknown(),
            memory: Default::default(),
            gpu: None,
            cannot: Vec::new(),
            refused: Vec::new(),
        },
        codec: codec_string(&config),
        width: config.width,
        height: config.height,
        fps: 0,
        timescale,
        init: file_ref(file, &bytes),
        fragments: Vec::new(),
        frames: FrameCounts::default(),
    }))
}

/// Sets aside the files of a part without a header, which cannot be decoded. A worker that died early leaves
/// an empty folder, which is removed.
fn discard_part(
    disk: &Disk,
    folder: &Path,
    track: &str,
    number: PartNumber,
    summary: &mut RecoverySummary,
) -> Result<(), Error> {
    let part_folder = layout::part_folder(track, number);
    let names = names(&folder.join(&part_folder))?.unwrap_or_default();
    if names.is_empty() {
        return disk.remove_dir(&folder.join(part_folder));
    }
    for name in names.iter().filter(|name| !has_suffix(name, layout::TORN)) {
        let file = part_folder.join(name);
        set_aside(disk, &folder.join(&file), layout::in_manifest(&file), summary)?;
    }
    Ok(())
}

/// Takes in complete fragments that the manifest does not know, then the tail.
fn take_in(
    disk: &Disk,
    folder: &Path,
    track: &str,
    part: &mut Part,
    still_until: MediaTime,
    summary: &mut RecoverySummary,
) -> Result<(), Error> {
    let part_folder = layout::part_folder(track, part.number);
    let on_disk = names(&folder.join(&part_folder))?.unwrap_or_default();
    let known: HashSet<u32> = part.fragments.iter().map(|fragment| fragment.number).collect();
    let unknown = on_disk.iter().filter_map(|name| layout::fragment_number(name));
    let mut first_error = None;
    for number in unknown.filter(|number| !known.contains(number)) {
        let file = layout::fragment_file(track, part.number, number);
        let path = folder.join(&file);
        let taken = fs::read(&path).map_err(Error::io("read", &path)).and_then(|bytes| {
            match complete(number, file.clone(), &bytes) {
                Some(fragment) if fits(&part.fragments, &fragment) => {
                    let at = part.fragments.partition_point(|known| known.number < number);
                    part.fragments.insert(at, fragment);
                    summary.taken_in += 1;
                    Ok(())
                }
                _ => set_aside(disk, &path, file, summary),
            }
        });
        if let Err(error) = taken {
            first_error.get_or_insert(error);
        }
    }
    // Until all fragments are known, it is not known which of them the tail continues.
    first_error.map_or(Ok(()), Err)?;
    match salvage(disk, folder, track, part, still_until) {
        Ok(salvaged) => {
            summary.salvaged += u32::from(salvaged.is_some());
            part.fragments.extend(salvaged);
            Ok(())
        }
        // It would fail again the next time.
        Err(Error::Media { .. }) => {
            let tail = part_folder.join(layout::TAIL);
            set_aside(disk, &folder.join(&tail), layout::in_manifest(&tail), summary)
        }
        Err(error) => Err(error),
    }
}

fn complete(number: u32, file: String, bytes: &[u8]) -> Option<Fragment> {
    let info = read_fragment(bytes).ok()?;
    Some(Fragment {
        number,
        file: file_ref(file, bytes),
        start: MediaTime(info.start_ns),
        duration_ns: info.duration_ns,
        frames: u32::try_from(info.samples.len()).ok()?,
        starts_with_keyframe: info.samples.first()?.keyframe,
        salvaged: false,
    })
}

/// Returns whether number and time agree on the fragment's place among the others.
fn fits(known: &[Fragment], fragment: &Fragment) -> bool {
    let (before, after) = known.split_at(known.partition_point(|known| known.number < fragment.number));
    let begins = before.last().is_none_or(|before| ticks(before.end().0) <= ticks(fragment.start.0) + 1);
    let ends = after.first().is_none_or(|after| ticks(fragment.end().0) <= ticks(after.start.0) + 1);
    begins && ends
}

fn set_aside(disk: &Disk, path: &Path, file: String, summary: &mut RecoverySummary) -> Result<(), Error> {
    disk.rename(path, &path.with_added_extension(layout::TORN))?;
    summary.set_aside.push(file);
    Ok(())
}

/// Corrects a part's frame counts. Frames on disk are encoded; further frames that the source is known to
/// have produced, and that were not skipped, are lost. Frames that died with the worker before it reported
/// them are in no count.
fn count(part: &mut Part) {
    let FrameCounts { captured, skipped, lost, .. } = part.frames;
    let encoded = part.fragments.iter().map(|fragment| u64::from(fragment.frames)).sum();
    let captured = captured.max(encoded + skipped + lost);
    part.frames = FrameCounts { captured, encoded, skipped, lost: captured - encoded - skipped };
}

/// The gaps of a track according to its fragments. Known gaps keep their cause and frame count.
pub fn gaps(track: &Track) -> Vec<Gap> {
    let gap = |jump: crate::Jump| {
        if let Some(known) = track.gaps.iter().find(|gap| jump.matches(gap)) {
            return Gap { from: jump.from, to: jump.to, ..known.clone() };
        }
        // A gap before the first fragment of a part has the part's cause.
        let part = track.parts.iter().find(|part| part.number == jump.part);
        let first =
            part.is_some_and(|part| part.fragments.first().is_some_and(|f| f.number == jump.fragment));
        let begun = part.filter(|_| first).map(|part| part.cause);
        let cause = begun.unwrap_or(Cause::WorkerDied);
        let mut earlier =
            track.parts.iter().rev().skip_while(|part| part.number != jump.part).skip(first.into());
        let before = earlier.find(|part| !part.fragments.is_empty());
        let frames = before.map_or(0, |part| part.frames_in(jump.to.0 - jump.from.0));
        Gap { from: jump.from, to: jump.to, frames, cause }
    };
    jumps(track).into_iter().map(gap).collect()
}
