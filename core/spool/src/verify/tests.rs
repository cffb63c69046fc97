//! Each test has one error in a manifest or file; verification names the file and says what is wrong.
#![allow(clippy::unwrap_used)]

use std::fs;

use deskreel_model::manifest::{CaptureMode, Gap, Outcome, WithheldStretch};
use deskreel_model::{Manifest, MediaTime};

use super::verify_bytes;
use crate::fixture::Fixture;

#[test]
fn a_true_recording_has_no_findings() {
    let fixture = Fixture::finished();
    let report = verify_bytes(&fixture.folder);
    assert_eq!(report.findings, []);
    assert_eq!((report.fragments, report.frames), (5, 25));
}

/// Checks that a recording has exactly this finding after `damage`.
fn check(damage: impl FnOnce(&mut Fixture), file: &str, sentence: &str) {
    let mut fixture = Fixture::finished();
    damage(&mut fixture);
    let findings = verify_bytes(&fixture.folder).findings;
    let found: Vec<String> =
        findings.iter().map(|found| format!("{} {}", found.file, found.sentence)).collect();
    assert_eq!(found, [format!("{file} {sentence}")]);
}

fn check_manifest(lie: impl FnOnce(&mut Manifest), file: &str, sentence: &str) {
    check(|fixture| fixture.change(lie), file, sentence);
}

const FRAGMENT: &str = "video/part-0001/000002.m4s";

#[test]
fn missing_file() {
    let sentence = "cannot be read: No such file or directory (os error 2)";
    check(|fixture| fs::remove_file(fixture.path(FRAGMENT)).unwrap(), FRAGMENT, sentence);
}

