//! Between a track's capture point and its encoder: one mutex, and no thread that holds it ever waits.
//!
//! The capture point hands in frames, the encoder's sink hands in access units, and the consequences happen
//! at once, on the calling thread: the next frame goes into the encoder, the unit to the writer. Encoders are
//! replaced; each is a *generation*, and what a generation delivers after its dismissal is ignored.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deskreel_fmp4::VideoConfig;
use deskreel_model::worker::{OpenedPart, TrackBeat};
use deskreel_model::{MediaTime, PartNumber};
use gstreamer as gst;

use crate::encode::EncodePipeline;
use crate::encode::counters::Counters;
use crate::encode::window::{RawFrame, Window, WindowLimits};
use crate::write::fragments::CodedFrame;
use crate::write::link::{WriterInput, WriterLink};

/// The bytes of an access unit, in the encoder's own buffer.
pub type Data = gst::MappedBuffer<gst::buffer::Readable>;

/// Most bytes of raw frames that wait for the encoder: a quarter of a gigabyte is 30 frames of 1080p BGRx.
const WAIT_BYTES: usize = 256 << 20;
/// Time for the next encoder to start, beyond a frame's deadline; nothing is lost as long as frames wait.
const SUCCESSION: Duration = Duration::from_secs(1);

/// Time between keyframes while somebody watches a still screen. A keyframe of dense text takes half a
/// megabyte, a frame that repeats the one before about a hundred bytes. A viewer who joins gets a keyframe at
/// once.
const STILL_INTERVAL_NS: u64 = 20_000_000_000;

pub struct Bridge {
    state: Mutex<State>,
    timing: Timing,
}

/// The times that do not change while a track runs.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Media time minus running time.
    pub offset_ns: u64,
    /// Time from one frame to the next at the highest rate.
    pub period_ns: u64,
    /// Longest time from one keyframe to the next.
    pub keyframe_interval_ns: u64,
    /// Length of a fragment.
    pub fragment_ns: u64,
    /// How long an encoder may keep a frame that it does not need to hold.
    pub frame_deadline: Duration,
}

struct State {
    window: Window<gst::Buffer>,
    /// The part that captured frames belong to.
    part: PartNumber,
    counters: Arc<Counters>,
    writer: WriterLink<Data>,
    generation: u32,
    encoder: Option<EncodePipeline>,
    /// The data with which the current generation's part will be opened. Taken then.
    opened: Option<Box<OpenedPart>>,
    /// The current generation's codec configuration, once it has delivered something: its part is open.
    configured: Option<VideoConfig>,
    /// The next part, until its first frame begins it.
    next: Option<(PartNumber, Arc<Counters>)>,
    /// The next frame is wanted whatever it shows.
    wants_picture: bool,
    /// Media time of the newest frame that is a keyframe or was requested to be one.
    keyframe_at_ns: Option<u64>,
    /// No more frames are taken.
    closed: bool,
    /// The current encoder has got the end of the stream.
    ended: bool,
    /// The writer has got the end of the stream.
    finished: bool,
}

/// Which frame is wanted next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameDemand {
    Nothing,
    /// A frame that shows something new.
    Change,
    /// Any frame.
    Picture,
}

/// Whether a frame is to be a keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyframeNeed {
    Now,
    /// It begins no fragment, and only a keyframe that begins one is of use to a player.
    No,
    /// If the next fragment begins too late for the keyframe interval.
    IfDue,
    /// If the last one is older than [`STILL_INTERVAL_NS`]: the frame shows nothing new.
    Rare,
}

/// The fate of an access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    Taken,
    /// Ignored: its generation was dismissed.
    Late,
    /// Not taken: its codec configuration is not the one in the part's header.
    Reconfigured,
}

/// An encoder that takes over.
pub struct Successor {
    /// Frames that it keeps before it delivers the first one.
    pub holds: usize,
    /// How long its first frame may take.
    pub first_frame: Duration,
    pub opened: OpenedPart,
}

