//! Decodes the output of a probe's encoder in software and compares it with what went in.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use deskreel_contract::{Codec, Element};
use deskreel_model::worker::Picture;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use gstreamer_video as gst_video;

use crate::probe::pattern::{NUMBERS, PIXEL, Pattern};
use crate::probe::{bounded_close, decode};
use crate::{build, bus};

/// Largest mean difference, of 255, with which a picture still counts as the same. At the worst quality of
/// x264 and openh264 it is 23 for 64x48 pixels and 12 for 720p, at the default quality 3. Pictures without
/// color have 35 and more; gray, green and black ones and those with swapped colors 45 and more.
const MOST_ERROR: f32 = 28.0;
/// If no decoded picture comes for this long, the decoder hangs.
const SILENCE: Duration = Duration::from_secs(3);
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The input of a probe's encoder: frame `n` is at `n` periods.
pub struct ProbeInput<'a> {
    pub pattern: &'a Pattern,
    pub picture: &'a Picture,
    pub period: gst::ClockTime,
    pub frames: u64,
}

enum Event {
    Shown(gst::Sample),
    Failed(String),
    End,
}

/// Compares all decoded pictures. Returns the largest difference; an error says what is wrong.
pub fn compare(codec: Codec, units: &[gst::Sample], input: &ProbeInput<'_>) -> Result<f32, String> {
    let (pipeline, source, shown) = decoder(codec)?;
    let mut judge = Judge { input, converter: None, seen: 0, worst: 0.0 };
    let outcome = (|| {
        for unit in units {
            source.push_sample(unit).map_err(|error| format!("it cannot be decoded: {error}"))?;
        }
        source.end_of_stream().map_err(|error| format!("it cannot be decoded: {error}"))?;
        loop {
            match shown.recv_timeout(SILENCE) {
                Ok(Event::Shown(sample)) => judge.look(&sample)?,
                Ok(Event::Failed(error)) => return Err(format!("it cannot be decoded: {error}")),
                Ok(Event::End) => return judge.end(),
                Err(_) => return Err("its pictures cannot be decoded in time".to_owned()),
            }
        }
    })();
    bounded_close::within(pipeline.upcast(), CLOSE_LIMIT);
    outcome
}

fn decoder(codec: Codec) -> Result<(gst::Pipeline, AppSrc, std::sync::mpsc::Receiver<Event>), String> {
    let decoder = decode::decoder(codec).map_err(|error| error.to_string())?;
    let wanted = [
        Element::new("appsrc").set("format", "time").set("handle-segment-change", true),
        Element::new(decode::parser(codec)),
        Element::new(decoder),
        // Decodes a few pictures ahead of the comparison, which takes about as long.
        Element::new("appsink").set("sync", false).set("max-buffers", 4),
    ];
    let pipeline = gst::Pipeline::new();
    let made = build::linked(&pipeline, "judge", &wanted).map_err(|error| error.to_string())?;
    let source = made.first().and_then(|element| element.clone().downcast::<AppSrc>().ok());
    let sink = made.last().and_then(|element| element.clone().downcast::<AppSink>().ok());
    let (Some(source), Some(sink)) = (source, sink) else { return Err("no decoder".to_owned()) };
    let (tell, shown) = channel();
    deliver(&sink, &tell);
    bus::watch(&pipeline, move |event| {
        if let bus::Event::Failed(failure) = event {
            let _ = tell.send(Event::Failed(failure.message));
        }
    });
    pipeline.set_state(gst::State::Playing).map_err(|_| format!("`{decoder}` does not start"))?;
    Ok((pipeline, source, shown))
}

fn deliver(sink: &AppSink, tell: &Sender<Event>) {
    let (pictures, end) = (tell.clone(), tell.clone());
    let new_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        pictures.send(Event::Shown(sample)).map_err(|_| gst::FlowError::Eos)?;
        Ok(gst::FlowSuccess::Ok)
    };
    let eos = move |_: &AppSink| drop(end.send(Event::End));
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(new_sample).eos(eos).build());
}

