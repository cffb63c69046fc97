//! Runs the real `deskreel-server`, and asks it with `curl`, which is no code of ours.
//!
//! With `DESKREEL_TEST_POSTGRES=postgres://...` (a database that may be emptied) it keeps its index there, each server in a
//! schema of its own.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing in these tests takes longer; what does, hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server in a folder of its own. Killed if the test lets go of it.
pub struct Server {
    pub folder: TempDir,
    /// `http://127.0.0.1:8443`
    pub url: String,
    pub child: Child,
    log: Receiver<Value>,
}

impl Server {
    pub fn start() -> Server {
        Server::start_with("")
    }

    /// With more in `[server]`, and behind it.
    pub fn start_with(more: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        write_file(&folder, "127.0.0.1:0", &database(&folder), more);
        Server::in_folder(folder)
    }

    /// With its index there.
    pub fn start_on(database: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        write_file(&folder, "127.0.0.1:0", database, "");
        Server::in_folder(folder)
    }

    /// Starts it, or starts it again, with the file that lies there; again, it listens where it listened before, so that
    /// recorders find it.
    pub fn in_folder(folder: TempDir) -> Server {
        Server::run(deskreel_server(), folder)
    }

    /// May open so many files.
    pub fn start_with_files(files: u32, more: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        write_file(&folder, "127.0.0.1:0", &database(&folder), more);
        let limited = format!(
            "import os, resource, sys\n\
             resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\n\
             os.execv(sys.argv[1], sys.argv[1:])"
        );
        let mut command = Command::new("python3");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_deskreel-server")]);
        Server::run(command, folder)
    }

