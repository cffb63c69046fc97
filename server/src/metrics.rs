//! The metrics that Prometheus reads.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

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
        Metrics {
            registry,
            uploads,
            uploaded_bytes,
            recordings_open,
            recordings_closed,
            footage_bytes,
            recorders_connected,
        }
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
