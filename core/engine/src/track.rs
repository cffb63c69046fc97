//! One track: a source, and the encoders that serve it one at a time.
//!
//! When an encoder fails, hangs or cannot be started, the next one of the job's ranking takes over, in a new
//! part, and gets every frame that the failed one has not returned: nothing is lost as long as frames may
//! wait for it (`window.rs`). If the failed encoder's part has not been opened yet, the next one takes over
//! that part and its number instead.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use deskreel_contract::{Candidate, CaptureMode, Element, Notice, Producer, SourceRequest};
use deskreel_model::manifest::{Cause, EncoderUse, FileRef, PluginUse, Refusal};
use deskreel_model::worker::{Job, OpenedPart, RankedCandidate, Report, TrackBeat, TrackJob};
use deskreel_model::{Failure, Fault, MediaTime, PartNumber};
use deskreel_pipeline::elements;
use gstreamer as gst;
use gstreamer::prelude::*;

use crate::capture::frames::{self, Painter};
use crate::capture::{self, FrameFilter, FrameGate, GateRules};
use crate::encode::bridge::{Bridge, Successor, Timing};
use crate::encode::counters::Counters;
use crate::encode::encoder::{self, EncoderSpec};
use crate::error::Error;
use crate::input::WorkerInput;
use crate::plugins::{Plugins, SourcePlugin};
use crate::wire::Reporter;
use crate::write;
use crate::write::link::WriterSetup;
use crate::{build, encode};

/// Time for the first frame of the first encoder: opening a device takes time, and no footage waits yet.
const FIRST_FRAME: Duration = Duration::from_secs(5);

/// If `look` comes this late, the process itself stood still, and the encoder with it: the machine swaps, or
/// the process was stopped.
const STANDSTILL: Duration = Duration::from_millis(200);

pub struct Track {
    index: usize,
    job: TrackJob,
    fps: u32,
    source: PluginUse,
    bridge: Arc<Bridge>,
    filter: Arc<FrameFilter>,
    inputs: Sender<WorkerInput>,
    reporter: Reporter,
    base_time: Option<gst::ClockTime>,
    offset_ns: u64,
    /// Caps of the raw pictures, once known.
    caps: Option<gst::Caps>,
    /// The part's number, and why it began.
    part: (PartNumber, Cause),
    /// The current encoder: its place in the ranking.
    rank: usize,
    /// The candidate at that place, as its plugin offers it now.
    chosen: Option<(EncoderUse, Candidate)>,
    /// Set while an encoder is at work or starting.
    generation: Option<u32>,
    /// Encoders that failed in this job.
    failed: Vec<Refusal>,
    /// The track stands by. Then no encoder takes over from a failed one, since a recording that begins later
    /// cannot use footage encoded before; another worker takes over.
    stands_by: bool,
    /// Access units are copied, as a standby requires.
    copies: bool,
    painter: Option<Painter>,
    /// Kept alive, since the source plugin may watch the screen for us.
    _source: Option<SourcePlugin>,
}

/// Shared by the tracks of a session.
pub struct TrackContext<'a> {
    pub job: &'a Job,
    pub plugins: &'a Plugins,
    pub pipeline: &'a gst::Pipeline,
    /// Media time minus running time, in nanoseconds.
    pub offset_ns: u64,
    pub inputs: &'a Sender<WorkerInput>,
    pub reporter: &'a Reporter,
}

/// An encoder that was given up, the cause, and the reason for people.
struct EncoderLoss {
    ranked: RankedCandidate,
    cause: Cause,
    failure: Failure,
}

