//! Runs a program and makes sure that none of its processes remains.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Bytes kept of the end of the program's output.
const KEPT: usize = 4096;
/// Longest wait for the end of the output: a process that left the process group may keep it open.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub struct Program {
    pub name: String,
    pub arguments: Vec<String>,
    pub timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitKind {
    Exit(i32),
    Signal(i32),
    TimedOut,
}

#[derive(Debug)]
pub struct Outcome {
    pub exit: ExitKind,
    /// The end of its output on stdout.
    pub output: String,
    /// The same on stderr.
    pub errors: String,
}

impl Program {
    /// Runs the program with this environment, in its own process group, which is killed when the time is
    /// over or the program has ended.
    pub fn run(&self, environment: &BTreeMap<String, OsString>) -> io::Result<Outcome> {
        let mut child = Command::new(&self.name)
            .args(&self.arguments)
            .env_clear()
            .envs(environment)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (open, closed) = mpsc::channel();
        let output = child.stdout.take().map(|pipe| Tail::of(pipe, open.clone()));
        let errors = child.stderr.take().map(|pipe| Tail::of(pipe, open));
        let is_late = self.is_late(&child);
        // The process id is still the program's: it has not been reaped.
        kill_group(&child);
        let status = child.wait()?;
        // An error means that both pipes are closed, which is what we wait for.
        let _ = closed.recv_timeout(LAST_WORDS);
        let exit = match (is_late, status.code()) {
            (true, _) => ExitKind::TimedOut,
            (false, Some(code)) => ExitKind::Exit(code),
            (false, None) => ExitKind::Signal(status.signal().unwrap_or_default()),
        };
        let text = |tail: Option<Tail>| tail.map(|tail| tail.text()).unwrap_or_default();
        Ok(Outcome { exit, output: text(output), errors: text(errors) })
    }

    /// Waits for the end without reaping. Returns true if the timeout comes first.
    fn is_late(&self, child: &Child) -> bool {
        let ended = end_of(child);
        ended.recv_timeout(self.timeout) == Err(RecvTimeoutError::Timeout)
    }
}

fn end_of(child: &Child) -> Receiver<()> {
    let (sender, ended) = mpsc::channel();
    let pid = Pid::from_child(child);
    thread::spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
        drop(sender);
    });
    ended
}

fn kill_group(child: &Child) {
    // Fails if none of its processes is left.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

/// The end of a pipe's output, read by a thread.
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    /// Reads a pipe. `open` is dropped when the pipe is closed.
    fn of(mut pipe: impl Read + Send + 'static, open: Sender<()>) -> Tail {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let ours = kept.clone();
        thread::spawn(move || {
            let mut buffer = [0; KEPT];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let mut kept = ours.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(buffer.get(..length).unwrap_or_default());
                let excess = kept.len().saturating_sub(KEPT);
                kept.drain(..excess);
            }
            drop(open);
        });
        Tail(kept)
    }

    fn text(self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str, timeout_ms: u64) -> Outcome {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        let timeout = Duration::from_millis(timeout_ms);
        let program = Program { name: "/bin/sh".into(), arguments, timeout };
        let environment = BTreeMap::from([
            ("PATH".to_owned(), OsString::from("/usr/bin:/bin")),
            ("FACT".to_owned(), OsString::from("it")),
        ]);
        program.run(&environment).unwrap()
    }

    #[test]
    fn exit_code_and_output_are_kept() {
        let run = shell("echo $FACT; echo no >&2; exit 3", 10_000);
        assert_eq!((run.exit, run.output.as_str(), run.errors.as_str()), (ExitKind::Exit(3), "it\n", "no\n"));
        assert_eq!(shell("kill -9 $$", 10_000).exit, ExitKind::Signal(9));
    }

    #[test]
    fn the_environment_is_not_inherited() {
        // `PWD` and `_` are the shell's own.
        let run = shell("env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD=' | sort", 10_000);
        assert_eq!(run.output, "FACT=it\nPATH=/usr/bin:/bin\n");
    }

    #[test]
    fn long_output_does_not_block_and_only_its_end_is_kept() {
        let run = shell("yes | head -c 1000000; echo; echo end", 60_000);
        assert_eq!((run.exit, run.output.len()), (ExitKind::Exit(0), KEPT));
        assert!(run.output.ends_with("\nend\n"));
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let began = Instant::now();
        // The child ignores every signal that can be ignored, and prints its process id.
        let run = shell("sh -c 'trap \"\" TERM INT HUP; echo $$; exec tail -f /dev/null' & wait", 300);
        assert_eq!(run.exit, ExitKind::TimedOut);
        assert_gone(run.output.trim());
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[test]
    fn processes_that_a_program_leaves_behind_are_killed() {
        let run = shell("tail -f /dev/null & echo $!", 10_000);
        assert_eq!(run.exit, ExitKind::Exit(0));
        assert_gone(run.output.trim());
    }

    #[test]
    fn a_process_that_leaves_the_group_and_keeps_the_output_open_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("left");
        let script =
            "mkfifo LEFT; setsid sh -c 'echo $$; echo >LEFT; exec tail -f /dev/null' & read line <LEFT";
        let began = Instant::now();
        let run = shell(&script.replace("LEFT", left.to_str().unwrap()), 10_000);
        assert_eq!(run.exit, ExitKind::Exit(0), "{}", run.errors);
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        let stays: i32 = run.output.trim().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(stays).unwrap(), Signal::KILL).unwrap();
    }

    /// Waits until the process is gone, or is a zombie whose parent is not ours.
    fn assert_gone(pid: &str) {
        let pid: u32 = pid.parse().unwrap();
        let state = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
        };
        // The kill was already sent; the kernel may need a moment to act on it.
        let limit = Instant::now() + Duration::from_secs(10);
        while !matches!(state(), None | Some('Z' | 'X')) {
            assert!(Instant::now() < limit, "{pid} is still alive: {:?}", state());
            thread::yield_now();
        }
    }
}
