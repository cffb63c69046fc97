//! Runs a program and sees to it that nothing of it stays.

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

/// Bytes of the program's output that are kept, from its end.
const KEPT: usize = 4096;
/// What left the program's process group may still hold its output open; that is not waited for any longer.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub struct Program {
    pub name: String,
    pub arguments: Vec<String>,
    pub timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exit(i32),
    Signal(i32),
    TimedOut,
}

#[derive(Debug)]
pub struct Run {
    pub ended: Ended,
    /// The end of what it printed.
    pub output: String,
    pub errors: String,
}

impl Program {
    /// Runs it with this environment, in a process group of its own, which is killed when the time is over or the
    /// program has ended.
    pub fn run(&self, environment: &BTreeMap<String, OsString>) -> io::Result<Run> {
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
        // Its process id is still its own: it has not been reaped.
        kill_group(&child);
        let status = child.wait()?;
        // An error is what we want: both pipes are closed.
        let _ = closed.recv_timeout(LAST_WORDS);
        let ended = match (is_late, status.code()) {
            (true, _) => Ended::TimedOut,
            (false, Some(code)) => Ended::Exit(code),
            (false, None) => Ended::Signal(status.signal().unwrap_or_default()),
        };
        let text = |tail: Option<Tail>| tail.map(|tail| tail.text()).unwrap_or_default();
        Ok(Run { ended, output: text(output), errors: text(errors) })
    }

    /// Waits for the end, without reaping.
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
    // Fails where nothing is left of it.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

/// The end of what comes through a pipe, read by a thread.
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    /// `open` is dropped when the pipe is closed.
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

    fn shell(script: &str, timeout_ms: u64) -> Run {
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
    fn code_and_last_words_are_kept() {
        let run = shell("echo $FACT; echo no >&2; exit 3", 10_000);
        assert_eq!((run.ended, run.output.as_str(), run.errors.as_str()), (Ended::Exit(3), "it\n", "no\n"));
        assert_eq!(shell("kill -9 $$", 10_000).ended, Ended::Signal(9));
    }

    #[test]
    fn nothing_of_our_environment_is_handed_on() {
        // `PWD` and `_` are the shell's own.
        let run = shell("env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD=' | sort", 10_000);
        assert_eq!(run.output, "FACT=it\nPATH=/usr/bin:/bin\n");
    }

    #[test]
    fn much_output_neither_blocks_nor_is_kept() {
        let run = shell("yes | head -c 1000000; echo; echo end", 60_000);
        assert_eq!((run.ended, run.output.len()), (Ended::Exit(0), KEPT));
        assert!(run.output.ends_with("\nend\n"));
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let began = Instant::now();
        // The child ignores everything that can be ignored, and says who it is.
        let run = shell("sh -c 'trap \"\" TERM INT HUP; echo $$; exec tail -f /dev/null' & wait", 300);
        assert_eq!(run.ended, Ended::TimedOut);
        assert_gone(run.output.trim());
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[test]
    fn what_a_program_leaves_behind_is_killed_when_it_ends() {
        let run = shell("tail -f /dev/null & echo $!", 10_000);
        assert_eq!(run.ended, Ended::Exit(0));
        assert_gone(run.output.trim());
    }

    #[test]
    fn who_leaves_the_group_and_keeps_the_output_open_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("left");
        let script =
            "mkfifo LEFT; setsid sh -c 'echo $$; echo >LEFT; exec tail -f /dev/null' & read line <LEFT";
        let began = Instant::now();
        let run = shell(&script.replace("LEFT", left.to_str().unwrap()), 10_000);
        assert_eq!(run.ended, Ended::Exit(0), "{}", run.errors);
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        let stays: i32 = run.output.trim().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(stays).unwrap(), Signal::KILL).unwrap();
    }

    /// Dead: no longer there, or a zombie that waits for its parent, which is none of ours.
    fn assert_gone(pid: &str) {
        let pid: u32 = pid.parse().unwrap();
        let state = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
        };
        // The kill was sent before; the kernel may take a moment to let it act.
        let limit = Instant::now() + Duration::from_secs(10);
        while !matches!(state(), None | Some('Z' | 'X')) {
            assert!(Instant::now() < limit, "{pid} lives on: {:?}", state());
            thread::yield_now();
        }
    }
}
