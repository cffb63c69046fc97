//! Reads a log of events line by line and runs it through an engine in simulated time.
//!
//! Memory depends on the open calls and footage, not on the length of the log. A line that is not an event is
//! reported with its number, counted and skipped; it does not affect its neighbors.

pub mod diff;
pub mod svg;
pub mod text;
pub mod timeline;
pub mod voice;

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, stderr, stdin};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use deskreel_interaction::{Engine, LogClock, Output};
use deskreel_model::event::{Event, LoggedEvent};
use deskreel_model::segment::Footage;

/// Most bytes of a line; an event has hundreds.
const LONGEST_LINE: u64 = 1 << 20;
/// Malformed lines that are reported one by one. A file that is not a log would have millions.
const REPORTED: u64 = 20;
const PROGRESS: Duration = Duration::from_millis(500);

pub struct EventLog {
    name: String,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    pub lines: u64,
    pub malformed: u64,
    /// Whether malformed lines are only counted, not reported.
    pub is_quiet: bool,
}

impl EventLog {
    /// Opens a log. `-` is standard input.
    pub fn open(path: &Path) -> Result<EventLog> {
        let (name, reader): (_, Box<dyn BufRead>) = if path == Path::new("-") {
            ("standard input".to_owned(), Box::new(stdin().lock()))
        } else {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            (path.display().to_string(), Box::new(BufReader::with_capacity(1 << 16, file)))
        };
        Ok(EventLog { name, reader, line: Vec::new(), lines: 0, malformed: 0, is_quiet: false })
    }

    /// Returns the next event; `None` at the end.
    pub fn next_event(&mut self) -> Result<Option<LoggedEvent>> {
        loop {
            self.line.clear();
            let mut limited = self.reader.by_ref().take(LONGEST_LINE);
            let read = limited.read_until(b'\n', &mut self.line);
            if read.with_context(|| format!("cannot read {}", self.name))? == 0 {
                if self.malformed > REPORTED && !self.is_quiet {
                    eprintln!("{}: {} more lines are not events", self.name, self.malformed - REPORTED);
                }
                return Ok(None);
            }
            self.lines += 1;
            if self.line.len() as u64 == LONGEST_LINE && self.line.last() != Some(&b'\n') {
                self.report("longer than 1 MiB");
                self.skip_line()?;
                continue;
            }
            let Ok(text) = str::from_utf8(&self.line) else {
                self.report("not UTF-8");
                continue;
            };
            if text.trim().is_empty() {
                continue;
            }
            match LoggedEvent::parse(text) {
                Ok(event) => return Ok(Some(event)),
                Err(error) => self.report(&error.to_string()),
            }
        }
    }

    fn report(&mut self, reason: &str) {
        self.malformed += 1;
        if self.malformed <= REPORTED && !self.is_quiet {
            eprintln!("{}:{}: {reason}", self.name, self.lines);
        }
    }

    fn skip_line(&mut self) -> Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let length = buffer.len();
            match buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    return {
                        self.reader.consume(end + 1);
                        Ok(())
                    };
                }
                None if length == 0 => return Ok(()),
                None => self.reader.consume(length),
            }
        }
    }
}

/// Passes all output to `take`, until that returns false.
pub fn run(engine: &mut Engine, log: &mut EventLog, mut take: impl FnMut(Output) -> bool) -> Result<()> {
    let mut progress = ReplayProgress::new();
    let mut clock = LogClock::default();
    let mut goes_on = true;
    loop {
        let next = log.next_event()?;
        let is_end = next.is_none();
        let arrived = match next {
            Some(event) => clock.push(event),
            None => clock.pop(),
        };
        if let Some((event, received)) = arrived {
            progress.show(log.lines, &event);
            engine.push(event, received, &mut |output| goes_on = goes_on && take(output));
        } else if is_end {
            break;
        }
        if !goes_on {
            return Ok(());
        }
    }
    progress.clear();
    engine.finish(&mut |output| goes_on = goes_on && take(output));
    Ok(())
}

/// Returns all footage, in order of its beginning.
pub fn footage(engine: &mut Engine, log: &mut EventLog) -> Result<Vec<Footage>> {
    let mut all = Vec::new();
    run(engine, log, |output| {
        if let Output::Footage(footage) = output {
            all.push(footage);
        }
        true
    })?;
    all.sort_by(|a, b| (a.from, &a.agent).cmp(&(b.from, &b.agent)));
    Ok(all)
}

/// The progress of a replay, on a terminal only.
struct ReplayProgress {
    is_shown: bool,
    last: Instant,
}

impl ReplayProgress {
    fn new() -> Self {
        ReplayProgress { is_shown: stderr().is_terminal(), last: Instant::now() }
    }

    fn show(&mut self, lines: u64, event: &Event) {
        // Every line would be too often to read the clock.
        if self.is_shown && lines.is_multiple_of(1024) && self.last.elapsed() >= PROGRESS {
            self.last = Instant::now();
            eprint!("\r{lines} lines, {}\x1b[K", event.at);
        }
    }

    fn clear(&self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}
