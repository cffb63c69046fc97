//! One job on GStreamer, from its start until everything is on disk: one capturing pipeline for all tracks,
//! and one encoding pipeline per track.

use std::path::Path;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use deskreel_contract::{CaptureMode, EncodeRequest};
use deskreel_model::worker::{Job, Report, TrackBeat, TrackJob};
use deskreel_model::{Failure, MediaTime, PartNumber};
use deskreel_pipeline::elements;
use gstreamer as gst;
use gstreamer::prelude::*;

use crate::encode::encoder;
use crate::error::Error;
use crate::input::WorkerInput;
use crate::plugins::Plugins;
use crate::track::{Track, TrackContext};
use crate::wire::Reporter;
use crate::{build, bus, encode};

/// Time for a standby's writer to say which frames it has. Nothing else that it does takes time.
const CHOICE_LIMIT: Duration = Duration::from_millis(200);

/// A running job.
pub struct Session {
    pipeline: gst::Pipeline,
    tracks: Vec<Track>,
    /// Whether everything is on disk, by track.
    done: Vec<bool>,
    /// The highest part number so far.
    last_part: PartNumber,
    /// Media time minus running time, in nanoseconds.
    offset_ns: u64,
    /// The recording's time zero in the job's media time: later than the job's own zero if a standby was
    /// kept.
    zero_ns: u64,
    reporter: Reporter,
}

/// Loads the GStreamer plugins that the tracks' encoders and our own chain need, so that a start finds them
/// in memory. This saves 5 of the 38 ms from a warm worker to its first fragment. The start reports what
/// cannot be loaded.
pub fn preload(tracks: &[TrackJob], plugins: &Plugins) {
    for track in tracks {
        let ranked = track.ranking.iter().find_map(|ranked| {
            encode::candidate(track, ranked, track.max_fps, plugins).map(|(_, candidate)| candidate).ok()
        });
        let request = EncodeRequest { max_fps: track.max_fps, ..track.encode.clone() };
        let offered = || {
            let answers =
                track.encoders.iter().filter_map(|wanted| plugins.candidates(wanted, &request).ok());
            answers.flat_map(|(_, candidates)| candidates).next()
        };
        let Some(candidate) = ranked.or_else(offered) else { continue };
        let ends = ["appsrc", "appsink"].map(deskreel_contract::Element::new);
        for element in elements::encode_chain(track.encode.codec, &candidate, 2, 2).iter().chain(&ends) {
            let _ = build::element(element, "preload");
        }
    }
}

impl Session {
    /// Builds the pipelines and starts them. From here on everything that happens arrives as [`WorkerInput`].
    pub fn start(
        job: &Job,
        plugins: &Plugins,
        inputs: &Sender<WorkerInput>,
        reporter: &Reporter,
    ) -> Result<Session, Failure> {
        let pipeline = gst::Pipeline::new();
        let clock = gst::SystemClock::obtain();
        pipeline.use_clock(Some(&clock));
        // Running time starts here for every source, whatever its own timestamps start with.
        pipeline.set_start_time(gst::ClockTime::NONE);
        let base = clock.time();
        pipeline.set_base_time(base);
        let tell = inputs.clone();
        bus::watch(&pipeline, move |event| drop(tell.send(WorkerInput::Bus(event))));

        let offset_ns = base.nseconds().saturating_add_signed(job.origin_ns.saturating_neg());
        let context = TrackContext { job, plugins, pipeline: &pipeline, offset_ns, inputs, reporter };
        let mut tracks = Vec::new();
        match play(&context, &mut tracks) {
            Ok(()) => Ok(Session {
                done: tracks.iter().map(|_| false).collect(),
                tracks,
                pipeline,
                last_part: job.part,
                offset_ns,
                zero_ns: 0,
                reporter: reporter.clone(),
            }),
            Err(failure) => {
                // Not dropped, since that can hang: the process ends next.
                std::mem::forget((pipeline, tracks));
                Err(failure)
            }
        }
    }

    /// The layout of a track's pictures is known.
    pub fn picture(&mut self, track: usize, caps: gst::Caps) -> Result<(), Failure> {
        self.tracks.get_mut(track).map_or(Ok(()), |track| track.picture(caps))
    }

