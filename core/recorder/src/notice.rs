//! The notices of a running recording, and its result.

use std::path::PathBuf;

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::{Cause, EncoderUse, FileRef, FrameCounts};
use deskreel_model::{Manifest, MediaTime, PartNumber, RecordingId, Utc};

use crate::select::CandidateTrial;

#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The recording's folder exists; frames follow.
    Began {
        recording: RecordingId,
        folder: PathBuf,
    },
    /// An encoder is being tried, before the first part or after the picture has changed.
    Trying(CandidateTrial),
    /// The encoder of a track from this part on.
    Encoder {
        track: String,
        part: PartNumber,
        encoder: EncoderUse,
    },
    /// A worker has started on this part.
    Part {
        part: PartNumber,
        cause: Cause,
        worker: Option<u32>,
    },
    /// The first frame of a part is on disk. `zero` is the wall clock at media time zero, if the manifest has
    /// it.
    Recording {
        part: PartNumber,
        zero: Option<Utc>,
    },
    /// A standby has its first frame.
    StandingBy,
    /// A part's header (number 0) or a fragment is complete on disk, and the ledger has it.
    File {
        track: String,
        part: PartNumber,
        number: u32,
        file: FileRef,
    },
    /// A requested mode holds: no frame from this time on shows anything that it withholds.
    ModeHolds {
        at: MediaTime,
        capture: CaptureMode,
    },
    /// Nothing is captured until the next part, and everything captured before is on disk.
    Resting {
        cause: Cause,
    },
    Incident {
        at: MediaTime,
        cause: Cause,
        detail: String,
    },
    /// The disk has room again.
    DiskBack,
    Progress(RecordingProgress),
}

#[derive(Debug, Clone, PartialEq)]
pub struct RecordingProgress {
    pub at: MediaTime,
    /// Counts of all tracks together.
    pub frames: FrameCounts,
    pub bytes: u64,
    pub parts: u32,
    pub disk_full: bool,
}

#[derive(Debug)]
pub struct RecordingResult {
    pub folder: PathBuf,
    pub manifest: Manifest,
    /// Why the last manifest could not be written. Recovery seals the recording at the next start.
    pub unsealed: Option<deskreel_spool::Error>,
}
