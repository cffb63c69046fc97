//! One run of an encode chain on generated frames: pushes them one by one, as a recording does, and measures
//! the time.

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

use crate::bus;
use crate::encode::candidates::FittedCandidate;
use crate::encode::{self, EncodePipeline};
use crate::probe::bounded_close;
use crate::probe::judge::{self, Converter};
use crate::probe::pattern::{PIXEL, Pattern};

const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// A frame that the encoder has taken and not delivered after this long is one that it keeps until more
/// follow. Too short a time only makes a recording's window larger than necessary.
const GRACE: Duration = Duration::from_millis(60);
/// Encoders that look ahead keep about 40 frames (x264). With more, the footage lags too far behind the
/// screen.
const MOST_HELD: u64 = 64;

pub struct TrialPlan<'a> {
    pub codec: Codec,
    pub fitted: &'a FittedCandidate,
    pub frames: &'a TrialFrames<'a>,
    /// Frames to push at least; more if the encoder keeps more before it delivers the first.
    pub count: u64,
    /// The frame that is requested as a keyframe.
    pub forced: Option<u64>,
    pub limits: TrialLimits,
}

#[derive(Debug, Clone, Copy)]
pub struct TrialLimits {
    /// Longer than the limit of `frame`, since opening a device can take seconds.
    pub first_frame: Duration,
    pub frame: Duration,
}

impl TrialLimits {
    /// Larger pictures get more time. A probe does not judge speed: whether an encoder is fast enough shows
    /// in the recording.
    pub fn of(picture: &Picture) -> TrialLimits {
        let times = picture.times_full_hd();
        TrialLimits { first_frame: Duration::from_secs(5) * times, frame: Duration::from_secs(2) * times }
    }
}

/// The output of a run.
pub struct Trial {
    /// Access units in decoding order.
    pub units: Vec<gst::Sample>,
    /// Numbers of the frames that became keyframes.
    pub keyframes: BTreeSet<u64>,
    pub pushed: u64,
    /// Frames that the encoder keeps before it delivers the first one.
    pub holds: u32,
    /// Time from the start of the chain to its first access unit.
    pub first_frame: Duration,
}

/// Frames of the pattern in the source's format.
pub struct TrialFrames<'a> {
    pattern: &'a Pattern,
    picture: &'a Picture,
    painted: gst_video::VideoInfo,
    wanted: gst_video::VideoInfo,
    converter: Option<Converter>,
}

pub fn period(picture: &Picture) -> gst::ClockTime {
    gst::ClockTime::SECOND / u64::from(picture.fps.max(1))
}

