//! The thread that puts a track's frames on disk.
//!
//! Order of a fragment's way: its frames are appended to the tail as they come, written again as one file under a
//! temporary name when the fragment is complete, synced, renamed, the folder synced, reported; then the tail
//! starts over. Whatever moment the process dies at, each frame is in the tail or in a fragment. Where a fragment
//! stays open for long, since the screen is still, the tail is synced in its place. A part is done with before the
//! next one's first fragment is written.
//!
//! Where there is no room, complete fragments wait in memory up to a limit and the encoder runs on. Beyond the
//! limit the oldest are let go, in whole runs from one keyframe to the next, and counted as lost.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use deskreel_fmp4::VideoConfig;
use deskreel_model::manifest::{FileRef, Fragment};
use deskreel_model::worker::{OpenedPart, Report, TrackBeat};
use deskreel_model::{Failure, Fault, MediaTime, PartNumber, layout};

use crate::counters::Counters;
use crate::error::Error;
use crate::files::{self, Tail};
use crate::fragments::{Closed, Cutter, Frame};
use crate::standby;
use crate::wire::Reporter;

/// Frames that may wait for the thread. When they are this many the encoder gets no more, raw frames wait, and what
/// is lost then is counted there.
const BACKLOG: usize = 256;
/// Bytes of fragments that are held while there is no room: half a minute of a busy screen at 8 Mbit/s.
const HELD_LIMIT: usize = 32 << 20;
/// Between two tries to write what is held.
const RETRY: Duration = Duration::from_millis(500);

/// What the encoder's end hands over.
pub enum Input<D> {
    /// What follows is coded like this. Comes before a part's first frame.
    Configured(VideoConfig, Box<OpenedPart>),
    Frame(Frame<D>),
    /// What follows belongs to another part.
    Next(PartNumber, Arc<Counters>),
    /// To a standby: what is needed to show everything from this media time on may be wanted. Answers with the time of its
    /// first frame.
    Choose(u64, Sender<Option<u64>>),
    /// To a standby: it is wanted, in this recording's folder, with this media time as the recording's zero.
    Keep {
        directory: PathBuf,
        zero: u64,
    },
    /// Nothing follows.
    Finish,
}

/// The way to a writer. Sending never waits.
pub struct Link<D> {
    inputs: Sender<Input<D>>,
    backlog: Arc<AtomicUsize>,
}

impl<D> Link<D> {
    /// A writer that has ended needs nothing any more.
    pub fn send(&self, input: Input<D>) {
        self.backlog.fetch_add(1, Relaxed);
        let _ = self.inputs.send(input);
    }

    /// As much waits for it as may.
    pub fn is_full(&self) -> bool {
        self.backlog.load(Relaxed) >= BACKLOG
    }
}

/// What a writer must know of its track.
pub struct Setup {
    pub track: String,
    /// The recording's folder.
    pub directory: PathBuf,
    pub fragment_ns: u64,
    /// Nanoseconds that a frame lasts which nothing follows.
    pub period_ns: u64,
    pub reporter: Reporter,
    /// Nanoseconds of frames that are kept in memory until they are wanted; there is no folder until then.
    pub standby: Option<u64>,
}

/// Starts the thread with its first part; `done` is called when everything is on disk or given up.
pub fn start<D: AsRef<[u8]> + Send + 'static>(
    setup: Setup,
    number: PartNumber,
    counters: Arc<Counters>,
    done: impl FnOnce() + Send + 'static,
) -> Result<Link<D>, Error> {
    let (sender, inputs) = channel();
    let backlog = Arc::new(AtomicUsize::new(0));
    let link = Link { inputs: sender, backlog: backlog.clone() };
    let run: Box<dyn FnOnce() + Send> = match setup.standby {
        Some(length) => Box::new(move || {
            let writer = standby::wait(setup, length, number, &counters, &inputs, &backlog);
            if let Some(mut writer) = writer {
                writer.run(&inputs, &backlog);
            }
            done();
        }),
        None => {
            let mut writer = Writer::new(setup, number, counters)?;
            Box::new(move || {
                writer.run(&inputs, &backlog);
                done();
            })
        }
    };
    std::thread::Builder::new().name("writer".into()).spawn(run).map_err(Error::Thread)?;
    Ok(link)
}

