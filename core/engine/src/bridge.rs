//! Between a track's capture and its encoder: one mutex, and nobody who holds it ever waits.
//!
//! The capture hands frames in, the encoder's end hands access units in, and what follows from that happens at once,
//! in whichever thread it is: the next frame goes into the encoder, the unit to the writer. Encoders come and go;
//! each is a *generation*, and what a generation says after it was sent away counts for nothing.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deskreel_fmp4::VideoConfig;
use deskreel_model::worker::{OpenedPart, TrackBeat};
use deskreel_model::{MediaTime, PartNumber};
use gstreamer as gst;
use gstreamer::prelude::*;

use crate::counters::Counters;
use crate::encode::EncodePipeline;
use crate::fragments::Frame;
use crate::window::{Limits, Raw, Window};
use crate::writer;

/// The bytes of an access unit, where the encoder put them.
pub type Data = gst::MappedBuffer<gst::buffer::Readable>;

/// Raw frames that wait for the encoder: a quarter of a gigabyte is 30 frames of 1080p BGRx.
const WAIT_BYTES: usize = 256 << 20;
/// Beyond the deadline of a frame, for the next encoder to come up; nothing is lost as long as frames wait.
const SUCCESSION: Duration = Duration::from_secs(1);

pub struct Bridge {
    state: Mutex<State>,
    timing: Timing,
}

/// What does not change while a track runs. Nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Media time minus running time.
    pub offset: u64,
    /// From one frame to the next at the highest rate.
    pub period: u64,
    /// From one keyframe to the next, at most.
    pub keyframe_interval: u64,
    /// How long an encoder may keep a frame that it need not hold.
    pub frame_deadline: Duration,
}

struct State {
    window: Window<gst::Buffer>,
    /// Of the part that captured frames belong to.
    part: PartNumber,
    counters: Arc<Counters>,
    writer: writer::Link<Data>,
    generation: u32,
    encoder: Option<EncodePipeline>,
    /// What the present generation's part is opened with.
    opened: Option<Box<OpenedPart>>,
    /// How the present generation codes, once it has given something: its part is open.
    configured: Option<VideoConfig>,
    /// The next part, which begins with its first frame.
    next: Option<(PartNumber, Arc<Counters>)>,
    /// The next frame is wanted, whatever it shows.
    wants_picture: bool,
    /// Media time of the newest frame that was asked to be a keyframe, or is one.
    keyframe_at: Option<u64>,
    /// No more frames are taken.
    closed: bool,
    /// The present encoder was told that nothing follows.
    ended: bool,
    /// The writer was told so.
    finished: bool,
}

/// Whether another frame is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Nothing,
    /// If it shows something new.
    Change,
    Picture,
}

/// What an access unit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coded {
    Taken,
    /// The generation was sent away.
    Late,
    /// It is coded in another way than the part's header says.
    Reconfigured,
}

/// An encoder that takes over.
pub struct Successor {
    pub holds: usize,
    /// How long its first frame may take.
    pub first_frame: Duration,
    pub opened: OpenedPart,
}

impl Bridge {
    pub fn new(
        timing: Timing,
        part: PartNumber,
        counters: Arc<Counters>,
        writer: writer::Link<Data>,
    ) -> Self {
        let limits = Limits { frame: timing.frame_deadline, succession: SUCCESSION, wait_bytes: WAIT_BYTES };
        let state = State {
            window: Window::new(limits, Instant::now()),
            part,
            counters,
            writer,
            generation: 0,
            encoder: None,
            opened: None,
            configured: None,
            next: None,
            wants_picture: false,
            keyframe_at: None,
            closed: false,
            ended: false,
            finished: false,
        };
        Bridge { state: Mutex::new(state), timing }
    }

    pub fn wanted(&self) -> Wanted {
        let mut state = self.lock();
        match (state.closed, std::mem::take(&mut state.wants_picture)) {
            (true, _) => Wanted::Nothing,
            (false, true) => Wanted::Picture,
            (false, false) => Wanted::Change,
        }
    }

