//! Everything that reaches a worker's loop, from any thread.

use deskreel_model::Failure;
use deskreel_model::worker::Command;
use gstreamer as gst;

use crate::bus;
use crate::encode::encoder;

/// Everything that can happen to a worker.
pub enum WorkerInput {
    Command(Command),
    /// The recording is no longer wanted; captured footage is still brought to disk.
    SupervisorGone,
    Bus(bus::Event),
    Failed(Failure),
    /// The layout of a track's pictures is known: the track's index and its caps.
    Picture(usize, gst::Caps),
    /// An encoder's event, with the track's index and the encoder's generation.
    Encoder(usize, u32, encoder::Event),
    SourceChanged(String),
    /// A source can capture no more.
    SourceFailed(Failure),
    TrackDone(usize),
}