impl Track {
    /// Builds the source into the pipeline. The encoder starts as soon as the layout of the pictures is
    /// known.
    pub fn start(index: usize, job: &TrackJob, context: &TrackContext) -> Result<Track, Failure> {
        let TrackContext { plugins, pipeline, offset_ns, inputs, reporter, .. } = *context;
        let tell = inputs.clone();
        let noticed = move |notice| {
            drop(tell.send(match notice {
                Notice::SourceChanged { detail } => WorkerInput::SourceChanged(detail),
                Notice::SourceFailed { detail } => {
                    WorkerInput::SourceFailed(Failure::new(Fault::Device, detail))
                }
            }));
        };
        let mut source = plugins.source(&job.source, noticed)?;
        let recipe = source.recipe(&SourceRequest { max_fps: job.max_fps })?;
        let fps = elements::fps(&recipe, job.max_fps);

        let chain = build::capture_chain(pipeline, &job.track, &elements::capture_chain(&recipe))?;
        let bridge = Arc::new(bridge(index, job, context, fps)?);
        let changes_only = job.changes_only.unwrap_or(recipe.changes_only);
        let rules = GateRules {
            changes_only,
            period_ns: period_ns(fps),
            keepalive_ns: job.keepalive_ns,
            settle_ns: context.job.fragment_ns,
        };
        let tell = inputs.clone();
        let gate = FrameGate::new(rules, context.job.capture);
        let filter = FrameFilter::new(gate, bridge.clone(), move |event| {
            drop(tell.send(match event {
                capture::Event::Picture(caps) => WorkerInput::Picture(index, caps),
                capture::Event::Changed(detail) => WorkerInput::SourceChanged(detail),
            }));
        });
        if let Some(pad) = chain.capture.static_pad("src") {
            filter.watch(&pad);
        }
        close_off(pipeline, &job.track, &chain.capture)?;

        let mut track = Track {
            index,
            job: job.clone(),
            fps,
            source: source.used(),
            bridge,
            filter,
            inputs: inputs.clone(),
            reporter: reporter.clone(),
            base_time: pipeline.base_time(),
            offset_ns,
            caps: None,
            part: (context.job.part, Cause::Start),
            rank: 0,
            chosen: None,
            generation: None,
            failed: Vec::new(),
            stands_by: context.job.preroll_ns.is_some(),
            copies: context.job.preroll_ns.is_some(),
            painter: None,
            _source: None,
        };
        track.choose_first(plugins)?;
        match (recipe.producer, chain.frames) {
            (Producer::Frames(format), Some(appsrc)) => {
                if let Some(caps) = appsrc.caps() {
                    track.picture(caps)?;
                }
                let tell = inputs.clone();
                let fail = move |failure| drop(tell.send(WorkerInput::Failed(failure)));
                track.painter = Some(frames::paint(source, format, appsrc, pipeline, fail)?);
            }
            _ => track._source = Some(source),
        }
        Ok(track)
    }

    /// The layout of the pictures is known: starts the encoder.
    pub fn picture(&mut self, caps: gst::Caps) -> Result<(), Failure> {
        if self.caps.is_none() {
            self.caps = Some(caps);
            self.bring_up(self.deadline().max(FIRST_FRAME))?;
        }
        Ok(())
    }

    /// Handles an event of the encoder of this generation. An error means that no encoder is left.
    pub fn encoder(
        &mut self,
        generation: u32,
        event: encoder::Event,
        plugins: &Plugins,
        last_part: &mut PartNumber,
    ) -> Result<(), Failure> {
        if self.generation != Some(generation) {
            return Ok(());
        }
        match event {
            encoder::Event::Failed(failure) => {
                self.fail_over(Cause::EncoderFailed, failure, plugins, last_part)
            }
            encoder::Event::Reconfigured if self.stands_by => {
                self.give_up();
                Err(Failure::new(Fault::Device, "the encoder changed its codec configuration"))
            }
            encoder::Event::Reconfigured => {
                self.dismiss();
                self.begin_part(Cause::SourceChanged, last_part);
                self.bring_up(self.deadline())
            }
        }
    }

    /// Replaces the encoder if it hangs.
    pub fn look(&mut self, plugins: &Plugins, last_part: &mut PartNumber) -> Result<(), Failure> {
        let late = self.bridge.hangs_at().and_then(|at| Instant::now().checked_duration_since(at));
        let Some(late) = late.filter(|_| self.generation.is_some()) else { return Ok(()) };
        if late > STANDSTILL {
            self.bridge.excuse();
            return Ok(());
        }
        let name = self.job.ranking.get(self.rank).map_or("the encoder", |ranked| &ranked.candidate);
        let text = format!("{name}: no frame came out for {} ms", self.job.frame_deadline_ms);
        self.fail_over(Cause::EncoderHung, Failure::new(Fault::Device, text), plugins, last_part)
    }

