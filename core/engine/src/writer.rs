//! The thread that puts a track's frames on disk.
//!
//! Order of a fragment's way: its frames are appended to the tail as they come, written again as one file under a
//! temporary name when the fragment is complete, synced, renamed, the folder synced, reported; then the tail
//! starts over. Whatever moment the process dies at, each frame is in the tail or in a fragment. Where a fragment
//! stays open for long, since the screen is still, the tail is synced in its place.
//!
//! Where there is no room, complete fragments wait in memory up to a limit and the encoder runs on. Beyond the
//! limit the oldest are let go, in whole runs from one keyframe to the next, and counted as lost.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use deskreel_fmp4::VideoConfig;
use deskreel_model::manifest::{FileRef, Fragment};
use deskreel_model::worker::{OpenedPart, Report};
use deskreel_model::{Failure, Fault, MediaTime, layout};

use crate::counters::Counters;
use crate::error::Error;
use crate::files::{self, Tail};
use crate::fragments::{Closed, Cutter, Frame};
use crate::wire::Reporter;

/// Frames that may wait for the thread. When they are this many the encoder waits, the raw queue fills, and what
/// is lost then is counted there.
const BACKLOG: usize = 256;
/// Bytes of fragments that are held while there is no room: half a minute of a busy screen at 8 Mbit/s.
const HELD_LIMIT: usize = 32 << 20;
/// Between two tries to write what is held.
const RETRY: Duration = Duration::from_millis(500);

/// What the encoder's end of the pipeline hands over.
pub enum Input<D> {
    Configured(VideoConfig),
    Frame(Frame<D>),
    /// Nothing follows.
    Finish,
}

/// What a writer must know of its track and part.
pub struct Setup {
    pub track: String,
    /// The recording's folder.
    pub directory: PathBuf,
    /// The part's folder in it.
    pub folder: PathBuf,
    pub fragment_ns: u64,
    /// Nanoseconds that a frame lasts which nothing follows.
    pub period_ns: u64,
    /// `init`, `codec` and the picture's size are filled in when the encoder has told them.
    pub opened: OpenedPart,
    pub counters: Arc<Counters>,
    pub reporter: Reporter,
}

/// Starts the thread; `done` is called when everything is on disk or given up.
pub fn start<D: AsRef<[u8]> + Send + 'static>(
    setup: Setup,
    done: impl FnOnce() + Send + 'static,
) -> Result<SyncSender<Input<D>>, Error> {
    let path = setup.directory.join(&setup.folder);
    let lock = files::own_folder(&setup.directory, &setup.folder)
        .map_err(|source| Error::Write { path: path.display().to_string(), source })?;
    let (sender, inputs) = sync_channel(BACKLOG);
    let mut writer = Writer {
        cutter: Cutter::new(setup.fragment_ns, setup.period_ns),
        tail: Tail::new(path.join(layout::TAIL), setup.period_ns),
        path,
        held: VecDeque::new(),
        held_bytes: 0,
        full: false,
        await_keyframe: false,
        failed: false,
        setup,
        _lock: lock,
    };
    let run = move || {
        writer.run(&inputs);
        done();
    };
    std::thread::Builder::new().name("writer".into()).spawn(run).map_err(Error::Thread)?;
    Ok(sender)
}

struct Writer<D> {
    setup: Setup,
    path: PathBuf,
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
    _lock: File,
}

enum Item<D> {
    Header(Vec<u8>, Box<OpenedPart>),
    Fragment(Closed<D>),
}