    /// Handles an encoder's event. An error means that the track has no encoder left.
    pub fn encoder(
        &mut self,
        track: usize,
        generation: u32,
        event: encoder::Event,
        plugins: &Plugins,
    ) -> Result<(), Failure> {
        let Some(track) = self.tracks.get_mut(track) else { return Ok(()) };
        track.encoder(generation, event, plugins, &mut self.last_part)
    }

    /// Replaces encoders that hang. An error means that a track has no encoder left.
    pub fn look(&mut self, plugins: &Plugins) -> Result<(), Failure> {
        self.tracks.iter_mut().try_for_each(|track| track.look(plugins, &mut self.last_part))
    }

    /// When to call `look` next.
    pub fn look_at(&self, now: Instant) -> Option<Instant> {
        self.tracks.iter().map(|track| track.look_at(now)).min()
    }

    /// Sets the capture mode of every track. Returns the media time from which it holds on all of them.
    pub fn set_mode(&self, mode: CaptureMode) -> MediaTime {
        let times = self.tracks.iter().map(|track| track.set_mode(mode));
        // The reported stretch is the one that no track shows.
        let at = if mode == CaptureMode::Live { times.min() } else { times.max() };
        self.on_recording(at.unwrap_or_default())
    }

    /// Somebody watches for this long from now on.
    pub fn watch(&self, time_ns: u64, joins: bool) {
        self.tracks.iter().for_each(|track| track.watch(time_ns, joins));
    }

    /// Turns a standby into a recording that begins with the newest keyframe before `look_back_ns` ago.
    /// Reports its beginning before anything is written.
    pub fn keep(&mut self, directory: &Path, look_back_ns: u64) {
        let base = self.pipeline.base_time().unwrap_or_default();
        let now_ns = gst::SystemClock::obtain().time().saturating_sub(base).nseconds() + self.offset_ns;
        let answers: Vec<_> =
            self.tracks.iter().map(|track| track.choose_from(now_ns.saturating_sub(look_back_ns))).collect();
        let firsts = answers.iter().filter_map(|answer| answer.recv_timeout(CHOICE_LIMIT).ok().flatten());
        // If nothing is encoded yet, there is nothing to leave out either.
        self.zero_ns = firsts.min().unwrap_or(0);
        self.reporter.send(&Report::Kept { from: MediaTime(self.zero_ns) });
        for track in &mut self.tracks {
            track.keep(directory, self.zero_ns);
        }
    }

    fn on_recording(&self, at: MediaTime) -> MediaTime {
        MediaTime(at.0.saturating_sub(self.zero_ns))
    }

    /// Asks for the end: frames captured so far go through, and nothing else. Does not wait, and does not
    /// depend on the source, which may hang.
    pub fn drain(&mut self) {
        self.tracks.iter_mut().for_each(Track::drain);
    }

    /// Ends the writers even though the encoders have not handed over everything.
    pub fn give_up(&self) {
        self.tracks.iter().for_each(Track::give_up);
    }

    /// Returns true when the last track is on disk.
    pub fn track_done(&mut self, index: usize) -> bool {
        if let Some(done) = self.done.get_mut(index) {
            *done = true;
        }
        self.done.iter().all(|done| *done)
    }

    pub fn recalculate_latency(&self) {
        let _ = self.pipeline.recalculate_latency();
    }

    /// Reports the state of every track.
    pub fn beat(&self) {
        let beat = |(track, done): (&Track, &bool)| {
            let beat = track.beat(*done);
            TrackBeat { still_until: self.on_recording(beat.still_until), ..beat }
        };
        let tracks = self.tracks.iter().zip(&self.done).map(beat);
        self.reporter.send(&Report::Beat { tracks: tracks.collect() });
    }
}

fn play(context: &TrackContext, tracks: &mut Vec<Track>) -> Result<(), Failure> {
    for (index, job) in context.job.tracks.iter().enumerate() {
        tracks.push(Track::start(index, job, context)?);
    }
    match change_state(context.pipeline, gst::State::Paused)? {
        gst::StateChangeSuccess::NoPreroll => {}
        // Without a live source the pipeline would run as fast as it can.
        _ => return Err(Error::NotLive.into()),
    }
    change_state(context.pipeline, gst::State::Playing)?;
    Ok(())
}

fn change_state(pipeline: &gst::Pipeline, to: gst::State) -> Result<gst::StateChangeSuccess, Error> {
    // The element that refuses posts the reason on the bus.
    pipeline.set_state(to).map_err(|_| Error::NoStart("an element refuses to start".into()))
}
