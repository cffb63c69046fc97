//! The worker process: commands in, reports out, at most one job.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use deskreel_model::Failure;
use deskreel_model::worker::{Command, Job, Report};
use deskreel_platform::process::{SupervisorChannel, kill_self, supervisor_channel};
use gstreamer as gst;

use crate::bus;
use crate::error::Error;
use crate::input::WorkerInput;
use crate::plugins::Plugins;
use crate::probe::{self, decode, survey};
use crate::session::{self, Session};
use crate::wire::{self, Reporter};

/// Between two beats. The supervisor treats four missing beats as a hang.
const BEAT: Duration = Duration::from_millis(500);
/// Time for the writers to write the last fragments after the encoders were given up.
const WRITE_LIMIT: Duration = Duration::from_millis(300);

/// Time for a worker that lost its supervisor to bring everything to disk: longer than the usual drain limit
/// and `WRITE_LIMIT` together.
const ORPHAN_LIMIT: Duration = Duration::from_secs(2);

/// Serves the supervisor. Standard input is the socket to it.
pub fn main() -> ExitCode {
    log_to_stderr();
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(%failure, "worker ends");
            ExitCode::from(failure.fault.exit_code())
        }
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DESKREEL_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let color = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_ansi(color)
        .with_writer(std::io::stderr)
        .init();
}

fn serve() -> Result<(), Failure> {
    let not_called = |error: std::io::Error| {
        let text = format!("this program is started by `deskreel`, not by hand ({error})");
        Failure::new(deskreel_model::Fault::Config, text)
    };
    let supervisor = supervisor_channel().map_err(not_called)?;
    let (tell, inputs) = channel();
    listen(supervisor.try_clone().map_err(not_called)?, tell.clone())?;
    gst::init().map_err(|error| Error::Gstreamer(error.to_string()))?;
    let mut worker =
        Worker { reporter: Reporter::new(supervisor), plugins: Plugins::default(), tell, phase: Phase::Idle };
    worker.run(&inputs);
    // Everything that has to be on disk is there already.
    kill_self();
    Ok(())
}

fn listen(mut supervisor: SupervisorChannel, tell: Sender<WorkerInput>) -> Result<(), Failure> {
    let run = move || {
        while let Ok(Some(command)) = wire::receive(&mut supervisor) {
            if tell.send(WorkerInput::Command(command)).is_err() {
                return;
            }
        }
        let _ = tell.send(WorkerInput::SupervisorGone);
        // If the other threads hang, nothing else kills this process.
        std::thread::sleep(ORPHAN_LIMIT);
        kill_self();
    };
    std::thread::Builder::new().name("commands".into()).spawn(run).map_err(Error::Thread)?;
    Ok(())
}

// Idle:     no job yet; answers queries.
// Running:  a job records. The duration is its drain limit.
// Draining: the encoders hand over their frames, until the given instant.
// Writing:  the encoders were given up; the writers finish, until the given instant.
enum Phase {
    Idle,
    Running(Session, Duration),
    Draining(Session, Instant),
    Writing(Session, Instant),
}

struct Worker {
    reporter: Reporter,
    plugins: Plugins,
    tell: Sender<WorkerInput>,
    phase: Phase,
}

