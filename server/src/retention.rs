//! Once an hour, what is due goes; and what an earlier run could not finish.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::api;
use crate::app::App;
use crate::db::annotations::Deleting;
use crate::error::Result;

const EVERY: Duration = Duration::from_secs(3600);

pub async fn run(app: App) {
    let mut hour = interval(EVERY);
    hour.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        hour.tick().await;
        match sweep(&app).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "retention"),
            Err(error) => tracing::error!(%error, fault = %error.fault(), "retention could not do its work"),
        }
    }
}

/// How many interactions were deleted.
pub async fn sweep(app: &App) -> Result<usize> {
    let rules = app.db.retention().await?;
    let mut deleted = 0;
    for due in app.db.due(&rules).await? {
        let why = format!("retention rule {}", due.rule);
        app.db.audit("retention", "deleted", &due.interaction, Some(&why)).await?;
        // Somebody may hold it just now.
        if let Deleting::Done(_) = app.db.delete_interaction(&due.interaction, &why).await? {
            deleted += 1;
        }
    }
    for recording in app.db.unpurged().await? {
        app.purge(&recording).await?;
    }
    // Whoever is so slow is ended, and what has come is cut within the hour.
    app.store
        .sweep_incoming(
            api::longest_body(&app.config.graph.server, app.config.graph.server.largest_file) + EVERY,
        )
        .await?;
    Ok(deleted)
}
