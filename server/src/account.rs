//! The account of wanted footage: for each moment, whether it is stored, and why not. Pure.
//!
//! What is stored is known from the fragments and, once a recording is closed, from its manifest. What is not
//! has the reason of the recorder (a gap in the manifest), or else that of the place at that time (its
//! hindrances), or else none, which the account says too.

pub mod coverage;
pub mod hindrances;

use deskreel_model::Place;
use serde::Serialize;
use utoipa::ToSchema;

use crate::schema::Time;
use crate::time::rfc3339;

/// A stretch shorter than this, in milliseconds, is not told apart from its neighbors: frames are captured at
/// intervals, and the clock of a recorder is known to some milliseconds.
const SLIVER_MS: i64 = 1000;
/// Time within which a recorder begins after it was commanded, and within which a fragment arrives.
const STARTING_MS: i64 = 10_000;

/// What became of wanted footage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FootageState {
    Stored,
    /// The screen was withheld on request: nothing or a slate was captured.
    Withheld,
    /// It is recorded, or may be, and is not here yet.
    OnItsWay,
    Missing,
}

/// A stretch of wanted footage, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountStretch {
    pub from: i64,
    pub to: i64,
    pub state: FootageState,
    /// Empty if it is stored.
    pub why: String,
}

/// The account in figures, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct FootageFigures {
    pub wanted_ms: i64,
    pub stored_ms: i64,
    pub withheld_ms: i64,
    pub on_its_way_ms: i64,
    pub missing_ms: i64,
}

impl FootageFigures {
    pub fn add(&mut self, other: FootageFigures) {
        self.wanted_ms += other.wanted_ms;
        self.stored_ms += other.stored_ms;
        self.withheld_ms += other.withheld_ms;
        self.on_its_way_ms += other.on_its_way_ms;
        self.missing_ms += other.missing_ms;
    }
}

/// Wanted footage that one recording covers, or none.
#[derive(Debug, Clone, Copy)]
pub struct WantedStretch<'a> {
    pub from: i64,
    /// Now, if it is still wanted.
    pub to: i64,
    pub place: Option<&'a Place>,
    /// When the server learned that it is wanted.
    pub learned: Option<i64>,
    /// A recorder was commanded to make it.
    pub is_commanded: bool,
    /// Why it was not made, if no hindrance says so.
    pub not_made: Option<&'a str>,
}

/// What is known of a recording.
#[derive(Debug, Clone, Default)]
pub struct RecordingFacts {
    pub zero: i64,
    /// Why it was deleted.
    pub deleted: Option<String>,
    pub is_closed: bool,
    /// Its recorder says that it runs.
    pub runs: bool,
    /// Stored footage.
    pub covered: Vec<(i64, i64)>,
    /// Stretches that its manifest gives a reason for.
    pub absences: Vec<Absence>,
}

#[derive(Debug, Clone)]
pub struct Absence {
    pub from: i64,
    pub to: i64,
    pub state: FootageState,
    pub why: String,
}

/// Why nothing could be recorded at a place, and when.
#[derive(Debug, Clone)]
pub struct Hindrance {
    pub place: Option<Place>,
    pub from: i64,
    /// `None`: it lasts.
    pub to: Option<i64>,
    pub cause: String,
}

/// The account of one stretch. `hindrances` may be those of other places too; the first that fits counts.
pub fn account(
    wanted: WantedStretch<'_>,
    recording: Option<&RecordingFacts>,
    hindrances: &[Hindrance],
) -> Vec<AccountStretch> {
    let own: Vec<&Hindrance> = hindrances.iter().filter(|one| one.hinders(wanted)).collect();
    let mut cuts = vec![wanted.from, wanted.to];
    cuts.extend(own.iter().flat_map(|one| [Some(one.from), one.to]).flatten());
    cuts.extend(wanted.learned);
    if let Some(recording) = recording {
        cuts.push(recording.zero);
        cuts.extend(recording.covered.iter().flat_map(|(from, to)| [*from, *to]));
        cuts.extend(recording.absences.iter().flat_map(|absence| [absence.from, absence.to]));
    }
    cuts.retain(|cut| (wanted.from..=wanted.to).contains(cut));
    cuts.sort_unstable();
    cuts.dedup();
    let judged = cuts.windows(2).map(|pair| {
        let (state, why) = judge(pair[0], wanted, recording, &own);
        AccountStretch { from: pair[0], to: pair[1], state, why }
    });
    let mut judged: Vec<AccountStretch> = judged.collect();
    if wanted.to - wanted.from < SLIVER_MS {
        // All of it is a sliver: what holds now counts.
        let last = judged.pop();
        return last.map(|last| AccountStretch { from: wanted.from, ..last }).into_iter().collect();
    }
    merge(judged)
}