#[test]
fn changed_byte() {
    let damage = |fixture: &mut Fixture| {
        let mut bytes = fs::read(fixture.path(FRAGMENT)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(fixture.path(FRAGMENT), bytes).unwrap();
    };
    check(damage, FRAGMENT, "does not have the hash that the manifest says");
}

#[test]
fn cut_file() {
    let damage = |fixture: &mut Fixture| {
        let bytes = fs::read(fixture.path(FRAGMENT)).unwrap();
        fs::write(fixture.path(FRAGMENT), &bytes[..bytes.len() - 1]).unwrap();
    };
    let mut fixture = Fixture::finished();
    damage(&mut fixture);
    let sentences: Vec<String> =
        verify_bytes(&fixture.folder).findings.into_iter().map(|found| found.sentence).collect();
    assert_eq!(sentences.len(), 2);
    assert!(
        sentences[0].starts_with("has ") && sentences[1].starts_with("box `mdat` at byte "),
        "{sentences:?}"
    );
}

#[test]
fn stranger() {
    let damage = |fixture: &mut Fixture| fs::write(fixture.path("video/part-0001/000009.m4s"), "").unwrap();
    check(damage, "video/part-0001/000009.m4s", "is not in the manifest");
}

#[test]
fn file_that_recovery_set_aside_is_not_a_stranger() {
    let fixture = Fixture::finished();
    fs::write(fixture.path("video/part-0001/000009.m4s.torn"), "").unwrap();
    assert_eq!(verify_bytes(&fixture.folder).findings, []);
}

#[test]
fn name_that_points_elsewhere() {
    let lie = |manifest: &mut Manifest| {
        manifest.tracks[0].parts[0].init.file = "../../etc/passwd".into();
    };
    check_manifest(lie, "video/part-0001/init.mp4", "is called `../../etc/passwd` in the manifest");
}

#[test]
fn header_of_another_size() {
    let lie = |manifest: &mut Manifest| manifest.tracks[0].parts[0].width = 1920;
    let sentence = "holds avc1.42c01f, 640x360, 90000 ticks per second, the manifest says avc1.42c01f, \
                    1920x360, 90000 ticks per second";
    check_manifest(lie, "video/part-0001/init.mp4", sentence);
}

#[test]
fn wrong_frame_count() {
    let lie = |manifest: &mut Manifest| {
        manifest.tracks[0].parts[0].fragments[1].frames = 6;
        manifest.tracks[0].parts[0].frames.encoded += 1;
        manifest.tracks[0].parts[0].frames.captured += 1;
    };
    check_manifest(lie, FRAGMENT, "holds 5 frames, the manifest says 6");
}

#[test]
fn frames_that_do_not_add_up() {
    let lie = |manifest: &mut Manifest| manifest.tracks[0].parts[1].frames.skipped = 9;
    check_manifest(lie, "video/part-0002", "13 frames captured are not 10 encoded + 9 skipped + 1 lost");
}

#[test]
fn encoded_frames_that_are_not_there() {
    let lie = |manifest: &mut Manifest| {
        manifest.tracks[0].parts[1].frames.encoded += 1;
        manifest.tracks[0].parts[1].frames.captured += 1;
    };
    check_manifest(lie, "video/part-0002", "11 frames encoded, but its fragments hold 10");
}

#[test]
fn wrong_time() {
    let lie = |manifest: &mut Manifest| {
        let last = &mut manifest.tracks[0].parts[1].fragments[1];
        last.duration_ns += 100_000_000;
    };
    let sentence = "lasts from 0:00:02.500 to 0:00:03.000, the manifest says 0:00:02.500 to 0:00:03.100";
    check_manifest(lie, "video/part-0002/000002.m4s", sentence);
}

#[test]
fn missing_keyframe() {
    let lie = |manifest: &mut Manifest| {
        manifest.tracks[0].parts[0].fragments[1].starts_with_keyframe = false;
    };
    check_manifest(lie, FRAGMENT, "and the manifest disagree on whether it starts with a keyframe");
}

#[test]
fn gap_that_the_manifest_lacks() {
    let sentence =
        "begins at 0:00:02.000, its predecessor ends at 0:00:01.500, and the manifest has no such gap";
    let lie = |manifest: &mut Manifest| manifest.tracks[0].gaps.clear();
    check_manifest(lie, "video/part-0002/000001.m4s", sentence);
}

#[test]
fn gap_that_is_not_there() {
    let lie = |manifest: &mut Manifest| {
        let gap = Gap { from: MediaTime::from_millis(500), ..manifest.tracks[0].gaps[0].clone() };
        manifest.tracks[0].gaps.push(gap);
    };
    check_manifest(lie, "video", "the gap from 0:00:00.500 to 0:00:02.000 is not there");
}

#[test]
fn withheld_stretches_that_cannot_be() {
    let ms = MediaTime::from_millis;
    let paused = |from, to| WithheldStretch {
        capture: CaptureMode::Paused,
        from: ms(from),
        to: Some(ms(to)),
        why: "card".into(),
    };
    let said = |spans: Vec<WithheldStretch>, sentence: &str| {
        check_manifest(|manifest| manifest.withheld = spans, "manifest.json", sentence);
    };
    let open = WithheldStretch { to: None, ..paused(500, 0) };
    said(vec![open], "says that the screen is withheld from 0:00:00.500 on, and not until when");
    let span = "the withheld stretch from 0:00:00.500 to 0:00";
    said(vec![paused(500, 400)], &format!("{span}:00.400 ends before it begins"));
    let before = paused(0, 600);
    said(vec![before, paused(500, 700)], &format!("{span}:00.700 begins before the one before it ends"));
    said(vec![paused(500, 3100)], &format!("{span}:03.100 ends after the recording"));
    let live = WithheldStretch { capture: CaptureMode::Live, ..paused(500, 600) };
    said(vec![live], &format!("{span}:00.600 says that nothing is withheld"));

    let mut fixture = Fixture::finished();
    fixture.change(|manifest| manifest.withheld = vec![paused(0, 600), paused(600, 3000)]);
    assert_eq!(verify_bytes(&fixture.folder).findings, []);
}

#[test]
fn part_that_begins_too_early() {
    let lie = |manifest: &mut Manifest| {
        manifest.tracks[0].parts.swap(0, 1);
        manifest.tracks[0].gaps.clear();
    };
    let mut fixture = Fixture::finished();
    fixture.change(lie);
    let found = verify_bytes(&fixture.folder).findings;
    assert!(found.iter().any(|found| found.sentence == "is out of order"));
    let early = "begins at 0:00:00.000, before the last frame of part 0002 at 0:00:02.900";
    assert!(found.iter().any(|found| found.sentence == early), "{found:?}");
}

#[test]
fn wrong_outcome() {
    check_manifest(|manifest| manifest.outcome = None, "manifest.json", "is not sealed: there is no outcome");
    let lie = |manifest: &mut Manifest| manifest.outcome = Some(Outcome::Abandoned);
    check_manifest(lie, "manifest.json", "says that there is no footage, and there is");
}

#[test]
fn folder_of_another_name() {
    let fixture = Fixture::finished();
    let moved = fixture.root.path().join("copy");
    fs::rename(&fixture.folder, &moved).unwrap();
    let findings = verify_bytes(&moved).findings;
    assert_eq!(findings.len(), 1);
    assert!(findings[0].sentence.contains("unlike its folder"));
}

#[test]
fn file_that_is_not_a_manifest() {
    let fixture = Fixture::finished();
    fs::write(fixture.path("manifest.json"), "[]").unwrap();
    let findings = verify_bytes(&fixture.folder).findings;
    assert_eq!((findings.len(), findings[0].file.as_str()), (1, "manifest.json"));
}
