//! What really happened: when each call was to be recorded, whether it was, and if not, why not.

use super::recording::ModelRecording;
use super::seat::Seat;

/// Times that begin and end, in milliseconds.
#[derive(Default)]
pub struct Spans(Vec<(i64, Option<i64>)>);

impl Spans {
    pub fn begin(&mut self, at: i64) {
        if self.0.last().is_none_or(|(_, to)| to.is_some()) {
            self.0.push((at, None));
        }
    }

    pub fn end(&mut self, at: i64) {
        if let Some((_, to)) = self.0.last_mut() {
            to.get_or_insert(at);
        }
    }

    /// Some moment from `from` to `to` lies in a span.
    pub fn meet(&self, from: i64, to: i64) -> bool {
        self.0.iter().any(|(begin, end)| *begin <= to && end.is_none_or(|end| from <= end))
    }

    /// Every moment from `from` to `to` lies in a span.
    pub fn cover(&self, from: i64, to: i64) -> bool {
        self.0.iter().any(|(begin, end)| *begin <= from && end.is_none_or(|end| to <= end))
    }
}

pub struct Call {
    pub number: usize,
    pub seat: usize,
    pub from: i64,
    pub to: i64,
    /// When the server learnt of its beginning.
    pub reported: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No recorder was connected at the place.
    Line,
    ServerDown,
    DiskFull,
    /// The recorder was starting.
    Starting,
    /// The event of the call came late.
    Late,
    /// Nobody knew the agent's place.
    PlaceUnknown,
    /// Its line was dead, and the server was killed before it noticed.
    Unnoticed,
}

impl Cause {
    pub const ALL: [Cause; 7] = [
        Cause::Line,
        Cause::ServerDown,
        Cause::DiskFull,
        Cause::Starting,
        Cause::Late,
        Cause::PlaceUnknown,
        Cause::Unnoticed,
    ];

    /// The cause that a reason of the account names.
    pub fn named(why: &str) -> Option<Cause> {
        let names = [
            ("no recorder is connected at", Cause::Line),
            ("the server was not running", Cause::ServerDown),
            ("the disk is full", Cause::DiskFull),
            ("the recorder was starting", Cause::Starting),
            ("its event came late", Cause::Late),
            ("it is unknown where the agent sits", Cause::PlaceUnknown),
            ("the recorder did not begin", Cause::Unnoticed),
            ("the recording ended early", Cause::Unnoticed),
        ];
        names.into_iter().find(|(text, _)| why.starts_with(text)).map(|(_, cause)| cause)
    }
}

/// Stretches below a second are not told apart (`SLIVER_MS`).
const EDGE_MS: i64 = 1000;
/// A recorder obeys within 400 ms.
const OBEYED_MS: i64 = 400 + EDGE_MS;
/// A line that dies silently counts as lost since its last message, and a recorder sends one each 20 s.
const PROBE_MS: i64 = 20_000 + EDGE_MS;
/// The server notices by then that a line has died.
const NOTICED_MS: i64 = 60_000 + EDGE_MS;
/// The index learns each 5 s that the server runs. A killed server counts as not running since then, and has
/// lost what it had not written; the simulator loses up to 3 s.
const ALIVE_MS: i64 = 5000 + 3000 + 2 * EDGE_MS;

pub struct Truth<'a> {
    pub call: &'a Call,
    pub seat: &'a Seat,
    pub has_place: bool,
    pub server: &'a Spans,
}

impl Truth<'_> {
    /// The recordings that were commanded for this call. One of an earlier call may have run on because its
    /// stop was lost; no ledger can know what it shows.
    fn own(&self) -> impl Iterator<Item = &ModelRecording> {
        let reported = self.call.reported.unwrap_or(i64::MAX);
        self.seat.recordings.iter().filter(move |one| one.asked >= reported)
    }

    /// It was recorded at about this time, for whichever call.
    pub fn may_be_stored(&self, at: i64) -> bool {
        let is_at = |one: &ModelRecording| {
            one.began <= at + EDGE_MS && one.ended.is_none_or(|ended| at - EDGE_MS <= ended)
        };
        self.seat.recordings.iter().any(is_at)
    }

    /// It was recorded for this call, a second before and after too.
    pub fn must_be_stored(&self, at: i64) -> bool {
        let is_around = |one: &ModelRecording| {
            one.began <= at - EDGE_MS && one.ended.is_none_or(|ended| at + EDGE_MS <= ended)
        };
        self.own().any(is_around)
    }

    /// The server has a fragment of about this time.
    pub fn is_delivered(&self, at: i64, fragment_ms: i64) -> bool {
        self.own().any(|one| {
            let to = one.began + i64::from(one.delivered) * fragment_ms;
            one.began + EDGE_MS <= at && at + EDGE_MS <= to.min(one.ended.unwrap_or(i64::MAX))
        })
    }

    pub fn is(&self, cause: Cause, at: i64) -> bool {
        let (from, to) = (at - EDGE_MS, at + EDGE_MS);
        match cause {
            Cause::PlaceUnknown => !self.has_place,
            Cause::Unnoticed => {
                let unnoticed = |death: &i64| {
                    let noticed = death + NOTICED_MS;
                    *death <= to && from <= noticed && !self.server.cover(*death, noticed)
                };
                self.has_place && self.seat.silent_deaths.iter().any(unnoticed)
            }
            Cause::ServerDown => !self.server.cover(from, at + ALIVE_MS),
            Cause::DiskFull => self.seat.full.meet(from, to),
            Cause::Line => {
                let died = |death: &i64| from <= *death && *death <= at + PROBE_MS;
                self.has_place
                    && (!self.seat.connected.cover(from, to) || self.seat.silent_deaths.iter().any(died))
            }
            Cause::Late => self.call.reported.is_some_and(|reported| at <= reported + EDGE_MS),
            Cause::Starting => {
                self.has_place
                    && (at <= self.call.from.max(self.call.reported.unwrap_or(0)) + OBEYED_MS
                        || !self.seat.connected.cover(at - OBEYED_MS, to))
            }
        }
    }
}
