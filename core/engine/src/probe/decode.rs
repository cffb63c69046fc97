//! Decodes a part in software, so that an independent decoder judges what we wrote.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deskreel_contract::{Codec, Element};
use deskreel_fmp4::Codec as Coded;
use deskreel_model::worker::DecodedPart;
use deskreel_model::{Failure, Fault, MediaTime};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};

use crate::build;
use crate::error::Error;

/// If no decoded frame comes for this long, the decoder hangs.
const SILENCE: gst::ClockTime = gst::ClockTime::from_seconds(20);
/// Interval between checks for silence.
const LOOK: Duration = Duration::from_millis(200);

/// Decodes every frame of a part, in the order of the file.
pub fn part(init: &Path, fragments: &[PathBuf]) -> Result<DecodedPart, Failure> {
    let codec = codec(init)?;
    let decoder = decoder(codec)?;
    let pipeline = gst::Pipeline::new();
    let chain = [
        Element::new("appsrc").set("format", "bytes").set("max-bytes", 16 << 20).set("block", true),
        Element::new("qtdemux"),
        Element::new(parser(codec)),
        Element::new(decoder),
        Element::new("appsink").set("sync", false).set("max-buffers", 4),
    ];
    let mut elements = Vec::new();
    for step in &chain {
        let element = build::element(step, &step.factory)?;
        pipeline.add(&element).map_err(|error| Error::NoStart(error.to_string()))?;
        elements.push(element);
    }
    let [source, demux, parse, decode, sink] = elements.as_slice() else { return Err(incomplete()) };
    let link = |a: &gst::Element, b: &gst::Element| a.link(b).map_err(|e| Error::NoStart(e.to_string()));
    link(source, demux)?;
    link(parse, decode)?;
    link(decode, sink)?;
    let parse = parse.downgrade();
    demux.connect_pad_added(move |_, pad| {
        if let Some(sink) = parse.upgrade().and_then(|parse| parse.static_pad("sink")) {
            let _ = pad.link(&sink);
        }
    });
    let (Some(source), Some(sink)) = (source.downcast_ref::<AppSrc>(), sink.downcast_ref::<AppSink>()) else {
        return Err(incomplete());
    };

    let seen = Arc::new(Mutex::new(DecodedPart::default()));
    let collect = seen.clone();
    let new_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        add(&mut collect.lock().unwrap_or_else(PoisonError::into_inner), &sample);
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(new_sample).build());
    pipeline.set_state(gst::State::Playing).map_err(|error| Error::NoStart(error.to_string()))?;
    let files: Vec<PathBuf> = std::iter::once(init.to_owned()).chain(fragments.iter().cloned()).collect();
    let outcome = feed(source.clone(), files).and_then(|()| wait(&pipeline, &seen));
    let _ = pipeline.set_state(gst::State::Null);
    outcome?;

    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.decoder = decoder.to_owned();
    Ok(seen.clone())
}

/// The strictest software decoder that is installed.
pub fn decoder(codec: Codec) -> Result<&'static str, Error> {
    let decoders: &[&'static str] = match codec {
        Codec::H264 => &["avdec_h264", "openh264dec"],
        Codec::H265 => &["avdec_h265", "libde265dec"],
        Codec::Av1 => &["dav1ddec", "av1dec"],
    };
    let here = decoders.iter().find(|name| gst::ElementFactory::find(name).is_some());
    here.copied().ok_or_else(|| build::not_installed(decoders.last().copied().unwrap_or_default()))
}

pub fn parser(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264parse",
        Codec::H265 => "h265parse",
        Codec::Av1 => "av1parse",
    }
}

fn codec(init: &Path) -> Result<Codec, Failure> {
    let text = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", init.display());
    let bytes = std::fs::read(init).map_err(|error| Failure::new(Fault::Disk, text(&error)))?;
    let header =
        deskreel_fmp4::read_header(&bytes).map_err(|error| Failure::new(Fault::Device, text(&error)))?;
    Ok(match header.config.codec {
        Coded::H265 { .. } => Codec::H265,
        Coded::Av1 { .. } => Codec::Av1,
        _ => Codec::H264,
    })
}

fn add(seen: &mut DecodedPart, sample: &gst::Sample) {
    let time = MediaTime(sample.buffer().and_then(|buffer| buffer.pts()).map_or(0, gst::ClockTime::nseconds));
    if seen.frames == 0 {
        (seen.first, seen.last, seen.in_order) = (time, time, true);
    } else {
        seen.in_order &= time > seen.last;
        (seen.first, seen.last) = (seen.first.min(time), seen.last.max(time));
    }
    seen.frames += 1;
    let size = |field| sample.caps()?.structure(0)?.get::<i32>(field).ok()?.try_into().ok();
    (seen.width, seen.height) = (size("width").unwrap_or(0), size("height").unwrap_or(0));
}

/// Pushes the files from a thread of its own: `appsrc` blocks while its queue is full.
fn feed(source: AppSrc, files: Vec<PathBuf>) -> Result<(), Failure> {
    let run = move || {
        for path in files {
            match std::fs::read(&path) {
                Ok(bytes) => {
                    if source.push_buffer(gst::Buffer::from_mut_slice(bytes)).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let text = format!("cannot read {}: {error}", path.display());
                    gst::element_error!(source, gst::ResourceError::Read, ("{}", text));
                    return;
                }
            }
        }
        let _ = source.end_of_stream();
    };
    std::thread::Builder::new().name("feeder".into()).spawn(run).map_err(Error::Thread)?;
    Ok(())
}

fn wait(pipeline: &gst::Pipeline, seen: &Mutex<DecodedPart>) -> Result<(), Failure> {
    let bus = pipeline.bus().ok_or_else(incomplete)?;
    let frames = || seen.lock().unwrap_or_else(PoisonError::into_inner).frames;
    let mut progress = (frames(), std::time::Instant::now());
    let types = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning];
    loop {
        let message = bus.timed_pop_filtered(gst::ClockTime::try_from(LOOK).ok(), &types);
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => return Ok(()),
            // A decoder warns when it conceals a damaged picture.
            Some(gst::MessageView::Error(error)) => return Err(damaged(&error.error())),
            Some(gst::MessageView::Warning(warning)) => return Err(damaged(&warning.error())),
            _ if frames() != progress.0 => progress = (frames(), std::time::Instant::now()),
            _ if progress.1.elapsed() > Duration::from(SILENCE) => {
                return Err(Failure::new(Fault::Device, "the decoder delivers no more frames"));
            }
            _ => {}
        }
    }
}

fn damaged(error: &gst::glib::Error) -> Failure {
    Failure::new(Fault::Device, format!("cannot be decoded: {error}"))
}

fn incomplete() -> Failure {
    Failure::new(Fault::Bug, "the decoding pipeline is incomplete")
}
