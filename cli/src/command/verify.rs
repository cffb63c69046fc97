//! `deskreel verify RECORDING`: checks the bytes against the manifest, and the frames with a decoder.

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
use crate::manifest;
use crate::output::size;

/// How far the time of a frame may lie outside its fragments: one frame at 10 frames per second.
const TIME_TOLERANCE: Duration = Duration::from_millis(100);
/// Time to decode one part; four hours of footage take minutes.
const DECODE_LIMIT: Duration = Duration::from_secs(3600);

pub fn run(recording: &Path, as_json: bool) -> Result<ExitCode> {
    let manifest = match manifest::load(recording) {
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
                    report.findings.extend(compare(track, part, &frames));
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
            if report.is_clean() { "the recording matches its manifest" } else { "the recording is damaged" };
        println!(
            "{verdict}: {} fragments, {}, {} frames, {decoded} decoded",
            report.fragments,
            size(report.bytes),
            report.frames
        );
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { exit::something_to_report() })
}

/// Decodes a part in a worker of its own, since damaged footage may crash the decoder.
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

/// Compares the decoded frames with the manifest.
fn compare(track: &Track, part: &Part, decoded: &DecodedPart) -> Vec<Finding> {
    let mut findings = Vec::new();
    let frames: u64 = part.fragments.iter().map(|fragment| u64::from(fragment.frames)).sum();
    if decoded.frames != frames {
        let sentence = format!("only {} of {frames} frames can be decoded", decoded.frames);
        findings.push(finding(track, part, sentence));
    }
    if !decoded.in_order {
        findings.push(finding(track, part, "the frames are not in order of time".to_owned()));
    }
    // Frames may jitter against the times of their fragment, by less than the duration of a frame.
    let (from, to) = match (part.fragments.first(), part.fragments.last()) {
        (Some(first), Some(last)) => (first.start, last.end()),
        _ => return findings,
    };
    if decoded.first + TIME_TOLERANCE < from || decoded.last > to + TIME_TOLERANCE {
        findings.push(finding(track, part, format!("some frames are outside {from} to {to}")));
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
