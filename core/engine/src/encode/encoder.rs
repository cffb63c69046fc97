//! A running encoder: started on a thread of its own and stopped on another, since drivers hang in both.

use std::sync::Arc;

use deskreel_contract::{Candidate, Codec};
use deskreel_model::{Failure, Fault};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};

use crate::bus;
use crate::encode::bridge::{Acceptance, Bridge, Data};
use crate::encode::{self, EncodePipeline};
use crate::error::Error;
use crate::write::fragments::CodedFrame;

/// A report of an encoder.
#[derive(Debug)]
pub enum Event {
    Failed(Failure),
    /// From here on its codec configuration differs from the one in the part's header.
    Reconfigured,
}

/// Everything that is needed to start an encoder.
pub struct EncoderSpec {
    /// Prefix of its elements' names.
    pub name: String,
    pub codec: Codec,
    pub candidate: Candidate,
    /// Caps of the raw pictures.
    pub caps: gst::Caps,
    /// Base time of the capturing pipeline, so that both have the same running time.
    pub base_time: Option<gst::ClockTime>,
    /// Media time minus running time, in nanoseconds.
    pub offset_ns: u64,
    /// Access units are copied, since they are kept for long: those of hardware encoders may be from a pool
    /// that must get them back.
    pub copies: bool,
    pub generation: u32,
    pub bridge: Arc<Bridge>,
}

/// Makes the encoder on a thread of its own, attaches it to the bridge and starts it. Failures come as
/// events.
pub fn start(spec: EncoderSpec, tell: impl Fn(Event) + Clone + Send + Sync + 'static) -> Result<(), Error> {
    let run = move || {
        if let Err(error) = bring_up(&spec, &tell) {
            tell(Event::Failed(error.into()));
        }
    };
    std::thread::Builder::new().name("encoder".into()).spawn(run).map_err(Error::Thread)?;
    Ok(())
}

fn bring_up(
    spec: &EncoderSpec,
    tell: &(impl Fn(Event) + Clone + Send + Sync + 'static),
) -> Result<(), Error> {
    let encoder = encode::build(&spec.name, spec.codec, &spec.candidate, &spec.caps)?;
    let pipeline = encoder.pipeline.clone();
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    pipeline.set_start_time(gst::ClockTime::NONE);
    if let Some(base_time) = spec.base_time {
        pipeline.set_base_time(base_time);
    }
    let failed = tell.clone();
    bus::watch(&pipeline, move |event| match event {
        bus::Event::Failed(failure) => failed(Event::Failed(failure)),
        // Nothing in this pipeline waits for a time.
        bus::Event::Latency => {}
    });
    deliver(&encoder.output, spec, tell.clone());
    if !spec.bridge.attach(spec.generation, encoder) {
        return Ok(());
    }
    // The element that refuses has posted the reason on the bus.
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|_| Error::NoStart("the encoder refuses to start".into()))?;
    Ok(())
}

/// Hands the encoder's access units to the bridge.
fn deliver(output: &AppSink, spec: &EncoderSpec, tell: impl Fn(Event) + Clone + Send + 'static) {
    let (generation, offset_ns, copies) = (spec.generation, spec.offset_ns, spec.copies);
    let (bridge, changed) = (spec.bridge.clone(), tell.clone());
    let new_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let config = sample.caps().and_then(encode::config).ok_or(gst::FlowError::NotNegotiated)?;
        let unit = unit(&sample, offset_ns, copies).ok_or(gst::FlowError::Error)?;
        match bridge.take_unit(generation, config, unit) {
            Acceptance::Taken => Ok(gst::FlowSuccess::Ok),
            Acceptance::Late => Err(gst::FlowError::Eos),
            Acceptance::Reconfigured => {
                changed(Event::Reconfigured);
                Err(gst::FlowError::Eos)
            }
        }
    };
    let bridge = spec.bridge.clone();
    let eos = move |_: &AppSink| {
        if !bridge.end_encoder(generation) {
            tell(Event::Failed(Failure::new(Fault::Device, "the encoder ended by itself")));
        }
    };
    output.set_callbacks(AppSinkCallbacks::builder().new_sample(new_sample).eos(eos).build());
}

fn unit(sample: &gst::Sample, offset_ns: u64, copies: bool) -> Option<CodedFrame<Data>> {
    let buffer = sample.buffer_owned()?;
    let buffer = if copies { buffer.copy_deep().ok()? } else { buffer };
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let pts_ns = segment.to_running_time(buffer.pts()?)?.nseconds() + offset_ns;
    // Encoders that reorder frames give the first frames decoding times before zero.
    let dts_ns = match buffer.dts().map(|dts| segment.to_running_time_full(dts)) {
        Some(Some(gst::Signed::Positive(dts))) => dts.nseconds() + offset_ns,
        Some(Some(gst::Signed::Negative(dts))) => offset_ns.saturating_sub(dts.nseconds()),
        _ => pts_ns,
    };
    let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    Some(CodedFrame {
        pts_ns,
        dts_ns: dts_ns.min(pts_ns),
        keyframe,
        data: buffer.into_mapped_buffer_readable().ok()?,
    })
}

/// Stops a dismissed encoder. This may hang forever: the process ends without waiting for it.
pub fn take_down(encoder: EncodePipeline) {
    let run = move || {
        let _ = encoder.pipeline.set_state(gst::State::Null);
    };
    if let Err(error) = std::thread::Builder::new().name("take-down".into()).spawn(run) {
        tracing::warn!(%error, "could not stop a dismissed encoder");
    }
}
