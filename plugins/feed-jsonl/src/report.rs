//! Events about the feed itself.

use deskreel_sdk::prelude::*;

/// Reports that the feed is `live`, `catching_up` or `lost` from now on.
pub fn emit_state(outlet: &Outlet, state: &str, reason: Option<&str>) {
    outlet.emit(&Event::feed_state(state, now(), reason));
}

/// Reports that events were missed.
pub fn emit_gap(outlet: &Outlet, reason: &str) {
    tracing::warn!(reason, "events may be missing");
    outlet.emit(&Event::new("feed.gap", now()).with("reason", reason));
}

fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
