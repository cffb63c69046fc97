//! One job on GStreamer, from its start until everything is on disk.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Sender, SyncSender};

use deskreel_contract::{EncodeRequest, Producer, SourceRecipe, SourceRequest};
use deskreel_fmp4::{Codec, VideoConfig};
use deskreel_model::manifest::{Cause, EncoderUse, FileRef, FrameCounts, PluginUse, Refusal};
use deskreel_model::worker::{Job, OpenedPart, Report, TrackBeat, TrackJob};
use deskreel_model::{Failure, MediaTime, PartNumber, layout};
use deskreel_pipeline::plan::Plan;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};

use crate::capture::{Capture, Gate, Rules};
use crate::counters::Counters;
use crate::error::Error;
use crate::fragments::Frame;
use crate::frames::{self, Painter};
use crate::plugins::{Plugins, SourcePlugin};
use crate::wire::Reporter;
use crate::worker::Input;
use crate::{build, bus, writer};

type Data = gst::MappedBuffer<gst::buffer::Readable>;
type WriterInput = writer::Input<Data>;

/// A job that runs.
pub struct Session {
    pipeline: gst::Pipeline,
    tracks: Vec<Track>,
    reporter: Reporter,
}

struct Track {
    name: String,
    part: PartNumber,
    counters: Arc<Counters>,
    queue: gst::Element,
    writer: SyncSender<WriterInput>,
    done: bool,
    painter: Option<Painter>,
    /// Kept alive: it may watch the screen for us.
    _source: Option<SourcePlugin>,
}

/// Loads the GStreamer plugins that the tracks' encoders and our own chain need, so that a start finds them in
/// memory: 5 ms of 38 from a warm worker to its first fragment. What cannot be loaded, the start reports.
pub fn preload(tracks: &[TrackJob], plugins: &Plugins) {
    for track in tracks {
        let request = encode_request(track, track.max_fps);
        let candidates = track.encoders.iter().filter_map(|wanted| plugins.candidates(wanted, &request).ok());
        let Some(candidate) = candidates.flat_map(|(_, candidates)| candidates).next() else { continue };
        let recipe =
            SourceRecipe { producer: Producer::Elements(vec![]), caps: String::new(), changes_only: false };
        for step in Plan::new(track, &recipe, &candidate).steps {
            let _ = build::element(&step.element, "preload");
        }
    }
}

impl Track {
    fn frames(&self) -> FrameCounts {
        if self.done {
            return self.counters.drained();
        }
        self.counters.look(u64::from(self.queue.property::<u32>("current-level-buffers")));
        self.counters.running()
    }
}

impl Session {
    /// Makes the pipeline and starts it. From here on everything that happens comes as [`Input`].
    pub fn start(
        job: &Job,
        plugins: &Plugins,
        inputs: &Sender<Input>,
        reporter: &Reporter,
    ) -> Result<Session, Failure> {
        let pipeline = gst::Pipeline::new();
        let clock = gst::SystemClock::obtain();
        pipeline.use_clock(Some(&clock));
        // Running time starts here for every source, whatever its own timestamps start at.
        pipeline.set_start_time(gst::ClockTime::NONE);
        let base = clock.time();
        pipeline.set_base_time(base);
        let offset = base.nseconds().saturating_sub(job.origin_ns);
        let tell = inputs.clone();
        bus::watch(&pipeline, move |event| drop(tell.send(Input::Bus(event))));

        let mut session = Session { pipeline, tracks: Vec::new(), reporter: reporter.clone() };
        match session.play(job, offset, plugins, inputs) {
            Ok(()) => Ok(session),
            Err(failure) => {
                // The process ends next, and takes it along.
                std::mem::forget(session);
                Err(failure)
            }
        }
    }

    fn play(
        &mut self,
        job: &Job,
        offset: u64,
        plugins: &Plugins,
        inputs: &Sender<Input>,
    ) -> Result<(), Failure> {
        for (index, track) in job.tracks.iter().enumerate() {
            let track = self.track(index, track, job, offset, plugins, inputs)?;
            self.tracks.push(track);
        }
        match self.change_state(gst::State::Paused)? {
            gst::StateChangeSuccess::NoPreroll => {}
            // Without a live source everything would run as fast as it can.
            _ => return Err(Error::NotLive.into()),
        }
        self.change_state(gst::State::Playing)?;
        Ok(())
    }

    fn change_state(&self, to: gst::State) -> Result<gst::StateChangeSuccess, Error> {
        // The element that refuses says why on the bus.
        self.pipeline.set_state(to).map_err(|_| Error::NoStart("an element refuses to start".into()))
    }

