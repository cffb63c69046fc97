//! Events about the feed itself.

use deskreel_sdk::prelude::*;

/// From now on the feed is `live`, `catching_up` or `lost`.
pub fn emit_state(outlet: &Outlet, state: &str, reason: Option<&str>) {
    outlet.emit(&Event::feed_state(state, now(), reason));
}

/// Events were missed.
pub fn emit_gap(outlet: &Outlet, reason: &str) {
    tracing::warn!(reason, "events may be missing");
    outlet.emit(&Event::new("feed.gap", now()).with("reason", reason));
}

fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
