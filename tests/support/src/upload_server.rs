//! A recording server by docs/server-api.md that fails on request. It shares no code with `sink.upload`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const TOKEN: &str = "a-recorder's-token";

/// A fault of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Reads the request, does nothing and does not answer until the client gives up.
    Hang,
    /// Closes the connection after this many bytes of the body.
    CutBody(usize),
    /// Serves the request, and closes the connection instead of answering.
    CutAnswer,
    /// Answers with this status, and `Retry-After` if given, and does nothing.
    Status(u16, Option<u32>),
    /// Answers with this status and no problem, as a proxy does, and does nothing.
    Proxy(u16),
    /// Serves the request, and answers with another digest.
    WrongDigest,
    /// Serves the request, and answers without a digest.
    NoDigest,
    /// Answers that it has stored the body, although it has not.
    Forget,
    /// Redirects to this address, and does nothing.
    Redirect(SocketAddr),
}

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path without `/api/v1/recordings/`, decoded.
    pub path: Vec<String>,
    pub headers: BTreeMap<String, String>,
}

impl Request {
    pub fn is(&self, method: &str, end: &str) -> bool {
        self.method == method && self.path.join("/").ends_with(end)
    }
}

/// Track, part and number.
pub type Name = (String, u32, u32);

/// The server's content of one recording.
#[derive(Debug, Default, Clone)]
pub struct Stored {
    pub fragments: BTreeMap<Name, Vec<u8>>,
    /// Number of times that each was answered with 201.
    pub times_stored: BTreeMap<Name, u32>,
    pub about: Option<Vec<u8>>,
    pub manifest: Option<Vec<u8>>,
}

type Judge = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    recordings: BTreeMap<String, Stored>,
    /// Method and path of each request, as `PUT r/about`.
    requests: Vec<String>,
    judge: Option<Judge>,
}

pub struct UploadServer {
    pub address: SocketAddr,
    is_tls: bool,
    state: Arc<Mutex<State>>,
    is_over: Arc<AtomicBool>,
}

impl Drop for UploadServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl UploadServer {
    pub fn start() -> UploadServer {
        UploadServer::listen(None)
    }

    pub fn start_tls(config: ServerConfig) -> UploadServer {
        UploadServer::listen(Some(Arc::new(config)))
    }

    fn listen(tls: Option<Arc<ServerConfig>>) -> UploadServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, is_tls) = (listener.local_addr().unwrap(), tls.is_some());
        let (state, is_over) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let (shared, end) = (state.clone(), is_over.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let (state, tls) = (shared.clone(), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(stream, &state),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(StreamOwned::new(connection, stream), &state);
                    }
                });
            }
        });
        UploadServer { address, is_tls, state, is_over }
    }

    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.address.port())
    }

    /// Lets `judge` decide the fault of each request from now on.
    pub fn fail(&self, judge: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        self.state.lock().unwrap().judge = Some(Box::new(judge));
    }

    /// Lets the next such request have this fault, and no other.
    pub fn fail_once(&self, method: &'static str, end: &'static str, fault: Fault) {
        let mut fault = Some(fault);
        self.fail(move |request| if request.is(method, end) { fault.take() } else { None });
    }

    pub fn work(&self) {
        self.state.lock().unwrap().judge = None;
    }

    pub fn stored(&self, recording: &str) -> Stored {
        self.state.lock().unwrap().recordings.get(recording).cloned().unwrap_or_default()
    }

    /// Changes stored bytes, as a failing disk does.
    pub fn change(&self, recording: &str, change: impl FnOnce(&mut Stored)) {
        change(self.state.lock().unwrap().recordings.entry(recording.to_owned()).or_default());
    }

    /// Method and path of each request up to now, as `PUT r/about`.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

