//! A file that grows, is rotated, or is not there yet.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use deskreel_sdk::prelude::tracing;

use crate::lines::Lines;
use crate::outlet::Outlet;
use crate::pace::Pace;
use crate::place::Place;
use crate::wake::Wake;
use crate::{From, Settings};

/// How often a file is looked at that has nothing new: an event is to be acted on within 100 ms.
const LOOK: Duration = Duration::from_millis(40);
const LOOK_FOR_FILE: Duration = Duration::from_millis(500);
/// The place is remembered after so many bytes, and whenever everything was read.
const BLOCK: usize = 64 << 10;

pub fn follow(settings: &Settings, pace: Pace, outlet: &Outlet, wake: &Wake) -> io::Result<()> {
    let mut reader = Reader { settings, pace, outlet, wake, is_first: true, saved: None };
    let mut is_missing = false;
    loop {
        match File::open(&settings.file) {
            Ok(file) => {
                is_missing = false;
                if !reader.read(file)? {
                    return Ok(());
                }
            }
            Err(error) => {
                if !is_missing {
                    tracing::warn!("{}: {error}; it is waited for", settings.file.display());
                    outlet.state("lost", Some(&error.to_string()));
                }
                is_missing = true;
                if !wake.sleep(LOOK_FOR_FILE)? {
                    return Ok(());
                }
            }
        }
    }
}

struct Reader<'a> {
    settings: &'a Settings,
    pace: Pace,
    outlet: &'a Outlet,
    wake: &'a Wake,
    /// No file was read since the start.
    is_first: bool,
    saved: Option<Place>,
}

/// What a file that was read to its end turns out to be.
enum Now {
    /// It may grow.
    Same,
    /// There is another under its name.
    Replaced,
    /// It is shorter than what was read of it.
    Cut,
}

impl Reader<'_> {
    /// Until there is another file under the name; false once the feed is stopped.
    fn read(&mut self, mut file: File) -> io::Result<bool> {
        let mut place = self.begin(&file)?;
        let mut lines = Lines::after(place.line);
        file.seek(SeekFrom::Start(place.offset))?;
        let mut buffer = vec![0; BLOCK];
        let mut is_live = file.metadata()?.len() <= place.offset;
        self.outlet.state(if is_live { "live" } else { "catching_up" }, None);
        let mut is_old = false;
        loop {
            let bytes = file.read(&mut buffer)?;
            if bytes > 0 {
                if !self.take(&mut lines, &buffer[..bytes])? {
                    return Ok(false);
                }
                place.offset = file.stream_position()? - lines.rest().len() as u64;
                place.line = lines.number();
                if bytes == BLOCK {
                    self.remember(place);
                }
                continue;
            }
            // Without a line end, but complete: whoever wrote it has only left that out.
            if serde_json::from_slice::<serde_json::Value>(lines.rest()).is_ok_and(|json| json.is_object()) {
                place.offset = file.stream_position()?;
                if let Some(line) = lines.end()
                    && !self.pace.take(line, self.outlet, self.wake)?
                {
                    return Ok(false);
                }
                place.line = lines.number();
            }
            if !std::mem::replace(&mut is_live, true) {
                self.outlet.state("live", None);
            }
            self.remember(place);
            match self.look(&file, &place)? {
                Now::Same if self.wake.sleep(LOOK)? => {}
                Now::Same => return Ok(false),
                Now::Replaced if is_old => return Ok(true),
                // Whoever writes it may not know that yet: it is looked at once more.
                Now::Replaced if self.wake.sleep(LOOK_FOR_FILE)? => is_old = true,
                Now::Replaced => return Ok(false),
                Now::Cut => {
                    self.outlet.gap("the file was cut");
                    return Ok(true);
                }
            }
        }
    }

    fn take(&mut self, lines: &mut Lines, bytes: &[u8]) -> io::Result<bool> {
        for line in lines.push(bytes) {
            if !self.pace.take(line, self.outlet, self.wake)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where to begin.
    fn begin(&mut self, file: &File) -> io::Result<Place> {
        let about = file.metadata()?;
        let start = Place::start_of(&about);
        if !std::mem::take(&mut self.is_first) {
            return Ok(start);
        }
        let remembered = match self.settings.remember.as_deref().map(Place::load) {
            None | Some(Ok(None)) => None,
            Some(Ok(Some(place))) if place.is_of(&about) && place.offset <= about.len() => return Ok(place),
            Some(Ok(Some(_))) => Some("there is another file than the one that was read last".to_owned()),
            Some(Err(error)) => Some(format!("how far the file was read is not known: {error}")),
        };
        match remembered {
            Some(reason) => {
                self.outlet.gap(&reason);
                Ok(start)
            }
            None if self.settings.from == From::End => {
                Ok(Place { offset: about.len(), line: count_lines(&self.settings.file)?, ..start })
            }
            None => Ok(start),
        }
    }

    fn look(&self, file: &File, place: &Place) -> io::Result<Now> {
        if file.metadata()?.len() < place.offset {
            return Ok(Now::Cut);
        }
        Ok(match fs::metadata(&self.settings.file) {
            Ok(about) if place.is_of(&about) => Now::Same,
            Ok(_) => Now::Replaced,
            // It was moved away, and whoever writes it may not know that yet.
            Err(_) => Now::Same,
        })
    }

    /// A place that cannot be remembered costs doubled events after a restart, and no more.
    fn remember(&mut self, place: Place) {
        let Some(file) = self.settings.remember.as_deref().filter(|_| self.saved != Some(place)) else {
            return;
        };
        match place.save(file) {
            Ok(()) => self.saved = Some(place),
            Err(error) => tracing::warn!("{}: {error}", file.display()),
        }
    }
}

/// So that the numbers of lines are right, also where the file is begun at its end.
fn count_lines(file: &Path) -> io::Result<u64> {
    let mut file = File::open(file)?;
    let mut buffer = vec![0; BLOCK];
    let mut lines = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(lines),
            bytes => lines += buffer[..bytes].iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }
}
