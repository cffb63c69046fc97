//! The bytes of a recording, and nothing else: no files, no clock, no GStreamer.
//!
//! A part of a track is one [`header`] (`ftyp` + `moov`) and fragments (one `moof` + one `mdat` each). Put one
//! behind the other they are a fragmented MP4 file that any player takes; one by one they are what a CMAF or HLS
//! player loads. The rules that make this so, and that [`read_fragment`] insists on:
//!
//! - one track a file, with track id 1 and [`TIMESCALE`] ticks per second;
//! - a fragment's `tfdt` is time on the recording's timeline, so that parts and tracks fit without a table;
//! - one `trun`, whose samples lie in the `mdat` in the same order and without holes;
//! - nothing but these two boxes in a fragment.
//!
//! A [`movie`] is the head of one ordinary file with frames of many fragments: a clip, or all of several recordings.
//!
//! The samples of the fragment that is still growing are kept in a [tail](mod@tail), so that a killed worker costs
//! frames and not a second.
//!
//! What others wrote is read by [`finished`] alone.

mod av1;
mod codec;
pub mod finished;
mod fragment;
mod header;
mod movie;
mod read;
pub mod tail;
mod time;

pub use av1::av1c;
pub use codec::{Codec, VideoConfig, codec_string};
pub use fragment::{Sample, SampleInfo, fragment, fragment_header};
pub use header::header;
pub use movie::{Chunk, Edit, ParameterSets, movie};
pub use read::{FragmentInfo, HeaderInfo, read_fragment, read_fragment_start, read_header};
pub use tail::{Tail, read_tail, tail_head, tail_record};
pub use time::{TIMESCALE, nanos, ticks};

/// What cannot be written, or is not what this crate writes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("codec configuration cannot be read")]
    Config(#[source] mp4_atom::Error),
    #[error("picture of {width}x{height} does not fit an MP4 sample entry")]
    PictureSize { width: u32, height: u32 },
    #[error("box cannot be written")]
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
    #[error("box `{name}` cannot be read")]
    Read { name: &'static str, source: mp4_atom::Error },
    #[error("{0}")]
    NotOurs(&'static str),
}
