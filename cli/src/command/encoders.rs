//! `deskreel encoders [FILE]`: tries every encoder candidate of this machine on the pictures that it would
//! get.

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;

use anyhow::Result;
use deskreel_contract::{Codec, EncodeRequest, Kind, Memory, Tier};
use deskreel_deployment::{installed_plugins, plugin_files, read_recorder};
use deskreel_host::Catalog;
use deskreel_model::Fault;
use deskreel_model::worker::{Job, Picture, PluginSettings, TrackJob};
use deskreel_recorder::{
    CandidateTrial, KnownCandidate, Pool, Standing, TrackEncoders, default_worker, job_of,
};
use serde_json::{Value, json};

use crate::args::EncodersOptions;
use crate::exit;
use crate::output::print_line;

/// The order of the shipped plugins if there is no file. Vendors' plugins come first, since somebody
/// installed them.
const ORDER: [&str; 11] = [
    "encoder.nvenc",
    "encoder.qsv",
    "encoder.va",
    "encoder.amf",
    "encoder.mf",
    "encoder.vt",
    "encoder.x264",
    "encoder.openh264",
    "encoder.x265",
    "encoder.svtav1",
    "encoder.av1",
];

pub fn run(options: &EncodersOptions) -> Result<ExitCode> {
    let (job, catalog) = match &options.file {
        Some(file) => match read_recorder(file)? {
            Some((graph, catalog)) => (job_of(&graph), catalog),
            None => return Ok(exit::invalid_file()),
        },
        None => {
            let catalog = installed_plugins();
            (job_of_all(&catalog, options.codec.into()), catalog)
        }
    };
    let tracks = try_all(&job, &catalog, options.fresh)?;
    if options.json {
        print_line(&format!("{:#}", to_json(&tracks)));
    } else {
        tracks.iter().for_each(show);
    }
    Ok(exit_code(&tracks))
}

/// Success if each track has an encoder that works.
pub fn exit_code(tracks: &[TrackEncoders]) -> ExitCode {
    match tracks.iter().all(|track| track.candidates.iter().any(KnownCandidate::works)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(Fault::Device.exit_code()),
    }
}

/// Tries a job's encoders. Those with a cached result are tried only if `fresh`.
pub fn try_all(job: &Job, catalog: &Catalog, fresh: bool) -> Result<Vec<TrackEncoders>> {
    let tracks = job.tracks.iter();
    let used = tracks.flat_map(|track| std::iter::once(&track.source).chain(&track.encoders));
    let files = plugin_files(catalog, used.map(|plugin| plugin.plugin.as_str()));
    let mut pool = Pool::new(default_worker()?, files, job, false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tracks = runtime.block_on(deskreel_recorder::survey_encoders(&mut pool, fresh, show_trying));
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K");
    }
    Ok(tracks?)
}

/// Shows the encoder that is being tried, on a line that the next one replaces.
fn show_trying(trying: CandidateTrial) {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[Ktrying {} ({})", trying.candidate, trying.plugin);
    }
}

/// A job with every installed encoder plugin, on a screen of ordinary size.
pub fn job_of_all(catalog: &Catalog, codec: Codec) -> Job {
    let found = catalog.plugins().filter(|(_, _, plugin)| plugin.interface.kind == Kind::Encoder);
    let mut ids: Vec<&str> = found.map(|(_, _, plugin)| plugin.id.as_str()).collect();
    ids.sort_by_key(|id| ORDER.iter().position(|known| known == id).map_or(0, |place| place + 1));
    let plugin = |id: &str, settings| PluginSettings { plugin: id.to_owned(), settings };
    let screen = json!({ "mode": "counter", "width": 1920, "height": 1080, "fps": 10 });
    let encoders = ids.into_iter().map(|id| plugin(id, json!({}))).collect();
    let source = plugin("source.synthetic", screen);
    let track = TrackJob::new(codec.to_string(), source, encoders, EncodeRequest::new(codec));
    Job::new(vec![track])
}

