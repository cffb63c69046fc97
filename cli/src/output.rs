//! Lines on standard output and standard error.

use std::io::{Write, stderr, stdout};

/// Prints a line to standard output. If nobody reads it any more, the recording continues all the same.
pub fn print_line(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

/// Prints a line to standard error, in the same way.
pub fn eprint_line(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// A size such as `12.3 MB`. Decimal, as disks are sold.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