    /// A frame showed what the one before showed. `running` is its running time.
    pub fn skipped(&self, running: u64) {
        let state = self.lock();
        if !state.closed {
            state.counters.captured.fetch_add(1, Relaxed);
            state.counters.skipped.fetch_add(1, Relaxed);
            let until = running + self.timing.offset + self.timing.period;
            state.counters.still_until.fetch_max(until, Relaxed);
        }
    }

    /// A frame is to be encoded, as a keyframe if that is said. `running` is its running time.
    pub fn captured(&self, buffer: &gst::Buffer, running: u64, as_keyframe: bool) {
        let mut guard = self.lock();
        let state = &mut *guard;
        // A stop may have come while it was compared.
        if state.closed {
            return;
        }
        let pts = running + self.timing.offset;
        state.begin_part(pts);
        state.counters.captured.fetch_add(1, Relaxed);
        let keyframe = state.keyframe_is_due(pts, &self.timing) || as_keyframe;
        if keyframe {
            state.keyframe_at = state.keyframe_at.max(Some(pts));
        }
        let mut picture = buffer.clone();
        let running = gst::ClockTime::from_nseconds(running);
        if picture.pts() != Some(running) {
            picture.make_mut().set_pts(running);
        }
        let gone =
            state.window.push(Raw { pts, keyframe, size: picture.size(), since: Instant::now(), picture });
        state.counters.lost.fetch_add(gone, Relaxed);
        state.pass_on();
    }

    /// The encoder gave an access unit.
    pub fn coded(&self, generation: u32, config: VideoConfig, unit: Frame<Data>) -> Coded {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.generation != generation || state.finished {
            return Coded::Late;
        }
        match (&state.configured, state.opened.take()) {
            (Some(before), _) if *before != config => return Coded::Reconfigured,
            (Some(_), _) => {}
            (None, Some(opened)) => {
                state.configured = Some(config.clone());
                state.writer.send(writer::Input::Configured(config, opened));
            }
            (None, None) => return Coded::Late,
        }
        let lost = state.window.coded(unit.pts, Instant::now());
        state.counters.lost.fetch_add(lost, Relaxed);
        if unit.keyframe {
            state.keyframe_at = state.keyframe_at.max(Some(unit.pts));
        }
        state.writer.send(writer::Input::Frame(unit));
        state.pass_on();
        Coded::Taken
    }

    /// The encoder gives nothing more. False where it has not been told to end.
    pub fn drained(&self, generation: u32) -> bool {
        let mut state = self.lock();
        if state.generation == generation {
            if !state.ended {
                return false;
            }
            state.finish();
        }
        true
    }

    /// Sends the present encoder away, whatever it does. Gives it to whoever wants to take it down, and whether it
    /// has opened its part. Frames wait from here on.
    pub fn dismiss(&self) -> (Option<EncodePipeline>, bool) {
        let mut state = self.lock();
        state.generation += 1;
        state.opened = None;
        state.ended = false;
        (state.encoder.take(), state.configured.take().is_some())
    }

    /// The next encoder is on its way, and with it, if it says so, another part. Gives its generation.
    pub fn appoint(&self, successor: Successor) -> u32 {
        let mut guard = self.lock();
        let state = &mut *guard;
        let lost = state.window.begin(successor.holds, successor.first_frame, Instant::now());
        state.counters.lost.fetch_add(lost, Relaxed);
        let part = successor.opened.number;
        state.opened = Some(Box::new(successor.opened));
        if part != state.part {
            state.next = Some((part, Arc::default()));
            // The part's first fragment is one frame, and the second frame says how long it lasts.
            state.wants_picture = true;
            if let Some(first) = state.window.oldest() {
                state.begin_part(first);
            }
        }
        state.generation
    }

