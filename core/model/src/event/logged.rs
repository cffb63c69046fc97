//! A line of a log that a host keeps: an event, with the time at which the host received it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Event, EventError};
use crate::time::Utc;

/// An event of a log. Logs that hosts did not write lack the time of arrival.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedEvent {
    pub event: Event,
    pub received: Option<Utc>,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    received: Utc,
    #[serde(borrow)]
    event: &'a RawValue,
}

impl LoggedEvent {
    /// Reads `{"received":...,"event":{...}}`, or an event alone.
    pub fn parse(text: &str) -> Result<LoggedEvent, EventError> {
        // Nearly all lines of a foreign log are events, which are parsed once.
        match Event::parse(text) {
            Err(EventError::NotAnEvent(reason)) => {
                let line: Line<'_> =
                    serde_json::from_str(text).map_err(|_| EventError::NotAnEvent(reason))?;
                let event = Event::parse(line.event.get())?;
                Ok(LoggedEvent { event, received: Some(line.received) })
            }
            event => Ok(LoggedEvent { event: event?, received: None }),
        }
    }

    /// The line of an event that was received at this time.
    pub fn line(event: &Event, received: Utc) -> String {
        format!(r#"{{"received":"{received}","event":{}}}"#, event.json)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let event =
            Event::parse(r#"{"type":"agent.logged_out","at":"2026-01-05T09:00:00.000Z","agent":"a"}"#);
        let (event, received) = (event.unwrap(), Utc::parse("2026-01-05T09:00:01.500Z").unwrap());
        let logged = LoggedEvent::parse(&LoggedEvent::line(&event, received)).unwrap();
        assert_eq!(logged, LoggedEvent { event: event.clone(), received: Some(received) });
        assert_eq!(LoggedEvent::parse(&event.json).unwrap(), LoggedEvent { event, received: None });
        let mistake = LoggedEvent::parse(r#"{"at":"2026-01-05T09:00:00.000Z"}"#).unwrap_err();
        assert_eq!(mistake.to_string(), "not an event: missing field `type` at column 33");
    }
}