pub struct Writer<D> {
    setup: Setup,
    /// The one that frames belong to now.
    part: Arc<Part>,
    cutter: Cutter<D>,
    tail: Tail,
    /// Complete and not on disk, oldest first.
    held: VecDeque<Item<D>>,
    held_bytes: usize,
    /// No room was left at the last try.
    full: bool,
    /// Frames are of no use until the next keyframe.
    await_keyframe: bool,
    /// Reported; nothing is written any more.
    failed: bool,
    /// The recording's zero on the job's media time: later than the job's own where a standby was kept.
    zero: u64,
}

struct Part {
    number: PartNumber,
    /// In the recording's folder.
    folder: PathBuf,
    path: PathBuf,
    counters: Arc<Counters>,
    _lock: File,
}

struct Item<D> {
    part: Arc<Part>,
    what: What<D>,
}

enum What<D> {
    Header(Vec<u8>, Box<OpenedPart>),
    Fragment(Closed<D>),
    /// All of the part is on disk, and its tail is of no use any more.
    End(Tail),
}

impl Part {
    fn new(setup: &Setup, number: PartNumber, counters: Arc<Counters>) -> Result<Part, Error> {
        let folder = layout::part_folder(&setup.track, number);
        let path = setup.directory.join(&folder);
        let lock = files::own_folder(&setup.directory, &folder)
            .map_err(|source| Error::Write { path: path.display().to_string(), source })?;
        Ok(Part { number, folder, path, counters, _lock: lock })
    }

    fn tail(&self, setup: &Setup) -> Tail {
        Tail::new(self.path.join(layout::TAIL), setup.period_ns)
    }

    fn let_go(&self, frames: usize) {
        self.counters.let_go.fetch_add(frames as u64, Relaxed);
    }
}

impl<D: AsRef<[u8]>> Writer<D> {
    pub fn new(setup: Setup, number: PartNumber, counters: Arc<Counters>) -> Result<Self, Error> {
        let part = Part::new(&setup, number, counters)?;
        Ok(Writer {
            cutter: Cutter::new(setup.fragment_ns, setup.period_ns),
            tail: part.tail(&setup),
            part: Arc::new(part),
            held: VecDeque::new(),
            held_bytes: 0,
            full: false,
            await_keyframe: false,
            failed: false,
            zero: 0,
            setup,
        })
    }

    /// With what a standby has kept.
    pub fn begin(
        &mut self,
        zero: u64,
        configured: Option<(VideoConfig, Box<OpenedPart>)>,
        frames: impl Iterator<Item = Frame<D>>,
    ) {
        self.zero = zero;
        // Where nothing was kept, what comes may be of no use by itself.
        self.await_keyframe = true;
        if let Some((config, opened)) = configured {
            self.configured(&config, opened);
        }
        for frame in frames {
            self.frame(frame);
            self.flush();
        }
    }

