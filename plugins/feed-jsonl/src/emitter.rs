//! Makes an event of each line, and emits it when its time has come.

use std::time::Duration;

use deskreel_sdk::prelude::*;
use jiff::Timestamp;

use crate::Time;
use crate::lines::Line;
use crate::stop_signal::StopSignal;

pub struct Emitter {
    time: Time,
    speed: f64,
    /// In a replay: the time of the first event, and when it was emitted.
    origin: Option<(Timestamp, Timestamp)>,
}

impl Emitter {
    pub fn new(time: Time, speed: f64) -> Emitter {
        Emitter { time, speed, origin: None }
    }

    /// Emits the event of a line; logs and skips a line that is not an event. Returns false once the feed is
    /// stopped.
    pub fn emit(&mut self, line: Line, outlet: &Outlet, stop: &StopSignal) -> std::io::Result<bool> {
        let number = line.number;
        let (mut event, at) = match read(line) {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(true),
            Err(reason) => {
                tracing::warn!("line {number} skipped: {reason}");
                return Ok(true);
            }
        };
        if self.time == Time::Replay {
            let now = Timestamp::now();
            let (first, here) = *self.origin.get_or_insert((at, now));
            let since = at.duration_since(first).as_secs_f64().max(0.0) / self.speed;
            let due = here.saturating_add(Duration::from_secs_f64(since.min(1e9))).unwrap_or(Timestamp::MAX);
            event.at = format!("{due:.3}");
            let pause = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            if !stop.sleep(pause)? {
                return Ok(false);
            }
        }
        outlet.emit(&event);
        Ok(true)
    }
}

/// Returns `None` for an empty line. The host checks the other fields that an event needs.
fn read(line: Line) -> Result<Option<(Event, Timestamp)>, String> {
    let Some(bytes) = line.bytes else { return Err("it is longer than 1 MiB".to_owned()) };
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let event: Event = serde_json::from_slice(&bytes)
        .map_err(|error| error.to_string().replace(" at line 1 column ", " at column "))?;
    let at = event.at.parse().map_err(|_| {
        format!("`at` is not a time: `{}`; write UTC as in 2026-01-05T09:00:00.000Z", event.at)
    })?;
    Ok(Some((event, at)))
}
