//! Tests of one crash point each. Whatever the crash left, recovery ends with a sealed recording that
//! verifies.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use deskreel_fmp4::tail::HEAD;
use deskreel_fmp4::{read_fragment, ticks};
use deskreel_model::manifest::{CaptureMode, Cause, FrameCounts, Gap, Outcome, WithheldStretch};
use deskreel_model::{Manifest, MediaTime};

use super::{RecoveredFolder, RecoverySummary, candidates, recover, recover_with};
use crate::disk::Disk;
use crate::fixture::{FRAMES, Fixture, ID, part, tail, write_fragment};
use crate::{RecordingDir, load, verify_bytes};

/// Recovers the only recording, and checks that it is sealed and verifies afterwards.
fn recovered(root: &Path) -> (RecoverySummary, Manifest) {
    let all: Vec<RecoveredFolder> = recover(root).unwrap();
    assert_eq!(all.len(), 1);
    let summary = all.into_iter().next().unwrap().result.unwrap();
    (summary, sealed(&root.join(ID)))
}

fn sealed(folder: &Path) -> Manifest {
    let manifest = load(folder).unwrap();
    assert_eq!(manifest.outcome, Some(Outcome::Recovered));
    assert_eq!(verify_bytes(folder).findings, []);
    manifest
}

/// Every file under a folder with its bytes.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let inner = tree(&entry.path()).into_iter();
            files.extend(inner.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

#[test]
fn a_recording_without_outcome_is_sealed_with_what_it_has() {
    let fixture = Fixture::unsealed();
    let (summary, manifest) = recovered(fixture.root.path());
    assert_eq!(summary, RecoverySummary { frames: 5 * FRAMES, ..RecoverySummary::default() });
    assert_eq!(manifest.tracks, fixture.manifest.tracks);
    let incident = manifest.incidents.last().unwrap();
    assert_eq!((incident.at, incident.cause), (manifest.tracks[0].end().unwrap(), Cause::WorkerDied));
}

#[test]
fn what_was_withheld_at_the_crash_is_withheld_to_the_end_of_the_footage() {
    let mut fixture = Fixture::unsealed();
    let from = |ms| {
        let (capture, from) = (CaptureMode::Paused, MediaTime::from_millis(ms));
        WithheldStretch { capture, from, to: None, why: "card".into() }
    };
    let closed = WithheldStretch { to: Some(MediaTime::from_millis(200)), ..from(100) };
    fixture.change(|manifest| manifest.withheld = vec![closed.clone(), from(2500)]);
    let (_, manifest) = recovered(fixture.root.path());
    let end = manifest.tracks[0].end();
    assert_eq!(manifest.withheld, [closed, WithheldStretch { to: end, ..from(2500) }]);
}

#[test]
fn a_sealed_recording_is_left_alone() {
    let fixture = Fixture::finished();
    let before = tree(&fixture.folder);
    assert!(recover(fixture.root.path()).unwrap().is_empty());
    assert_eq!(tree(&fixture.folder), before);
}

#[test]
fn a_recording_that_somebody_owns_is_left_alone() {
    let fixture = Fixture::unsealed();
    let owner = RecordingDir::open(&fixture.folder).unwrap();
    assert!(recover(fixture.root.path()).unwrap().is_empty());
    drop(owner);
    assert_eq!(recover(fixture.root.path()).unwrap().len(), 1);
}

#[test]
fn fragments_that_the_manifest_does_not_know_are_taken_in() {
    let fixture = Fixture::unsealed();
    let part = fixture.manifest.tracks[0].parts[1].number;
    write_fragment(&fixture.folder, part, 3, 3000);
    write_fragment(&fixture.folder, part, 4, 3500);
    let (summary, manifest) = recovered(fixture.root.path());
    assert_eq!((summary.taken_in, summary.frames), (2, 7 * FRAMES));
    // The files have ten more frames: the source must have produced them.
    let frames = manifest.tracks[0].parts[1].frames;
    assert_eq!(frames, FrameCounts { captured: 23, encoded: 20, skipped: 2, lost: 1 });
}

#[test]
fn a_part_that_the_manifest_does_not_know_is_taken_in_with_its_gap() {
    let fixture = Fixture::unsealed();
    part(&fixture.folder, 3, 4000, 2);
    let (summary, manifest) = recovered(fixture.root.path());
    assert_eq!((summary.taken_in, summary.frames), (2, 7 * FRAMES));
    let track = &manifest.tracks[0];
    assert_eq!(track.parts[2].encoder.plugin, "unknown");
    assert_eq!((track.parts[2].codec.as_str(), track.parts[2].width), ("avc1.42c01f", 640));
    let gap = track.gaps.last().unwrap();
    assert_eq!((gap.from.to_string(), gap.to.to_string()), ("0:00:03.000".into(), "0:00:04.000".into()));
}

#[test]
fn a_part_without_a_header_is_set_aside() {
    let fixture = Fixture::unsealed();
    part(&fixture.folder, 3, 4000, 1);
    fs::remove_file(fixture.path("video/part-0003/init.mp4")).unwrap();
    fs::create_dir(fixture.path("video/part-0004")).unwrap();
    let (summary, manifest) = recovered(fixture.root.path());
    assert_eq!(summary.set_aside, ["video/part-0003/000001.m4s"]);
    assert_eq!(manifest.tracks[0].parts.len(), 2);
    assert!(fixture.path("video/part-0003/000001.m4s.torn").exists());
    assert!(!fixture.path("video/part-0004").exists());
}

#[test]
fn a_fragment_that_is_gone_leaves_the_manifest_and_its_frames_count_as_lost() {
    let fixture = Fixture::unsealed();
    fs::remove_file(fixture.path("video/part-0001/000002.m4s")).unwrap();
    let (summary, manifest) = recovered(fixture.root.path());
    assert_eq!(summary.missing, ["video/part-0001/000002.m4s"]);
    let track = &manifest.tracks[0];
    assert_eq!(track.parts[0].frames, FrameCounts { captured: 18, encoded: 10, skipped: 2, lost: 6 });
    assert_eq!((track.gaps[0].from.to_string(), track.gaps.len()), ("0:00:00.500".into(), 2));
}

#[test]
fn the_last_tail_becomes_a_fragment_and_older_ones_go() {
    let fixture = Fixture::unsealed();
    fs::write(fixture.path("video/part-0001/tail"), tail(3, 1000, 4)).unwrap();
    fs::write(fixture.path("video/part-0002/tail"), tail(3, 3000, 4)).unwrap();
    let (summary, manifest) = recovered(fixture.root.path());
    assert_eq!((summary.salvaged, summary.frames), (1, 5 * FRAMES + 4));
    let last = manifest.tracks[0].parts[1].fragments.last().unwrap();
    assert!(last.salvaged);
    assert_eq!((last.number, last.frames, last.end().to_string()), (3, 4, "0:00:03.400".into()));
}

#[test]
fn the_last_frame_of_a_tail_lasts_as_long_as_the_screen_was_still() {
    let fixture = Fixture::unsealed();
    let still = deskreel_fmp4::still_record(62_700_000_000);
    fs::write(fixture.path("video/part-0002/tail"), [tail(3, 3000, 1), still.to_vec()].concat()).unwrap();
    let (_, manifest) = recovered(fixture.root.path());
    let last = manifest.tracks[0].parts[1].fragments.last().unwrap();
    assert_eq!((last.frames, last.end().to_string()), (1, "0:01:02.700".into()));
}

#[test]
fn a_tail_that_begins_before_the_last_fragment_ends_goes_on_where_that_ended() {
    // The frames of the tail are shown from `begins` on, 100 ms each; the fragment before ends at 3.000.
    for (begins, frames, ends) in [(2950, 4, "0:00:03.350"), (2990, 1, "0:00:03.090")] {
        let fixture = Fixture::unsealed();
        fs::write(fixture.path("video/part-0002/tail"), tail(3, begins, frames)).unwrap();
        let (_, manifest) = recovered(fixture.root.path());
        let last = manifest.tracks[0].parts[1].fragments.last().unwrap();
        assert_eq!((last.start.to_string(), last.end().to_string()), ("0:00:03.000".into(), ends.into()));
        let read = read_fragment(&fs::read(fixture.path(&last.file.file)).unwrap()).unwrap();
        let shown: Vec<u64> = read.samples.iter().map(|sample| sample.pts_ns / 1_000_000).collect();
        assert_eq!(shown, (0..frames).map(|frame| begins + frame * 100).collect::<Vec<_>>());
    }
}

#[test]
fn frames_of_a_tail_that_are_all_too_early_are_a_tick_apart() {
    let fixture = Fixture::unsealed();
    fs::write(fixture.path("video/part-0002/tail"), tail(3, 2500, 3)).unwrap();
    let (_, manifest) = recovered(fixture.root.path());
    let last = manifest.tracks[0].parts[1].fragments.last().unwrap();
    let read = read_fragment(&fs::read(fixture.path(&last.file.file)).unwrap()).unwrap();
    let decoded: Vec<u64> = read.samples.iter().map(|sample| ticks(sample.dts_ns)).collect();
    assert_eq!(decoded, [270_000, 270_001, 270_002]);
    assert_eq!(ticks(last.end().0), 270_003);
}

#[test]
fn a_tail_that_makes_no_fragment_is_set_aside() {
    let fixture = Fixture::unsealed();
    // The second frame comes 14 hours after the first, which no field holds.
    let hours = tail(3, 3000 + 14 * 3_600_000, 1).split_off(HEAD);
    fs::write(fixture.path("video/part-0002/tail"), [tail(3, 3000, 1), hours].concat()).unwrap();
    let (summary, manifest) = recovered(fixture.root.path());
    assert_eq!((summary.salvaged, summary.set_aside), (0, vec!["video/part-0002/tail".to_owned()]));
    assert_eq!(manifest.tracks, fixture.manifest.tracks);
    assert!(fixture.path("video/part-0002/tail.torn").exists());
}

#[test]
fn a_tail_cut_anywhere_keeps_its_whole_frames() {
    let whole = tail(3, 3000, 4);
    let record = (whole.len() - 16) / 4;
    for length in 0..=whole.len() {
        let fixture = Fixture::unsealed();
        fs::write(fixture.path("video/part-0002/tail"), &whole[..length]).unwrap();
        let (summary, _) = recovered(fixture.root.path());
        let frames = length.saturating_sub(16) / record;
        assert_eq!(summary.frames, 5 * FRAMES + frames as u64, "{length} of {} bytes", whole.len());
    }
}

#[test]
fn a_fragment_cut_anywhere_is_set_aside_and_its_tail_takes_its_place() {
    let fixture = Fixture::unsealed();
    let number = fixture.manifest.tracks[0].parts[1].number;
    write_fragment(&fixture.folder, number, 3, 3000);
    let whole = fs::read(fixture.path("video/part-0002/000003.m4s")).unwrap();
    for length in 0..whole.len() {
        let fixture = Fixture::unsealed();
        fs::write(fixture.path("video/part-0002/000003.m4s"), &whole[..length]).unwrap();
        fs::write(fixture.path("video/part-0002/tail"), tail(3, 3000, 5)).unwrap();
        let (summary, _) = recovered(fixture.root.path());
        assert_eq!((summary.set_aside.len(), summary.salvaged, summary.frames), (1, 1, 6 * FRAMES));
    }
}

#[test]
fn a_fragment_that_begins_before_its_predecessor_ends_is_set_aside() {
    let fixture = Fixture::unsealed();
    let part = fixture.manifest.tracks[0].parts[1].number;
    write_fragment(&fixture.folder, part, 3, 2500);
    let (summary, _) = recovered(fixture.root.path());
    assert_eq!(summary.set_aside, ["video/part-0002/000003.m4s"]);
}

#[test]
fn without_a_manifest_one_is_rebuilt_from_the_files() {
    let fixture = Fixture::unsealed();
    fs::remove_file(fixture.path("manifest.json")).unwrap();
    let (summary, manifest) = recovered(fixture.root.path());
    assert_eq!((summary.manifest_rebuilt, summary.taken_in, summary.frames), (true, 5, 5 * FRAMES));
    // Only the manifest had the frame rate of the source.
    let gaps = fixture.manifest.tracks[0].gaps.iter().map(|gap| Gap { frames: 0, ..gap.clone() });
    assert_eq!(manifest.tracks[0].gaps, gaps.collect::<Vec<_>>());
    assert_eq!(manifest.anchors[0].utc.to_string(), "2026-11-23T07:10:02.000Z");
}

#[test]
fn folders_that_are_not_recordings_are_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("notes/video/part-0001")).unwrap();
    fs::create_dir(root.path().join(ID)).unwrap();
    fs::write(root.path().join("pipeline.toml"), "version = 1").unwrap();
    assert!(recover(root.path()).unwrap().is_empty());
    assert!(recover(&root.path().join("nowhere")).unwrap().is_empty());
}