    pub fn run(&mut self, inputs: &Receiver<Input<D>>, backlog: &AtomicUsize) {
        let fragment = Duration::from_nanos(self.setup.fragment_ns);
        let mut retry = Instant::now();
        loop {
            let input = inputs.recv_timeout(if self.full { RETRY } else { fragment });
            if input.is_ok() {
                backlog.fetch_sub(1, Relaxed);
            }
            match input {
                Ok(Input::Configured(config, opened)) => self.configured(&config, opened),
                Ok(Input::Frame(frame)) => self.frame(frame),
                Ok(Input::Next(number, counters)) => self.next(number, counters),
                // It does not stand by any more.
                Ok(Input::Choose(..) | Input::Keep { .. }) => {}
                Ok(Input::Finish) | Err(RecvTimeoutError::Disconnected) => return self.finish(),
                Err(RecvTimeoutError::Timeout) if !self.full => self.tail.sync(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !self.full || retry.elapsed() >= RETRY {
                self.flush();
                retry = Instant::now();
            }
        }
    }

    fn configured(&mut self, config: &VideoConfig, mut opened: Box<OpenedPart>) {
        match deskreel_fmp4::header(config) {
            Ok(header) => {
                opened.codec = deskreel_fmp4::codec_string(config);
                (opened.width, opened.height) = (config.width, config.height);
                opened.timescale = deskreel_fmp4::TIMESCALE;
                self.hold(What::Header(header, opened));
            }
            Err(error) => self.fail(Error::Configuration(error.to_string()).into()),
        }
    }

    fn frame(&mut self, mut frame: Frame<D>) {
        frame.pts = frame.pts.saturating_sub(self.zero);
        frame.dts = frame.dts.saturating_sub(self.zero);
        if self.await_keyframe && !frame.keyframe {
            self.part.let_go(1);
            return;
        }
        self.await_keyframe = false;
        if let Some(closed) = self.cutter.cut(&frame) {
            self.hold(What::Fragment(closed));
        }
        let closed = self.cutter.push(frame);
        // As the fragment will have it: the cutter may have moved its decoding time. While a fragment waits to be
        // written the tail is that one's, and starts over behind it.
        if self.held.is_empty() {
            match self.cutter.open() {
                [] => {}
                [first] => self.tail.begin(self.cutter.number(), std::slice::from_ref(first)),
                [.., last] => self.tail.append(last),
            }
        }
        if let Some(closed) = closed {
            self.hold(What::Fragment(closed));
        }
    }

    /// The present part gets its last fragment, and frames belong to the next one from here on.
    fn next(&mut self, number: PartNumber, counters: Arc<Counters>) {
        self.close();
        match Part::new(&self.setup, number, counters) {
            Ok(part) => {
                let tail = std::mem::replace(&mut self.tail, part.tail(&self.setup));
                self.hold(What::End(tail));
                self.part = Arc::new(part);
                self.cutter = Cutter::new(self.setup.fragment_ns, self.setup.period_ns);
                self.await_keyframe = false;
            }
            Err(error) => {
                self.flush();
                self.fail(error.into());
            }
        }
    }

    fn finish(&mut self) {
        self.close();
        self.flush();
        for item in std::mem::take(&mut self.held) {
            match item.what {
                What::Header(..) => {}
                What::Fragment(closed) => item.part.let_go(closed.frames.len()),
                What::End(_) => self.report_end(&item.part),
            }
        }
        // What could not be written is still in the tail.
        if !self.full && !self.failed {
            self.tail.remove();
        }
    }

    /// Completes the fragment that is open.
    fn close(&mut self) {
        let still_until = self.part.counters.still_until.load(Relaxed).saturating_sub(self.zero);
        if let Some(closed) = self.cutter.finish(still_until) {
            self.hold(What::Fragment(closed));
        }
    }

    fn hold(&mut self, what: What<D>) {
        self.held_bytes += what.size();
        self.held.push_back(Item { part: self.part.clone(), what });
        if self.full && self.held_bytes > HELD_LIMIT {
            self.shed();
        }
    }

    /// Lets the oldest fragments go, and with them those that cannot be decoded without them.
    fn shed(&mut self) {
        while let Some(at) = self.held.iter().position(|item| matches!(item.what, What::Fragment(_))) {
            let useless = self.held.get(at).is_some_and(|item| item.what.needs_the_one_before());
            if self.held_bytes <= HELD_LIMIT && !useless {
                return;
            }
            let Some(Item { part, what }) = self.held.remove(at) else { return };
            self.held_bytes -= what.size();
            part.let_go(what.frames());
        }
        if let Some(open) = self.cutter.abandon() {
            self.part.let_go(open.frames.len());
        }
        self.await_keyframe = true;
        self.part.counters.want_keyframe.store(true, Relaxed);
    }

    /// Writes what is held, oldest first, until nothing is left or there is no room.
    fn flush(&mut self) {
        while !self.failed
            && let Some(item) = self.held.pop_front()
        {
            match self.write(&item) {
                Ok(()) => self.written(item),
                Err(error) if files::is_full(&error) => {
                    self.held.push_front(item);
                    return self.no_room(&error);
                }
                Err(source) => {
                    self.held.push_front(item);
                    let path = self.part.path.display().to_string();
                    self.fail(Error::Write { path, source }.into());
                }
            }
        }
    }

    fn no_room(&mut self, error: &std::io::Error) {
        // What the tail holds is in memory too, and its room may be all that the next fragment needs.
        self.tail.remove();
        if !self.full {
            self.full = true;
            let detail = format!("{}: {error}", self.part.path.display());
            self.setup.reporter.send(&Report::DiskFull { detail });
        }
    }

    fn report_back(&mut self) {
        self.full = false;
        self.setup.reporter.send(&Report::DiskBack);
    }

    fn write(&self, item: &Item<D>) -> std::io::Result<()> {
        let (track, part) = (self.setup.track.clone(), &item.part);
        match &item.what {
            What::Header(bytes, opened) => {
                // Without a fragment it is of no use, and the first fragment syncs its name.
                let init = files::write_unnamed(&part.path, layout::INIT, &[bytes])?;
                let mut opened = OpenedPart::clone(opened);
                opened.init = in_folder(&part.folder, init);
                self.setup.reporter.send(&Report::PartOpened { track, part: opened });
            }
            What::Fragment(closed) => {
                let header = deskreel_fmp4::fragment_header(closed.number, &closed.samples())
                    .map_err(|error| std::io::Error::other(error.to_string()))?;
                let payload = closed.frames.iter().map(|frame| frame.data.as_ref());
                let slices: Vec<&[u8]> = std::iter::once(header.as_slice()).chain(payload).collect();
                let file = files::write(&part.path, &layout::fragment_name(closed.number), &slices)?;
                let (start, end) = closed.span();
                part.counters.written.fetch_add(closed.frames.len() as u64, Relaxed);
                part.counters.bytes.fetch_add(file.size, Relaxed);
                let fragment = Fragment {
                    number: closed.number,
                    file: in_folder(&part.folder, file),
                    start: MediaTime(start),
                    duration_ns: end - start,
                    frames: u32::try_from(closed.frames.len()).unwrap_or(u32::MAX),
                    starts_with_keyframe: closed.starts_with_keyframe(),
                    salvaged: false,
                };
                let (part, frames) = (part.number, part.counters.running());
                self.setup.reporter.send(&Report::FragmentClosed { track, part, fragment, frames });
            }
            What::End(_) => self.report_end(part),
        }
        Ok(())
    }

    /// A part's last word: frames that the next one took over count there, which no fragment has told yet.
    fn report_end(&self, part: &Part) {
        let beat = TrackBeat {
            track: self.setup.track.clone(),
            part: part.number,
            frames: part.counters.drained(),
            still_until: MediaTime(part.counters.still_until.load(Relaxed).saturating_sub(self.zero)),
            bytes: part.counters.bytes.load(Relaxed),
        };
        self.setup.reporter.send(&Report::Beat { tracks: vec![beat] });
    }

    fn written(&mut self, item: Item<D>) {
        self.held_bytes -= item.what.size();
        match item.what {
            What::Header(..) => {}
            What::Fragment(_) if !Arc::ptr_eq(&item.part, &self.part) => {}
            What::Fragment(_) => self.begin_tail(),
            What::End(mut tail) => {
                tail.remove();
                if self.held.is_empty() {
                    self.begin_tail();
                }
            }
        }
        if self.full {
            self.report_back();
        }
    }

    /// Of the frames that are in no fragment yet.
    fn begin_tail(&mut self) {
        self.tail.begin(self.cutter.number(), self.cutter.open());
    }

    fn fail(&mut self, failure: Failure) {
        self.failed = true;
        debug_assert!(matches!(failure.fault, Fault::Disk | Fault::Plugin));
        self.setup.reporter.send(&Report::Failed { failure });
    }
}

impl<D: AsRef<[u8]>> What<D> {
    /// Bytes of payload.
    fn size(&self) -> usize {
        if let What::Fragment(closed) = self { closed.size() } else { 0 }
    }

    fn frames(&self) -> usize {
        if let What::Fragment(closed) = self { closed.frames.len() } else { 0 }
    }

    fn needs_the_one_before(&self) -> bool {
        matches!(self, What::Fragment(closed) if !closed.starts_with_keyframe())
    }
}

fn in_folder(folder: &Path, file: FileRef) -> FileRef {
    FileRef { file: layout::in_manifest(&folder.join(file.file)), ..file }
}
