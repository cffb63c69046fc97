//! The thread that puts a track's frames on disk.
//!
//! A fragment is written in this order: its frames are appended to the tail as they arrive; when the fragment
//! is complete it is written as one file under a temporary name, synced, renamed, the folder is synced, and
//! the fragment is reported; then the tail starts over. At whatever moment the process dies, each frame is in
//! the tail or in a fragment. If a fragment stays open for long because the screen is still, the tail says so
//! twice a second, and is synced instead. A part is finished before the next one's first fragment is written.
//!
//! While the disk is full, complete fragments wait in memory up to a limit and the encoder keeps running.
//! Beyond the limit the oldest are dropped, in whole runs from one keyframe to the next, and counted as lost.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use deskreel_fmp4::VideoConfig;
use deskreel_model::manifest::{FileRef, Fragment};
use deskreel_model::worker::{OpenedPart, Report, TrackBeat};
use deskreel_model::{Failure, Fault, MediaTime, PartNumber, layout};
use deskreel_platform::locks::FolderLock;

use crate::encode::counters::Counters;
use crate::error::Error;
use crate::write::files::{self, Tail};
use crate::write::fragments::{ClosedFragment, CodedFrame, Cutter};
use crate::write::link::{WriterInput, WriterSetup};

/// Bytes of fragments that are held while the disk is full: half a minute of a busy screen at 8 Mbit/s.
const HELD_LIMIT: usize = 32 << 20;
/// On a still screen, how often the tail says that it still is. A kill may cost a second.
const STILL_EVERY: Duration = Duration::from_millis(500);
/// Pause between two attempts to write held fragments.
const RETRY: Duration = Duration::from_millis(500);

pub struct Writer<D> {
    setup: WriterSetup,
    /// The part that frames belong to now.
    part: Arc<PartFolder>,
    cutter: Cutter<D>,
    tail: Tail,
    /// Complete but not on disk, oldest first.
    held: VecDeque<QueuedWrite<D>>,
    held_bytes: usize,
    /// The disk was full at the last attempt.
    full: bool,
    /// Frames are useless until the next keyframe.
    await_keyframe: bool,
    /// A failure was reported, and nothing is written any more.
    failed: bool,
    /// The recording's time zero in the job's media time: later than the job's own zero if a standby was
    /// kept.
    zero_ns: u64,
}

/// A part's folder on disk, locked as long as something of the part is to be written.
struct PartFolder {
    number: PartNumber,
    /// Relative to the recording's folder.
    folder: PathBuf,
    path: PathBuf,
    counters: Arc<Counters>,
    _lock: FolderLock,
}

/// Something that waits to be written, and its part.
struct QueuedWrite<D> {
    part: Arc<PartFolder>,
    content: WriteContent<D>,
}

enum WriteContent<D> {
    Header(Vec<u8>, Box<OpenedPart>),
    Fragment(ClosedFragment<D>),
    /// The end of the part: everything before is on disk then, and its tail is useless.
    End(Tail),
}

impl PartFolder {
    fn new(setup: &WriterSetup, number: PartNumber, counters: Arc<Counters>) -> Result<PartFolder, Error> {
        let folder = layout::part_folder(&setup.track, number);
        let path = setup.directory.join(&folder);
        let lock = files::own_folder(&setup.directory, &folder)
            .map_err(|source| Error::Write { path: path.display().to_string(), source })?;
        Ok(PartFolder { number, folder, path, counters, _lock: lock })
    }

    fn tail(&self, setup: &WriterSetup) -> Tail {
        Tail::new(self.path.join(layout::TAIL), setup.period_ns)
    }

    fn count_dropped(&self, frames: usize) {
        self.counters.dropped.fetch_add(frames as u64, Relaxed);
    }
}

impl<D: AsRef<[u8]>> Writer<D> {
    pub fn new(setup: WriterSetup, number: PartNumber, counters: Arc<Counters>) -> Result<Self, Error> {
        let part = PartFolder::new(&setup, number, counters)?;
        Ok(Writer {
            cutter: Cutter::new(setup.fragment_ns, setup.period_ns),
            tail: part.tail(&setup),
            part: Arc::new(part),
            held: VecDeque::new(),
            held_bytes: 0,
            full: false,
            await_keyframe: false,
            failed: false,
            zero_ns: 0,
            setup,
        })
    }

    /// Begins with what a standby has kept.
    pub fn begin(
        &mut self,
        zero_ns: u64,
        configured: Option<(VideoConfig, Box<OpenedPart>)>,
        frames: impl Iterator<Item = CodedFrame<D>>,
    ) {
        self.zero_ns = zero_ns;
        // If nothing was kept, the first frames may not be decodable by themselves.
        self.await_keyframe = true;
        if let Some((config, opened)) = configured {
            self.queue_header(&config, opened);
        }
        for frame in frames {
            self.take_frame(frame);
            self.flush();
        }
    }