impl<'a> TrialFrames<'a> {
    pub fn new(pattern: &'a Pattern, picture: &'a Picture) -> Result<Self, String> {
        let Picture { format, width, height, fps } = picture;
        let info = |format| {
            let rate = gst::Fraction::new(i32::try_from(*fps).unwrap_or(1).max(1), 1);
            gst_video::VideoInfo::builder(format, *width, *height).fps(rate).build()
        };
        let unknown = |_| format!("cannot make pictures of {width}x{height} in the format {format}");
        let painted = info(gst_video::VideoFormat::Bgrx).map_err(unknown)?;
        let wanted = info(gst_video::VideoFormat::from_string(format)).map_err(unknown)?;
        let converter = match painted.format() == wanted.format() {
            true => None,
            false => Some(Converter::new(&painted, Some(&wanted))?),
        };
        Ok(TrialFrames { pattern, picture, painted, wanted, converter })
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
    /// The encoder has taken this many frames and is ready for the next.
    Taken(u64),
    Unit(gst::Sample),
    Failed(String),
    End,
}

/// Checks that the encoder accepts the picture's size. Opens it, since that may depend on the device.
pub fn takes_size(encoder: &gst::Element, picture: &Picture) -> Result<(), String> {
    let (tell, events) = channel();
    bus::watch_alone(encoder, move |event| {
        if let bus::Event::Failed(failure) = event {
            let _ = tell.send(failure.message);
        }
    });
    let opened = encoder.set_state(gst::State::Ready);
    let takes = encoder.static_pad("sink").map(|pad| pad.query_caps(None));
    let in_time = bounded_close::within(encoder.clone(), CLOSE_LIMIT);
    encoder.set_bus(None);
    if opened.is_err() {
        return Err(events.try_recv().unwrap_or_else(|_| "it cannot be opened".to_owned()));
    }
    if !in_time {
        return Err(format!("it does not release its device within {CLOSE_LIMIT:?}"));
    }
    takes.map_or(Ok(()), |takes| fits_size(&takes, picture))
}

/// Compares with the size that is encoded: odd sizes are made even first.
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

pub fn run(plan: &TrialPlan<'_>) -> Result<Trial, String> {
    let caps = plan.frames.caps()?;
    let chain = encode::build("probe", plan.codec, &plan.fitted.candidate, &caps)
        .map_err(|error| error.to_string())?;
    let (tell, events) = channel();
    listen(&chain, &tell);
    let mut run =
        TrialRun { plan, chain, events, begin: Instant::now(), first: None, units: Vec::new(), holds: 0 };
    let pushed = run.push_all();
    let in_time = bounded_close::within(run.chain.pipeline.clone().upcast(), CLOSE_LIMIT);
    let pushed = pushed?;
    if !in_time {
        return Err(format!("it does not release its device within {CLOSE_LIMIT:?}"));
    }
    run.finish(pushed)
}

fn listen(chain: &EncodePipeline, tell: &Sender<Event>) {
    let (taken, units, end, failed) = (tell.clone(), tell.clone(), tell.clone(), tell.clone());
    // `appsrc` asks for data when the call that handed over the last frame has returned.
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

struct TrialRun<'a> {
    plan: &'a TrialPlan<'a>,
    chain: EncodePipeline,
    events: Receiver<Event>,
    begin: Instant,
    first: Option<Duration>,
    units: Vec<gst::Sample>,
    holds: u64,
}

impl TrialRun<'_> {
    /// Pushes all frames and ends the chain. Returns how many frames went in.
    fn push_all(&mut self) -> Result<u64, String> {
        if self.chain.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(self.pending_error().unwrap_or_else(|| "it cannot be opened".to_owned()));
        }
        // The chain is ready when it asks for its first frame.
        self.wait(self.plan.limits.first_frame, "it is not ready", |event| matches!(event, Event::Taken(_)))?;
        let mut pushed = 0;
        while pushed < self.plan.count || self.units.is_empty() {
            if pushed == self.plan.count + MOST_HELD {
                return Err(format!("it keeps more than {pushed} frames before it produces the first one"));
            }
            let frame = self.plan.frames.frame(pushed)?;
            let pushing = self.chain.push(frame, self.plan.forced == Some(pushed));
            if pushing.is_err() {
                return Err(self
                    .pending_error()
                    .unwrap_or_else(|| format!("it does not take frame {pushed}")));
            }
            pushed += 1;
            self.settle(pushed)?;
        }
        let _ = self.chain.input.end_of_stream();
        self.wait(self.plan.limits.frame, "it does not end", |event| matches!(event, Event::End))?;
        Ok(pushed)
    }

    /// Waits until the encoder has delivered all frames but those that it keeps, and learns how many it
    /// keeps.
    fn settle(&mut self, pushed: u64) -> Result<(), String> {
        let begin = Instant::now();
        let mut taken: Option<Instant> = None;
        let TrialLimits { first_frame, frame } = self.plan.limits;
        let limit = if self.units.is_empty() { first_frame } else { frame };
        // If an encoder looks far ahead, not every frame is worth the wait.
        let grace = if pushed > self.plan.count { Duration::ZERO } else { GRACE };
        loop {
            let inside = pushed.saturating_sub(self.units.len() as u64);
            if inside <= self.holds && !self.units.is_empty() {
                return Ok(());
            }
            let until = taken.map_or(begin + limit, |taken| taken + grace);
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Taken(count)) if count >= pushed => taken = Some(Instant::now()),
                Ok(event) => self.take_event(event)?,
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

    /// Waits for an event of this kind; every other event restarts the limit.
    fn wait(&mut self, limit: Duration, late: &str, is_it: impl Fn(&Event) -> bool) -> Result<(), String> {
        loop {
            match self.events.recv_timeout(limit) {
                Ok(event) if is_it(&event) => return Ok(()),
                Ok(event) => self.take_event(event)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let given = self.units.len();
                    return Err(format!("{late} within {limit:?}, after producing {given} frames"));
                }
            }
        }
    }

    fn take_event(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Unit(sample) => {
                self.first.get_or_insert_with(|| self.begin.elapsed());
                self.units.push(sample);
                Ok(())
            }
            Event::Failed(reason) => Err(reason),
            Event::End => Err("it ends without being asked to".to_owned()),
            Event::Taken(_) => Ok(()),
        }
    }

    /// An error that waits in the channel.
    fn pending_error(&self) -> Option<String> {
        self.events
            .try_iter()
            .find_map(|event| if let Event::Failed(reason) = event { Some(reason) } else { None })
    }

    /// Checks that every frame has come out once, at its own time.
    fn finish(self, pushed: u64) -> Result<Trial, String> {
        let period = period(self.plan.frames.picture);
        let numbers: Vec<Option<u64>> =
            self.units.iter().map(|unit| judge::frame_number(unit, period)).collect();
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
    fn a_size_that_an_encoder_does_not_accept_is_refused_with_its_limits() {
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