/// The figures of several stretches.
pub fn figures<'a>(stretches: impl IntoIterator<Item = &'a AccountStretch>) -> FootageFigures {
    let mut figures = FootageFigures::default();
    for AccountStretch { from, to, state, .. } in stretches {
        let ms = to - from;
        figures.wanted_ms += ms;
        match state {
            FootageState::Stored => figures.stored_ms += ms,
            FootageState::Withheld => figures.withheld_ms += ms,
            FootageState::OnItsWay => figures.on_its_way_ms += ms,
            FootageState::Missing => figures.missing_ms += ms,
        }
    }
    figures
}

/// Judges the moment after `at`, up to which nothing changes.
fn judge(
    at: i64,
    wanted: WantedStretch<'_>,
    recording: Option<&RecordingFacts>,
    hindrances: &[&Hindrance],
) -> (FootageState, String) {
    use FootageState::{Missing, OnItsWay, Stored};
    let hindrance = hindrances.iter().find(|one| one.from <= at && one.to.is_none_or(|to| at < to));
    let silence = if wanted.is_commanded { "the recorder did not begin" } else { NO_REASON };
    let silence = wanted.not_made.unwrap_or(silence);
    // Every event takes some milliseconds.
    let is_late = |learned: &i64| learned - wanted.from >= SLIVER_MS;
    let is_unknown = wanted.learned.filter(is_late).is_some_and(|learned| at < learned);
    let reason = || match hindrance {
        // Before the server knew, it does not matter that a recorder was away.
        Some(one) if !is_unknown || one.place.is_none() => Some(one.cause.clone()),
        _ => is_unknown.then(|| "its event came late".to_owned()),
    };
    let Some(recording) = recording else {
        let why = match wanted.place {
            None => "it is unknown where the agent sits".to_owned(),
            Some(_) if reason().is_none() && wanted.not_made.is_none() && wanted.to - at < STARTING_MS => {
                return (OnItsWay, "the recorder is starting".to_owned());
            }
            Some(_) => reason().unwrap_or_else(|| silence.to_owned()),
        };
        return (Missing, why);
    };
    if let Some(why) = &recording.deleted {
        return (Missing, format!("deleted: {why}"));
    }
    if let Some(absence) = recording.absences.iter().find(|absence| absence.from <= at && at < absence.to) {
        return (absence.state, absence.why.clone());
    }
    let is_in = |(from, to): &(i64, i64)| *from <= at && at < *to;
    if recording.covered.iter().any(is_in) {
        return (Stored, String::new());
    }
    if at < recording.zero {
        let starting = || "the recorder was starting".to_owned();
        let is_short = wanted.not_made.is_none() && recording.zero - wanted.from <= STARTING_MS;
        let why = reason().or_else(|| is_short.then(starting));
        return (Missing, why.unwrap_or_else(|| silence.to_owned()));
    }
    match (recording.is_closed, recording.runs) {
        (true, _) => (Missing, reason().unwrap_or_else(|| "the recording ended early".to_owned())),
        (false, true) => (OnItsWay, "the recorder has it".to_owned()),
        (false, false) => {
            let why = reason().map(|cause| format!("{cause}; it may have been recorded"));
            (OnItsWay, why.unwrap_or_else(|| "it is not delivered yet".to_owned()))
        }
    }
}

/// Nothing explains it. Operators should look into these.
const NO_REASON: &str = "no reason is known";

impl Hindrance {
    fn hinders(&self, wanted: WantedStretch<'_>) -> bool {
        (self.place.is_none() || self.place.as_ref() == wanted.place)
            && self.from < wanted.to
            && self.to.is_none_or(|to| wanted.from < to)
    }
}

/// Joins equal neighbors, and slivers with what is before them or, at the beginning, after. Slivers that
/// follow each other are no sliver together.
fn merge(judged: Vec<AccountStretch>) -> Vec<AccountStretch> {
    let mut merged: Vec<AccountStretch> = Vec::new();
    let mut absorbed = 0;
    for next in judged {
        let length = next.to - next.from;
        match merged.last_mut() {
            Some(last) if (last.state, &last.why) == (next.state, &next.why) => {
                (last.to, absorbed) = (next.to, 0);
            }
            // A sliver at the beginning takes the state of what follows, if that is longer.
            Some(last) if last.to - last.from < SLIVER_MS && length >= last.to - last.from => {
                *last = AccountStretch { from: last.from, ..next };
            }
            Some(last) if absorbed + length < SLIVER_MS => {
                last.to = next.to;
                absorbed += length;
            }
            _ => {
                absorbed = 0;
                merged.push(next);
            }
        }
    }
    let mut joined: Vec<AccountStretch> = Vec::new();
    for next in merged {
        match joined.last_mut() {
            Some(last) if (last.state, &last.why) == (next.state, &next.why) => last.to = next.to,
            _ => joined.push(next),
        }
    }
    joined
}

/// An [`AccountStretch`] in an answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccountStretch)]
pub struct AccountView {
    #[schema(value_type = Time)]
    from: String,
    #[schema(value_type = Time)]
    to: String,
    state: FootageState,
    /// Empty if it is stored.
    why: String,
}

