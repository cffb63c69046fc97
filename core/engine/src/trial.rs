//! One run of an encode chain on made-up frames: pushes them one by one, as a recording does, and takes the time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use deskreel_contract::Codec;
use deskreel_model::worker::Picture;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrcCallbacks};
use gstreamer_video as gst_video;

use crate::candidates::Fitted;
use crate::encode::{self, EncodePipeline};
use crate::judge::{self, Converter};
use crate::pattern::{PIXEL, Pattern};
use crate::{bus, close};

const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// A frame that the encoder has taken and not given back after so long is one that it keeps until more follow. Too
/// short a time only makes the window of a recording larger than it need be.
const GRACE: Duration = Duration::from_millis(60);
/// Encoders that look ahead keep 40 frames (x264) or so. More is too far behind what is on the screen.
const MOST_HELD: u64 = 64;

pub struct Plan<'a> {
    pub codec: Codec,
    pub fitted: &'a Fitted,
    pub frames: &'a Frames<'a>,
    /// At least so many; more where the encoder keeps more before it gives the first.
    pub count: u64,
    /// The frame that is to become a keyframe.
    pub forced: Option<u64>,
    pub limits: Limits,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Opening a device takes up to seconds; a frame does not.
    pub first_frame: Duration,
    pub frame: Duration,
}

impl Limits {
    /// Larger pictures take longer, and a probe is no race: whether an encoder is fast enough, the recording shows.
    pub fn of(picture: &Picture) -> Limits {
        let times = picture.times_full_hd();
        Limits { first_frame: Duration::from_secs(5) * times, frame: Duration::from_secs(2) * times }
    }
}

/// What came out.
pub struct Trial {
    /// In the order of decoding.
    pub units: Vec<gst::Sample>,
    /// Numbers of the frames that became keyframes.
    pub keyframes: BTreeSet<u64>,
    pub pushed: u64,
    pub holds: u32,
    /// From the start of the chain to its first access unit.
    pub first_frame: Duration,
}

/// The pattern in the source's own format.
pub struct Frames<'a> {
    pattern: &'a Pattern,
    picture: &'a Picture,
    painted: gst_video::VideoInfo,
    wanted: gst_video::VideoInfo,
    converter: Option<Converter>,
}

pub fn period(picture: &Picture) -> gst::ClockTime {
    gst::ClockTime::SECOND / u64::from(picture.fps.max(1))
}

impl<'a> Frames<'a> {
    pub fn new(pattern: &'a Pattern, picture: &'a Picture) -> Result<Self, String> {
        let Picture { format, width, height, fps } = picture;
        let info = |format| {
            let rate = gst::Fraction::new(i32::try_from(*fps).unwrap_or(1).max(1), 1);
            gst_video::VideoInfo::builder(format, *width, *height).fps(rate).build()
        };
        let unknown = |_| format!("pictures of {width}x{height} in the format {format} cannot be made");
        let painted = info(gst_video::VideoFormat::Bgrx).map_err(unknown)?;
        let wanted = info(gst_video::VideoFormat::from_string(format)).map_err(unknown)?;
        let converter = match painted.format() == wanted.format() {
            true => None,
            false => Some(Converter::new(&painted, Some(&wanted))?),
        };
        Ok(Frames { pattern, picture, painted, wanted, converter })
    }

    fn caps(&self) -> Result<gst::Caps, String> {
        self.wanted.to_caps().map_err(|error| error.to_string())
    }

    fn frame(&self, number: u64) -> Result<gst::Buffer, String> {
        let no_memory = |_| "no memory for a frame".to_owned();
        let mut buffer = gst::Buffer::with_size(self.painted.size()).map_err(no_memory)?;
        if let Some(writable) = buffer.get_mut() {
            let mut bytes = writable.map_writable().map_err(no_memory)?;
            self.pattern.paint(number, &mut bytes, self.painted.width() as usize * PIXEL);
        }
        if let Some(converter) = &self.converter {
            buffer = converter.convert(&buffer)?;
        }
        if let Some(writable) = buffer.get_mut() {
            writable.set_pts(period(self.picture) * number);
            writable.set_duration(period(self.picture));
        }
        Ok(buffer)
    }
}

enum Event {
    /// The encoder has taken so many frames, and is ready for the next.
    Taken(u64),
    Unit(gst::Sample),
    Failed(String),
    End,
}

