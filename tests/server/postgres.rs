//! The same tests with the index in PostgreSQL: this program runs itself again, with a database server of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::crash::{kills, under_load};
use crate::server::Server;

struct Postgres {
    folder: TempDir,
    child: Child,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // PostgreSQL's fast shutdown.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.child.wait();
    }
}

/// Where Debian puts what is not for everybody's `PATH`.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let found = versions.map(|entry| entry.unwrap().path().join("bin").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is missing: script/setup installs the package `postgresql`"))
}

/// PostgreSQL runs as root nowhere.
fn unprivileged(program: &Path, folder: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command.current_dir(folder);
        return command;
    }
    let mut command = Command::new(program);
    command.current_dir(folder);
    command
}

fn run(folder: &TempDir) -> Child {
    unprivileged(&program("postgres"), folder.path())
        .arg("-D")
        .arg(folder.path().join("data"))
        .args(["-c", "listen_addresses=", "-c", "max_connections=500", "-k"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Postgres {
    fn start() -> Postgres {
        let folder = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
        }
        let data = folder.path().join("data");
        let made = unprivileged(&program("initdb"), folder.path())
            .args(["--auth=trust", "--username=deskreel", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut postgres = Postgres { child: run(&folder), folder };
        postgres.wait();
        postgres
    }

    /// `pg_isready` waits no longer than it is told to; it is asked until it says yes.
    fn wait(&mut self) {
        for _ in 0..600 {
            let asked =
                Command::new(program("pg_isready")).arg("-q").arg("-h").arg(self.folder.path()).status();
            if asked.unwrap().success() {
                return;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(100));
        }
        panic!("PostgreSQL does not come up");
    }

    /// At once, as after a loss of power; it recovers from its log.
    fn crash(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
        self.child.wait().unwrap();
        self.child = run(&self.folder);
        self.wait();
    }

    fn url(&self) -> String {
        let host = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://deskreel@{host}/postgres")
    }
}

#[test]
fn everything_holds_with_postgresql() {
    if std::env::var_os("DESKREEL_TEST_POSTGRES").is_some() {
        // This is the inner run.
        return;
    }
    let postgres = Postgres::start();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--test-threads=2", "--color=never"])
        .env("DESKREEL_TEST_POSTGRES", postgres.url())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    assert!(said.contains("nothing_acknowledged_is_lost"), "it ran the same tests");
    let count = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'recordings'";
    let count = Command::new("psql").args([&postgres.url(), "-Atc", count]).output().unwrap();
    let count: u32 = String::from_utf8(count.stdout).unwrap().trim().parse().unwrap();
    assert!(count >= 10, "{count} servers kept their index in PostgreSQL");
}

#[test]
fn nothing_acknowledged_is_lost_though_postgresql_crashes_under_load() {
    if std::env::var_os("DESKREEL_TEST_POSTGRES").is_some() {
        return;
    }
    let mut postgres = Postgres::start();
    let server = Server::start_on(&postgres.url());
    under_load(server, kills(5), |server| {
        postgres.crash();
        server
    });
}
