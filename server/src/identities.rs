//! Keeps the names of agents that the control loop and the mapping use in step with the index.
//!
//! Names change by requests, and by commands of other processes (`deskreel-server import`). So they are read
//! after each request, and once a minute. Names in earlier events that mean an agent now are mapped again.

use std::sync::Arc;
use std::time::Duration;

use deskreel_model::Utc;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::control::rerun::{NewNames, redo};
use crate::error::Result;
use crate::time::now_ms;

const EVERY: Duration = Duration::from_secs(60);
/// Names that nobody has assigned for a month are forgotten.
const FORGOTTEN_MS: i64 = 31 * 24 * 3600 * 1000;

/// Follows the index for as long as the server runs.
pub async fn run(app: App) {
    let mut minute = interval(EVERY);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minute.tick().await;
        refresh(&app).await;
    }
}

/// Takes in the names of now, and maps earlier events again if that changes whose they are.
pub async fn refresh(app: &App) {
    if let Err(error) = try_refresh(app).await {
        tracing::error!(%error, fault = %error.fault(), "could not map events by the agents' names; will be tried again");
    }
}

async fn try_refresh(app: &App) -> Result<()> {
    let _turn = app.redo_turn().await?;
    let identities = Arc::new(app.db.identities().await?);
    app.control.set_identities(identities.clone()).await?;
    // The events that were taken in before are counted, and their effects are in the index.
    app.control.flush().await;
    app.db.forget_unresolved(now_ms() - FORGOTTEN_MS).await?;
    let mut new = NewNames { names: Vec::new(), agents: Default::default() };
    for (name, events) in app.db.unresolved().await? {
        if let Some(agent) = identities.find(name.kind, &name.name) {
            new.agents.insert(agent.clone());
            new.names.push((name, events));
        }
    }
    if new.names.is_empty() {
        return Ok(());
    }
    let now = Utc(jiff::Timestamp::now());
    let agents: Vec<&str> = new.agents.iter().map(|agent| agent.as_str()).collect();
    let agents = agents.join(", ");
    app.db.audit("server", "mapping_redone", &agents, None).await?;
    let redone = redo(&app.config, &app.db, identities, &new, now).await?;
    tracing::info!(agents, added = redone.added, live = redone.live.len(), "mapped earlier events again");
    if !redone.live.is_empty() {
        let wrong = app.control.own_events(redone.live).await?;
        wrong.iter().for_each(|reason| tracing::error!(reason, "could not tell a call that goes on"));
    }
    Ok(())
}
