use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, IntoRawFd};

pub use libloading::os::unix::Library;
use libloading::os::unix::{RTLD_LOCAL, RTLD_NOW};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::LoadError;

/// `dlclose` does not unload.
const RTLD_NODELETE: i32 = 0x1000;

/// The bytes go through a sealed file in memory. Its descriptor is never closed: the loader identifies a
/// library by its path, and a reused path below `/proc/self/fd` would return the earlier library.
///
/// # Safety
///
/// As for [`super::load`].
#[allow(unsafe_code)]
pub unsafe fn load(bytes: &[u8], name: &str) -> Result<&'static Library, LoadError> {
    let failed = |error: &dyn std::fmt::Display| LoadError(error.to_string());
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(|error| failed(&error))?;
    let mut file = File::from(file);
    file.write_all(bytes).map_err(|error| failed(&error))?;
    // `FUTURE_WRITE` instead of `WRITE`: the latter fails with EBUSY while the kernel still holds one of the
    // pages that were just written, as happens under load. It only differs for writable mappings, and none
    // exists yet.
    fcntl_add_seals(&file, SealFlags::FUTURE_WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)
        .map_err(|error| failed(&error))?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: the caller vouches for the bytes, whose constructors run here.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) };
    let library = library.map_err(|error| LoadError(reason(&error, &path)))?;
    let _stays_open = file.into_raw_fd();
    Ok(Box::leak(Box::new(library)))
}

/// The reason is in the error's source, and begins with the path that the loader saw.
fn reason(error: &libloading::Error, path: &str) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    let text = source.unwrap_or_else(|| error.to_string());
    text.strip_prefix(path).unwrap_or(&text).trim_start_matches(": ").to_owned()
}
