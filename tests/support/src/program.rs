//! A program that runs beside a test and writes JSON, one value a line.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Everything in these tests takes less time, or it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Killed when the test drops it.
pub struct Program {
    pub child: Child,
    pub patience: Duration,
    lines: Receiver<Value>,
}

impl Program {
    /// Reads its log from standard error. Lines that are not JSON are printed.
    pub fn with_log(mut command: Command) -> Program {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
        let stderr = child.stderr.take().unwrap();
        Program::new(child, stderr, |line| eprintln!("{line}"))
    }

    /// Reads its report from standard output, which must be all JSON.
    pub fn with_report(mut command: Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let stdout = child.stdout.take().unwrap();
        Program::new(child, stdout, |line| panic!("not JSON: {line}"))
    }

    fn new(child: Child, output: impl Read + Send + 'static, not_json: fn(&str)) -> Program {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    // Read on without a receiver, so that the program never waits for one.
                    Ok(value) => drop(sender.send(value)),
                    Err(_) => not_json(&line),
                }
            }
        });
        Program { child, patience: PATIENCE, lines }
    }

    /// Waits for the next line that `is_wanted` accepts.
    pub fn wait_for(&self, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + self.patience;
        loop {
            match self.lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
                Ok(line) if is_wanted(&line) => return line,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("no {what} within {:?}", self.patience),
                Err(RecvTimeoutError::Disconnected) => panic!("the program ended before {what}"),
            }
        }
    }

    /// Waits for the next line of the log with this message.
    pub fn wait_for_log(&self, message: &str) -> Value {
        self.wait_for(&format!("`{message}` in the log"), |line| line["message"] == message)
    }

    /// Lets it run for this long. Returns the lines that it wrote meanwhile.
    pub fn run_for(&self, duration: Duration) -> Vec<Value> {
        let end = Instant::now() + duration;
        let next = || self.lines.recv_timeout(end.saturating_duration_since(Instant::now())).ok();
        std::iter::from_fn(next).collect()
    }

    /// Waits until it writes a line, at most this long.
    pub fn wait_for_line(&self, limit: Duration) -> Option<Value> {
        self.lines.recv_timeout(limit).ok()
    }

    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Asks for a clean end and waits for it.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "{status}");
    }

    /// Sends SIGKILL. Returns when the process is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // A process that is already gone is as good as killed.
    let _ = kill_process(pid, signal);
}
