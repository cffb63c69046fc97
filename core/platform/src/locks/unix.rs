use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// The open folder; closing it releases the lock.
pub type Lock = File;

pub fn try_lock(folder: &Path) -> io::Result<Lock> {
    lock_as(folder, FlockOperation::NonBlockingLockExclusive)
}

pub fn lock(folder: &Path) -> io::Result<Lock> {
    lock_as(folder, FlockOperation::LockExclusive)
}

fn lock_as(folder: &Path, operation: FlockOperation) -> io::Result<Lock> {
    let folder = File::open(folder)?;
    flock(&folder, operation)?;
    Ok(folder)
}
