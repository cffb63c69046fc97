//! Standard input, or a named pipe: what was read is gone, so nothing is remembered.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::lines::Lines;
use crate::outlet::Outlet;
use crate::pace::Pace;
use crate::wake::{Wake, Woken};

pub fn read_stdin(pace: Pace, outlet: &Outlet, wake: &Wake) -> io::Result<()> {
    read_all(io::stdin().as_fd(), pace, outlet, wake)
}

/// Opened for writing, too: so it does not end when a writer goes, and another one may come.
pub fn read(file: &Path, pace: Pace, outlet: &Outlet, wake: &Wake) -> io::Result<()> {
    let pipe = rustix::fs::open(file, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    read_all(pipe.as_fd(), pace, outlet, wake)
}

fn read_all(file: BorrowedFd<'_>, mut pace: Pace, outlet: &Outlet, wake: &Wake) -> io::Result<()> {
    let mut lines = Lines::default();
    let mut buffer = vec![0; 64 << 10];
    outlet.state("live", None);
    loop {
        if wake.wait(Some(file), None)? == Woken::Stop {
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
            if !pace.take(line, outlet, wake)? {
                return Ok(());
            }
        }
        if is_end {
            outlet.state("lost", Some("the input has ended"));
            return Ok(());
        }
    }
}
