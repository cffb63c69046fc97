//! Reads a file that grows, is rotated, or does not exist yet.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use deskreel_sdk::prelude::{Outlet, tracing};

use crate::emitter::Emitter;
use crate::lines::Lines;
use crate::read_position::ReadPosition;
use crate::report;
use crate::stop_signal::StopSignal;
use crate::{Settings, StartAt};

/// Pause between two looks at a file that has nothing new: an event is to be acted on within 100 ms.
const LOOK: Duration = Duration::from_millis(40);
const LOOK_FOR_FILE: Duration = Duration::from_millis(500);
/// Bytes after which the position is saved; it is also saved whenever everything was read.
const BLOCK: usize = 64 << 10;

pub fn follow(settings: &Settings, emitter: Emitter, outlet: &Outlet, stop: &StopSignal) -> io::Result<()> {
    let mut reader = Reader { settings, emitter, outlet, stop, is_first: true, saved: None };
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
                    tracing::warn!("{}: {error}; waiting for the file", settings.file.display());
                    report::emit_state(outlet, "lost", Some(&error.to_string()));
                }
                is_missing = true;
                if !stop.sleep(LOOK_FOR_FILE)? {
                    return Ok(());
                }
            }
        }
    }
}

struct Reader<'a> {
    settings: &'a Settings,
    emitter: Emitter,
    outlet: &'a Outlet,
    stop: &'a StopSignal,
    /// No file has been read yet.
    is_first: bool,
    saved: Option<ReadPosition>,
}

/// The state of a file that was read to its end.
enum FileState {
    /// It may still grow.
    Current,
    /// Another file has its name.
    Replaced,
    /// It is shorter than the part of it that was read.
    Truncated,
}

impl Reader<'_> {
    /// Reads until another file has the name. Returns false once the feed is stopped.
    fn read(&mut self, mut file: File) -> io::Result<bool> {
        let mut position = self.begin(&file)?;
        let mut lines = Lines::after(position.line);
        file.seek(SeekFrom::Start(position.offset))?;
        let mut buffer = vec![0; BLOCK];
        let mut is_live = file.metadata()?.len() <= position.offset;
        report::emit_state(self.outlet, if is_live { "live" } else { "catching_up" }, None);
        let mut is_old = false;
        loop {
            let bytes = file.read(&mut buffer)?;
            if bytes > 0 {
                if !self.take(&mut lines, &buffer[..bytes])? {
                    return Ok(false);
                }
                position.offset = file.stream_position()? - lines.rest().len() as u64;
                position.line = lines.number();
                if bytes == BLOCK {
                    self.save(position);
                }
                continue;
            }
            // No line end, but a complete object: the writer only left the line end out.
            if serde_json::from_slice::<serde_json::Value>(lines.rest()).is_ok_and(|json| json.is_object()) {
                position.offset = file.stream_position()?;
                if let Some(line) = lines.end()
                    && !self.emitter.emit(line, self.outlet, self.stop)?
                {
                    return Ok(false);
                }
                position.line = lines.number();
            }
            if !std::mem::replace(&mut is_live, true) {
                report::emit_state(self.outlet, "live", None);
            }
            self.save(position);
            match self.check_file(&file, &position)? {
                FileState::Current if self.stop.sleep(LOOK)? => {}
                FileState::Current => return Ok(false),
                FileState::Replaced if is_old => return Ok(true),
                // The writer may still have the old file open: look once more.
                FileState::Replaced if self.stop.sleep(LOOK_FOR_FILE)? => is_old = true,
                FileState::Replaced => return Ok(false),
                FileState::Truncated => {
                    report::emit_gap(self.outlet, "the file was truncated");
                    return Ok(true);
                }
            }
        }
    }

    fn take(&mut self, lines: &mut Lines, bytes: &[u8]) -> io::Result<bool> {
        for line in lines.push(bytes) {
            if !self.emitter.emit(line, self.outlet, self.stop)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The position at which to begin.
    fn begin(&mut self, file: &File) -> io::Result<ReadPosition> {
        let about = file.metadata()?;
        let start = ReadPosition::start_of(&about);
        if !std::mem::take(&mut self.is_first) {
            return Ok(start);
        }
        let remembered = match self.settings.remember.as_deref().map(ReadPosition::load) {
            None | Some(Ok(None)) => None,
            Some(Ok(Some(position))) if position.is_of(&about) && position.offset <= about.len() => {
                return Ok(position);
            }
            Some(Ok(Some(_))) => Some("this is not the file that was read last".to_owned()),
            Some(Err(error)) => Some(format!("cannot read the saved position: {error}")),
        };
        match remembered {
            Some(reason) => {
                report::emit_gap(self.outlet, &reason);
                Ok(start)
            }
            None if self.settings.from == StartAt::End => {
                Ok(ReadPosition { offset: about.len(), line: count_lines(&self.settings.file)?, ..start })
            }
            None => Ok(start),
        }
    }

    fn check_file(&self, file: &File, position: &ReadPosition) -> io::Result<FileState> {
        if file.metadata()?.len() < position.offset {
            return Ok(FileState::Truncated);
        }
        Ok(match fs::metadata(&self.settings.file) {
            Ok(about) if position.is_of(&about) => FileState::Current,
            Ok(_) => FileState::Replaced,
            // It was moved away, and the writer may still have it open.
            Err(_) => FileState::Current,
        })
    }

    /// Saves the position. A failure costs only duplicate events after a restart.
    fn save(&mut self, position: ReadPosition) {
        let Some(file) = self.settings.remember.as_deref().filter(|_| self.saved != Some(position)) else {
            return;
        };
        match position.save(file) {
            Ok(()) => self.saved = Some(position),
            Err(error) => tracing::warn!("{}: {error}", file.display()),
        }
    }
}

/// Keeps line numbers right if the file is begun at its end.
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