#[test]
fn folders_of_others_are_not_even_opened() {
    let fixture = Fixture::unsealed();
    let root = fixture.root.path();
    fs::create_dir(root.join("lost+found")).unwrap();
    // Renamed by its owner, but a recording all the same.
    fs::create_dir(root.join("kept")).unwrap();
    fs::write(root.join("kept/manifest.json"), "{").unwrap();
    assert_eq!(candidates(root).unwrap(), [ID, "kept"]);
}

#[test]
fn a_manifest_that_cannot_be_read_is_reported_and_not_touched() {
    let fixture = Fixture::unsealed();
    fs::write(fixture.path("manifest.json"), "{").unwrap();
    let before = tree(&fixture.folder);
    let all = recover(fixture.root.path()).unwrap();
    assert!(all[0].result.is_err());
    assert_eq!(tree(&fixture.folder), before);
}

/// Everything at once: a fragment gone, one unknown, one torn, an unknown part, a part without header,
/// temporary files and tails.
fn wreck() -> Fixture {
    let fixture = Fixture::unsealed();
    fs::remove_file(fixture.path("video/part-0001/000002.m4s")).unwrap();
    let second = fixture.manifest.tracks[0].parts[1].number;
    write_fragment(&fixture.folder, second, 3, 3000);
    fs::write(fixture.path("video/part-0002/000004.m4s"), b"moof").unwrap();
    fs::write(fixture.path("video/part-0002/tail"), tail(4, 3500, 2)).unwrap();
    part(&fixture.folder, 3, 4000, 2);
    fs::write(fixture.path("video/part-0003/000003.m4s.tmp"), b"half").unwrap();
    fs::write(fixture.path("video/part-0003/tail"), tail(3, 5000, 3)).unwrap();
    fs::create_dir(fixture.path("video/part-0004")).unwrap();
    fs::write(fixture.path("video/part-0004/init.mp4.tmp"), b"ftyp").unwrap();
    fs::write(fixture.path("manifest.json.tmp"), b"{").unwrap();
    fixture
}

