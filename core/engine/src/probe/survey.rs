//! Finds out what a track's source shows and which candidates could encode it here, without encoding
//! anything.
//!
//! Opens sources, which takes as long as their devices need, but no encoder: whether one works is for the
//! probe to say.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use deskreel_contract::{Candidate, Element, Property, SourceRecipe, SourceRequest, Tier};
use deskreel_machine::Gpu;
use deskreel_model::manifest::PluginUse;
use deskreel_model::worker::{Picture, PluginSettings, SurveyedCandidate, TrackJob, TrackSurvey};
use deskreel_model::{Failure, Fault};
use deskreel_pipeline::elements;
use gstreamer as gst;
use gstreamer::prelude::*;
use serde_json::Value;

use crate::encode::candidates::{self, FittedCandidate};
use crate::encode::refusal;
use crate::error::Error;
use crate::plugins::Plugins;
use crate::probe::{self, bounded_close};
use crate::{build, bus};

/// Time for a source to deliver its first picture.
const PICTURE_LIMIT: Duration = Duration::from_secs(5);
/// Time for a source to release its device, which the recording needs next. A slower one is left behind.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Surveys these tracks; the results are in their order.
pub fn tracks(tracks: &[TrackJob], plugins: &Plugins) -> Vec<Result<TrackSurvey, Failure>> {
    let gpus = std::cell::LazyCell::new(deskreel_machine::gpus);
    let survey = |job: &TrackJob| {
        let picture = picture(job, plugins)?;
        let ask = |plugin| plugin_candidates(plugin, job, &picture, plugins, &|| (*gpus).as_slice());
        let candidates = job.encoders.iter().flat_map(ask).collect();
        Ok(TrackSurvey { picture, candidates })
    };
    tracks.iter().map(survey).collect()
}

/// Asks the sources of these tracks for their recipes, and captures nothing: a camera stays dark.
pub fn look(tracks: &[TrackJob], plugins: &Plugins) -> Result<(), Failure> {
    let look = |job: &TrackJob| {
        let recipe = plugins
            .source(&job.source, |_| ())
            .map_err(Failure::from)
            .and_then(|mut source| Ok(source.recipe(&SourceRequest { max_fps: job.max_fps })?));
        recipe.map(drop).map_err(|failure| {
            Failure::new(failure.fault, format!("track `{}`: {}", job.track, failure.message))
        })
    };
    tracks.iter().try_for_each(look)
}

/// The source's picture. A source of elements is run until it has delivered one.
fn picture(job: &TrackJob, plugins: &Plugins) -> Result<Picture, Failure> {
    let mut source = plugins.source(&job.source, |_| ())?;
    let recipe = source.recipe(&SourceRequest { max_fps: job.max_fps })?;
    let fps = elements::fps(&recipe, job.max_fps);
    let (format, width, height) = match elements::capture_chain(&recipe).frames {
        Some(frames) => (frames.format.name().to_owned(), frames.width, frames.height),
        None => first_picture(&job.track, &recipe)?,
    };
    Ok(Picture { format, width, height, fps })
}

enum SourceEvent {
    Picture(Option<gst::Caps>),
    Failed(Failure),
}

fn first_picture(track: &str, recipe: &SourceRecipe) -> Result<(String, u32, u32), Failure> {
    let pipeline = gst::Pipeline::new();
    let chain = build::capture_chain(&pipeline, track, &elements::capture_chain(recipe))?;
    let sink = build::element(&Element::new("fakesink").set("sync", false), "look")?;
    pipeline.add(&sink).map_err(|error| Error::NoStart(error.to_string()))?;
    chain.capture.link(&sink).map_err(|error| Error::NoStart(error.to_string()))?;
    let (tell, seen) = channel();
    let failed = tell.clone();
    bus::watch(&pipeline, move |event| {
        if let bus::Event::Failed(failure) = event {
            let _ = failed.send(SourceEvent::Failed(failure));
        }
    });
    if let Some(pad) = sink.static_pad("sink") {
        watch_first_buffer(&pad, tell);
    }
    // An element that refuses posts the reason on the bus, which reaches `seen`.
    let started = pipeline.set_state(gst::State::Playing);
    let limit = if started.is_ok() { PICTURE_LIMIT } else { Duration::ZERO };
    let first = seen.recv_timeout(limit);
    if !bounded_close::within(pipeline.upcast(), CLOSE_LIMIT) {
        tracing::warn!("the source does not release its device");
    }
    match first {
        Ok(SourceEvent::Picture(caps)) => read(caps.as_deref())
            .ok_or_else(|| Failure::new(Fault::Device, "the source delivers no raw video")),
        Ok(SourceEvent::Failed(failure)) => Err(failure),
        Err(RecvTimeoutError::Timeout) if started.is_ok() => {
            let text = format!("the source delivered no picture within {} s", PICTURE_LIMIT.as_secs());
            Err(Failure::new(Fault::Device, text))
        }
        Err(_) => Err(Error::NoStart("an element of the source refuses to start".into()).into()),
    }
}

/// Sends the caps of the first buffer, and of no other.
fn watch_first_buffer(pad: &gst::Pad, tell: Sender<SourceEvent>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        let _ = tell.send(SourceEvent::Picture(pad.current_caps()));
        gst::PadProbeReturn::Remove
    });
}