impl Worker {
    fn run(&mut self, inputs: &Receiver<WorkerInput>) {
        let mut next_beat = Instant::now() + BEAT;
        loop {
            let now = Instant::now();
            let over = match inputs.recv_timeout(self.wake(next_beat, now).saturating_duration_since(now)) {
                Ok(input) => self.input(input),
                Err(RecvTimeoutError::Timeout) => self.expired(),
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if over || self.in_session(Session::look) {
                return self.end();
            }
            if next_beat <= Instant::now() {
                self.session().inspect(|session| session.beat());
                next_beat = Instant::now() + BEAT;
            }
        }
    }

    /// When the loop must wake up if no input arrives.
    fn wake(&self, next_beat: Instant, now: Instant) -> Instant {
        let look = self.session().and_then(|session| session.look_at(now)).unwrap_or(next_beat);
        match &self.phase {
            Phase::Idle | Phase::Running(..) => next_beat.min(look),
            Phase::Draining(_, limit) | Phase::Writing(_, limit) => next_beat.min(look).min(*limit),
        }
    }

    /// Returns true when the worker is done.
    fn input(&mut self, input: WorkerInput) -> bool {
        match input {
            WorkerInput::Command(command) => return self.command(command),
            WorkerInput::SupervisorGone => return self.drain(),
            WorkerInput::Bus(bus::Event::Latency) => {
                self.session().inspect(|session| session.recalculate_latency());
            }
            WorkerInput::Bus(bus::Event::Failed(failure)) | WorkerInput::Failed(failure) => {
                return self.fail(failure);
            }
            WorkerInput::Picture(track, caps) => {
                return self.in_session(|session, _| session.picture(track, caps));
            }
            WorkerInput::Encoder(track, generation, event) => {
                return self
                    .in_session(|session, plugins| session.encoder(track, generation, event, plugins));
            }
            WorkerInput::SourceChanged(detail) => {
                // Reported once: a second change concerns the next part.
                if matches!(self.phase, Phase::Running(..)) {
                    self.reporter.send(&Report::SourceChanged { detail });
                    return self.drain();
                }
            }
            WorkerInput::SourceFailed(failure) => {
                if matches!(self.phase, Phase::Running(..)) {
                    self.reporter.send(&Report::SourceFailed { failure });
                    return self.drain();
                }
            }
            WorkerInput::TrackDone(index) if matches!(self.phase, Phase::Running(..)) => {
                // The source has nothing more to deliver, although no stop was requested.
                self.reporter.send(&Report::SourceEnded);
                self.drain();
                return self.input(WorkerInput::TrackDone(index));
            }
            WorkerInput::TrackDone(index) => {
                return match &mut self.phase {
                    Phase::Idle => false,
                    Phase::Running(session, _) | Phase::Draining(session, _) | Phase::Writing(session, _) => {
                        session.track_done(index)
                    }
                };
            }
        }
        false
    }

    fn command(&mut self, command: Command) -> bool {
        match command {
            Command::Prepare { plugins, tracks } => {
                match Plugins::load(&plugins) {
                    Ok(loaded) => self.plugins = loaded,
                    Err((path, refused)) => {
                        self.reporter.send(&Report::PluginHangs { path, reason: refused.to_string() });
                        return true;
                    }
                }
                session::preload(&tracks, &self.plugins);
                let (gstreamer, refused) = (gst::version_string().to_string(), self.plugins.refused());
                self.reporter.send(&Report::Ready { gstreamer, refused });
                false
            }
            Command::Start(job) => self.start(&job),
            Command::SetMode(capture) => {
                if let Some(session) = self.session() {
                    let at = session.set_mode(capture);
                    self.reporter.send(&Report::ModeHolds { capture, at });
                }
                false
            }
            Command::Watch { time_ns, joins } => {
                self.session().inspect(|session| session.watch(time_ns, joins));
                false
            }
            Command::Keep { directory, look_back_ns } => self.in_session(|session, _| {
                session.keep(&directory, look_back_ns);
                Ok(())
            }),
            Command::Stop => self.drain(),
            Command::Survey { tracks } => {
                self.reporter.send(&Report::Surveyed { tracks: survey::tracks(&tracks, &self.plugins) });
                false
            }
            Command::Look { tracks } => {
                self.reporter.send(&Report::Looked { result: survey::look(&tracks, &self.plugins) });
                false
            }
            Command::Probe { track, plugin, candidate, picture } => {
                let result = probe::candidate(&track, &plugin, &candidate, &picture, &self.plugins);
                self.reporter.send(&Report::Probed { result });
                false
            }
            Command::Devices => {
                self.reporter.send(&Report::Devices { devices: self.plugins.devices() });
                false
            }
            Command::Decode { init, fragments } => {
                let result = decode::part(&init, &fragments).map_err(|failure| failure.to_string());
                self.reporter.send(&Report::Decoded { result });
                false
            }
        }
    }

    fn start(&mut self, job: &Job) -> bool {
        match Session::start(job, &self.plugins, &self.tell, &self.reporter) {
            Ok(session) => {
                self.phase = Phase::Running(session, Duration::from_millis(job.drain_limit_ms));
                false
            }
            Err(failure) => {
                // Queued, since a failure that the pipeline posted on its bus came earlier and says more.
                let _ = self.tell.send(WorkerInput::Failed(failure));
                false
            }
        }
    }

    /// Runs `act` on a session that is not writing yet. A failure of it ends the job; returns true if nothing
    /// is left to drain.
    fn in_session(&mut self, act: impl FnOnce(&mut Session, &Plugins) -> Result<(), Failure>) -> bool {
        let done = match &mut self.phase {
            Phase::Running(session, _) | Phase::Draining(session, _) => act(session, &self.plugins),
            Phase::Idle | Phase::Writing(..) => Ok(()),
        };
        done.is_err_and(|failure| self.fail(failure))
    }

    /// Returns true if there is nothing to drain.
    fn fail(&mut self, failure: Failure) -> bool {
        self.reporter.send(&Report::Failed { failure });
        self.drain()
    }

    /// Returns true if there is nothing to drain.
    fn drain(&mut self) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => return true,
            Phase::Running(mut session, limit) => {
                session.drain();
                self.phase = Phase::Draining(session, Instant::now() + limit);
            }
            draining => self.phase = draining,
        }
        false
    }

    /// Returns true if the last limit has run out.
    fn expired(&mut self) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Draining(session, limit) if limit <= Instant::now() => {
                tracing::warn!("the encoders did not hand over their last frames in time");
                session.give_up();
                self.phase = Phase::Writing(session, Instant::now() + WRITE_LIMIT);
                false
            }
            Phase::Writing(session, limit) if limit <= Instant::now() => {
                tracing::warn!("the last fragment could not be written in time");
                self.phase = Phase::Writing(session, limit);
                true
            }
            phase => {
                self.phase = phase;
                false
            }
        }
    }

    /// Sends the last beat, then `Ended`.
    fn end(&self) {
        self.session().inspect(|session| session.beat());
        self.reporter.send(&Report::Ended);
    }

    fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Running(session, _) | Phase::Draining(session, _) | Phase::Writing(session, _) => {
                Some(session)
            }
        }
    }
}

#[cfg(test)]
mod tests;
