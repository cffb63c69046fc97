//! `feed.webhook` on the server: each event that was answered 200 is in the index, though the server is
//! killed under load.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use deskreel_test_support::ports::free_port;
use deskreel_test_support::server::Server;
use serde_json::json;

const SENDERS: usize = 4;
/// Acknowledged events before the kill.
const ENOUGH: usize = 100;

/// Posts one event. `None` if the server is gone.
fn post(port: u16, id: &str) -> Option<String> {
    let event = json!({
        "type": "call.delivered", "at": "2026-01-05T09:00:00.000Z", "call": id, "agent": "ann", "id": id,
    });
    let body = event.to_string();
    let request = format!(
        "POST /events HTTP/1.1\r\nHost: feed\r\nAuthorization: bearer token\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer).filter(|answer| !answer.is_empty())
}

#[test]
fn acknowledged_events_survive_the_server() {
    if std::env::var_os("DESKREEL_TEST_POSTGRES").is_some() {
        // The index is read below as a file.
        return;
    }
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(token.path(), "token").unwrap();
    let port = free_port();
    let server = Server::start_with(&format!(
        "[feed.crm]\nplugin = \"feed.webhook\"\nlisten = \"127.0.0.1:{port}\"\ntoken_file = \"{}\"\n",
        token.path().display()
    ));
    let (acknowledge, acknowledged) = mpsc::channel();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let acknowledge = acknowledge.clone();
            thread::spawn(move || {
                for number in 0.. {
                    let id = format!("{sender}-{number}");
                    let Some(answer) = post(port, &id) else { return };
                    if answer.starts_with("HTTP/1.1 200 ") {
                        let _ = acknowledge.send(id);
                    }
                }
            })
        })
        .collect();
    drop(acknowledge);
    let mut known: BTreeSet<String> = acknowledged.iter().take(ENOUGH).collect();
    assert_eq!(known.len(), ENOUGH);
    let folder = server.kill();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    known.extend(acknowledged);

    let read = "import json, sqlite3, sys; c = sqlite3.connect(sys.argv[1])\n\
                for (body,) in c.execute(\"SELECT body FROM events WHERE feed = 'crm'\"): \
                print(json.loads(body).get('id', ''))";
    let output = Command::new("python3").args(["-c", read]).arg(folder.path().join("index.db")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stored = String::from_utf8(output.stdout).unwrap();
    let stored: BTreeSet<&str> = stored.lines().collect();
    let lost: Vec<_> = known.iter().filter(|id| !stored.contains(id.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), known.len());
}
