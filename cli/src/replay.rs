//! A log of events, read line by line and run through an engine in simulated time.
//!
//! Memory is bounded by what is open, however long the log is. A line that is no event is told with its number, counted
//! and left out; its neighbours are not touched.

pub mod diff;
pub mod svg;
pub mod text;
pub mod timeline;

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, stderr, stdin};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use deskreel_interaction::{Engine, Output};
use deskreel_model::event::Event;
use deskreel_model::segment::Footage;

/// Bytes; an event has hundreds. What is longer is no line of a log.
const LONGEST_LINE: u64 = 1 << 20;
/// Lines that are told one by one; of a file that is no log at all there would be millions.
const TOLD: u64 = 20;
const PROGRESS: Duration = Duration::from_millis(500);

pub struct Log {
    name: String,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    pub lines: u64,
    pub malformed: u64,
    /// Malformed lines are only counted.
    pub is_quiet: bool,
}

impl Log {
    /// `-` is the standard input.
    pub fn open(path: &Path) -> Result<Log> {
        let (name, reader): (_, Box<dyn BufRead>) = if path == Path::new("-") {
            ("standard input".to_owned(), Box::new(stdin().lock()))
        } else {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            (path.display().to_string(), Box::new(BufReader::with_capacity(1 << 16, file)))
        };
        Ok(Log { name, reader, line: Vec::new(), lines: 0, malformed: 0, is_quiet: false })
    }

    /// The next event; `None` at the end.
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        loop {
            self.line.clear();
            let mut limited = self.reader.by_ref().take(LONGEST_LINE);
            let read = limited.read_until(b'\n', &mut self.line);
            if read.with_context(|| format!("cannot read {}", self.name))? == 0 {
                if self.malformed > TOLD && !self.is_quiet {
                    eprintln!("{}: {} more lines are no events", self.name, self.malformed - TOLD);
                }
                return Ok(None);
            }
            self.lines += 1;
            if self.line.len() as u64 == LONGEST_LINE && self.line.last() != Some(&b'\n') {
                self.tell("longer than 1 MiB");
                self.skip_line()?;
                continue;
            }
            let Ok(text) = str::from_utf8(&self.line) else {
                self.tell("not UTF-8");
                continue;
            };
            if text.trim().is_empty() {
                continue;
            }
            match Event::parse(text) {
                Ok(event) => return Ok(Some(event)),
                Err(error) => self.tell(&error.to_string()),
            }
        }
    }

    fn tell(&mut self, reason: &str) {
        self.malformed += 1;
        if self.malformed <= TOLD && !self.is_quiet {
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

/// Gives everything that comes out until `take` says that it is enough.
pub fn run(engine: &mut Engine, log: &mut Log, mut take: impl FnMut(Output) -> bool) -> Result<()> {
    let mut progress = Progress::new();
    let mut goes_on = true;
    while let Some(event) = log.next_event()? {
        progress.show(log.lines, &event);
        engine.push(event, &mut |output| goes_on = goes_on && take(output));
        if !goes_on {
            return Ok(());
        }
    }
    progress.clear();
    engine.finish(&mut |output| goes_on = goes_on && take(output));
    Ok(())
}

/// All footage, in the order in which it began.
pub fn footage(engine: &mut Engine, log: &mut Log) -> Result<Vec<Footage>> {
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

/// How far it is, on a terminal.
struct Progress {
    is_shown: bool,
    last: Instant,
}

impl Progress {
    fn new() -> Self {
        Progress { is_shown: stderr().is_terminal(), last: Instant::now() }
    }

    fn show(&mut self, lines: u64, event: &Event) {
        // The clock is asked now and then only.
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
