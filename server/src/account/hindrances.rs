//! Why nothing can be recorded at a place, and since when. Pure; the rows go to the index, where the account
//! of missing footage finds them.

use std::collections::BTreeMap;

use deskreel_model::Place;

/// What reports a hindrance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HindranceSource {
    /// The link of the recorder is down.
    Line,
    /// The recorder reports a problem.
    Recorder,
    /// The server did not run.
    Server,
}

impl HindranceSource {
    pub fn as_str(self) -> &'static str {
        match self {
            HindranceSource::Line => "line",
            HindranceSource::Recorder => "recorder",
            HindranceSource::Server => "server",
        }
    }

    pub fn parse(text: &str) -> Option<HindranceSource> {
        [HindranceSource::Line, HindranceSource::Recorder, HindranceSource::Server]
            .into_iter()
            .find(|source| source.as_str() == text)
    }
}

/// A row of the index; a later one with the same id replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HindranceRow {
    pub id: String,
    /// `None`: at every place.
    pub place: Option<Place>,
    pub source: HindranceSource,
    pub cause: String,
    /// Milliseconds since 1970.
    pub from: i64,
    /// `None`: it lasts.
    pub to: Option<i64>,
}

/// The hindrances that last.
#[derive(Debug, Default)]
pub struct Hindrances {
    open: BTreeMap<(Place, HindranceSource, String), HindranceRow>,
}

impl Hindrances {
    /// Takes up a hindrance of an earlier run.
    pub fn restore(&mut self, row: HindranceRow) {
        if let Some(place) = row.place.clone() {
            self.open.insert((place, row.source, row.cause.clone()), row);
        }
    }

    /// Sets what a source reports of a place from now on. Returns the rows that change. `id` makes a new id.
    pub fn set(
        &mut self,
        place: &Place,
        source: HindranceSource,
        causes: &[String],
        at: i64,
        mut id: impl FnMut() -> String,
    ) -> Vec<HindranceRow> {
        let is_over = |(known, by, cause): &(Place, HindranceSource, String), _: &mut HindranceRow| {
            known == place && *by == source && !causes.contains(cause)
        };
        let over: Vec<HindranceRow> = self.open.extract_if(.., is_over).map(|(_, row)| row).collect();
        let mut changed: Vec<HindranceRow> =
            over.into_iter().map(|row| HindranceRow { to: Some(at.max(row.from)), ..row }).collect();
        for cause in causes {
            self.open.entry((place.clone(), source, cause.clone())).or_insert_with(|| {
                let (place, cause) = (Some(place.clone()), cause.clone());
                let row = HindranceRow { id: id(), place, source, cause, from: at, to: None };
                changed.push(row.clone());
                row
            });
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_row_from_its_beginning_to_its_end() {
        let (place, mut hindrances, mut ids) = (Place::from("pc-1"), Hindrances::default(), 0..);
        let mut set = |source, causes: &[&str], at| {
            let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
            let id = || ids.next().map_or_else(String::new, |id: u32| id.to_string());
            let rows = hindrances.set(&place, source, &causes, at, id);
            let show = |row: HindranceRow| format!("{} {} {}..{:?}", row.id, row.cause, row.from, row.to);
            rows.into_iter().map(show).collect::<Vec<_>>()
        };
        assert_eq!(set(HindranceSource::Line, &["away"], 5), ["0 away 5..None"]);
        assert_eq!(set(HindranceSource::Line, &["away"], 6), [""; 0]);
        assert_eq!(set(HindranceSource::Recorder, &["no display"], 7), ["1 no display 7..None"]);
        assert_eq!(set(HindranceSource::Line, &[], 8), ["0 away 5..Some(8)"]);
        let both = ["1 no display 7..Some(9)", "2 disk full 9..None"];
        assert_eq!(set(HindranceSource::Recorder, &["disk full"], 9), both);
    }
}