/// Whether the encoder takes the size at all. It is opened for that: what it takes may depend on the device.
pub fn takes_size(encoder: &gst::Element, picture: &Picture) -> Result<(), String> {
    let (tell, told) = channel();
    bus::watch_alone(encoder, move |event| {
        if let bus::Event::Failed(failure) = event {
            let _ = tell.send(failure.message);
        }
    });
    let opened = encoder.set_state(gst::State::Ready);
    let takes = encoder.static_pad("sink").map(|pad| pad.query_caps(None));
    let in_time = close::within(encoder.clone(), CLOSE_LIMIT);
    encoder.set_bus(None);
    if opened.is_err() {
        return Err(told.try_recv().unwrap_or_else(|_| "it cannot be opened".to_owned()));
    }
    if !in_time {
        return Err(format!("it does not let go of its device within {CLOSE_LIMIT:?}"));
    }
    takes.map_or(Ok(()), |takes| fits_size(&takes, picture))
}

/// Odd sizes are made even before they are encoded.
fn fits_size(takes: &gst::Caps, picture: &Picture) -> Result<(), String> {
    let even = |size: u32| i32::try_from(size.next_multiple_of(2)).unwrap_or(i32::MAX);
    let (width, height) = (even(picture.width), even(picture.height));
    let range = |structure: &gst::StructureRef, field| match structure.get::<gst::IntRange<i32>>(field) {
        Ok(range) => Some((range.min(), range.max())),
        Err(_) => structure.get::<i32>(field).ok().map(|only| (only, only)),
    };
    let ranges = takes.iter().filter_map(|one| Some((range(one, "width")?, range(one, "height")?)));
    let ranges: Vec<_> = ranges.collect();
    let within = |(least, most): (i32, i32), size| (least..=most).contains(&size);
    match ranges.first() {
        Some((w, h)) if !ranges.iter().any(|(w, h)| within(*w, width) && within(*h, height)) => Err(format!(
            "it takes pictures of {}x{} to {}x{}; the picture is {}x{}",
            w.0, h.0, w.1, h.1, picture.width, picture.height
        )),
        _ => Ok(()),
    }
}

pub fn run(plan: &Plan<'_>) -> Result<Trial, String> {
    let caps = plan.frames.caps()?;
    let chain = encode::build("probe", plan.codec, &plan.fitted.candidate, &caps)
        .map_err(|error| error.to_string())?;
    let (tell, told) = channel();
    listen(&chain, &tell);
    let mut run = Run { plan, chain, told, begin: Instant::now(), first: None, units: Vec::new(), holds: 0 };
    let pushed = run.all();
    let in_time = close::within(run.chain.pipeline.clone().upcast(), CLOSE_LIMIT);
    let pushed = pushed?;
    if !in_time {
        return Err(format!("it does not let go of its device within {CLOSE_LIMIT:?}"));
    }
    run.finished(pushed)
}

fn listen(chain: &EncodePipeline, tell: &Sender<Event>) {
    let (taken, units, end, failed) = (tell.clone(), tell.clone(), tell.clone(), tell.clone());
    // `appsrc` asks for more when the call that handed over the last frame has returned.
    let handed = Arc::new(AtomicU64::new(0));
    let counter = handed.clone();
    if let Some(pad) = chain.input.static_pad("src") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counter.fetch_add(1, Relaxed);
            gst::PadProbeReturn::Ok
        });
    }
    let need_data = move |_: &_, _| drop(taken.send(Event::Taken(handed.load(Relaxed))));
    chain.input.set_callbacks(AppSrcCallbacks::builder().need_data(need_data).build());
    let new_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        units.send(Event::Unit(sample)).map_err(|_| gst::FlowError::Eos)?;
        Ok(gst::FlowSuccess::Ok)
    };
    let eos = move |_: &AppSink| drop(end.send(Event::End));
    chain.output.set_callbacks(AppSinkCallbacks::builder().new_sample(new_sample).eos(eos).build());
    bus::watch(&chain.pipeline, move |event| {
        if let bus::Event::Failed(failure) = event {
            let _ = failed.send(Event::Failed(failure.message));
        }
    });
}

struct Run<'a> {
    plan: &'a Plan<'a>,
    chain: EncodePipeline,
    told: Receiver<Event>,
    begin: Instant,
    first: Option<Duration>,
    units: Vec<gst::Sample>,
    holds: u64,
}

