//! The layout of a recording's folder. Paths are relative to it. Files are named nowhere else.
//!
//! ```text
//! <recording>/manifest.json
//!             footage.json        what the recording belongs to, once that is final
//!             <track>/part-0001/init.mp4
//!                               000001.m4s
//!                               tail    samples that are in no fragment yet
//! ```

use std::path::{Path, PathBuf};

use crate::PartNumber;

pub const MANIFEST: &str = "manifest.json";
/// The recording's row of the segment table.
pub const FOOTAGE: &str = "footage.json";
pub const INIT: &str = "init.mp4";
pub const TAIL: &str = "tail";
/// Extension of a file that is not complete yet; it is renamed when it is.
pub const UNFINISHED: &str = "tmp";
/// Extension of a file that recovery could not read and has set aside.
pub const TORN: &str = "torn";
const FRAGMENT: &str = "m4s";

pub fn part_folder(track: &str, part: PartNumber) -> PathBuf {
    Path::new(track).join(format!("part-{part}"))
}

/// The number in a part folder's name.
pub fn part_number(folder: &str) -> Option<PartNumber> {
    digits(folder.strip_prefix("part-")?, 4).map(PartNumber)
}

pub fn fragment_name(number: u32) -> String {
    format!("{number:06}.{FRAGMENT}")
}

/// The number in a fragment's file name.
pub fn fragment_number(name: &str) -> Option<u32> {
    digits(name.strip_suffix(FRAGMENT)?.strip_suffix('.')?, 6)
}

/// Returns a path with forward slashes, as the manifest has it.
pub fn in_manifest(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// The path of a part's header, as the manifest has it.
pub fn init_file(track: &str, part: PartNumber) -> String {
    in_manifest(&part_folder(track, part).join(INIT))
}

/// The path of a fragment, as the manifest has it.
pub fn fragment_file(track: &str, part: PartNumber, number: u32) -> String {
    in_manifest(&part_folder(track, part).join(fragment_name(number)))
}

/// Accepts only what we would write ourselves: two names for one number would be ambiguous.
fn digits(text: &str, width: usize) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number > 0 && format!("{number:0width$}") == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_as_they_were_written() {
        let part = PartNumber(12);
        assert_eq!(fragment_file("video", part, 345), "video/part-0012/000345.m4s");
        assert_eq!((part_number("part-0012"), fragment_number("000345.m4s")), (Some(part), Some(345)));
        let beyond = (part_number("part-12345"), fragment_number("1234567.m4s"));
        assert_eq!(beyond, (Some(PartNumber(12345)), Some(1_234_567)));
    }

    #[test]
    fn names_that_we_would_not_give_are_not_ours() {
        for name in ["part-12", "part-0000", "part-+012", "part-00012", "Part-0012", "part-", ""] {
            assert_eq!(part_number(name), None, "{name}");
        }
        for name in ["345.m4s", "000345.m4s.tmp", "000345.m4s.torn", "000000.m4s", "-00345.m4s", ".m4s"] {
            assert_eq!(fragment_number(name), None, "{name}");
        }
    }
}