impl From<&AccountStretch> for AccountView {
    fn from(stretch: &AccountStretch) -> AccountView {
        AccountView {
            from: rfc3339(stretch.from),
            to: rfc3339(stretch.to),
            state: stretch.state,
            why: stretch.why.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `from..to state: why` for each stretch, in seconds.
    fn show(stretches: &[AccountStretch]) -> Vec<String> {
        let show = |one: &AccountStretch| {
            let why = if one.why.is_empty() { String::new() } else { format!(": {}", one.why) };
            format!("{}..{} {:?}{why}", one.from / 1000, one.to / 1000, one.state)
        };
        stretches.iter().map(show).collect()
    }

    fn wanted(place: &Place) -> WantedStretch<'_> {
        WantedStretch {
            from: 0,
            to: 60_000,
            place: Some(place),
            learned: Some(0),
            is_commanded: false,
            not_made: None,
        }
    }

    fn hindrance(from: i64, to: Option<i64>) -> Hindrance {
        Hindrance {
            place: Some("pc-1".into()),
            from,
            to,
            cause: "no recorder is connected at pc-1".to_owned(),
        }
    }

    #[test]
    fn footage_without_a_recorder_is_missing_with_the_reason() {
        let place = Place::from("pc-1");
        let none = account(wanted(&place), None, &[hindrance(-5000, None)]);
        assert_eq!(show(&none), ["0..60 Missing: no recorder is connected at pc-1"]);
        let other = Hindrance { place: Some("pc-2".into()), ..hindrance(-5000, None) };
        assert_eq!(show(&account(wanted(&place), None, &[other])), ["0..60 Missing: no reason is known"]);
        let nowhere = WantedStretch { place: None, ..wanted(&place) };
        assert_eq!(show(&account(nowhere, None, &[])), ["0..60 Missing: it is unknown where the agent sits"]);
    }

    #[test]
    fn a_late_begin_is_missing_with_its_cause() {
        let place = Place::from("pc-1");
        let recording = RecordingFacts {
            zero: 8000,
            is_closed: true,
            covered: vec![(8000, 61_000)],
            ..RecordingFacts::default()
        };
        let late = account(wanted(&place), Some(&recording), &[hindrance(-5000, Some(7500))]);
        assert_eq!(show(&late), ["0..8 Missing: no recorder is connected at pc-1", "8..60 Stored"]);
        let told = WantedStretch { learned: Some(7000), ..wanted(&place) };
        let told = account(told, Some(&recording), &[hindrance(-5000, Some(500))]);
        assert_eq!(
            show(&told),
            ["0..7 Missing: its event came late", "7..8 Missing: the recorder was starting", "8..60 Stored"]
        );
        let starting = account(wanted(&place), Some(&recording), &[]);
        assert_eq!(show(&starting), ["0..8 Missing: the recorder was starting", "8..60 Stored"]);
        let commanded = WantedStretch { is_commanded: true, ..wanted(&place) };
        assert_eq!(show(&account(commanded, None, &[])), ["0..60 Missing: the recorder did not begin"]);
        let refused = WantedStretch { not_made: Some("bob is logged in at pc-1, not ann"), ..wanted(&place) };
        let bob = "Missing: bob is logged in at pc-1, not ann";
        assert_eq!(show(&account(refused, None, &[])), [format!("0..60 {bob}")]);
        assert_eq!(
            show(&account(refused, Some(&recording), &[])),
            [format!("0..8 {bob}"), "8..60 Stored".into()]
        );
    }

    #[test]
    fn gaps_pauses_and_the_end_are_told_apart() {
        let place = Place::from("pc-1");
        let absence = |from, to, state, why: &str| Absence { from, to, state, why: why.to_owned() };
        let mut recording = RecordingFacts {
            zero: -300,
            is_closed: true,
            covered: vec![(-300, 10_000), (20_000, 30_000), (35_000, 50_000)],
            absences: vec![
                absence(10_000, 20_000, FootageState::Missing, "the source failed"),
                absence(30_000, 35_000, FootageState::Withheld, "paused: card number"),
            ],
            ..RecordingFacts::default()
        };
        let closed = account(wanted(&place), Some(&recording), &[]);
        let head = [
            "0..10 Stored",
            "10..20 Missing: the source failed",
            "20..30 Stored",
            "30..35 Withheld: paused: card number",
            "35..50 Stored",
        ];
        assert_eq!(show(&closed)[..5], head);
        assert_eq!(show(&closed)[5..], ["50..60 Missing: the recording ended early"]);
        recording.is_closed = false;
        recording.runs = true;
        let running = account(wanted(&place), Some(&recording), &[]);
        assert_eq!(show(&running)[5..], ["50..60 OnItsWay: the recorder has it"]);
        recording.runs = false;
        let away = account(wanted(&place), Some(&recording), &[hindrance(50_500, None)]);
        assert_eq!(
            show(&away)[5..],
            ["50..60 OnItsWay: no recorder is connected at pc-1; it may have been recorded"]
        );
        let sum = figures(&closed);
        assert_eq!(
            (sum.wanted_ms, sum.stored_ms, sum.withheld_ms, sum.missing_ms),
            (60_000, 35_000, 5000, 20_000)
        );
    }
}