    fn track(
        &self,
        index: usize,
        job: &TrackJob,
        part: &Job,
        offset: u64,
        plugins: &Plugins,
        inputs: &Sender<Input>,
    ) -> Result<Track, Failure> {
        let changed = {
            let inputs = inputs.clone();
            move |detail| drop(inputs.send(Input::SourceChanged(detail)))
        };
        let mut source = plugins.source(&job.source, changed.clone())?;
        let recipe = source.recipe(&SourceRequest { max_fps: job.max_fps })?;
        let (chain, plan, encoder) = self.encoder(job, &recipe, plugins)?;

        let counters = Arc::new(Counters::default());
        counters.offset.store(offset, Relaxed);
        let fps = fps(&recipe, job.max_fps);
        let period = 1_000_000_000 / u64::from(fps);
        let rules = Rules {
            changes_only: plan.changes_only,
            period,
            keepalive: job.keepalive_ns,
            settle: part.fragment_ns,
        };
        let interval = job.encode.keyframe_interval_ms * 1_000_000;
        let capture = Capture::new(Gate::new(rules), interval, counters.clone(), Box::new(changed.clone()));
        if let Some(pad) = chain.capture.static_pad("src") {
            capture.watch(&pad);
        }
        count(&chain.queue, &counters);

        let setup = writer::Setup {
            track: job.track.clone(),
            directory: part.directory.clone(),
            folder: layout::part_folder(&job.track, part.part),
            fragment_ns: part.fragment_ns,
            period_ns: period,
            opened: unopened(part.part, fps, source.used(), encoder),
            counters: counters.clone(),
            reporter: self.reporter.clone(),
        };
        let inputs_done = inputs.clone();
        let writer = writer::start(setup, move || drop(inputs_done.send(Input::TrackDone(index))))?;
        deliver(&chain.output, writer.clone(), counters.clone(), changed);

        let (painter, source) = match (plan.frames, chain.frames) {
            (Some(format), Some(appsrc)) => {
                let inputs = inputs.clone();
                let fail = move |failure| drop(inputs.send(Input::Failed(failure)));
                (Some(frames::paint(source, format, appsrc, &self.pipeline, fail)?), None)
            }
            _ => (None, Some(source)),
        };
        let name = job.track.clone();
        Ok(Track {
            name,
            part: part.part,
            counters,
            queue: chain.queue,
            writer,
            done: false,
            painter,
            _source: source,
        })
    }

    /// The first candidate whose elements can be made.
    fn encoder(
        &self,
        job: &TrackJob,
        recipe: &SourceRecipe,
        plugins: &Plugins,
    ) -> Result<(build::Chain, Plan, EncoderUse), Failure> {
        let request = encode_request(job, fps(recipe, job.max_fps));
        let mut refused = Vec::new();
        for wanted in &job.encoders {
            let (used, candidates) = match plugins.candidates(wanted, &request) {
                Ok(answer) => answer,
                Err(error) => {
                    refused.push(refusal(&wanted.plugin, None, &error));
                    continue;
                }
            };
            for candidate in candidates {
                let unmade = candidate.elements.iter().find_map(|e| build::element(e, "trial").err());
                if let Some(error) = unmade {
                    refused.push(refusal(&wanted.plugin, Some(candidate.id), &error));
                    continue;
                }
                let plan = Plan::new(job, recipe, &candidate);
                let chain = build::chain(&self.pipeline, &plan)?;
                let PluginUse { plugin, version } = used;
                let used = EncoderUse {
                    plugin,
                    version,
                    candidate: candidate.id,
                    memory: candidate.memory,
                    gpu: None,
                    cannot: Vec::new(),
                    refused,
                };
                return Ok((chain, plan, used));
            }
        }
        let reasons: Vec<_> = refused.iter().map(|r| format!("{}: {}", r.plugin, r.reason)).collect();
        Err(Error::NoEncoder(reasons.join("; ")).into())
    }

    /// Asks for the end: what was captured so far goes through, and nothing else. It does not wait, and does not
    /// depend on the source, which may hang.
    pub fn drain(&mut self) {
        for track in &mut self.tracks {
            track.counters.closed.store(true, Relaxed);
            track.painter = None;
            if let Some(pad) = track.queue.static_pad("sink") {
                pad.send_event(gst::event::Eos::new());
            }
        }
    }

