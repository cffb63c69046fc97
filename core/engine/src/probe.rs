//! Whether a candidate really encodes here: it is run twice on pictures of the recording's size, by the very chain
//! that a recording uses, and what comes out is decoded in software and compared.
//!
//! Every wait has a limit and its own sentence. A driver that does not return from a call is beyond that: the
//! supervisor runs this in a process that it can kill.

use std::time::Instant;

use deskreel_contract::{Codec, EncodeRequest};
use deskreel_model::worker::{Picture, PluginSettings, Proof, TrackJob};
use gstreamer as gst;

use crate::candidates::{self, Fitted};
use crate::judge::{self, Input};
use crate::pattern::Pattern;
use crate::plugins::Plugins;
use crate::refusal;
use crate::trial::{self, Frames, Limits, Plan, Trial};
use crate::units;

/// Frames of a run, and the one of them that has to become a keyframe because it is asked to.
const FRAMES: u64 = 16;
const FORCED: u64 = 8;
/// Frames from one keyframe to the next in the second run, where none is forced.
const INTERVAL: u64 = 8;

/// An error says why the candidate is refused.
pub fn candidate(
    job: &TrackJob,
    plugin: &PluginSettings,
    candidate: &str,
    picture: &Picture,
    plugins: &Plugins,
) -> Result<Proof, String> {
    let fit = |request: &EncodeRequest| -> Result<Fitted, crate::error::Error> {
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
        both(&request, on_demand(job), &asked, &often, picture)
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

/// Whether keyframes have to come when they are asked for. An encoder counts frames, of which a still screen has few;
/// where every frame is encoded, counting is enough.
pub fn on_demand(job: &TrackJob) -> bool {
    job.changes_only != Some(false)
}

fn both(
    request: &EncodeRequest,
    on_demand: bool,
    asked: &Fitted,
    often: &Fitted,
    picture: &Picture,
) -> Result<Proof, String> {
    let pattern = Pattern::new(picture.width, picture.height);
    let frames = Frames::new(&pattern, picture)?;
    let (codec, limits) = (request.codec, Limits::of(picture));
    let plan = |fitted, forced| Plan { codec, fitted, frames: &frames, count: FRAMES, forced, limits };
    let first = trial::run(&plan(asked, Some(FORCED)))?;
    check_keyframes(request, on_demand, &first)?;
    // While the second run encodes, the first one's pictures are compared.
    let (second, error) = std::thread::scope(|scope| {
        let judging = scope.spawn(|| compare(request.codec, &first, &pattern, picture));
        let second = trial::run(&plan(often, None)).map_err(a_second_time);
        (second, judging.join().unwrap_or_else(|_| Err("the comparison failed".to_owned())))
    });
    let (error, second) = (error?, second?);
    check_interval(&second)?;
    let error = error.max(compare(request.codec, &second, &pattern, picture).map_err(a_second_time)?);
    Ok(Proof {
        holds_frames: first.holds.max(second.holds),
        first_frame_ms: u32::try_from(first.first_frame.as_millis()).unwrap_or(u32::MAX),
        picture_error: error,
    })
}

fn a_second_time(reason: String) -> String {
    format!("it works once, and not a second time: {reason}")
}

fn compare(codec: Codec, trial: &Trial, pattern: &Pattern, picture: &Picture) -> Result<f32, String> {
    let input = Input { pattern, picture, period: trial::period(picture), frames: trial.pushed };
    let begin = Instant::now();
    let error = judge::compare(codec, &trial.units, &input);
    tracing::debug!(?error, took = ?begin.elapsed(), "pictures compared");
    error
}

fn check_keyframes(request: &EncodeRequest, on_demand: bool, trial: &Trial) -> Result<(), String> {
    let first = trial.units.first().ok_or("it gives nothing")?;
    let is_start = |sample: &gst::Sample| {
        let bytes = sample.buffer().and_then(|buffer| buffer.map_readable().ok());
        bytes.is_some_and(|bytes| units::is_start(request.codec, &bytes))
    };
    if !is_start(first) {
        return Err("its first frame is not one that a player can start with".to_owned());
    }
    let configured = first.caps().and_then(crate::encode::config);
    configured.ok_or("it gives no parameter sets, without which nothing can be decoded")?;
    if on_demand && !trial.keyframes.contains(&FORCED) {
        return Err(
            "it gives no keyframe when it is asked for one, which only `changes_only = false` does without"
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
            "asked for a keyframe every {INTERVAL} frames, it gives none for {}",
            longest.unwrap_or(trial.pushed)
        )),
    }
}

#[cfg(test)]
mod tests;
