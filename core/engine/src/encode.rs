//! The encoding half of a track: a pipeline of its own, from raw pictures to access units.
//!
//! A recording and a probe build it here, so that what was tried is what is used. It does not choose an encoder,
//! and whoever builds it drives it.

use deskreel_contract::{Candidate, Codec, Element};
use deskreel_fmp4::{Codec as Coded, VideoConfig};
use deskreel_model::manifest::{EncoderUse, PluginUse};
use deskreel_model::worker::{Ranked, TrackJob};
use deskreel_pipeline::plan;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

use crate::candidates::{self, Fitted};
use crate::error::Error;
use crate::plugins::Plugins;
use crate::{build, units};

/// Not started. Nothing in it blocks whoever pushes: how much may lie in it is the pusher's affair.
pub struct EncodePipeline {
    pub pipeline: gst::Pipeline,
    /// Takes buffers with running times as timestamps, and pushes them from a thread of its own.
    pub input: AppSrc,
    /// Gives access units without waiting for their time.
    pub output: AppSink,
}

impl EncodePipeline {
    /// Never blocks.
    pub fn push(&self, frame: gst::Buffer, as_keyframe: bool) -> Result<gst::FlowSuccess, gst::FlowError> {
        if as_keyframe {
            // `appsrc` keeps the order of events and frames.
            let event = gstreamer_video::DownstreamForceKeyUnitEvent::builder().all_headers(true).build();
            self.input.send_event(event);
        }
        self.input.push_buffer(frame)
    }
}

/// `caps` are those of the raw pictures.
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
    wanted.extend(plan::encode(codec, candidate, width, height));
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
        _ => Err(Error::NoStart("`appsrc` or `appsink` is not what it is called".into())),
    }
}

/// The candidate of a ranking, asked of its plugin again and fitted to the elements that are here.
pub fn candidate(
    job: &TrackJob,
    ranked: &Ranked,
    fps: u32,
    plugins: &Plugins,
) -> Result<(EncoderUse, Candidate), Error> {
    let request = candidates::request(job, fps);
    let (used, candidate) = candidates::named(&ranked.plugin, &ranked.candidate, &request, plugins)?;
    let PluginUse { plugin, version } = used;
    let Fitted { candidate, cannot, .. } = candidates::fitted(&candidate)?;
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

/// What the fragments of a part are coded with, from the caps of an access unit.
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

/// AV1 leaves two things to whoever writes MP4: units lose their temporal delimiters, and the caps get the
/// configuration record, which `av1parse` does not make (1.22).
fn as_mp4(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else { return gst::PadProbeReturn::Ok };
        let Ok(bytes) = buffer.map_readable() else { return gst::PadProbeReturn::Ok };
        let record = units::sequence_header(&bytes).and_then(deskreel_fmp4::av1c);
        let begin = units::mp4_start(Codec::Av1, &bytes);
        drop(bytes);
        if let (Some(record), Some(mut caps)) = (record, pad.current_caps()) {
            caps.make_mut().set("codec_data", gst::Buffer::from_slice(record));
            // Outside of the buffer's way, and before it. The same caps again are no change.
            pad.push_event(gst::event::Caps::new(&caps));
        }
        if let (true, Ok(mut rest)) = (begin > 0, buffer.copy_region(gst::BufferCopyFlags::all(), begin..)) {
            if let Some(rest) = rest.get_mut() {
                // A region that begins later has no times of its own.
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
