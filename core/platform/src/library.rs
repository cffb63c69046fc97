//! Loads a library from bytes in memory, so that exactly the bytes that were checked are loaded.

use std::fmt;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// A loaded library. It is never unloaded.
///
/// Rationale: vtables, threads and thread-locals of a plugin outlive every handle that could be counted;
/// unloading under them crashes (measured), and GStreamer never unloads either.
pub type Library = native::Library;

/// Why the system did not load a library.
#[derive(Debug)]
pub struct LoadError(pub String);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

/// Loads exactly these bytes, whatever happens to the file that they were read from. `name` shows up in
/// debuggers.
///
/// # Safety
///
/// The library's constructors run. The caller vouches for the bytes.
#[allow(unsafe_code)]
pub unsafe fn load(bytes: &[u8], name: &str) -> Result<&'static Library, LoadError> {
    // SAFETY: the caller's promise is passed on.
    unsafe { native::load(bytes, name) }
}