    /// When to call `look` next. A frame that is captured from now on cannot hang before its deadline is
    /// over.
    pub fn look_at(&self, now: Instant) -> Instant {
        self.bridge.hangs_at().unwrap_or_else(|| now + self.deadline())
    }

    /// Sets the capture mode. Returns the media time from which it holds.
    pub fn set_mode(&self, mode: CaptureMode) -> MediaTime {
        MediaTime(self.filter.switch(mode, self.base_time.unwrap_or_default()) + self.offset_ns)
    }

    /// Somebody watches for this long from now on.
    pub fn watch(&self, time_ns: u64, joins: bool) {
        self.filter.set_watched(time_ns, joins, self.base_time.unwrap_or_default());
    }

    /// Passes the choice to a standby's writer; see
    /// [`WriterInput::Choose`](crate::write::link::WriterInput::Choose).
    pub fn choose_from(&self, from_ns: u64) -> Receiver<Option<u64>> {
        self.bridge.choose(from_ns)
    }

    /// Turns the standby into a recording.
    pub fn keep(&mut self, directory: &Path, zero_ns: u64) {
        self.stands_by = false;
        self.bridge.keep(directory.to_owned(), zero_ns);
    }

    pub fn drain(&mut self) {
        self.painter = None;
        self.bridge.close();
    }

    pub fn give_up(&self) {
        self.bridge.give_up();
    }

    pub fn beat(&self, done: bool) -> TrackBeat {
        self.bridge.beat(&self.job.track, done)
    }

    fn deadline(&self) -> Duration {
        Duration::from_millis(self.job.frame_deadline_ms)
    }

    fn choose_first(&mut self, plugins: &Plugins) -> Result<(), Failure> {
        let mut losses = Vec::new();
        self.choose(plugins, &mut losses);
        self.report(losses);
        if self.chosen.is_some() {
            return Ok(());
        }
        let refused = self.job.refused.iter().chain(&self.failed);
        let reasons: Vec<_> = refused.map(|r| format!("{}: {}", r.plugin, r.reason)).collect();
        Err(Error::NoEncoder(reasons.join("; ")).into())
    }

    /// Replaces the current encoder by the next one of the ranking.
    fn fail_over(
        &mut self,
        cause: Cause,
        failure: Failure,
        plugins: &Plugins,
        last_part: &mut PartNumber,
    ) -> Result<(), Failure> {
        let opened = self.dismiss();
        let mut losses = Vec::new();
        if let Some(ranked) = self.job.ranking.get(self.rank).cloned() {
            losses.push(EncoderLoss { ranked, cause, failure: failure.clone() });
        }
        self.rank += 1;
        match self.stands_by {
            true => self.chosen = None,
            false => self.choose(plugins, &mut losses),
        }
        if opened && self.chosen.is_some() {
            self.begin_part(cause, last_part);
        }
        self.report(losses);
        if self.chosen.is_none() {
            self.give_up();
            return Err(failure);
        }
        self.bring_up(self.deadline())
    }

    /// Chooses the first of the ranking, from the current rank on, that its plugin still offers.
    fn choose(&mut self, plugins: &Plugins, losses: &mut Vec<EncoderLoss>) {
        self.chosen = None;
        while let Some(ranked) = self.job.ranking.get(self.rank) {
            match encode::candidate(&self.job, ranked, self.fps, plugins) {
                Ok(chosen) => return self.chosen = Some(chosen),
                Err(error) => {
                    let (ranked, failure) = (ranked.clone(), error.into());
                    losses.push(EncoderLoss { ranked, cause: Cause::EncoderFailed, failure });
                }
            }
            self.rank += 1;
        }
    }

    fn begin_part(&mut self, cause: Cause, last_part: &mut PartNumber) {
        *last_part = last_part.next();
        self.part = (*last_part, cause);
    }

