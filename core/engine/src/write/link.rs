//! The link from an encoder to the writer of its track: a queue that never blocks the sender.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Sender;

use deskreel_fmp4::VideoConfig;
use deskreel_model::PartNumber;
use deskreel_model::worker::OpenedPart;

use crate::encode::counters::Counters;
use crate::wire::Reporter;
use crate::write::fragments::CodedFrame;

/// Inputs that may wait for the writer. When this many wait the encoder gets no more frames; raw frames then
/// wait in front of it, and the bridge counts those that are lost.
const BACKLOG: usize = 256;

/// A bridge's message to its writer.
pub enum WriterInput<D> {
    /// The codec configuration of the frames that follow. Comes before a part's first frame.
    Configured(VideoConfig, Box<OpenedPart>),
    Frame(CodedFrame<D>),
    /// The frames that follow belong to another part.
    Next(PartNumber, Arc<Counters>),
    /// To a standby: choose the frames that are needed to show everything from this media time on. The answer
    /// is the time of the first of them.
    Choose(u64, Sender<Option<u64>>),
    /// To a standby: write the chosen frames to this recording's folder, with this media time as the
    /// recording's zero.
    Keep {
        directory: PathBuf,
        zero_ns: u64,
    },
    /// Nothing follows.
    Finish,
}

/// The sending end. Sending never waits.
pub struct WriterLink<D> {
    inputs: Sender<WriterInput<D>>,
    backlog: Arc<AtomicUsize>,
}

impl<D> WriterLink<D> {
    pub fn new(inputs: Sender<WriterInput<D>>, backlog: Arc<AtomicUsize>) -> Self {
        WriterLink { inputs, backlog }
    }

    /// Sends an input. One to a writer that has ended is dropped: it needs nothing any more.
    pub fn send(&self, input: WriterInput<D>) {
        self.backlog.fetch_add(1, Relaxed);
        let _ = self.inputs.send(input);
    }

    /// Returns whether the queue is full.
    pub fn is_full(&self) -> bool {
        self.backlog.load(Relaxed) >= BACKLOG
    }
}

/// Everything that a writer needs to know about its track.
pub struct WriterSetup {
    pub track: String,
    /// The recording's folder.
    pub directory: PathBuf,
    pub fragment_ns: u64,
    /// Duration of a frame that nothing follows.
    pub period_ns: u64,
    pub reporter: Reporter,
    /// For a standby: how much footage is kept in memory until it is wanted. Until then there is no folder.
    pub preroll_ns: Option<u64>,
}