    pub fn run(&mut self, inputs: &Receiver<WriterInput<D>>, backlog: &AtomicUsize) {
        let fragment = Duration::from_nanos(self.setup.fragment_ns);
        let (mut retry, mut last_input) = (Instant::now(), Instant::now());
        loop {
            let input = inputs.recv_timeout(if self.full { RETRY } else { fragment.min(STILL_EVERY) });
            if input.is_ok() {
                backlog.fetch_sub(1, Relaxed);
                last_input = Instant::now();
            }
            match input {
                Ok(WriterInput::Configured(config, opened)) => self.queue_header(&config, opened),
                Ok(WriterInput::Frame(frame)) => self.take_frame(frame),
                Ok(WriterInput::Next(number, counters)) => self.begin_part(number, counters),
                // Only for a standby, and this is a recording by now.
                Ok(WriterInput::Choose(..) | WriterInput::Keep { .. }) => {}
                Ok(WriterInput::Finish) | Err(RecvTimeoutError::Disconnected) => return self.finish(),
                Err(RecvTimeoutError::Timeout) if !self.full => {
                    self.note_still();
                    if last_input.elapsed() >= fragment {
                        self.tail.sync();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !self.full || retry.elapsed() >= RETRY {
                self.flush();
                retry = Instant::now();
            }
        }
    }

    /// While the tail waits for a fragment that is to be written, its samples are not the newest.
    fn note_still(&mut self) {
        let Some(last) = self.cutter.open().last().filter(|_| self.held.is_empty()) else { return };
        let until_ns = self.still_until_ns();
        if until_ns > last.pts_ns {
            self.tail.append_still(until_ns);
        }
    }

    fn still_until_ns(&self) -> u64 {
        self.part.counters.still_until_ns.load(Relaxed).saturating_sub(self.zero_ns)
    }

    fn queue_header(&mut self, config: &VideoConfig, mut opened: Box<OpenedPart>) {
        match deskreel_fmp4::header(config) {
            Ok(header) => {
                opened.codec = deskreel_fmp4::codec_string(config);
                (opened.width, opened.height) = (config.width, config.height);
                opened.timescale = deskreel_fmp4::TIMESCALE;
                self.hold(WriteContent::Header(header, opened));
            }
            Err(error) => self.fail(Error::Configuration(error.to_string()).into()),
        }
    }

    fn take_frame(&mut self, mut frame: CodedFrame<D>) {
        frame.pts_ns = frame.pts_ns.saturating_sub(self.zero_ns);
        frame.dts_ns = frame.dts_ns.saturating_sub(self.zero_ns);
        if self.await_keyframe && !frame.keyframe {
            self.part.count_dropped(1);
            return;
        }
        self.await_keyframe = false;
        if let Some(closed) = self.cutter.cut(&frame) {
            self.hold(WriteContent::Fragment(closed));
        }
        let closed = self.cutter.push(frame);
        // The frame is appended as the fragment will have it: the cutter may have moved its decoding time.
        // While a fragment waits to be written, the tail belongs to that one and starts over afterwards.
        if self.held.is_empty() {
            match self.cutter.open() {
                [] => {}
                [first] => self.tail.begin(self.cutter.number(), std::slice::from_ref(first)),
                [.., last] => self.tail.append(last),
            }
        }
        if let Some(closed) = closed {
            self.hold(WriteContent::Fragment(closed));
        }
    }

    /// Completes the current part's last fragment. Frames belong to the next part from here on.
    fn begin_part(&mut self, number: PartNumber, counters: Arc<Counters>) {
        self.close();
        match PartFolder::new(&self.setup, number, counters) {
            Ok(part) => {
                let tail = std::mem::replace(&mut self.tail, part.tail(&self.setup));
                self.hold(WriteContent::End(tail));
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
            match item.content {
                WriteContent::Header(..) => {}
                WriteContent::Fragment(closed) => item.part.count_dropped(closed.frames.len()),
                WriteContent::End(_) => self.report_end(&item.part),
            }
        }
        // Otherwise the tail still has what could not be written.
        if !self.full && !self.failed {
            self.tail.remove();
        }
    }

    /// Completes the open fragment.
    fn close(&mut self) {
        if let Some(closed) = self.cutter.finish(self.still_until_ns()) {
            self.hold(WriteContent::Fragment(closed));
        }
    }

    fn hold(&mut self, content: WriteContent<D>) {
        self.held_bytes += content.size();
        self.held.push_back(QueuedWrite { part: self.part.clone(), content });
        if self.full && self.held_bytes > HELD_LIMIT {
            self.shed();
        }
    }

    /// Drops the oldest fragments, and with them those that cannot be decoded without them.
    fn shed(&mut self) {
        while let Some(at) =
            self.held.iter().position(|item| matches!(item.content, WriteContent::Fragment(_)))
        {
            let useless = self.held.get(at).is_some_and(|item| item.content.needs_predecessor());
            if self.held_bytes <= HELD_LIMIT && !useless {
                return;
            }
            let Some(QueuedWrite { part, content }) = self.held.remove(at) else { return };
            self.held_bytes -= content.size();
            part.count_dropped(content.frames());
        }
        if let Some(open) = self.cutter.abandon() {
            self.part.count_dropped(open.frames.len());
        }
        self.await_keyframe = true;
        self.part.counters.want_keyframe.store(true, Relaxed);
    }

    /// Writes the held fragments, oldest first, until none is left or the disk is full.
    fn flush(&mut self) {
        while !self.failed
            && let Some(item) = self.held.pop_front()
        {
            match self.write(&item) {
                Ok(()) => self.written(item),
                Err(error) if files::is_full(&error) => {
                    self.held.push_front(item);
                    return self.note_full(&error);
                }
                Err(source) => {
                    self.held.push_front(item);
                    let path = self.part.path.display().to_string();
                    self.fail(Error::Write { path, source }.into());
                }
            }
        }
    }

    fn note_full(&mut self, error: &std::io::Error) {
        // The tail's samples are in memory too, and its disk space may be all that the next fragment needs.
        self.tail.remove();
        if !self.full {
            self.full = true;
            let detail = format!("{}: {error}", self.part.path.display());
            self.setup.reporter.send(&Report::DiskFull { detail });
        }
    }

    fn report_room(&mut self) {
        self.full = false;
        self.setup.reporter.send(&Report::DiskBack);
    }

    fn write(&self, item: &QueuedWrite<D>) -> std::io::Result<()> {
        let (track, part) = (self.setup.track.clone(), &item.part);
        match &item.content {
            WriteContent::Header(bytes, opened) => {
                // Its name need not be synced: it is useless without a fragment, and the first fragment syncs
                // the folder.
                let init = files::write_unnamed(&part.path, layout::INIT, &[bytes])?;
                let mut opened = OpenedPart::clone(opened);
                opened.init = in_folder(&part.folder, init);
                self.setup.reporter.send(&Report::PartOpened { track, part: opened });
            }
            WriteContent::Fragment(closed) => {
                let header = deskreel_fmp4::fragment_header(closed.number, &closed.samples())
                    .map_err(|error| std::io::Error::other(error.to_string()))?;
                let payload = closed.frames.iter().map(|frame| frame.data.as_ref());
                let slices: Vec<&[u8]> = std::iter::once(header.as_slice()).chain(payload).collect();
                let file = files::write(&part.path, &layout::fragment_name(closed.number), &slices)?;
                let (start, end) = closed.span_ns();
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
            WriteContent::End(_) => self.report_end(part),
        }
        Ok(())
    }

    /// Reports a part's final counts. Frames that the next part took over are counted there, in no report
    /// yet.
    fn report_end(&self, part: &PartFolder) {
        let beat = TrackBeat {
            track: self.setup.track.clone(),
            part: part.number,
            frames: part.counters.drained(),
            still_until: MediaTime(part.counters.still_until_ns.load(Relaxed).saturating_sub(self.zero_ns)),
            bytes: part.counters.bytes.load(Relaxed),
        };
        self.setup.reporter.send(&Report::Beat { tracks: vec![beat] });
    }

    fn written(&mut self, item: QueuedWrite<D>) {
        self.held_bytes -= item.content.size();
        match item.content {
            WriteContent::Header(..) => {}
            WriteContent::Fragment(_) if !Arc::ptr_eq(&item.part, &self.part) => {}
            WriteContent::Fragment(_) => self.begin_tail(),
            WriteContent::End(mut tail) => {
                tail.remove();
                if self.held.is_empty() {
                    self.begin_tail();
                }
            }
        }
        if self.full {
            self.report_room();
        }
    }

    /// Starts the tail over, with the frames that are in no fragment yet.
    fn begin_tail(&mut self) {
        self.tail.begin(self.cutter.number(), self.cutter.open());
    }

    fn fail(&mut self, failure: Failure) {
        self.failed = true;
        debug_assert!(matches!(failure.fault, Fault::Disk | Fault::Plugin));
        self.setup.reporter.send(&Report::Failed { failure });
    }
}

impl<D: AsRef<[u8]>> WriteContent<D> {
    /// Bytes of payload.
    fn size(&self) -> usize {
        if let WriteContent::Fragment(closed) = self { closed.size() } else { 0 }
    }

    fn frames(&self) -> usize {
        if let WriteContent::Fragment(closed) = self { closed.frames.len() } else { 0 }
    }

    fn needs_predecessor(&self) -> bool {
        matches!(self, WriteContent::Fragment(closed) if !closed.starts_with_keyframe())
    }
}

fn in_folder(folder: &Path, file: FileRef) -> FileRef {
    FileRef { file: layout::in_manifest(&folder.join(file.file)), ..file }
}