fn read(caps: Option<&gst::CapsRef>) -> Option<(String, u32, u32)> {
    let caps = caps?.structure(0)?;
    let size = |field| caps.get::<i32>(field).ok().and_then(|value| u32::try_from(value).ok());
    Some((caps.get("format").ok()?, size("width")?, size("height")?))
}

/// The candidates of one plugin. A plugin that cannot be asked has one entry without a candidate.
fn plugin_candidates<'a>(
    plugin: &PluginSettings,
    job: &TrackJob,
    picture: &Picture,
    plugins: &Plugins,
    gpus: &impl Fn() -> &'a [Gpu],
) -> Vec<SurveyedCandidate> {
    let (used, offered) = match candidates::offered(plugin, &candidates::request(job, picture.fps), plugins) {
        Ok(offered) => offered,
        Err(error) => return vec![unusable(plugin, &error)],
    };
    let one = |candidate: &Candidate| surveyed(plugin, &used, candidate, job, picture, gpus);
    match offered.as_slice() {
        [] => vec![unusable(plugin, &Error::NoCandidates(job.encode.codec))],
        offered => offered.iter().map(one).collect(),
    }
}

fn surveyed<'a>(
    plugin: &PluginSettings,
    used: &PluginUse,
    candidate: &Candidate,
    job: &TrackJob,
    picture: &Picture,
    gpus: &impl Fn() -> &'a [Gpu],
) -> SurveyedCandidate {
    let mut surveyed = SurveyedCandidate {
        plugin: plugin.clone(),
        version: used.version.clone(),
        candidate: candidate.id.clone(),
        tier: candidate.tier,
        memory: candidate.memory,
        gpu: None,
        recipe: String::new(),
        on_demand: probe::on_demand(job),
        cannot: Vec::new(),
        refused: None,
    };
    let planned =
        |candidate| elements::encode_chain(job.encode.codec, candidate, picture.width, picture.height);
    match candidates::fitted(candidate) {
        Ok(FittedCandidate { candidate, cannot, encoder }) => {
            surveyed.recipe = launch_line(&planned(&candidate));
            surveyed.cannot = cannot;
            surveyed.refused = planned(&candidate).iter().find_map(absent);
            if candidate.tier == Tier::Hardware {
                surveyed.gpu = candidates::gpu(&candidate, &encoder, gpus());
                let other = refusal::other_gpu(job.gpu.as_ref(), surveyed.gpu.as_deref(), gpus());
                surveyed.refused = surveyed.refused.or(other);
            }
        }
        Err(error) => {
            surveyed.recipe = launch_line(&planned(candidate));
            surveyed.refused = Some(match &error {
                Error::NoElement { factory, .. } => candidates::why_missing(candidate, factory, gpus()),
                error => error.to_string(),
            });
        }
    }
    surveyed
}

/// Why an element of our own part of the chain is missing.
fn absent(element: &Element) -> Option<String> {
    let found = gst::ElementFactory::find(&element.factory);
    found.is_none().then(|| build::not_installed(&element.factory).to_string())
}

fn unusable(plugin: &PluginSettings, error: &Error) -> SurveyedCandidate {
    SurveyedCandidate {
        plugin: plugin.clone(),
        version: String::new(),
        candidate: String::new(),
        tier: Tier::Software,
        memory: deskreel_contract::Memory::System,
        gpu: None,
        recipe: String::new(),
        on_demand: false,
        cannot: Vec::new(),
        refused: Some(error.to_string()),
    }
}

/// The elements as `gst-launch-1.0` takes them. The same elements always yield the same text.
pub fn launch_line(elements: &[Element]) -> String {
    let element = |element: &Element| {
        let properties = element.properties.iter().map(|Property { name, value, .. }| match value {
            Value::String(text) if is_plain(text) => format!(" {name}={text}"),
            Value::String(text) => format!(" {name}={text:?}"),
            value => format!(" {name}={value}"),
        });
        std::iter::once(element.factory.clone()).chain(properties).collect::<String>()
    };
    elements.iter().map(element).collect::<Vec<_>>().join(" ! ")
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_+.:/".contains(letter))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_line_has_every_property() {
        let elements = [
            Element::new("capsfilter").set("caps", "video/x-raw,format={ I420, NV12 }"),
            Element::new("x264enc").set("tune", "zerolatency").set("bitrate", 900).set("dct8x8", true),
        ];
        let line = launch_line(&elements);
        assert_eq!(
            line,
            "capsfilter caps=\"video/x-raw,format={ I420, NV12 }\" ! x264enc tune=zerolatency bitrate=900 dct8x8=true"
        );
    }

    #[test]
    fn the_picture_of_a_source_is_read_from_its_first_buffer() {
        gst::init().unwrap();
        let caps = "video/x-raw,format=BGRx,width=1919,height=1079,framerate=10/1";
        let element = Element::new("videotestsrc").set("is-live", true);
        let recipe = SourceRecipe { caps: caps.into(), ..SourceRecipe::elements([element]) };
        assert_eq!(first_picture("screen", &recipe).unwrap(), ("BGRx".into(), 1919, 1079));
    }

    #[test]
    fn a_source_that_cannot_be_opened_says_why() {
        gst::init().unwrap();
        let recipe = SourceRecipe::elements([Element::new("v4l2src").set("device", "/dev/nosuch")]);
        let failure = first_picture("camera", &recipe).unwrap_err();
        assert!(failure.message.contains("v4l2src"), "{failure}");
    }
}