    /// Ends the writers although the encoders have not handed over everything.
    pub fn give_up(&self) {
        for track in self.tracks.iter().filter(|track| !track.done) {
            let _ = track.writer.try_send(WriterInput::Finish);
        }
    }

    /// True when the last track is on disk.
    pub fn track_done(&mut self, index: usize) -> bool {
        if let Some(track) = self.tracks.get_mut(index) {
            track.done = true;
        }
        self.tracks.iter().all(|track| track.done)
    }

    pub fn recalculate_latency(&self) {
        let _ = self.pipeline.recalculate_latency();
    }

    /// Says how every track fares.
    pub fn beat(&self) {
        let tracks = self.tracks.iter().map(|track| TrackBeat {
            track: track.name.clone(),
            part: track.part,
            frames: track.frames(),
            still_until: MediaTime(track.counters.still_until.load(Relaxed)),
            bytes: track.counters.bytes.load(Relaxed),
        });
        self.reporter.send(&Report::Beat { tracks: tracks.collect() });
    }
}

fn encode_request(job: &TrackJob, max_fps: u32) -> EncodeRequest {
    EncodeRequest { max_fps, ..job.encode.clone() }
}

/// Frames per second that a source gives at most.
fn fps(recipe: &SourceRecipe, max_fps: u32) -> u32 {
    match recipe.producer {
        Producer::Frames(format) => format.fps.min(max_fps),
        Producer::Elements(_) => max_fps,
    }
    .max(1)
}

fn unopened(number: PartNumber, fps: u32, source: PluginUse, encoder: EncoderUse) -> OpenedPart {
    let init = FileRef { file: String::new(), size: 0, sha256: String::new() };
    OpenedPart {
        number,
        cause: Cause::Start,
        source,
        encoder,
        codec: String::new(),
        width: 0,
        height: 0,
        fps,
        timescale: 0,
        init,
    }
}

fn refusal(plugin: &str, candidate: Option<String>, error: &Error) -> Refusal {
    Refusal { plugin: plugin.to_owned(), candidate, reason: error.to_string() }
}

/// GStreamer's queue does not say how many buffers it let go, so they are counted on both sides.
fn count(queue: &gst::Element, counters: &Arc<Counters>) {
    for (name, incoming) in [("sink", true), ("src", false)] {
        let Some(pad) = queue.static_pad(name) else { continue };
        let counters = counters.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let counter = if incoming { &counters.queued } else { &counters.dequeued };
            counter.fetch_add(1, Relaxed);
            gst::PadProbeReturn::Ok
        });
    }
}

/// Hands what leaves the encoder to the writer.
fn deliver(
    output: &AppSink,
    writer: SyncSender<WriterInput>,
    counters: Arc<Counters>,
    changed: impl Fn(String) + Send + 'static,
) {
    let finish = writer.clone();
    let mut configured: Option<VideoConfig> = None;
    let new_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let config = sample.caps().and_then(config).ok_or(gst::FlowError::NotNegotiated)?;
        match &configured {
            None => {
                configured = Some(config.clone());
                writer.send(WriterInput::Configured(config)).map_err(|_| gst::FlowError::Eos)?;
            }
            Some(first) if *first == config => {}
            Some(_) => {
                changed("the encoder changed its configuration".to_owned());
                return Err(gst::FlowError::Eos);
            }
        }
        let frame = frame(&sample, &counters).ok_or(gst::FlowError::Error)?;
        if frame.keyframe {
            counters.keyframe_at.store(frame.pts + 1, Relaxed);
        }
        writer.send(WriterInput::Frame(frame)).map_err(|_| gst::FlowError::Eos)?;
        Ok(gst::FlowSuccess::Ok)
    };
    let eos = move |_: &AppSink| drop(finish.send(WriterInput::Finish));
    output.set_callbacks(AppSinkCallbacks::builder().new_sample(new_sample).eos(eos).build());
}

fn config(caps: &gst::CapsRef) -> Option<VideoConfig> {
    let caps = caps.structure(0)?;
    let data = caps.get::<gst::Buffer>("codec_data").ok()?;
    let avcc = data.map_readable().ok()?.as_slice().to_vec();
    let size = |field| caps.get::<i32>(field).ok().and_then(|value| u32::try_from(value).ok());
    Some(VideoConfig { codec: Codec::H264 { avcc }, width: size("width")?, height: size("height")? })
}

fn frame(sample: &gst::Sample, counters: &Counters) -> Option<Frame<Data>> {
    let buffer = sample.buffer_owned()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let offset = counters.offset.load(Relaxed);
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
