//! Worker processes: how they are started, used and ended.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use deskreel_model::worker::{self, Command, PluginFile, Report, TrackJob};
use deskreel_platform::process::{self, Reader, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::{Error, machine_dir};

/// Number of reports that may wait for us. When it is reached, the worker waits too.
const BACKLOG: usize = 64;

/// A worker process. Dropping it kills it.
pub struct Worker {
    child: Child,
    commands: Writer,
    reports: mpsc::Receiver<Report>,
    listener: AbortOnDrop,
    /// It has reported `Ready`, before it was given a job.
    pub(crate) is_ready: bool,
}

/// Path of the worker that was installed beside this program.
pub fn default_worker() -> Result<PathBuf, Error> {
    let name = "deskreel-worker";
    let here = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(name)));
    match here {
        Some(path) if path.is_file() => Ok(path),
        Some(path) => Err(Error::NoWorker(path.display().to_string())),
        None => Err(Error::NoWorker(name.to_owned())),
    }
}

impl Worker {
    /// Starts the process and lets it load its plugins and everything that `tracks` need. It takes commands
    /// at once.
    pub async fn spawn(program: &Path, plugins: &[PluginFile], tracks: &[TrackJob]) -> Result<Worker, Error> {
        Worker::spawn_with(program, plugins, tracks, Stdio::inherit()).await
    }

    /// Starts a worker for trials that may fail. Output of drivers and libraries is hidden then, unless
    /// `DESKREEL_LOG` is set.
    pub(crate) async fn spawn_to_try(program: &Path, plugins: &[PluginFile]) -> Result<Worker, Error> {
        let is_wanted = std::env::var_os("DESKREEL_LOG").is_some();
        let stderr = if is_wanted { Stdio::inherit() } else { Stdio::null() };
        Worker::spawn_with(program, plugins, &[], stderr).await
    }

    async fn spawn_with(
        program: &Path,
        plugins: &[PluginFile],
        tracks: &[TrackJob],
        stderr: Stdio,
    ) -> Result<Worker, Error> {
        let failed = |source| Error::Spawn { path: program.display().to_string(), source };
        let mut command = tokio::process::Command::new(program);
        command.envs(machine_dir::worker_environment()).stdout(Stdio::null()).stderr(stderr);
        let (child, read, commands) = process::spawn_worker(command).map_err(failed)?;
        let (tell, reports) = mpsc::channel(BACKLOG);
        let listener = AbortOnDrop(tokio::spawn(listen(read, tell)));
        let mut worker = Worker { child, commands, reports, listener, is_ready: false };
        worker.send(&Command::Prepare { plugins: plugins.to_vec(), tracks: tracks.to_vec() }).await;
        Ok(worker)
    }

    pub(crate) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Errors are only logged: the end of its reports shows that a worker is gone.
    pub async fn send(&mut self, command: &Command) {
        let sent = match worker::encode(command) {
            Ok(message) => self.commands.write_all(&message).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "could not send a command to the worker");
        }
    }

    /// Returns the next report, or `None` when the worker has ended for whatever reason. Cancel safe.
    pub async fn next(&mut self) -> Option<Report> {
        self.reports.recv().await
    }

    /// Sends SIGKILL; the reports end soon after.
    pub fn kill(&mut self) {
        let _ = self.child.start_kill();
    }

    /// Returns how the process ended. One that outlives its socket is killed, and waited for in another task:
    /// a process that hangs in a driver may outlive even SIGKILL. Our end of the socket is closed when this
    /// returns.
    pub async fn reap(mut self) -> String {
        self.listener.0.abort();
        let _ = (&mut self.listener.0).await;
        let limit = Duration::from_millis(200);
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(Ok(status)) => process::describe_exit(status),
            _ => {
                let _ = self.child.start_kill();
                tokio::spawn(async move { self.child.wait().await });
                "did not end".to_owned()
            }
        }
    }

    /// Sends a question and returns the first report that `answer` recognizes.
    pub async fn ask<T>(
        &mut self,
        question: &Command,
        limit: Duration,
        mut answer: impl FnMut(Report) -> Option<T>,
    ) -> Result<T, Error> {
        worker::encode(question).map_err(Error::Question)?;
        self.send(question).await;
        let wait = async {
            while let Some(report) = self.next().await {
                if let Some(answer) = answer(report) {
                    return Ok(answer);
                }
            }
            Err(Error::WorkerGone)
        };
        tokio::time::timeout(limit, wait).await.unwrap_or(Err(Error::WorkerSilent))
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn tell_refused(refused: &[(PathBuf, String)]) {
    for (path, reason) in refused {
        tracing::warn!(path = %path.display(), reason, "plugin not loaded");
    }
}

async fn listen(mut read: Reader, tell: mpsc::Sender<Report>) {
    loop {
        match receive(&mut read).await {
            Ok(report) => {
                if tell.send(report).await.is_err() {
                    return;
                }
            }
            Err(error) => return tracing::debug!(%error, "the reports of the worker ended"),
        }
    }
}

async fn receive(read: &mut Reader) -> io::Result<Report> {
    let mut length = [0; 4];
    read.read_exact(&mut length).await?;
    let mut body = vec![0; worker::body_length(length)?];
    read.read_exact(&mut body).await?;
    worker::decode(&body)
}
