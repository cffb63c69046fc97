//! Runs the real `deskreel-server`, and asks it with `curl`, which is not our code.
//!
//! With `DESKREEL_TEST_POSTGRES` each server keeps its index in a schema of its own in that database, and
//! with `DESKREEL_TEST_S3` its footage under a prefix of its own in that bucket.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::paths::{program, python_program};
use crate::ports::free_port;
use crate::program::Program;

/// A server in a folder of its own. Killed when the test drops it.
pub struct Server {
    pub folder: TempDir,
    /// `http://127.0.0.1:8443`
    pub url: String,
    program: Program,
}

impl Server {
    pub fn start() -> Server {
        Server::start_with("")
    }

    /// Starts a server with more in `[server]` and after it.
    pub fn start_with(more: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        write_file(&folder, &database(&folder), more);
        Server::in_folder(folder)
    }

    /// Starts a server with its index in this database.
    pub fn start_on(database: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        write_file(&folder, database, "");
        Server::in_folder(folder)
    }

    /// Starts it, or starts it again, with the file in the folder. It listens on the same port each time, so
    /// that recorders find it.
    pub fn in_folder(folder: TempDir) -> Server {
        Server::run(deskreel_server(), folder)
    }

    /// Starts a server with a limit of this many open files.
    pub fn start_with_files(files: u32, more: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        write_file(&folder, &database(&folder), more);
        let limited = format!(
            "import os, resource, sys\n\
             resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\n\
             os.execv(sys.argv[1], sys.argv[1:])"
        );
        let mut command = Command::new("python3");
        command.args(["-c", &limited]).arg(program("deskreel-server"));
        Server::run(command, folder)
    }

    fn run(mut command: Command, folder: TempDir) -> Server {
        command.args(["serve", "--log", "json"]).arg(folder.path().join("server.toml"));
        let mut server = Server { folder, url: String::new(), program: Program::with_log(command) };
        let listens = server.wait_for_log("the server listens");
        server.url = format!("http://{}", listens["address"].as_str().unwrap());
        server
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("server.toml")
    }

    /// Waits for the next line of the log with this message.
    pub fn wait_for_log(&mut self, message: &str) -> Value {
        self.program.wait_for_log(message)
    }

    pub fn pid(&self) -> u32 {
        self.program.child.id()
    }

    /// Runs `deskreel-server COMMAND...`, with the file in place of `FILE`.
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

    /// Enrols a recorder. Returns its token.
    pub fn enrol(&self, place: &str) -> String {
        let output = self.command(&["enrol", "FILE", "--place", place], "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Adds a user with the password `correct horse`.
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

    /// `path` is sent unchanged, with its dots.
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

    /// All objects in its store, by `<recording>/<name>`.
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

    /// Asks for a clean end and waits for it. Returns the folder.
    pub fn stop(mut self) -> TempDir {
        self.program.stop();
        self.folder
    }

    /// Sends SIGKILL. Returns the folder of that moment.
    pub fn kill(mut self) -> TempDir {
        self.program.kill();
        self.folder
    }
}

fn deskreel_server() -> Command {
    Command::new(program("deskreel-server"))
}

fn write_file(folder: &TempDir, database: &str, more: &str) {
    let port = free_port();
    let scheme = if more.contains("scheme =") { "" } else { "scheme = \"http\"\n" };
    let text = format!(
        "version = 1\nname = \"test\"\n[server]\nlisten = \"127.0.0.1:{port}\"\n{scheme}\
         database = \"{database}\"\nstorage = \"{}\"\n{more}",
        storage(folder)
    );
    fs::write(folder.path().join("server.toml"), text).unwrap();
}

/// A folder, or in S3 the prefix of the server's objects, which is its folder's name.
fn storage(folder: &TempDir) -> String {
    match std::env::var("DESKREEL_TEST_S3") {
        Err(_) => format!("file://{}", folder.path().join("footage").display()),
        Ok(bucket) => format!("s3://{bucket}/{}", name(folder)),
    }
}

fn name(folder: &TempDir) -> &str {
    folder.path().file_name().unwrap().to_str().unwrap()
}

/// Copies all objects of the bucket with this prefix to files.
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
    let output = Command::new(python_program("python"))
        .args(["-c", COPY, bucket, prefix])
        .arg(folder.path())
        .output()
        .unwrap();
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
        // The real answer follows `100 Continue`.
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