pub fn show(track: &TrackEncoders) {
    let Picture { format, width, height, fps } = &track.picture;
    print_line(&format!("{}: {width}x{height} {format}, {fps} fps", track.track));
    let width = track.candidates.iter().map(|one| name(one).len()).max().unwrap_or(0);
    for (index, one) in track.candidates.iter().enumerate() {
        let standing = standing(track, index);
        print_line(&format!("  {standing:7}  {:width$}  {}", name(one), remarks(one).join("; ")));
    }
}

/// The standing in a recording: the first encoder that works is chosen.
fn standing(track: &TrackEncoders, index: usize) -> &'static str {
    let chosen = track.candidates.iter().position(KnownCandidate::works);
    match track.candidates.get(index).map(|one| &one.standing) {
        Some(Standing::Works { .. }) if chosen == Some(index) => "chosen",
        Some(Standing::Works { .. }) => "works",
        Some(Standing::Refused { .. }) => "refused",
        Some(Standing::Unknown) | None => "unknown",
    }
}

/// A name such as `x264enc (encoder.x264)`.
fn name(one: &KnownCandidate) -> String {
    let plugin = &one.candidate.plugin.plugin;
    match one.candidate.candidate.as_str() {
        "" => plugin.clone(),
        candidate => format!("{candidate} ({plugin})"),
    }
}

fn remarks(one: &KnownCandidate) -> Vec<String> {
    let mut remarks = Vec::new();
    let tried = match &one.standing {
        Standing::Works { proof, at } => {
            remarks.push(format!("{} memory, {}", memory(one.candidate.memory), tier(one.candidate.tier)));
            remarks.push(format!("first frame after {} ms", proof.first_frame_ms));
            Some(*at)
        }
        Standing::Refused { reason, at } => {
            remarks.push(reason.clone());
            *at
        }
        Standing::Unknown => None,
    };
    remarks.extend(one.candidate.gpu.as_ref().map(|gpu| format!("GPU {gpu}")));
    if !one.candidate.cannot.is_empty() && one.works() {
        let cannot: Vec<String> = one.candidate.cannot.iter().map(ToString::to_string).collect();
        remarks.push(format!("does not support: {}", cannot.join(", ")));
    }
    remarks.extend(tried.map(|at| format!("tried {}", age(at.0.as_second(), now()))));
    remarks
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Hardware => "hardware",
        Tier::Software => "software",
    }
}

fn memory(memory: Memory) -> &'static str {
    match memory {
        Memory::System => "system",
        Memory::Cuda => "CUDA",
        Memory::Va => "VA",
        Memory::D3d11 => "D3D11",
    }
}

fn now() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs());
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// The time since `at` for people. Both are in seconds.
fn age(at: i64, now: i64) -> String {
    match now - at {
        ..60 => "just now".to_owned(),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// The JSON of `encoders --json`, as documented in docs/command-line.md.
pub fn to_json(tracks: &[TrackEncoders]) -> Value {
    let candidate = |track: &TrackEncoders, index: usize, one: &KnownCandidate| {
        let (proof, reason, tried) = match &one.standing {
            Standing::Works { proof, at } => (Some(proof), None, Some(*at)),
            Standing::Refused { reason, at } => (None, Some(reason), *at),
            Standing::Unknown => (None, None, None),
        };
        let surveyed = &one.candidate;
        json!({
            "plugin": surveyed.plugin.plugin,
            "version": surveyed.version,
            "candidate": Some(&surveyed.candidate).filter(|id| !id.is_empty()),
            "standing": standing(track, index),
            "reason": reason,
            "tried": tried,
            "proof": proof,
            "tier": surveyed.tier,
            "memory": surveyed.memory,
            "gpu": surveyed.gpu,
            "cannot": surveyed.cannot,
            "recipe": surveyed.recipe,
        })
    };
    let track = |track: &TrackEncoders| {
        let candidates = track.candidates.iter().enumerate().map(|(index, one)| candidate(track, index, one));
        json!({
            "track": track.track,
            "picture": track.picture,
            "candidates": candidates.collect::<Vec<_>>(),
        })
    };
    json!({ "tracks": tracks.iter().map(track).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn an_age_has_the_unit_that_people_would_use() {
        let ages = [5, 90, 7200, 100_000, 864_000, -5].map(|seconds| age(0, seconds));
        assert_eq!(ages, ["just now", "1 min ago", "2 h ago", "27 h ago", "10 days ago", "just now"]);
    }
}
