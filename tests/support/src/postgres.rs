//! A PostgreSQL server of a test's own, reached through a socket in its folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::program::PATIENCE;

/// The variable with the URL of a database that may be emptied. [`crate::server::Server`] keeps its index
/// there.
pub const VARIABLE: &str = "DESKREEL_TEST_POSTGRES";
/// The user `nobody` and the group `nogroup`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

pub struct Postgres {
    folder: TempDir,
    child: Child,
}

impl Postgres {
    pub fn start() -> Postgres {
        let folder = tempfile::tempdir().unwrap();
        if geteuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = folder.path().join("data");
        let made = unprivileged(&program("initdb"), folder.path())
            .args(["--auth=trust", "--username=deskreel", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Postgres { child: serve(folder.path()), folder }
    }

    /// Ends it at once, as a loss of power does, and starts it again. It recovers from its log.
    pub fn crash(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::QUIT).unwrap();
        self.child.wait().unwrap();
        self.child = serve(self.folder.path());
    }

    pub fn url(&self) -> String {
        let host = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://deskreel@{host}/postgres")
    }

    /// The number of servers that keep an index in it.
    pub fn indexes(&self) -> u32 {
        let count = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'recordings'";
        let output = Command::new("psql").args([&self.url(), "-Atc", count]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // PostgreSQL's fast shutdown.
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let _ = self.child.wait();
    }
}

/// Returns when it accepts connections.
fn serve(folder: &Path) -> Child {
    let mut child = unprivileged(&program("postgres"), folder)
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-c", "listen_addresses=", "-c", "max_connections=500", "-k"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap()).lines();
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in log.map_while(Result::ok) {
            // Read on without a receiver, so that the server never waits for one.
            let _ = sender.send(line);
        }
    });
    let mut said = String::new();
    while !said.ends_with("database system is ready to accept connections\n") {
        let line = lines.recv_timeout(PATIENCE);
        said += &line.unwrap_or_else(|_| panic!("PostgreSQL does not start: {said}"));
        said += "\n";
    }
    child
}

/// A program of the server, which Debian keeps out of `PATH`.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let found = versions.map(|entry| entry.unwrap().path().join("bin").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is missing: script/setup installs the package `postgresql`"))
}

fn unprivileged(program: &Path, folder: &Path) -> Command {
    let mut command = if geteuid().is_root() {
        let id = |option: &str| format!("--{option}={NOBODY}");
        let mut command = Command::new("setpriv");
        command.args([id("reuid"), id("regid"), "--clear-groups".to_owned()]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder);
    command
}
