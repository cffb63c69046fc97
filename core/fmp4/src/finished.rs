//! Reads a finished MP4 file of another program: the samples of its video, where they are in the file, and
//! when they are shown.
//!
//! Nothing is decoded and no sample is changed. Plain files (tables in the `moov`, before or after the
//! footage) and fragmented ones are both read, in three steps, so that the caller needs little of the file in
//! memory:
//!
//! 1. [`Scan`] takes the whole file as it arrives and finds its tables;
//! 2. [`Reader`] takes only those tables: the `moov`, then each `moof`;
//! 3. [`Footage`] assigns samples to our fragments.
//!
//! The file may be hostile: each number in it is checked against the actual bytes before it is used, and what
//! is kept in memory is bounded by [`MOST_SAMPLES`] and [`LARGEST_TABLE`].

mod boxes;
mod footage;
mod moof;
mod moov;
mod reader;
mod sample_entry;
mod scan;
mod tables;

pub use footage::{Footage, FragmentSamples};
pub use reader::Reader;
pub use scan::{Outline, Scan};

/// Most samples in one file: 19 hours at 30 frames per second. Each takes 32 bytes of memory.
pub const MOST_SAMPLES: usize = 1 << 21;
/// Most bytes of a `moov` or `moof`. The tables of [`MOST_SAMPLES`] samples that all differ in size and time,
/// and of audio as well, take less.
pub const LARGEST_TABLE: u64 = 64 << 20;
/// Most fragments in one file: three days of one second each. Each takes 16 bytes of memory.
pub const MOST_FRAGMENTS: usize = 1 << 18;
/// Most frames in one fragment of ours; only a malicious file has more in a second.
pub const MOST_IN_FRAGMENT: usize = 4096;
/// Longest duration of one file: a day. Each second becomes a fragment, which costs a sync of the disk.
pub const LONGEST_NS: u64 = 24 * 3600 * 1_000_000_000;

/// Why a file cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    #[error("it does not begin like an MP4 file")]
    NotMp4,
    #[error("the box `{name}` ends beyond its container: the file is cut off or damaged")]
    Torn { name: String },
    #[error("it ends within a box: the file is cut off or damaged")]
    CutOff,
    #[error("it has no `{0}`: the file was not finished, or is damaged")]
    Missing(&'static str),
    #[error("it has two `moov` boxes")]
    SecondMoov,
    #[error("a `moof` comes before the `moov`")]
    MoofFirst,
    #[error("its tables are too large: {0}")]
    TooLarge(&'static str),
    #[error("the table `{0}` does not fit the others")]
    Tables(&'static str),
    #[error("a frame is outside the file")]
    Outside,
    #[error("it has no video track")]
    NoVideo,
    #[error("its video is `{0}`, and only avc1, avc3, hvc1, hev1 and av01 are supported")]
    Codec(String),
    #[error("its video is encrypted")]
    Encrypted,
    #[error("the parameter sets of its video are not in `{0}`")]
    ParameterSets(&'static str),
    #[error("its video changes its codec configuration")]
    SecondEntry,
    #[error("its frames are in another file")]
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
    #[error("a frame lasts longer than six hours")]
    LongFrame,
    #[error("a frame has {size} bytes, and at most {most} are allowed")]
    LargeFrame { size: u64, most: u64 },
}

impl Unfit {
    /// The cure, for the file's owner.
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
            | Unfit::LargeFrame { .. } => "encode it again, as with `ffmpeg -i in.mp4 -c:v libx264 out.mp4`",
            _ => "write it again, as with `ffmpeg -i in.mkv -c copy out.mp4`",
        }
    }
}