#[test]
fn recovery_may_crash_at_any_step_and_be_done_again() {
    // If the crash comes right after a salvage, it is forgotten that the fragment came from a tail (see
    // `salvage`).
    let forget = |mut manifest: Manifest| {
        let parts = manifest.tracks.iter_mut().flat_map(|track| &mut track.parts);
        parts.flat_map(|part| &mut part.fragments).for_each(|fragment| fragment.salvaged = false);
        manifest.tracks
    };
    let straight = wreck();
    let (summary, manifest) = recovered(straight.root.path());
    assert_eq!((summary.taken_in, summary.salvaged, summary.frames), (3, 2, 4 * FRAMES + 3 * FRAMES + 5));
    let expected = forget(manifest);

    let mut crashes = 0;
    loop {
        let fixture = wreck();
        let disk = Disk::new();
        disk.steps_until_crash.set(Some(crashes));
        let first = recover_with(&disk, fixture.root.path()).unwrap();
        if first.iter().all(|recovered| recovered.result.is_ok()) {
            break;
        }
        recover(fixture.root.path()).unwrap();
        assert_eq!(forget(sealed(&fixture.folder)), expected, "crash at step {crashes}");
        let before = tree(&fixture.folder);
        assert!(recover(fixture.root.path()).unwrap().is_empty());
        assert_eq!(tree(&fixture.folder), before);
        crashes += 1;
    }
    assert!(crashes >= 15, "only {crashes} steps were seen");
}