/// One connection, request after request.
fn serve(stream: impl Read + Write, state: &Mutex<State>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_head(&mut stream) {
        let fault = {
            let mut state = state.lock().unwrap();
            state.requests.push(format!("{} {}", request.method, request.path.join("/")));
            state.judge.as_mut().and_then(|judge| judge(&request))
        };
        let length = request.headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let taken = if let Some(Fault::CutBody(bytes)) = fault { length.min(bytes) } else { length };
        let mut body = vec![0; taken];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let mut answer = match fault {
            Some(Fault::CutBody(_)) => return,
            Some(Fault::Hang) => {
                // Until the client closes the connection.
                let _ = stream.read(&mut [0]);
                return;
            }
            Some(Fault::Status(status, retry_after)) => {
                let retry_after = retry_after.map(|seconds| ("Retry-After", seconds.to_string()));
                let headers = retry_after.into_iter().collect();
                Answer { headers, ..Answer::problem(status, "a fault on request") }
            }
            Some(Fault::Proxy(status)) => {
                Answer { status, headers: Vec::new(), body: b"<html>Too large</html>".to_vec() }
            }
            Some(Fault::Redirect(to)) => {
                let location = format!("http://{to}/api/v1/recordings/{}", request.path.join("/"));
                Answer { status: 307, headers: vec![("Location", location)], body: Vec::new() }
            }
            Some(Fault::Forget) => {
                Answer { status: 201, headers: vec![("Repr-Digest", digest(&body))], body: Vec::new() }
            }
            _ => state.lock().unwrap().answer(&request, &body),
        };
        match fault {
            Some(Fault::CutAnswer) => return,
            Some(Fault::WrongDigest) => answer.headers = vec![("Repr-Digest", digest(b"something else"))],
            Some(Fault::NoDigest) => answer.headers.clear(),
            _ => {}
        }
        if answer.send(stream.get_mut(), &request.method).is_err() {
            return;
        }
    }
}

