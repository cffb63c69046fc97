//! A finished MP4 file of somebody else's, taken apart: which samples its video has, where they lie, when they are shown.
//!
//! Nothing is decoded and no sample is changed. Plain files (tables in the `moov`, before or behind the footage) and fragmented
//! ones are read alike, in three steps, so that whoever has the bytes needs little of them in memory:
//!
//! 1. [`Scan`] is fed the whole file as it comes, and says where its tables lie;
//! 2. [`Reader`] is given those tables alone: the `moov`, then each `moof`;
//! 3. [`Footage`] says what each fragment of ours is made of.
//!
//! The file may be hostile: each number in it is held against what is there before it is used, and what is kept of it is bounded
//! by [`MOST_SAMPLES`] and [`LARGEST_TABLE`].

mod boxes;
mod entry;
mod footage;
mod moof;
mod movie;
mod reader;
mod scan;
mod tables;

pub use footage::{Footage, Piece};
pub use reader::Reader;
pub use scan::{Outline, Scan};

/// Samples that one file may have: 19 hours at 30 frames per second. Each takes 32 bytes of memory.
pub const MOST_SAMPLES: usize = 1 << 21;
/// Bytes of a `moov` or `moof`. The tables of [`MOST_SAMPLES`], each of another size and time and audio beside them, take less.
pub const LARGEST_TABLE: u64 = 64 << 20;
/// Fragments that one file may have: three days of a second each. Each takes 16 bytes of memory.
pub const MOST_FRAGMENTS: usize = 1 << 18;
/// Frames of one fragment. Only who means harm has so many in a second.
pub const MOST_IN_PIECE: usize = 4096;
/// Nanoseconds that one file may last: a day. Each second becomes a fragment, and costs a sync of the disk.
pub const LONGEST_NS: u64 = 24 * 3600 * 1_000_000_000;

/// Why a file cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    #[error("it does not begin as an MP4 file does")]
    NotMp4,
    #[error("the box `{name}` ends beyond what holds it: the file is cut off or damaged")]
    Torn { name: String },
    #[error("it ends within a box: the file is cut off or damaged")]
    CutOff,
    #[error("it has no `{0}`: the file was not finished, or is damaged")]
    Missing(&'static str),
    #[error("it has two boxes `moov`")]
    SecondMoov,
    #[error("a `moof` comes before the `moov`")]
    MoofFirst,
    #[error("its tables are too large: {0}")]
    TooLarge(&'static str),
    #[error("the table `{0}` does not fit the others")]
    Tables(&'static str),
    #[error("a frame lies outside of the file")]
    Outside,
    #[error("it has no video track")]
    NoVideo,
    #[error("its video is `{0}`, and only avc1, avc3, hvc1, hev1 and av01 are taken")]
    Codec(String),
    #[error("its video is encrypted")]
    Encrypted,
    #[error("the parameter sets of its video are not in `{0}`")]
    ParameterSets(&'static str),
    #[error("its video changes its codec configuration")]
    SecondEntry,
    #[error("the frames lie in another file")]
    Elsewhere,
    #[error("its edit list does more than shift the start")]
    Edited,
    #[error("its video has no frames")]
    Empty,
    #[error("its video does not begin with a keyframe")]
    NoKeyframe,
    #[error("its frames go back in time")]
    Order,
    #[error("it lasts longer than a day")]
    TooLong,
    #[error("a frame stands longer than six hours")]
    LongFrame,
    #[error("a frame has {size} bytes, and {most} are the most")]
    LargeFrame { size: u64, most: u64 },
}

impl Unfit {
    /// What its owner can do about it.
    pub fn cure(&self) -> &'static str {
        match self {
            Unfit::Encrypted => "upload it decrypted",
            Unfit::NoVideo | Unfit::Empty => "upload a file with video",
            Unfit::TooLong | Unfit::TooLarge(_) => {
                "cut it, as with `ffmpeg -i in.mp4 -c copy -f segment -segment_time 3600 -reset_timestamps 1 out-%03d.mp4`"
            }
            Unfit::Codec(_)
            | Unfit::SecondEntry
            | Unfit::Edited
            | Unfit::NoKeyframe
            | Unfit::LargeFrame { .. } => "encode it anew, as with `ffmpeg -i in.mp4 -c:v libx264 out.mp4`",
            _ => "write it anew, as with `ffmpeg -i in.mkv -c copy out.mp4`",
        }
    }
}
