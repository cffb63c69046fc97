//! `deskreel verify RECORDING`: the manifest against the bytes, and the bytes against a decoder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use deskreel_model::layout;
use deskreel_model::manifest::{Part, Track};
use deskreel_model::worker::{Command, DecodedPart, Report};
use deskreel_recorder::{Worker, default_worker};
use deskreel_spool::Finding;
use serde_json::json;

use crate::exit;
use crate::progress::size;
use crate::recording::manifest;

/// How far a frame may be shown from where its fragment lies: one frame at 10 frames per second.
const TIME_LIMIT: Duration = Duration::from_millis(100);
/// For one part; four hours of footage decode in minutes.
const DECODE_LIMIT: Duration = Duration::from_secs(3600);

pub fn run(recording: &Path, as_json: bool) -> Result<ExitCode> {
    let manifest = match manifest(recording) {
        Ok(manifest) => Some(manifest),
        // A manifest that cannot be read is a finding.
        Err(error) if error.is::<deskreel_spool::Error>() => None,
        Err(error) => return Err(error),
    };
    let mut report = deskreel_spool::verify_bytes(recording);
    let mut decoded = 0;
    for track in manifest.iter().flat_map(|manifest| &manifest.tracks) {
        for part in track.parts.iter().filter(|part| !part.fragments.is_empty()) {
            match decode(recording, part) {
                Ok(frames) => {
                    decoded += frames.frames;
                    report.findings.extend(judge(track, part, &frames));
                }
                Err(sentence) => report.findings.push(finding(track, part, sentence)),
            }
        }
    }
    if as_json {
        let findings = report.findings.iter().map(|f| json!({ "file": f.file, "finding": f.sentence }));
        let report = json!({
            "ok": report.is_clean(),
            "fragments": report.fragments,
            "bytes": report.bytes,
            "frames": report.frames,
            "decoded": decoded,
            "findings": findings.collect::<Vec<_>>(),
        });
        println!("{report:#}");
    } else {
        for finding in &report.findings {
            println!("{}: {}", finding.file, finding.sentence);
        }
        let verdict =
            if report.is_clean() { "the recording is what its manifest says" } else { "not as it should be" };
        println!(
            "{verdict}: {} fragments, {}, {} frames, {decoded} decoded",
            report.fragments,
            size(report.bytes),
            report.frames
        );
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { exit::reported() })
}

/// A worker a part: what cannot be decoded may take the decoder with it.
fn decode(recording: &Path, part: &Part) -> Result<DecodedPart, String> {
    let path = |file: &str| recording.join(file);
    let fragments: Vec<PathBuf> = part.fragments.iter().map(|fragment| path(&fragment.file.file)).collect();
    let question = Command::Decode { init: path(&part.init.file), fragments };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let decoded = runtime.map_err(|error| error.to_string())?.block_on(async {
        let mut worker = Worker::spawn(&default_worker()?, &[], &[]).await?;
        let answer = |report| match report {
            Report::Decoded { result } => Some(result),
            _ => None,
        };
        worker.ask(&question, DECODE_LIMIT, answer).await
    });
    decoded.map_err(|error: deskreel_recorder::Error| error.with_causes())?
}

/// What the decoder saw against what the manifest says.
fn judge(track: &Track, part: &Part, decoded: &DecodedPart) -> Vec<Finding> {
    let mut findings = Vec::new();
    let frames: u64 = part.fragments.iter().map(|fragment| u64::from(fragment.frames)).sum();
    if decoded.frames != frames {
        let sentence = format!("{} frames can be decoded of {frames}", decoded.frames);
        findings.push(finding(track, part, sentence));
    }
    if !decoded.in_order {
        findings.push(finding(track, part, "frames are not in the order of time".to_owned()));
    }
    // Frames of a fragment may jitter against its times, by less than a frame lasts.
    let (from, to) = match (part.fragments.first(), part.fragments.last()) {
        (Some(first), Some(last)) => (first.start, last.end()),
        _ => return findings,
    };
    if decoded.first + TIME_LIMIT < from || decoded.last > to + TIME_LIMIT {
        findings.push(finding(track, part, format!("frames are shown outside of {from} to {to}")));
    }
    if (decoded.width, decoded.height) != (part.width, part.height) {
        let (width, height) = (decoded.width, decoded.height);
        let sentence = format!("the picture is {width}x{height}, not {}x{}", part.width, part.height);
        findings.push(finding(track, part, sentence));
    }
    findings
}

fn finding(track: &Track, part: &Part, sentence: String) -> Finding {
    let file = layout::in_manifest(&layout::part_folder(&track.name, part.number));
    Finding { file, sentence }
}