fn read_head(stream: &mut impl BufRead) -> Option<Request> {
    let line = |stream: &mut dyn BufRead| {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let first = line(stream)?;
    let (method, target) = first.split_once(' ')?;
    let path = target.split_once(' ')?.0.strip_prefix("/api/v1/recordings/").unwrap_or("nowhere");
    let path = path.split('/').map(decoded).collect();
    let mut headers = BTreeMap::new();
    loop {
        let line = line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Some(Request { method: method.to_owned(), path, headers })
}

fn decoded(segment: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), segment.as_bytes());
    while let [first, behind @ ..] = rest {
        let (byte, left) = match first {
            b'%' => {
                (u8::from_str_radix(std::str::from_utf8(&behind[..2]).unwrap(), 16).unwrap(), &behind[2..])
            }
            _ => (*first, behind),
        };
        bytes.push(byte);
        rest = left;
    }
    String::from_utf8(bytes).unwrap()
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: &Value) -> Answer {
        Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    fn problem(status: u16, title: &str) -> Answer {
        Answer::new(status, &json!({ "title": title, "status": status }))
    }

    fn holding(status: u16, bytes: &[u8]) -> Answer {
        Answer { status, headers: vec![("Repr-Digest", digest(bytes))], body: Vec::new() }
    }

    fn send(&self, stream: &mut impl Write, method: &str) -> std::io::Result<()> {
        let mut bytes = format!("HTTP/1.1 {} as set\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(format!("Content-Length: {}\r\n\r\n", self.body.len()).into_bytes());
        if method != "HEAD" {
            bytes.extend(&self.body);
        }
        stream.write_all(&bytes)?;
        stream.flush()
    }
}

impl State {
    fn answer(&mut self, request: &Request, body: &[u8]) -> Answer {
        if request.headers.get("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return Answer::problem(401, "no such token");
        }
        if request.method == "PUT" && request.headers.get("content-digest") != Some(&digest(body)) {
            return Answer::problem(400, "the body is not what its digest says");
        }
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        match (request.method.as_str(), &path[..]) {
            ("GET", [recording]) => self.holdings(recording),
            ("HEAD", [recording, "tracks", track, "parts", part, "fragments", number]) => {
                let name = (track.to_string(), part.parse().unwrap(), number.parse().unwrap());
                let held = self.recordings.get(*recording).and_then(|stored| stored.fragments.get(&name));
                held.map_or(Answer::problem(404, "not here"), |bytes| Answer::holding(200, bytes))
            }
            ("PUT", [recording, "tracks", track, "parts", part, "fragments", number]) => {
                let name = (track.to_string(), part.parse().unwrap(), number.parse().unwrap());
                self.of(recording).put(name, body)
            }
            ("PUT", [recording, "about"]) => {
                let had = self.of(recording).about.replace(body.to_vec());
                Answer::holding(if had.is_some() { 200 } else { 201 }, body)
            }
            ("PUT", [recording, "manifest"]) => self.of(recording).close(body),
            _ => Answer::problem(404, "no such path"),
        }
    }

    fn of(&mut self, recording: &str) -> &mut Stored {
        self.recordings.entry(recording.to_owned()).or_default()
    }

    fn holdings(&self, recording: &str) -> Answer {
        let Some(stored) = self.recordings.get(recording) else {
            return Answer::problem(404, "nothing is held");
        };
        let fragment = |((track, part, number), bytes): (&Name, &Vec<u8>)| {
            let sha256 = hex(bytes);
            json!({ "track": track, "part": part, "number": number, "size": bytes.len(), "sha256": sha256 })
        };
        let fragments: Vec<Value> = stored.fragments.iter().map(fragment).collect();
        let closed = stored.manifest.is_some();
        Answer::new(200, &json!({ "recording": recording, "closed": closed, "fragments": fragments }))
    }
}

impl Stored {
    fn put(&mut self, name: Name, bytes: &[u8]) -> Answer {
        match self.fragments.get(&name) {
            Some(there) if there == bytes => Answer::holding(200, bytes),
            Some(_) => Answer::problem(409, "something else is there"),
            None if self.manifest.is_some() => Answer::problem(409, "the recording is closed"),
            None => {
                *self.times_stored.entry(name.clone()).or_default() += 1;
                self.fragments.insert(name, bytes.to_vec());
                Answer::holding(201, bytes)
            }
        }
    }

    fn close(&mut self, manifest: &[u8]) -> Answer {
        match &self.manifest {
            Some(there) if there == manifest => return Answer::holding(200, manifest),
            Some(_) => return Answer::problem(409, "another manifest closed it"),
            None => {}
        }
        let mut missing = Vec::new();
        for (name, sha256) in named(&serde_json::from_slice(manifest).unwrap()) {
            match self.fragments.get(&name) {
                Some(bytes) if hex(bytes) == sha256 => {}
                Some(_) => return Answer::problem(409, "a fragment is another one than in the manifest"),
                None => missing.push(json!({ "track": name.0, "part": name.1, "number": name.2 })),
            }
        }
        if !missing.is_empty() {
            let title = format!("{} fragments are missing", missing.len());
            return Answer::new(409, &json!({ "title": title, "status": 409, "missing": missing }));
        }
        self.manifest = Some(manifest.to_vec());
        Answer::holding(201, manifest)
    }
}

/// Every header and fragment of a manifest, with its hash.
pub fn named(manifest: &Value) -> Vec<(Name, String)> {
    let mut named = Vec::new();
    for track in manifest["tracks"].as_array().unwrap() {
        for part in track["parts"].as_array().unwrap() {
            let name = |number: u64| {
                let part = part["number"].as_u64().unwrap();
                (track["name"].as_str().unwrap().to_owned(), part as u32, number as u32)
            };
            let hash = |file: &Value| file["sha256"].as_str().unwrap().to_owned();
            named.push((name(0), hash(&part["init"])));
            let fragments = part["fragments"].as_array().unwrap().iter();
            named.extend(fragments.map(|file| (name(file["number"].as_u64().unwrap()), hash(file))));
        }
    }
    named
}

fn digest(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(bytes)))
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
