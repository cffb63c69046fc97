//! What a recording tells while it runs, and in the end.

use std::path::PathBuf;

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::{Cause, EncoderUse, FileRef, FrameCounts};
use deskreel_model::{Manifest, MediaTime, PartNumber, RecordingId, Utc};

use crate::select::Trying;

#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The folder exists; frames follow.
    Began {
        recording: RecordingId,
        folder: PathBuf,
    },
    /// An encoder is tried out, before the first part or for a picture that has changed.
    Trying(Trying),
    /// What a track is encoded with from this part on.
    Encoder {
        track: String,
        part: PartNumber,
        encoder: EncoderUse,
    },
    /// A worker serves this part.
    Part {
        part: PartNumber,
        cause: Cause,
        worker: Option<u32>,
    },
    /// The first frame of a part is on disk. `zero`: where media time zero lies in the world, if the manifest says so.
    Recording {
        part: PartNumber,
        zero: Option<Utc>,
    },
    /// A standby has its first frame.
    StandingBy,
    /// A part's header (number 0) or a fragment is complete on disk, and is in the manifest's ledger.
    File {
        track: String,
        part: PartNumber,
        number: u32,
        file: FileRef,
    },
    /// What was asked for holds: no frame from this time on shows what it withholds.
    ModeHolds {
        at: MediaTime,
        capture: CaptureMode,
    },
    /// Nothing is captured, and what was is on disk; the next part ends that.
    Resting {
        cause: Cause,
    },
    Incident {
        at: MediaTime,
        cause: Cause,
        detail: String,
    },
    /// There is room again.
    DiskBack,
    Status(Status),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub at: MediaTime,
    /// All tracks together.
    pub frames: FrameCounts,
    pub bytes: u64,
    pub parts: u32,
    pub disk_full: bool,
}

#[derive(Debug)]
pub struct Finished {
    pub folder: PathBuf,
    pub manifest: Manifest,
    /// Why the last manifest could not be written. The next start's recovery seals what is on disk.
    pub unsealed: Option<deskreel_spool::Error>,
}
