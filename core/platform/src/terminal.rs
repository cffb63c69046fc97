//! The terminal, to type a password into.

use std::io;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// Runs `read` while the terminal on standard input shows nothing of what is typed. Fails if that cannot be
/// had.
pub fn without_echo<T>(read: impl FnOnce() -> T) -> io::Result<T> {
    native::without_echo(read)
}
