//! The bytes of a recording, and nothing else: no files, no clock, no GStreamer.
//!
//! A part of a track is one [`header`] (`ftyp` + `moov`) and fragments (one `moof` + one `mdat` each).
//! Concatenated they are a fragmented MP4 file that any player accepts; one by one they are what a CMAF or
//! HLS player loads. The rules for this, which [`read_fragment`] enforces:
//!
//! - one track per file, with track id 1 and [`TIMESCALE`] ticks per second;
//! - a fragment's `tfdt` is a time on the recording's timeline, so that parts and tracks align without a
//!   table;
//! - one `trun`, whose samples are in the `mdat` in the same order and without holes;
//! - a fragment has only these two boxes.
//!
//! [`progressive_head`] writes the head of one ordinary file with frames of many fragments: a clip, or
//! several whole recordings. Where footage is missing, a [`slate`] says so.
//!
//! The samples of the fragment that is still growing are kept in a [tail](mod@tail), so that a killed worker
//! costs some frames instead of a second.
//!
//! Only [`finished`] reads files of other programs.

mod av1;
mod codec;
pub mod finished;
mod fragment;
mod header;
mod progressive;
mod read;
mod slate;
pub mod tail;
mod time;

pub use av1::av1c;
pub use codec::{Codec, VideoConfig, codec_string};
pub use fragment::{Sample, SampleInfo, fragment, fragment_header};
pub use header::header;
pub use progressive::{Chunk, Edit, ParameterSets, progressive_head};
pub use read::{FragmentInfo, HeaderInfo, read_fragment, read_fragment_start, read_header};
pub use slate::{slate, slate_config};
pub use tail::{Tail, read_tail, still_record, tail_head, tail_record};
pub use time::{TIMESCALE, nanos, ticks};

/// Why something cannot be written, or is not what this crate writes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot read the codec configuration")]
    Config(#[source] mp4_atom::Error),
    #[error("picture of {width}x{height} does not fit an MP4 sample entry")]
    PictureSize { width: u32, height: u32 },
    #[error("cannot write a box")]
    Write(#[source] mp4_atom::Error),
    #[error("fragment without samples")]
    Empty,
    #[error("fragment is larger than 4 GiB")]
    TooLarge,
    #[error("sample {index} is decoded before its predecessor")]
    Order { index: usize },
    #[error("time of sample {index} does not fit its field")]
    TimeRange { index: usize },
    #[error("expected box `{expected}` at byte {at}, found `{found}`")]
    UnexpectedBox { expected: &'static str, found: String, at: usize },
    #[error("box `{name}` at byte {at} ends beyond the data")]
    Torn { name: &'static str, at: usize },
    #[error("cannot read the box `{name}`")]
    Read { name: &'static str, source: mp4_atom::Error },
    #[error("{0}")]
    NotOurs(&'static str),
}
