//! Whether the server would store and decide the next thing that arrives, by the last round of
//! `health_rounds.rs`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for which a report is believed: several rounds in which everything takes as long as it may.
const STALE: Duration = Duration::from_secs(300);

/// The part of the server that has a problem: the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    Index,
    Storage,
    Disk,
    Uploads,
    Decisions,
    Retention,
    /// The health itself is not known.
    Check,
}

impl Part {
    pub const ALL: [Part; 7] = [
        Part::Index,
        Part::Storage,
        Part::Disk,
        Part::Uploads,
        Part::Decisions,
        Part::Retention,
        Part::Check,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Part::Index => "index",
            Part::Storage => "storage",
            Part::Disk => "disk",
            Part::Uploads => "uploads",
            Part::Decisions => "decisions",
            Part::Retention => "retention",
            Part::Check => "check",
        }
    }
}

/// A reason why the server is not healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerProblem {
    pub part: Part,
    /// For people. Names no file: anybody may read it.
    pub text: String,
}

impl ServerProblem {
    pub fn new(part: Part, text: impl Into<String>) -> ServerProblem {
        ServerProblem { part, text: text.into() }
    }
}

/// The result of the last round. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HealthReport(Arc<Mutex<Round>>);

#[derive(Debug)]
struct Round {
    problems: Vec<ServerProblem>,
    at: Instant,
}

impl HealthReport {
    /// Until the first round has ended nothing is known to be wrong: the start has read index and storage.
    pub fn new() -> HealthReport {
        HealthReport(Arc::new(Mutex::new(Round { problems: Vec::new(), at: Instant::now() })))
    }

    /// Why the server is not healthy; empty if it is.
    pub fn problems(&self, now: Instant) -> Vec<ServerProblem> {
        let round = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(round.at) > STALE {
            return vec![ServerProblem::new(Part::Check, "nobody has looked for minutes")];
        }
        round.problems.clone()
    }

    /// Logs each change as one line.
    pub fn set(&self, problems: Vec<ServerProblem>) {
        let mut round = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        round.at = Instant::now();
        if round.problems == problems {
            return;
        }
        match texts(&problems) {
            texts if texts.is_empty() => tracing::info!("healthy"),
            texts => tracing::error!(problems = texts.join("; "), "not healthy"),
        }
        round.problems = problems;
    }
}

pub fn texts(problems: &[ServerProblem]) -> Vec<String> {
    problems.iter().map(|problem| problem.text.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_nobody_renews_is_not_believed() {
        let report = HealthReport::new();
        let now = Instant::now();
        assert_eq!(report.problems(now), []);
        assert_eq!(report.problems(now + 2 * STALE).first().map(|problem| problem.part), Some(Part::Check));
        report.set(vec![ServerProblem::new(Part::Index, "it is read-only")]);
        assert_eq!(texts(&report.problems(Instant::now())), ["it is read-only"]);
    }
}