    fn run(mut command: Command, folder: TempDir) -> Server {
        let mut child = command
            .args(["serve", "--log", "json"])
            .arg(folder.path().join("server.toml"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("deskreel-server starts");
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, log) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(line) => drop(tell.send(line)),
                    Err(_) => eprintln!("{line}"),
                }
            }
        });
        let mut server = Server { folder, url: String::new(), child, log };
        let listens = server.wait_for_log("the server listens");
        let address = listens["address"].as_str().unwrap().to_owned();
        let file = server.file();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("127.0.0.1:0", &address)).unwrap();
        server.url = format!("http://{address}");
        server
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("server.toml")
    }

    /// The next line of the log with this message.
    pub fn wait_for_log(&mut self, message: &str) -> Value {
        let limit = Instant::now() + PATIENCE;
        loop {
            let line = self.log.recv_timeout(limit.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|error| panic!("no `{message}` in the log: {error}"));
            if line["message"] == message {
                return line;
            }
        }
    }

    /// `deskreel-server COMMAND... `, with the file where `FILE` stands.
    pub fn command(&self, args: &[&str], input: &str) -> Output {
        let file = self.file();
        let mut child = deskreel_server()
            .args(args.iter().map(|arg| if *arg == "FILE" { file.to_str().unwrap() } else { arg }))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// A recorder's token.
    pub fn enrol(&self, place: &str) -> String {
        let output = self.command(&["enrol", "FILE", "--place", place], "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Somebody with the password `correct horse`.
    pub fn add_user(&self, name: &str, more: &[&str]) {
        let args = [&["user", "add", "FILE", name], more].concat();
        let output = self.command(&args, "correct horse\n");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn ask(&self, who: &Who, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut more = Vec::new();
        let body = body.map(|body| body.to_string());
        if let Some(body) = &body {
            more.extend(["-H", "Content-Type: application/json", "--data-binary", body]);
        }
        self.curl(who, method, path, &more)
    }

    pub fn get(&self, who: &Who, path: &str) -> Answer {
        self.ask(who, "GET", path, None)
    }

    /// `path` is taken as it is, dots and all.
    pub fn curl(&self, who: &Who, method: &str, path: &str, more: &[&str]) -> Answer {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--path-as-is", "-g", "--max-time", "30", "-D", "-", "-X", method]);
        if method == "HEAD" {
            curl.arg("-I");
        }
        match who {
            Who::Nobody => {}
            Who::Token(token) => drop(curl.args(["-H", &format!("Authorization: Bearer {token}")])),
            Who::Session { cookie, csrf } => {
                curl.args(["-H", &format!("Cookie: {cookie}"), "-H", &format!("X-CSRF-Token: {csrf}")]);
            }
        }
        let output = curl.args(["-H", "Expect:"]).args(more).arg(format!("{}{path}", self.url)).output();
        Answer::read(&output.expect("curl runs (script/setup installs it)").stdout)
    }

    /// All that lies in its store, as `<recording>/<name>`.
    pub fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        let bucket = std::env::var("DESKREEL_TEST_S3");
        let copy = bucket.map(|bucket| copy_of(&bucket, name(&self.folder)));
        let footage = copy.as_ref().map_or(self.folder.path().join("footage"), |copy| copy.path().to_owned());
        let entries = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let recordings = entries(&footage).filter(|path| path.is_dir());
        let objects = recordings.flat_map(|recording| entries(&recording).collect::<Vec<_>>());
        let name = |path: &Path| path.strip_prefix(&footage).unwrap().to_str().unwrap().to_owned();
        objects.map(|path| (name(&path), fs::read(path).unwrap())).collect()
    }

    pub fn log_in(&self, name: &str) -> Who {
        let body = serde_json::json!({ "name": name, "password": "correct horse" });
        let answer = self.ask(&Who::Nobody, "POST", "/api/v1/session", Some(body));
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Who::Session { cookie, csrf: answer.json()["csrf_token"].as_str().unwrap().to_owned() }
    }

    /// Asks for a clean end, waits for it, and gives back the folder.
    pub fn stop(mut self) -> TempDir {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// SIGKILL; the folder stays as it was at that moment.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn deskreel_server() -> Command {
    Command::new(env!("CARGO_BIN_EXE_deskreel-server"))
}

fn write_file(folder: &TempDir, listen: &str, database: &str, more: &str) {
    let scheme = if more.contains("scheme =") { "" } else { "scheme = \"http\"\n" };
    let text = format!(
        "version = 1\nname = \"test\"\n[server]\nlisten = \"{listen}\"\n{scheme}\
         database = \"{database}\"\nstorage = \"{}\"\n{more}",
        storage(folder)
    );
    fs::write(folder.path().join("server.toml"), text).unwrap();
}

/// A bucket that is there, where the tests are run so; each server's objects begin with its folder's name.
fn storage(folder: &TempDir) -> String {
    match std::env::var("DESKREEL_TEST_S3") {
        Err(_) => format!("file://{}", folder.path().join("footage").display()),
        Ok(bucket) => format!("s3://{bucket}/{}", name(folder)),
    }
}

fn name(folder: &TempDir) -> &str {
    folder.path().file_name().unwrap().to_str().unwrap()
}

/// Of all objects of the bucket that begin so, as files.
fn copy_of(bucket: &str, prefix: &str) -> TempDir {
    const COPY: &str = r#"
import boto3, pathlib, sys
bucket, prefix, folder = sys.argv[1:]
s3 = boto3.resource("s3", region_name="us-east-1").Bucket(bucket)
for one in s3.objects.filter(Prefix=prefix + "/"):
    to = pathlib.Path(folder, one.key.removeprefix(prefix + "/"))
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(one.get()["Body"].read())
"#;
    let folder = tempfile::tempdir().unwrap();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let output = Command::new(python).args(["-c", COPY, bucket, prefix]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

fn database(folder: &TempDir) -> String {
    match std::env::var("DESKREEL_TEST_POSTGRES") {
        Err(_) => format!("sqlite://{}", folder.path().join("index.db").display()),
        Ok(url) => {
            let name = name(folder).replace('.', "t").to_lowercase();
            let output = Command::new("psql").args([&url, "-qc", &format!("CREATE SCHEMA {name}")]).output();
            let output = output.expect("psql runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let and = if url.contains('?') { '&' } else { '?' };
            format!("{url}{and}options=-csearch_path%3D{name}")
        }
    }
}

#[derive(Debug, Clone)]
pub enum Who {
    Nobody,
    Token(String),
    Session { cookie: String, csrf: String },
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Answer {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Answer { status: 0, headers: Vec::new(), body: Vec::new() };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        };
        // What `100 Continue` says comes first.
        if status == 100 {
            return Answer::read(&bytes[end + 4..]);
        }
        Answer { status, headers: lines.filter_map(header).collect(), body: bytes[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
