//! The encoding half of a track: a pipeline of its own, from raw pictures to access units.
//!
//! Recordings and probes both build it here, so that a recording uses exactly what the probe tried. It does
//! not choose an encoder, and its builder drives it.

// Frames on their way through encoders.
pub mod bridge;
pub mod window;

pub mod counters;

// The running encoder.
pub mod encoder;

pub mod access_unit;

// The encoders to choose from.
pub mod candidates;
pub mod inspect;
pub mod refusal;

use deskreel_contract::{Candidate, Codec, Element};
use deskreel_fmp4::{Codec as Coded, VideoConfig};
use deskreel_model::manifest::{EncoderUse, PluginUse};
use deskreel_model::worker::{RankedCandidate, TrackJob};
use deskreel_pipeline::elements;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

use self::candidates::FittedCandidate;
use crate::build;
use crate::error::Error;
use crate::plugins::Plugins;

/// An encoding pipeline, not started yet. Pushing never blocks: the caller limits how many frames are in it.
pub struct EncodePipeline {
    pub pipeline: gst::Pipeline,
    /// Takes buffers with running times as timestamps and pushes them on a thread of its own.
    pub input: AppSrc,
    /// Delivers access units without waiting for their time.
    pub output: AppSink,
}

impl EncodePipeline {
    /// Pushes a frame. Never blocks.
    pub fn push(&self, frame: gst::Buffer, as_keyframe: bool) -> Result<gst::FlowSuccess, gst::FlowError> {
        if as_keyframe {
            // `appsrc` keeps the order of events and frames.
            let event = gstreamer_video::DownstreamForceKeyUnitEvent::builder().all_headers(true).build();
            self.input.send_event(event);
        }
        self.input.push_buffer(frame)
    }
}

/// Builds the pipeline for raw pictures with these caps.
pub fn build(
    name: &str,
    codec: Codec,
    candidate: &Candidate,
    caps: &gst::Caps,
) -> Result<EncodePipeline, Error> {
    let (width, height) = size(caps).ok_or_else(|| Error::NoStart(format!("no size in the caps {caps}")))?;
    let source = Element::new("appsrc")
        .set("format", "time")
        .set("is-live", true)
        .set("max-bytes", 0)
        .set("caps", caps.to_string());
    let sink = Element::new("appsink").set("sync", false).set("async", false);
    let mut wanted = vec![source];
    wanted.extend(elements::encode_chain(codec, candidate, width, height));
    wanted.push(sink);

    let pipeline = gst::Pipeline::with_name(name);
    let made = build::linked(&pipeline, name, &wanted)?;
    let input = made.first().and_then(|element| element.clone().downcast().ok());
    let output = made.last().and_then(|element| element.clone().downcast().ok());
    if let (Codec::Av1, Some(pad)) = (codec, made.last().and_then(|sink| sink.static_pad("sink"))) {
        as_mp4(&pad.peer().unwrap_or(pad));
    }
    match (input, output) {
        (Some(input), Some(output)) => Ok(EncodePipeline { pipeline, input, output }),
        _ => Err(Error::NoStart("`appsrc` or `appsink` is not of the type that its name promises".into())),
    }
}

/// A ranked candidate, as its plugin offers it now, fitted to the elements of this machine.
pub fn candidate(
    job: &TrackJob,
    ranked: &RankedCandidate,
    fps: u32,
    plugins: &Plugins,
) -> Result<(EncoderUse, Candidate), Error> {
    let request = candidates::request(job, fps);
    let (used, candidate) = candidates::named(&ranked.plugin, &ranked.candidate, &request, plugins)?;
    let PluginUse { plugin, version } = used;
    let FittedCandidate { candidate, cannot, .. } = candidates::fitted(&candidate)?;
    let used = EncoderUse {
        plugin,
        version,
        candidate: candidate.id.clone(),
        memory: candidate.memory,
        gpu: None,
        cannot,
        refused: Vec::new(),
    };
    Ok((used, candidate))
}

/// The codec configuration of a part's fragments, from the caps of an access unit.
pub fn config(caps: &gst::CapsRef) -> Option<VideoConfig> {
    let caps = caps.structure(0)?;
    let data = caps.get::<gst::Buffer>("codec_data").ok()?;
    let data = data.map_readable().ok()?.as_slice().to_vec();
    let codec = match caps.name().as_str() {
        "video/x-h264" => Coded::H264 { avcc: data },
        "video/x-h265" => Coded::H265 { hvcc: data },
        "video/x-av1" => Coded::Av1 { av1c: data },
        _ => return None,
    };
    let size = |field| caps.get::<i32>(field).ok().and_then(|value| u32::try_from(value).ok());
    Some(VideoConfig { codec, width: size("width")?, height: size("height")? })
}

/// AV1 leaves two things to the writer of an MP4: removing temporal delimiters from units, and the
/// configuration record, which `av1parse` does not make (1.22) and which is put into the caps here.
fn as_mp4(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else { return gst::PadProbeReturn::Ok };
        let Ok(bytes) = buffer.map_readable() else { return gst::PadProbeReturn::Ok };
        let record = access_unit::sequence_header(&bytes).and_then(deskreel_fmp4::av1c);
        let begin = access_unit::mp4_start(Codec::Av1, &bytes);
        drop(bytes);
        if let (Some(record), Some(mut caps)) = (record, pad.current_caps()) {
            caps.make_mut().set("codec_data", gst::Buffer::from_slice(record));
            // Pushed ahead of the buffer. The same caps again are no change.
            pad.push_event(gst::event::Caps::new(&caps));
        }
        if let (true, Ok(mut rest)) = (begin > 0, buffer.copy_region(gst::BufferCopyFlags::all(), begin..)) {
            if let Some(rest) = rest.get_mut() {
                // A region that begins later in the buffer does not get its times.
                rest.set_pts(buffer.pts());
                rest.set_dts(buffer.dts());
                rest.set_duration(buffer.duration());
            }
            *buffer = rest;
        }
        gst::PadProbeReturn::Ok
    });
}

/// Width and height of raw pictures.
fn size(caps: &gst::CapsRef) -> Option<(u32, u32)> {
    let caps = caps.structure(0)?;
    let size = |field| caps.get::<i32>(field).ok().and_then(|value| u32::try_from(value).ok());
    Some((size("width")?, size("height")?))
}
