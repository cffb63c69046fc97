//! Deletes everything that is due once an hour, and finishes the remains of an earlier run.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::db::deletion::Deletion;
use crate::error::Result;
use crate::limits::longest_body;

const EVERY: Duration = Duration::from_secs(3600);

pub async fn run(app: App) {
    let mut hour = interval(EVERY);
    hour.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        hour.tick().await;
        match sweep(&app).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "deleted interactions by retention rules"),
            Err(error) => {
                tracing::error!(%error, fault = %error.fault(), "could not apply the retention rules")
            }
        }
    }
}

/// Returns how many interactions were deleted.
pub async fn sweep(app: &App) -> Result<usize> {
    let rules = app.db.retention().await?;
    let mut deleted = 0;
    for due in app.db.due(&rules).await? {
        let why = format!("retention rule {}", due.rule);
        app.db.audit("retention", "deleted", due.interaction.as_str(), Some(&why)).await?;
        // A hold may have been placed since.
        if let Deletion::Done(_) = app.db.delete_interaction(&due.interaction, &why).await? {
            deleted += 1;
        }
    }
    for recording in app.db.unpurged().await? {
        app.purge(&recording).await?;
    }
    // A slower upload is aborted, and a file that has arrived is cut within the hour.
    let server = &app.config.graph.server;
    app.store.sweep_incoming(longest_body(server, server.largest_file) + EVERY).await?;
    Ok(deleted)
}
