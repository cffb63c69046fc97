//! An encoder at work: brought up on a thread of its own, and taken down on another, since either is where drivers
//! hang.

use std::sync::Arc;

use deskreel_contract::{Candidate, Codec};
use deskreel_model::{Failure, Fault};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};

use crate::bridge::{Bridge, Coded, Data};
use crate::bus;
use crate::encode::{self, EncodePipeline};
use crate::error::Error;
use crate::fragments::Frame;

/// What an encoder tells.
#[derive(Debug)]
pub enum Event {
    Failed(Failure),
    /// It codes in another way from here on, which the part's header does not say.
    Reconfigured,
}

/// What it takes to bring one up.
pub struct Bringup {
    /// For the names of its elements.
    pub name: String,
    pub codec: Codec,
    pub candidate: Candidate,
    /// Of the raw pictures.
    pub caps: gst::Caps,
    /// Its running time is the capture's.
    pub base_time: Option<gst::ClockTime>,
    /// Media time minus running time, in nanoseconds.
    pub offset: u64,
    /// Access units are kept for long: those of hardware may lie in a pool that must get them back.
    pub copies: bool,
    pub generation: u32,
    pub bridge: Arc<Bridge>,
}

/// Makes the encoder, gives it to the bridge and starts it. Whatever goes wrong is told.
pub fn bring_up(wanted: Bringup, tell: impl Fn(Event) + Clone + Send + Sync + 'static) -> Result<(), Error> {
    let run = move || {
        if let Err(error) = start(&wanted, &tell) {
            tell(Event::Failed(error.into()));
        }
    };
    std::thread::Builder::new().name("encoder".into()).spawn(run).map_err(Error::Thread)?;
    Ok(())
}

fn start(wanted: &Bringup, tell: &(impl Fn(Event) + Clone + Send + Sync + 'static)) -> Result<(), Error> {
    let encoder = encode::build(&wanted.name, wanted.codec, &wanted.candidate, &wanted.caps)?;
    let pipeline = encoder.pipeline.clone();
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    pipeline.set_start_time(gst::ClockTime::NONE);
    if let Some(base_time) = wanted.base_time {
        pipeline.set_base_time(base_time);
    }
    let failed = tell.clone();
    bus::watch(&pipeline, move |event| match event {
        bus::Event::Failed(failure) => failed(Event::Failed(failure)),
        // Nothing in it waits for a time.
        bus::Event::Latency => {}
    });
    deliver(&encoder.output, wanted, tell.clone());
    if !wanted.bridge.attach(wanted.generation, encoder) {
        return Ok(());
    }
    // The element that refuses has said why on the bus.
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|_| Error::NoStart("the encoder refuses to start".into()))?;
    Ok(())
}

/// Hands what leaves the encoder to the bridge.
fn deliver(output: &AppSink, wanted: &Bringup, tell: impl Fn(Event) + Clone + Send + 'static) {
    let (generation, offset, copies) = (wanted.generation, wanted.offset, wanted.copies);
    let (bridge, changed) = (wanted.bridge.clone(), tell.clone());
    let new_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let config = sample.caps().and_then(encode::config).ok_or(gst::FlowError::NotNegotiated)?;
        let unit = unit(&sample, offset, copies).ok_or(gst::FlowError::Error)?;
        match bridge.coded(generation, config, unit) {
            Coded::Taken => Ok(gst::FlowSuccess::Ok),
            Coded::Late => Err(gst::FlowError::Eos),
            Coded::Reconfigured => {
                changed(Event::Reconfigured);
                Err(gst::FlowError::Eos)
            }
        }
    };
    let bridge = wanted.bridge.clone();
    let eos = move |_: &AppSink| {
        if !bridge.drained(generation) {
            tell(Event::Failed(Failure::new(Fault::Device, "the encoder ended by itself")));
        }
    };
    output.set_callbacks(AppSinkCallbacks::builder().new_sample(new_sample).eos(eos).build());
}

fn unit(sample: &gst::Sample, offset: u64, copies: bool) -> Option<Frame<Data>> {
    let buffer = sample.buffer_owned()?;
    let buffer = if copies { buffer.copy_deep().ok()? } else { buffer };
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let pts = segment.to_running_time(buffer.pts()?)?.nseconds() + offset;
    // Encoders that reorder frames give the first ones a decoding time before zero.
    let dts = match buffer.dts().map(|dts| segment.to_running_time_full(dts)) {
        Some(Some(gst::Signed::Positive(dts))) => dts.nseconds() + offset,
        Some(Some(gst::Signed::Negative(dts))) => offset.saturating_sub(dts.nseconds()),
        _ => pts,
    };
    let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    Some(Frame { pts, dts: dts.min(pts), keyframe, data: buffer.into_mapped_buffer_readable().ok()? })
}

/// Takes an encoder down that was sent away. It may hang for ever: the process ends without asking.
pub fn take_down(encoder: EncodePipeline) {
    let run = move || {
        let _ = encoder.pipeline.set_state(gst::State::Null);
    };
    if let Err(error) = std::thread::Builder::new().name("take-down".into()).spawn(run) {
        tracing::warn!(%error, "an encoder is not taken down");
    }
}