impl Run<'_> {
    /// Gives how many frames went in.
    fn all(&mut self) -> Result<u64, String> {
        if self.chain.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(self.said().unwrap_or_else(|| "it cannot be opened".to_owned()));
        }
        // The chain is ready when it asks for its first frame.
        self.wait(self.plan.limits.first_frame, "it is not ready", |event| matches!(event, Event::Taken(_)))?;
        let mut pushed = 0;
        while pushed < self.plan.count || self.units.is_empty() {
            if pushed == self.plan.count + MOST_HELD {
                return Err(format!("it keeps more than {pushed} frames before it gives the first one"));
            }
            let frame = self.plan.frames.frame(pushed)?;
            let pushing = self.chain.push(frame, self.plan.forced == Some(pushed));
            if pushing.is_err() {
                return Err(self.said().unwrap_or_else(|| format!("it does not take frame {pushed}")));
            }
            pushed += 1;
            self.settle(pushed)?;
        }
        let _ = self.chain.input.end_of_stream();
        self.wait(self.plan.limits.frame, "it does not end", |event| matches!(event, Event::End))?;
        Ok(pushed)
    }

    /// Waits until the encoder has given back all but what it keeps; learns how many that are.
    fn settle(&mut self, pushed: u64) -> Result<(), String> {
        let begin = Instant::now();
        let mut taken: Option<Instant> = None;
        let Limits { first_frame, frame } = self.plan.limits;
        let limit = if self.units.is_empty() { first_frame } else { frame };
        // An encoder that looks far ahead is not waited for with every frame.
        let grace = if pushed > self.plan.count { Duration::ZERO } else { GRACE };
        loop {
            let inside = pushed.saturating_sub(self.units.len() as u64);
            if inside <= self.holds && !self.units.is_empty() {
                return Ok(());
            }
            let until = taken.map_or(begin + limit, |taken| taken + grace);
            match self.told.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Taken(count)) if count >= pushed => taken = Some(Instant::now()),
                Ok(event) => self.heard(event)?,
                Err(_) if taken.is_some() => {
                    self.holds = self.holds.max(inside);
                    return Ok(());
                }
                Err(_) => {
                    let frame = pushed - 1;
                    return Err(format!(
                        "it hangs or is far too slow: frame {frame} is not taken within {limit:?}"
                    ));
                }
            }
        }
    }

    /// Until an event that is waited for; the limit begins anew with every access unit.
    fn wait(&mut self, limit: Duration, late: &str, is_it: impl Fn(&Event) -> bool) -> Result<(), String> {
        loop {
            match self.told.recv_timeout(limit) {
                Ok(event) if is_it(&event) => return Ok(()),
                Ok(event) => self.heard(event)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let given = self.units.len();
                    return Err(format!("{late} within {limit:?}, after giving {given} frames"));
                }
            }
        }
    }

    fn heard(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Unit(sample) => {
                self.first.get_or_insert_with(|| self.begin.elapsed());
                self.units.push(sample);
                Ok(())
            }
            Event::Failed(reason) => Err(reason),
            Event::End => Err("it ends although nobody asked it to".to_owned()),
            Event::Taken(_) => Ok(()),
        }
    }

    /// An error that is on its way.
    fn said(&self) -> Option<String> {
        self.told
            .try_iter()
            .find_map(|event| if let Event::Failed(reason) = event { Some(reason) } else { None })
    }

    /// Every frame has come out once, at its own time.
    fn finished(self, pushed: u64) -> Result<Trial, String> {
        let period = period(self.plan.frames.picture);
        let numbers: Vec<Option<u64>> = self.units.iter().map(|unit| judge::number(unit, period)).collect();
        let came: BTreeSet<u64> = numbers.iter().copied().flatten().collect();
        if self.units.len() as u64 != pushed {
            return Err(format!("{pushed} frames went in and {} came out", self.units.len()));
        }
        if !came.iter().copied().eq(0..pushed) {
            return Err("it changes the times of frames".to_owned());
        }
        let is_key = |unit: &gst::Sample| {
            unit.buffer().is_some_and(|buffer| !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT))
        };
        let keyframes = self.units.iter().zip(numbers).filter(|(unit, _)| is_key(unit));
        Ok(Trial {
            keyframes: keyframes.filter_map(|(_, number)| number).collect(),
            pushed,
            holds: u32::try_from(self.holds).unwrap_or(u32::MAX),
            first_frame: self.first.unwrap_or_default(),
            units: self.units,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_an_encoder_does_not_take_is_refused_with_its_limits() {
        gst::init().unwrap();
        let takes: gst::Caps = "video/x-raw(memory:VAMemory),format=NV12,width=[145,4096],height=[49,4096]; \
             video/x-raw,format=NV12,width=[145,4096],height=[49,4096]"
            .parse()
            .unwrap();
        let fits =
            |width, height| fits_size(&takes, &Picture { format: "BGRx".into(), width, height, fps: 10 });
        assert_eq!(
            fits(64, 48).unwrap_err(),
            "it takes pictures of 145x49 to 4096x4096; the picture is 64x48"
        );
        assert!(fits(7680, 1080).is_err() && fits(4095, 4095).is_ok() && fits(145, 49).is_ok());
        let any: gst::Caps = "video/x-raw,format=I420".parse().unwrap();
        let huge = Picture { format: "BGRx".into(), width: 99_999, height: 2, fps: 10 };
        assert_eq!(fits_size(&any, &huge), Ok(()));
    }
}
