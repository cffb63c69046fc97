//! The metrics that Prometheus reads.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::health::{Part, ServerProblem};

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub uploads: Counter,
    pub uploaded_bytes: Counter,
    /// These are read from the index when metrics are requested.
    pub recordings_open: Gauge,
    pub recordings_closed: Gauge,
    pub footage_bytes: Gauge,
    pub recorders_connected: Gauge,
    pub unresolved_names: Gauge,
    pub unresolved_events: Gauge,
    healthy: Gauge,
    problems: Family<[(&'static str, &'static str); 1], Gauge>,
}

impl Metrics {
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("deskreel_server");
        let (uploads, uploaded_bytes) = (Counter::default(), Counter::default());
        let (recordings_open, recordings_closed) = (Gauge::default(), Gauge::default());
        let (footage_bytes, recorders_connected) = (Gauge::default(), Gauge::default());
        registry.register("uploads", "Fragments that were stored", uploads.clone());
        let bytes = "Bytes of fragments that were stored";
        registry.register_with_unit("uploaded", bytes, Unit::Bytes, uploaded_bytes.clone());
        registry.register("recordings_open", "Recordings that are not closed", recordings_open.clone());
        registry.register("recordings_closed", "Recordings that are closed", recordings_closed.clone());
        registry.register_with_unit("footage", "Footage that is kept", Unit::Bytes, footage_bytes.clone());
        registry.register("recorders_connected", "Recorders with a link", recorders_connected.clone());
        let (unresolved_names, unresolved_events) = (Gauge::default(), Gauge::default());
        let names = "Names in events that mean no agent, and that nobody has assigned";
        registry.register("unresolved_names", names, unresolved_names.clone());
        registry.register("unresolved_events", "Events with such a name", unresolved_events.clone());
        let (healthy, problems) = (Gauge::default(), Family::default());
        registry.register("healthy", "1 if footage and rows can be stored and decided on", healthy.clone());
        registry.register("problem", "1 if this part keeps the server from being healthy", problems.clone());
        Metrics {
            registry,
            healthy,
            problems,
            uploads,
            uploaded_bytes,
            recordings_open,
            recordings_closed,
            footage_bytes,
            recorders_connected,
            unresolved_names,
            unresolved_events,
        }
    }

    pub fn set_problems(&self, problems: &[ServerProblem]) {
        self.healthy.set(problems.is_empty().into());
        for part in Part::ALL {
            let has_problem = problems.iter().any(|problem| problem.part == part);
            self.problems.get_or_create(&[("part", part.name())]).set(has_problem.into());
        }
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
