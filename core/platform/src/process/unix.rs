use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};

pub type Reader = OwnedReadHalf;
pub type Writer = OwnedWriteHalf;

/// The channel is a socket pair, whose other end is the worker's standard input.
pub fn spawn_worker(mut command: Command) -> io::Result<(Child, Reader, Writer)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let child =
        command.stdin(Stdio::from(OwnedFd::from(theirs))).process_group(0).kill_on_drop(true).spawn()?;
    let (reader, writer) = tokio::net::UnixStream::from_std(ours)?.into_split();
    Ok((child, reader, writer))
}

#[derive(Debug)]
pub struct SupervisorChannel(UnixStream);

pub fn supervisor_channel() -> io::Result<SupervisorChannel> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Anything other than a socket fails here.
    socket.peer_addr()?;
    Ok(SupervisorChannel(socket))
}

impl SupervisorChannel {
    pub fn pair() -> io::Result<(SupervisorChannel, SupervisorChannel)> {
        let (one, other) = UnixStream::pair()?;
        Ok((SupervisorChannel(one), SupervisorChannel(other)))
    }

    pub fn try_clone(&self) -> io::Result<SupervisorChannel> {
        self.0.try_clone().map(SupervisorChannel)
    }
}

impl Read for SupervisorChannel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for SupervisorChannel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

pub fn kill_self() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

pub fn describe_exit(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, Some(code)) => format!("ended with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}
