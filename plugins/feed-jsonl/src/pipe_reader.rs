//! Reads standard input or a named pipe. Data is gone once read, so no position is saved.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use deskreel_sdk::prelude::Outlet;
use rustix::fs::{Mode, OFlags};

use crate::emitter::Emitter;
use crate::lines::Lines;
use crate::report;
use crate::stop_signal::{StopSignal, WaitResult};

pub fn read_stdin(emitter: Emitter, outlet: &Outlet, stop: &StopSignal) -> io::Result<()> {
    read_all(io::stdin().as_fd(), emitter, outlet, stop)
}

/// Opens the pipe for writing, too, so that it does not end when a writer closes it, and another may follow.
pub fn read(file: &Path, emitter: Emitter, outlet: &Outlet, stop: &StopSignal) -> io::Result<()> {
    let pipe = rustix::fs::open(file, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    read_all(pipe.as_fd(), emitter, outlet, stop)
}

fn read_all(
    file: BorrowedFd<'_>,
    mut emitter: Emitter,
    outlet: &Outlet,
    stop: &StopSignal,
) -> io::Result<()> {
    let mut lines = Lines::default();
    let mut buffer = vec![0; 64 << 10];
    report::emit_state(outlet, "live", None);
    loop {
        if stop.wait(Some(file), None)? == WaitResult::Stopped {
            return Ok(());
        }
        let complete = match rustix::io::read(file, &mut buffer) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(0) => lines.end().into_iter().collect(),
            Ok(bytes) => lines.push(&buffer[..bytes]),
        };
        let is_end = complete.is_empty() && lines.rest().is_empty();
        for line in complete {
            if !emitter.emit(line, outlet, stop)? {
                return Ok(());
            }
        }
        if is_end {
            report::emit_state(outlet, "lost", Some("the input has ended"));
            return Ok(());
        }
    }
}
