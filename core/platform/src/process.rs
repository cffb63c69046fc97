//! Worker processes: the channel to their supervisor, their start and their end.

use std::io;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// The supervisor's halves of the channel to a worker: reports arrive at the reader, commands go to the
/// writer.
pub type Reader = native::Reader;
pub type Writer = native::Writer;

/// The worker's end of the channel to its supervisor: `Read` and `Write`. `try_clone` shares it, `pair` makes
/// two connected ends for a test.
pub type SupervisorChannel = native::SupervisorChannel;

/// Starts a worker with a channel to it. A Ctrl-C on the terminal does not reach it: the worker has to
/// outlive its supervisor by a few frames. Dropping the child kills it.
pub fn spawn_worker(command: Command) -> io::Result<(Child, Reader, Writer)> {
    native::spawn_worker(command)
}

/// In a worker: takes over the channel to the supervisor, once. Fails if no supervisor has started this
/// process.
pub fn supervisor_channel() -> io::Result<SupervisorChannel> {
    native::supervisor_channel()
}

/// Ends this process at once, without taking anything down: drivers hang when taken down, and exit handlers
/// meet threads that still run.
pub fn kill_self() {
    native::kill_self();
}

/// How a process ended, for messages: "ended by signal 9".
pub fn describe_exit(status: ExitStatus) -> String {
    native::describe_exit(status)
}
