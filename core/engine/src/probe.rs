//! Finds out whether a candidate really encodes here: runs it twice on pictures of the recording's size, in
//! the same chain that a recording uses, decodes the output in software and compares it.
//!
//! Every wait has a limit and a message of its own. A driver that never returns from a call cannot be caught
//! this way: for that, the supervisor runs probes in a process that it can kill.

// Before: which candidates there are.
pub mod survey;

// The probe of one candidate.
pub mod pattern;
pub mod trial;

pub mod judge;

// A whole part, decoded in software.
pub mod decode;

pub mod bounded_close;

use std::time::Instant;

use deskreel_contract::{Codec, EncodeRequest};
use deskreel_model::worker::{Picture, PluginSettings, Proof, TrackJob};
use gstreamer as gst;

use self::judge::ProbeInput;
use self::pattern::Pattern;
use self::trial::{Trial, TrialFrames, TrialLimits, TrialPlan};
use crate::encode::access_unit;
use crate::encode::candidates::{self, FittedCandidate};
use crate::encode::refusal;
use crate::plugins::Plugins;

/// Frames of one run.
const FRAMES: u64 = 16;
/// The frame of the first run that is requested as a keyframe.
const FORCED: u64 = 8;
/// Keyframe interval in frames in the second run, in which none is forced.
const INTERVAL: u64 = 8;

/// Tries one candidate. An error says why it is refused.
pub fn candidate(
    job: &TrackJob,
    plugin: &PluginSettings,
    candidate: &str,
    picture: &Picture,
    plugins: &Plugins,
) -> Result<Proof, String> {
    let fit = |request: &EncodeRequest| -> Result<FittedCandidate, crate::error::Error> {
        let (_, candidate) = candidates::named(plugin, candidate, request, plugins)?;
        candidates::fitted(&candidate)
    };
    let request = candidates::request(job, picture.fps);
    // So that `keyframe_distance` is `INTERVAL`.
    let interval = (INTERVAL * 1000).div_ceil(u64::from(picture.fps.max(1)));
    let often = EncodeRequest { keyframe_interval_ms: interval, ..request.clone() };
    let asked = fit(&request).map_err(|error| error.to_string())?;
    let often = fit(&often).map_err(|error| error.to_string())?;

    let run = || {
        trial::takes_size(&asked.encoder, picture)?;
        prove(&request, on_demand(job), &asked, &often, picture)
    };
    run().map_err(|reason: String| {
        if !refusal::is_out_of_sessions(&reason) {
            return reason;
        }
        let gpu = candidates::gpu(&asked.candidate, &asked.encoder, &deskreel_machine::gpus());
        let sessions = gpu.and_then(|pci| deskreel_machine::encoder_sessions(&pci));
        refusal::out_of_sessions(sessions.map(|sessions| sessions.used), &reason)
    })
}

/// Returns whether keyframes must come on request. An encoder counts frames, and a still screen has few; if
/// every frame is encoded, counting is enough.
pub fn on_demand(job: &TrackJob) -> bool {
    job.changes_only != Some(false)
}

/// Runs the candidate as requested, then with frequent keyframes.
fn prove(
    request: &EncodeRequest,
    on_demand: bool,
    asked: &FittedCandidate,
    often: &FittedCandidate,
    picture: &Picture,
) -> Result<Proof, String> {
    let pattern = Pattern::new(picture.width, picture.height);
    let frames = TrialFrames::new(&pattern, picture)?;
    let (codec, limits) = (request.codec, TrialLimits::of(picture));
    let plan = |fitted, forced| TrialPlan { codec, fitted, frames: &frames, count: FRAMES, forced, limits };
    let first = trial::run(&plan(asked, Some(FORCED)))?;
    check_keyframes(request, on_demand, &first)?;
    // The first run's pictures are compared while the second run encodes.
    let (second, error) = std::thread::scope(|scope| {
        let judging = scope.spawn(|| compare(request.codec, &first, &pattern, picture));
        let second = trial::run(&plan(often, None)).map_err(on_second_run);
        (second, judging.join().unwrap_or_else(|_| Err("the comparison failed".to_owned())))
    });
    let (error, second) = (error?, second?);
    check_interval(&second)?;
    let error = error.max(compare(request.codec, &second, &pattern, picture).map_err(on_second_run)?);
    Ok(Proof {
        holds_frames: first.holds.max(second.holds),
        first_frame_ms: u32::try_from(first.first_frame.as_millis()).unwrap_or(u32::MAX),
        picture_error: error,
    })
}

fn on_second_run(reason: String) -> String {
    format!("it works once, but not a second time: {reason}")
}

fn compare(codec: Codec, trial: &Trial, pattern: &Pattern, picture: &Picture) -> Result<f32, String> {
    let input = ProbeInput { pattern, picture, period: trial::period(picture), frames: trial.pushed };
    let begin = Instant::now();
    let error = judge::compare(codec, &trial.units, &input);
    tracing::debug!(?error, took = ?begin.elapsed(), "pictures compared");
    error
}

fn check_keyframes(request: &EncodeRequest, on_demand: bool, trial: &Trial) -> Result<(), String> {
    let first = trial.units.first().ok_or("it produces nothing")?;
    let is_start = |sample: &gst::Sample| {
        let bytes = sample.buffer().and_then(|buffer| buffer.map_readable().ok());
        bytes.is_some_and(|bytes| access_unit::is_start(request.codec, &bytes))
    };
    if !is_start(first) {
        return Err("a player cannot start with its first frame".to_owned());
    }
    let configured = first.caps().and_then(crate::encode::config);
    configured.ok_or("it produces no parameter sets, without which nothing can be decoded")?;
    if on_demand && !trial.keyframes.contains(&FORCED) {
        return Err(
            "it produces no keyframe when it is asked for one; only `changes_only = false` works without that"
                .to_owned(),
        );
    }
    if trial.keyframes.len() as u64 == trial.pushed && request.keyframe_distance() > 1 {
        return Err("it makes every frame a keyframe".to_owned());
    }
    Ok(())
}

fn check_interval(trial: &Trial) -> Result<(), String> {
    let ends = trial.keyframes.iter().skip(1).copied().chain([trial.pushed]);
    let longest = trial.keyframes.iter().zip(ends).map(|(begin, end)| end - begin).max();
    match longest {
        Some(longest) if longest <= INTERVAL => Ok(()),
        _ => Err(format!(
            "asked for a keyframe every {INTERVAL} frames, it produces none for {}",
            longest.unwrap_or(trial.pushed)
        )),
    }
}

#[cfg(test)]
mod tests;