struct Judge<'a> {
    input: &'a ProbeInput<'a>,
    converter: Option<Converter>,
    seen: u64,
    worst: f32,
}

impl Judge<'_> {
    fn look(&mut self, sample: &gst::Sample) -> Result<(), String> {
        let ProbeInput { pattern, period, .. } = self.input;
        let number = frame_number(sample, *period).ok_or("a decoded picture has no time")?;
        let unreadable = || "a decoded picture cannot be read".to_owned();
        let info = sample.caps().and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok());
        let info = info.ok_or_else(unreadable)?;
        self.check_size(&info)?;
        let converter = match &mut self.converter {
            Some(converter) if converter.from == info => converter,
            other => other.insert(Converter::new(&info, None)?),
        };
        let picture = converter.convert(sample.buffer().ok_or_else(unreadable)?)?;
        let bytes = picture.map_readable().map_err(|_| unreadable())?;
        let comparison = pattern.judge(number, &bytes, info.width() as usize * PIXEL);
        if comparison.error > MOST_ERROR {
            return Err(format!(
                "it encodes another picture: frame {number} is off by {:.0} of 255",
                comparison.error
            ));
        }
        if comparison.number != number % NUMBERS {
            return Err(format!("frame {number} shows the picture of another frame"));
        }
        self.seen += 1;
        self.worst = self.worst.max(comparison.error);
        Ok(())
    }

    /// An odd size may come out with or without the black column or row that made it even.
    fn check_size(&self, info: &gst_video::VideoInfo) -> Result<(), String> {
        let Picture { width, height, .. } = *self.input.picture;
        let fits = |got: u32, wanted: u32| got == wanted || got == wanted.next_multiple_of(2);
        if fits(info.width(), width) && fits(info.height(), height) {
            return Ok(());
        }
        Err(format!("it produces pictures of {}x{}, not of {width}x{height}", info.width(), info.height()))
    }

    fn end(&self) -> Result<f32, String> {
        let ProbeInput { frames, .. } = self.input;
        match self.seen {
            seen if seen == *frames => Ok(self.worst),
            seen => Err(format!("only {seen} of {frames} frames can be decoded")),
        }
    }
}

/// The number of a sample's frame, by its running time.
pub fn frame_number(sample: &gst::Sample, period: gst::ClockTime) -> Option<u64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let time = segment.to_running_time(sample.buffer()?.pts()?)?;
    Some((time.nseconds() + period.nseconds() / 2) / period.nseconds().max(1))
}

/// Converts pictures to another format of the same size.
pub struct Converter {
    from: gst_video::VideoInfo,
    to: gst_video::VideoInfo,
    converter: gst_video::VideoConverter,
}

impl Converter {
    /// Makes a converter; without `to`, to BGRx.
    pub fn new(from: &gst_video::VideoInfo, to: Option<&gst_video::VideoInfo>) -> Result<Self, String> {
        let bgrx = gst_video::VideoInfo::builder(gst_video::VideoFormat::Bgrx, from.width(), from.height());
        let bgrx = bgrx.fps(from.fps()).build().map_err(|error| error.to_string())?;
        let to = to.unwrap_or(&bgrx).clone();
        let converter = gst_video::VideoConverter::new(from, &to, None).map_err(|error| error.to_string())?;
        Ok(Converter { from: from.clone(), to, converter })
    }

    pub fn convert(&self, picture: &gst::BufferRef) -> Result<gst::Buffer, String> {
        let unreadable = |_| "a picture cannot be read".to_owned();
        let from =
            gst_video::VideoFrameRef::from_buffer_ref_readable(picture, &self.from).map_err(unreadable)?;
        let mut buffer = gst::Buffer::with_size(self.to.size()).map_err(|error| error.to_string())?;
        if let Some(writable) = buffer.get_mut() {
            let mut to =
                gst_video::VideoFrameRef::from_buffer_ref_writable(writable, &self.to).map_err(unreadable)?;
            self.converter.frame_ref(&from, &mut to);
        }
        Ok(buffer)
    }
}
