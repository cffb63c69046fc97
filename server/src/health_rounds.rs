//! Finds out whether the server would store and decide the next thing that arrives.
//!
//! A task writes a row and an object, and asks the tasks that everything depends on: at the start, then each
//! minute, and more often while something is wrong. `/health`, the metrics and the log show what it found.
//! The systemd watchdog is fed as long as the control loop answers, so a server whose loop stands still is
//! restarted; one whose database is away is not, since that would not help.

use std::time::Duration;

use deskreel_platform::service::Watchdog;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::app::App;
use crate::error::{Result, with_causes};
use crate::health::{Part, ServerProblem};

const EVERY: Duration = Duration::from_secs(60);
/// The same while something is wrong.
const EVERY_WHILE_ILL: Duration = Duration::from_secs(5);
/// Limit for each of the things that are tried. Longer than the time for which a busy index is retried.
const LIMIT: Duration = Duration::from_secs(35);
/// Time between two questions to the control loop for the watchdog.
const FEED_EVERY: Duration = Duration::from_secs(10);
/// Limit for the control loop to turn. It waits for a busy index, several times in the worst case.
const TURN_LIMIT: Duration = Duration::from_secs(120);

/// Looks at everything for as long as the server runs. `retention` is the task that deletes what is due.
pub async fn run(app: App, retention: JoinHandle<()>) {
    loop {
        let problems = look(&app, &retention).await;
        let pause = if problems.is_empty() { EVERY } else { EVERY_WHILE_ILL };
        app.health.set(problems);
        tokio::time::sleep(pause).await;
    }
}

/// Feeds the watchdog for as long as the control loop turns.
pub async fn feed_watchdog(app: App) {
    let mut watchdog = Watchdog::new();
    loop {
        if timeout(TURN_LIMIT, app.control.turns()).await == Ok(true) {
            watchdog.feed();
        }
        tokio::time::sleep(FEED_EVERY).await;
    }
}

async fn look(app: &App, retention: &JoinHandle<()>) -> Vec<ServerProblem> {
    let (index, storage, decisions) = tokio::join!(
        attempt(app.db.write_health()),
        attempt(app.store.write_health()),
        timeout(LIMIT, app.control.decides()),
    );
    let mut problems = Vec::new();
    let mut add = |part, text: String| problems.push(ServerProblem::new(part, text));
    let is_index_well = index.is_ok();
    if let Err(why) = index {
        add(Part::Index, format!("the index cannot be written: {why}"));
    }
    if let Err(why) = storage {
        add(Part::Storage, format!("footage cannot be stored: {why}"));
    }
    if let Err(full) = app.disks.check() {
        add(Part::Disk, format!("uploads are refused: {full}"));
    }
    if app.ingest.has_ended() {
        add(Part::Uploads, "uploads are not taken in any more; restart the server".to_owned());
    }
    match decisions {
        Ok(true) => {}
        Ok(false) => add(Part::Decisions, "nothing is decided any more; restart the server".to_owned()),
        // They wait for the index, which has been named.
        Err(_) if !is_index_well => {}
        Err(_) => {
            add(Part::Decisions, format!("decisions have not been written for {} s", LIMIT.as_secs()));
        }
    }
    if retention.is_finished() {
        add(Part::Retention, "nothing is deleted by retention rules any more; restart the server".to_owned());
    }
    problems
}

async fn attempt(write: impl Future<Output = Result<()>>) -> Result<(), String> {
    match timeout(LIMIT, write).await {
        Ok(written) => written.map_err(|error| without_places(&with_causes(&error))),
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}

/// Errors of files name them, and `/health` is for anybody.
fn without_places(text: &str) -> String {
    let words = text.split(' ').map(|word| if word.contains('/') { "..." } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_no_file() {
        let text = "cannot use the store: Unable to open file /var/lib/footage/x: Permission denied";
        assert_eq!(without_places(text), "cannot use the store: Unable to open file ... Permission denied");
    }
}