    /// The encoder takes frames from here on. False where it was sent away meanwhile.
    pub fn attach(&self, generation: u32, encoder: EncodePipeline) -> bool {
        let mut state = self.lock();
        if state.generation != generation {
            return false;
        }
        state.encoder = Some(encoder);
        state.pass_on();
        true
    }

    /// To a standby; see [`writer::Input::Choose`].
    pub fn choose(&self, from: u64) -> Receiver<Option<u64>> {
        let (answer, answered) = channel();
        self.lock().writer.send(writer::Input::Choose(from, answer));
        answered
    }

    /// To a standby; see [`writer::Input::Keep`].
    pub fn keep(&self, directory: PathBuf, zero: u64) {
        self.lock().writer.send(writer::Input::Keep { directory, zero });
    }

    /// Takes no more frames. What was captured goes through.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.pass_on();
    }

    /// Ends the footage with what the encoders have given.
    pub fn give_up(&self) {
        let mut state = self.lock();
        state.closed = true;
        let lost = state.window.clear();
        state.counters.lost.fetch_add(lost, Relaxed);
        state.finish();
    }

    /// When the encoder will hang, if nothing happens until then.
    pub fn hangs_at(&self) -> Option<Instant> {
        let state = self.lock();
        // Without one that was appointed there is none that could.
        let at_work = state.opened.is_some() || state.configured.is_some();
        state.window.hangs_at().filter(|_| at_work && !state.finished)
    }

    /// Gives the encoder its time again.
    pub fn excuse(&self) {
        self.lock().window.excuse(Instant::now());
    }

    /// How the track fares; `done` once everything is on disk.
    pub fn beat(&self, track: &str, done: bool) -> TrackBeat {
        let state = self.lock();
        let counters = &state.counters;
        TrackBeat {
            track: track.to_owned(),
            part: state.part,
            frames: if done { counters.drained() } else { counters.running() },
            still_until: MediaTime(counters.still_until.load(Relaxed)),
            bytes: counters.bytes.load(Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives the encoder what it may have, and tells it where that was the last.
    fn pass_on(&mut self) {
        if let Some(encoder) = &self.encoder {
            while !self.writer.is_full()
                && let Some(raw) = self.window.next()
            {
                if raw.keyframe {
                    let event = gstreamer_video::DownstreamForceKeyUnitEvent::builder();
                    encoder.input.send_event(event.all_headers(true).build());
                }
                // An encoder that takes nothing says why on its bus.
                let _ = encoder.input.push_buffer(raw.picture.clone());
            }
        }
        if !self.closed || self.ended || !self.window.is_passed_on() {
            return;
        }
        match &self.encoder {
            Some(encoder) => {
                self.ended = true;
                let _ = encoder.input.end_of_stream();
            }
            None if self.window.len() == 0 => self.finish(),
            None => {}
        }
    }

    /// Where the next part waits for its first frame, this is it. The last part's last frame stands until then.
    fn begin_part(&mut self, first: u64) {
        let Some((part, counters)) = self.next.take() else { return };
        let taken = self.window.len() as u64;
        self.counters.captured.fetch_sub(taken, Relaxed);
        counters.captured.fetch_add(taken, Relaxed);
        self.counters.still_until.fetch_max(first, Relaxed);
        self.writer.send(writer::Input::Next(part, counters.clone()));
        (self.part, self.counters) = (part, counters);
    }

    /// Encoders count frames, and a still screen has few, so keyframes are asked for by time.
    fn keyframe_is_due(&self, pts: u64, timing: &Timing) -> bool {
        // Half a period of grace, so that an encoder that counts frames itself is not asked a frame too early.
        let longest = timing.keyframe_interval + timing.period / 2;
        let due = self.keyframe_at.is_some_and(|newest| pts >= newest + longest);
        self.counters.want_keyframe.swap(false, Relaxed) || due
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.writer.send(writer::Input::Finish);
        }
    }
}