impl<D: AsRef<[u8]>> Writer<D> {
    fn run(&mut self, inputs: &Receiver<Input<D>>) {
        let fragment = Duration::from_nanos(self.setup.fragment_ns);
        let mut retry = Instant::now();
        loop {
            let wait = if self.full { RETRY } else { fragment };
            match inputs.recv_timeout(wait) {
                Ok(Input::Configured(config)) => self.configured(&config),
                Ok(Input::Frame(frame)) => self.frame(frame),
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

    fn configured(&mut self, config: &VideoConfig) {
        match deskreel_fmp4::header(config) {
            Ok(header) => {
                let mut opened = self.setup.opened.clone();
                opened.codec = deskreel_fmp4::codec_string(config);
                (opened.width, opened.height) = (config.width, config.height);
                opened.timescale = deskreel_fmp4::TIMESCALE;
                self.held.push_back(Item::Header(header, Box::new(opened)));
            }
            Err(error) => self.fail(Error::Configuration(error.to_string()).into()),
        }
    }

    fn frame(&mut self, frame: Frame<D>) {
        if self.await_keyframe && !frame.keyframe {
            self.let_go(1);
            return;
        }
        self.await_keyframe = false;
        if let Some(closed) = self.cutter.cut(&frame) {
            self.hold(closed);
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
            self.hold(closed);
        }
    }

    fn finish(&mut self) {
        if let Some(closed) = self.cutter.finish(self.setup.counters.still_until.load(Relaxed)) {
            self.hold(closed);
        }
        self.flush();
        while let Some(item) = self.held.pop_front() {
            if let Item::Fragment(closed) = item {
                self.let_go(closed.frames.len());
            }
        }
        // What could not be written is still in the tail.
        if !self.full && !self.failed {
            self.tail.remove();
        }
    }

    fn hold(&mut self, closed: Closed<D>) {
        self.held_bytes += closed.size();
        self.held.push_back(Item::Fragment(closed));
        if self.full && self.held_bytes > HELD_LIMIT {
            self.shed();
        }
    }

    /// Lets the oldest fragments go, and with them those that cannot be decoded without them.
    fn shed(&mut self) {
        let header = self.held.pop_front_if(|item| matches!(item, Item::Header(..)));
        loop {
            let useless = |item: &mut Item<D>| matches!(item, Item::Fragment(f) if !f.starts_with_keyframe());
            let over = self.held_bytes > HELD_LIMIT;
            let gone = if over { self.held.pop_front() } else { self.held.pop_front_if(useless) };
            let Some(Item::Fragment(closed)) = gone else { break };
            self.held_bytes -= closed.size();
            self.let_go(closed.frames.len());
        }
        if self.held.is_empty() {
            if let Some(open) = self.cutter.abandon() {
                self.let_go(open.frames.len());
            }
            self.await_keyframe = true;
            self.setup.counters.want_keyframe.store(true, Relaxed);
        }
        self.held.extend(header);
    }

    fn let_go(&self, frames: usize) {
        self.setup.counters.let_go.fetch_add(frames as u64, Relaxed);
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
                    let path = self.path.display().to_string();
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
            let detail = format!("{}: {error}", self.path.display());
            self.setup.reporter.send(&Report::DiskFull { detail });
        }
    }

    fn report_back(&mut self) {
        self.full = false;
        self.setup.reporter.send(&Report::DiskBack);
    }

    fn write(&mut self, item: &Item<D>) -> std::io::Result<()> {
        let (track, folder) = (self.setup.track.clone(), &self.setup.folder);
        match item {
            Item::Header(bytes, opened) => {
                // Without a fragment it is of no use, and the first fragment syncs its name.
                let init = files::write_unnamed(&self.path, layout::INIT, &[bytes])?;
                let mut part = OpenedPart::clone(opened);
                part.init = in_folder(folder, init);
                self.setup.reporter.send(&Report::PartOpened { track, part });
            }
            Item::Fragment(closed) => {
                let header = deskreel_fmp4::fragment_header(closed.number, &closed.samples())
                    .map_err(|error| std::io::Error::other(error.to_string()))?;
                let payload = closed.frames.iter().map(|frame| frame.data.as_ref());
                let slices: Vec<&[u8]> = std::iter::once(header.as_slice()).chain(payload).collect();
                let file = files::write(&self.path, &layout::fragment_name(closed.number), &slices)?;
                let (start, end) = closed.span();
                let counters = &self.setup.counters;
                counters.written.fetch_add(closed.frames.len() as u64, Relaxed);
                counters.bytes.fetch_add(file.size, Relaxed);
                let fragment = Fragment {
                    number: closed.number,
                    file: in_folder(folder, file),
                    start: MediaTime(start),
                    duration_ns: end - start,
                    frames: u32::try_from(closed.frames.len()).unwrap_or(u32::MAX),
                    starts_with_keyframe: closed.starts_with_keyframe(),
                    salvaged: false,
                };
                let frames = counters.running();
                self.setup.reporter.send(&Report::FragmentClosed {
                    track,
                    part: self.setup.opened.number,
                    fragment,
                    frames,
                });
            }
        }
        Ok(())
    }

    fn written(&mut self, item: Item<D>) {
        if let Item::Fragment(closed) = item {
            self.held_bytes -= closed.size();
            let number = self.cutter.number();
            self.tail.begin(number, self.cutter.open());
        }
        if self.full {
            self.report_back();
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failed = true;
        debug_assert!(matches!(failure.fault, Fault::Disk | Fault::Plugin));
        self.setup.reporter.send(&Report::Failed { failure });
    }
}

fn in_folder(folder: &Path, file: FileRef) -> FileRef {
    FileRef { file: layout::in_manifest(&folder.join(file.file)), ..file }
}
