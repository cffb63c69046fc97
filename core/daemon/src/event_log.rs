//! The events of the day, on disk: knowledge of agents and calls outlives the daemon.
//!
//! One line per event, with its time of arrival and in that order. A daemon that was killed in mid-call reads
//! them at its next start and continues recording, since its policies know the call again. The lines are not
//! synced: the kernel keeps the writes of a killed process, and after a power failure the agent logs in again
//! anyway.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deskreel_interaction::HostClock;
use deskreel_model::Utc;
use deskreel_model::event::{Event, LoggedEvent};

/// Older events say nothing about calls that are still on: the engine does not believe in longer ones.
const RETENTION: Duration = Duration::from_secs(12 * 3600);
/// Longest line in bytes. A longer one is not ours.
const LONGEST: usize = 1 << 20;
/// Size in bytes at which the file is rewritten without the old events.
const REWRITE_AT: u64 = 4 << 20;

pub struct EventLog {
    path: PathBuf,
    file: File,
    size: u64,
}

impl EventLog {
    /// Opens the log; returns it with the events that may still matter and their times of arrival, in that
    /// order.
    pub fn open(path: &Path, now: Utc) -> io::Result<(EventLog, Vec<(Event, Utc)>)> {
        let events = match File::open(path) {
            Ok(file) => read(file, now),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let log = EventLog::write(path, &events)?;
        Ok((log, events))
    }

    /// Adds an event that has arrived now.
    pub fn append(&mut self, event: &Event, now: Utc) {
        let line = LoggedEvent::line(event, now);
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        self.size += line.len() as u64 + 1;
        let kept = written.and_then(|()| if self.size > REWRITE_AT { self.rewrite(now) } else { Ok(()) });
        if let Err(error) = kept {
            tracing::warn!(%error, path = %self.path.display(), "could not store an event for the next start");
        }
    }

    fn rewrite(&mut self, now: Utc) -> io::Result<()> {
        let events = read(File::open(&self.path)?, now);
        *self = EventLog::write(&self.path, &events)?;
        Ok(())
    }

    fn write(path: &Path, events: &[(Event, Utc)]) -> io::Result<EventLog> {
        let text: String =
            events.iter().map(|(event, received)| LoggedEvent::line(event, *received) + "\n").collect();
        let beside = path.with_added_extension("tmp");
        fs::write(&beside, &text)?;
        fs::rename(&beside, path)?;
        let file = OpenOptions::new().append(true).open(path)?;
        // Everything just written may be recent; only new events count towards the next rewriting.
        Ok(EventLog { path: path.to_owned(), file, size: 0 })
    }
}

/// Skips lines that do not parse, since a kill cut them off, and times from the future, since the clock was
/// wrong.
fn read(file: File, now: Utc) -> Vec<(Event, Utc)> {
    let mut reader = BufReader::new(file);
    let mut events = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return events,
            Ok(length) if length > LONGEST => continue,
            Ok(_) => {}
        }
        let logged = std::str::from_utf8(&line).ok().and_then(|text| LoggedEvent::parse(text).ok());
        let logged = logged.map(|LoggedEvent { event, received }| {
            let received = received.unwrap_or(event.at);
            (event, received)
        });
        let matters = |received: Utc| received >= now.minus(RETENTION) && HostClock::believes(received, now);
        events.extend(logged.filter(|(_, received)| matters(*received)));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn event(at: &str) -> Event {
        Event::parse(&format!(r#"{{"type":"agent.logged_in","at":"{at}","agent":"ann"}}"#)).unwrap()
    }

    #[test]
    fn the_next_start_reads_the_events_but_no_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let now = Utc::parse("2026-01-05T12:00:00.000Z").unwrap();
        let (mut log, before) = EventLog::open(&path, now).unwrap();
        assert!(before.is_empty());
        log.append(&event("2026-01-05T11:00:00.000Z"), now.minus(Duration::from_secs(60)));
        log.append(&event("2026-01-05T11:30:00.000Z"), now);
        drop(log);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 5);
        fs::write(&path, bytes).unwrap();
        let (_, events) = EventLog::open(&path, now).unwrap();
        let [(_, received)] = events[..] else { panic!("one event") };
        assert_eq!(received, now.minus(Duration::from_secs(60)));
        let later = now.plus(Duration::from_secs(12 * 3600));
        assert!(EventLog::open(&path, later).unwrap().1.is_empty(), "a call of yesterday is not on any more");
        let mut wrong = File::create(&path).unwrap();
        writeln!(wrong, "{}", LoggedEvent::line(&event("2026-01-05T11:00:00.000Z"), later)).unwrap();
        let before = now.minus(Duration::from_secs(24 * 3600));
        assert!(EventLog::open(&path, before).unwrap().1.is_empty(), "the clock was days ahead");
    }
}