    fn report(&mut self, losses: Vec<EncoderLoss>) {
        let next = self.chosen.is_some().then_some(self.part.0);
        for EncoderLoss { ranked, cause, failure } in losses {
            let (plugin, candidate) = (ranked.plugin.plugin, ranked.candidate);
            tracing::info!(plugin, candidate, %failure, "gave up on an encoder");
            let detail = failure.message;
            self.failed.push(Refusal {
                plugin: plugin.clone(),
                candidate: Some(candidate.clone()),
                reason: detail.clone(),
            });
            let track = self.job.track.clone();
            self.reporter.send(&Report::EncoderFailed { track, plugin, candidate, cause, detail, next });
        }
    }

    /// Dismisses the current encoder. Returns true if it has opened its part.
    fn dismiss(&mut self) -> bool {
        self.generation = None;
        let (encoder, opened) = self.bridge.dismiss();
        encoder.into_iter().for_each(encoder::take_down);
        opened
    }

    /// Starts the chosen encoder.
    fn bring_up(&mut self, first_frame: Duration) -> Result<(), Failure> {
        let (Some((used, candidate)), Some(caps)) = (&self.chosen, &self.caps) else { return Ok(()) };
        let mut used = used.clone();
        let (holds, refused_before) = self
            .job
            .ranking
            .get(self.rank)
            .map_or((0, 0), |ranked| (ranked.holds_frames, ranked.refused_before));
        let refused = self.job.refused.iter().take(refused_before);
        used.refused = refused.chain(&self.failed).cloned().collect();
        let generation = self.bridge.appoint(Successor {
            holds: usize::try_from(holds).unwrap_or(usize::MAX),
            first_frame,
            opened: self.unopened(used),
        });
        self.generation = Some(generation);
        let spec = EncoderSpec {
            name: format!("{}-{generation}", self.job.track),
            codec: self.job.encode.codec,
            candidate: candidate.clone(),
            caps: caps.clone(),
            base_time: self.base_time,
            offset_ns: self.offset_ns,
            copies: self.copies,
            generation,
            bridge: self.bridge.clone(),
        };
        let (index, inputs) = (self.index, self.inputs.clone());
        encoder::start(spec, move |event| drop(inputs.send(WorkerInput::Encoder(index, generation, event))))?;
        Ok(())
    }

    /// The part as known before the encoder's first access unit; the writer fills in the rest.
    fn unopened(&self, encoder: EncoderUse) -> OpenedPart {
        let (number, cause) = self.part;
        OpenedPart {
            number,
            cause,
            source: self.source.clone(),
            encoder,
            codec: String::new(),
            width: 0,
            height: 0,
            fps: self.fps,
            timescale: 0,
            init: FileRef { file: String::new(), size: 0, sha256: String::new() },
        }
    }
}

fn bridge(index: usize, job: &TrackJob, context: &TrackContext, fps: u32) -> Result<Bridge, Error> {
    let setup = WriterSetup {
        track: job.track.clone(),
        directory: context.job.directory.clone(),
        fragment_ns: context.job.fragment_ns,
        period_ns: period_ns(fps),
        reporter: context.reporter.clone(),
        preroll_ns: context.job.preroll_ns,
    };
    let (part, counters, inputs) = (context.job.part, Arc::new(Counters::default()), context.inputs.clone());
    let done = move || drop(inputs.send(WorkerInput::TrackDone(index)));
    let writer = write::start(setup, part, counters.clone(), done)?;
    let timing = Timing {
        offset_ns: context.offset_ns,
        period_ns: period_ns(fps),
        keyframe_interval_ns: job.encode.keyframe_interval_ms * 1_000_000,
        fragment_ns: context.job.fragment_ns,
        frame_deadline: Duration::from_millis(job.frame_deadline_ms),
    };
    Ok(Bridge::new(timing, part, counters, writer))
}

/// Links the last pad to a `fakesink`: a pad must lead somewhere, even though no frame gets there.
fn close_off(pipeline: &gst::Pipeline, track: &str, capture: &gst::Element) -> Result<(), Error> {
    let end = Element::new("fakesink").set("sync", false).set("async", false);
    let end = build::linked(pipeline, &format!("{track}-end"), &[end])?;
    let no_link = |_| Error::NoLink { from: capture.name().into(), to: "fakesink".into() };
    end.iter().try_for_each(|end| capture.link(end)).map_err(no_link)
}

/// Time from one frame to the next.
fn period_ns(fps: u32) -> u64 {
    1_000_000_000 / u64::from(fps)
}