impl Bridge {
    pub fn new(timing: Timing, part: PartNumber, counters: Arc<Counters>, writer: WriterLink<Data>) -> Self {
        let limits =
            WindowLimits { frame: timing.frame_deadline, succession: SUCCESSION, wait_bytes: WAIT_BYTES };
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
            keyframe_at_ns: None,
            closed: false,
            ended: false,
            finished: false,
        };
        Bridge { state: Mutex::new(state), timing }
    }

    pub fn demand(&self) -> FrameDemand {
        let mut state = self.lock();
        match (state.closed, std::mem::take(&mut state.wants_picture)) {
            (true, _) => FrameDemand::Nothing,
            (false, true) => FrameDemand::Picture,
            (false, false) => FrameDemand::Change,
        }
    }

    /// Notes a frame that shows the same as the previous one.
    pub fn skip_frame(&self, running_ns: u64) {
        let state = self.lock();
        if !state.closed {
            state.counters.captured.fetch_add(1, Relaxed);
            state.counters.skipped.fetch_add(1, Relaxed);
            let until = running_ns + self.timing.offset_ns + self.timing.period_ns;
            state.counters.still_until_ns.fetch_max(until, Relaxed);
        }
    }

    /// Takes a frame to encode. Returns whether it is requested as a keyframe.
    pub fn take_frame(&self, buffer: &gst::Buffer, running_ns: u64, need: KeyframeNeed) -> bool {
        let mut guard = self.lock();
        let state = &mut *guard;
        // A stop may have come while the frame was compared.
        if state.closed {
            return false;
        }
        let pts_ns = running_ns + self.timing.offset_ns;
        state.begin_part(pts_ns);
        state.counters.captured.fetch_add(1, Relaxed);
        let keyframe = state.keyframe_is_needed(pts_ns, need, &self.timing);
        if keyframe {
            state.keyframe_at_ns = state.keyframe_at_ns.max(Some(pts_ns));
        }
        let mut picture = buffer.clone();
        let running = gst::ClockTime::from_nseconds(running_ns);
        if picture.pts() != Some(running) {
            picture.make_mut().set_pts(running);
        }
        let dropped = state.window.push(RawFrame {
            pts_ns,
            keyframe,
            size: picture.size(),
            captured_at: Instant::now(),
            picture,
        });
        state.counters.lost.fetch_add(dropped, Relaxed);
        state.pass_on();
        keyframe
    }

    /// Takes an access unit from the encoder of this generation.
    pub fn take_unit(&self, generation: u32, config: VideoConfig, unit: CodedFrame<Data>) -> Acceptance {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.generation != generation || state.finished {
            return Acceptance::Late;
        }
        match (&state.configured, state.opened.take()) {
            (Some(before), _) if *before != config => return Acceptance::Reconfigured,
            (Some(_), _) => {}
            (None, Some(opened)) => {
                state.configured = Some(config.clone());
                state.writer.send(WriterInput::Configured(config, opened));
            }
            (None, None) => return Acceptance::Late,
        }
        let lost = state.window.take_unit(unit.pts_ns, Instant::now());
        state.counters.lost.fetch_add(lost, Relaxed);
        if unit.keyframe {
            state.keyframe_at_ns = state.keyframe_at_ns.max(Some(unit.pts_ns));
        }
        state.writer.send(WriterInput::Frame(unit));
        state.pass_on();
        Acceptance::Taken
    }

    /// The encoder delivers nothing more. Returns false if it was not asked to end.
    pub fn end_encoder(&self, generation: u32) -> bool {
        let mut state = self.lock();
        if state.generation == generation {
            if !state.ended {
                return false;
            }
            state.finish();
        }
        true
    }

    /// Dismisses the current encoder, whatever it is doing. Returns it, for the caller to stop, and whether
    /// it has opened its part. Frames wait from here on.
    pub fn dismiss(&self) -> (Option<EncodePipeline>, bool) {
        let mut state = self.lock();
        state.generation += 1;
        state.opened = None;
        state.ended = false;
        (state.encoder.take(), state.configured.take().is_some())
    }

    /// Announces the next encoder, and another part if its part has another number. Returns its generation.
    pub fn appoint(&self, successor: Successor) -> u32 {
        let mut guard = self.lock();
        let state = &mut *guard;
        let lost = state.window.begin(successor.holds, successor.first_frame, Instant::now());
        state.counters.lost.fetch_add(lost, Relaxed);
        let part = successor.opened.number;
        state.opened = Some(Box::new(successor.opened));
        if part != state.part {
            state.next = Some((part, Arc::default()));
            // The part's first fragment is one frame, and the second frame determines how long it lasts.
            state.wants_picture = true;
            if let Some(first) = state.window.oldest_ns() {
                state.begin_part(first);
            }
        }
        state.generation
    }

    /// Passes frames to this encoder from here on. Returns false if its generation was dismissed meanwhile.
    pub fn attach(&self, generation: u32, encoder: EncodePipeline) -> bool {
        let mut state = self.lock();
        if state.generation != generation {
            return false;
        }
        state.encoder = Some(encoder);
        state.pass_on();
        true
    }

    /// Passes the choice to a standby's writer; see [`WriterInput::Choose`].
    pub fn choose(&self, from_ns: u64) -> Receiver<Option<u64>> {
        let (answer, answered) = channel();
        self.lock().writer.send(WriterInput::Choose(from_ns, answer));
        answered
    }

    /// Tells a standby's writer to keep its footage; see [`WriterInput::Keep`].
    pub fn keep(&self, directory: PathBuf, zero_ns: u64) {
        self.lock().writer.send(WriterInput::Keep { directory, zero_ns });
    }

    /// Takes no more frames. Frames that are already captured go through.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.pass_on();
    }

    /// Ends the footage with what the encoders have delivered so far.
    pub fn give_up(&self) {
        let mut state = self.lock();
        state.closed = true;
        let lost = state.window.clear();
        state.counters.lost.fetch_add(lost, Relaxed);
        state.finish();
    }

    /// When the encoder counts as hung if nothing comes out until then.
    pub fn hangs_at(&self) -> Option<Instant> {
        let state = self.lock();
        // Without an appointed encoder none can hang.
        let at_work = state.opened.is_some() || state.configured.is_some();
        state.window.hangs_at().filter(|_| at_work && !state.finished)
    }

    /// Starts the encoder's deadline over.
    pub fn excuse(&self) {
        self.lock().window.excuse(Instant::now());
    }

    /// The state of the track; `done` once everything is on disk.
    pub fn beat(&self, track: &str, done: bool) -> TrackBeat {
        let state = self.lock();
        let counters = &state.counters;
        TrackBeat {
            track: track.to_owned(),
            part: state.part,
            frames: if done { counters.drained() } else { counters.running() },
            still_until: MediaTime(counters.still_until_ns.load(Relaxed)),
            bytes: counters.bytes.load(Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Passes the encoder the frames that it may have, and ends it after the last one.
    fn pass_on(&mut self) {
        if let Some(encoder) = &self.encoder {
            while !self.writer.is_full()
                && let Some(raw) = self.window.next()
            {
                // An encoder that refuses a frame posts the reason on its bus.
                let _ = encoder.push(raw.picture.clone(), raw.keyframe);
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

    /// If the next part waits for its first frame, begins it with this one. The last part's last frame lasts
    /// until then.
    fn begin_part(&mut self, first_ns: u64) {
        let Some((part, counters)) = self.next.take() else { return };
        let taken = self.window.len() as u64;
        self.counters.captured.fetch_sub(taken, Relaxed);
        counters.captured.fetch_add(taken, Relaxed);
        self.counters.still_until_ns.fetch_max(first_ns, Relaxed);
        self.writer.send(WriterInput::Next(part, counters.clone()));
        (self.part, self.counters) = (part, counters);
    }

    /// Keyframes are requested by time: encoders count frames, and a still screen has few.
    fn keyframe_is_needed(&self, pts_ns: u64, need: KeyframeNeed, timing: &Timing) -> bool {
        let longest_ns = match need {
            KeyframeNeed::Now => Some(0),
            KeyframeNeed::No => None,
            KeyframeNeed::IfDue => Some(timing.keyframe_interval_ns),
            KeyframeNeed::Rare => Some(timing.keyframe_interval_ns.max(STILL_INTERVAL_NS)),
        };
        // The next fragment begins a fragment's length later. An eighth of it of grace: the first fragment of
        // a part is one frame, and sources jitter.
        let next_ns = pts_ns + timing.fragment_ns - timing.fragment_ns / 8;
        let is_due = longest_ns.zip(self.keyframe_at_ns).is_some_and(|(longest, at)| next_ns > at + longest);
        self.counters.want_keyframe.swap(false, Relaxed) || is_due || need == KeyframeNeed::Now
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.writer.send(WriterInput::Finish);
        }
    }
}
