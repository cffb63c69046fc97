//! Takes up an earlier run of the server, so that a restart changes nothing.
//!
//! The events of that run, with their times of arrival, bring the engine to its state and yield its commands
//! again; the index has the recordings that these became. Commands are not sent again: a recorder follows
//! the earlier ones, and when it connects, what it does is compared with what is wanted (`commanded.rs`).

use std::time::Duration;

use deskreel_interaction::{Command as Wanted, Output, RecorderCommand};
use deskreel_model::event::Event;
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Utc};
use serde_json::json;

use super::commanded::CommandedFootage;
use super::write_behind::IndexUpdate;
use super::{Loop, NewEvent, OWN_FEED, own_event};
use crate::account::hindrances::{HindranceRow, HindranceSource};
use crate::db::footage::StoredFootage;
use crate::error::Result;
use crate::time::to_ms;

/// Age of the oldest event that a start replays; no call lasts longer.
const REPLAYED: Duration = Duration::from_secs(12 * 3600);
/// Footage that ended this long before the last event is in the index for certain.
const UNWRITTEN: Duration = Duration::from_secs(300);
/// A row of the index belongs to a command if their starts differ by less than this.
const SLACK_MS: u64 = 5000;

/// What a replay yields.
#[derive(Default)]
struct Replayed {
    touched: Vec<AgentId>,
    finals: Vec<Footage>,
    newest: Option<Utc>,
}

impl Loop {
    pub(super) async fn take_up(&mut self) -> Result<()> {
        let now = self.clock.now();
        let since = now.minus(REPLAYED);
        let mut stored = self.db.unsettled_footage(to_ms(since)).await?;
        // Footage that still runs needs its own beginning, and the log-in before that.
        let oldest = stored.iter().filter(|row| row.to.is_none()).map(|row| row.from).min();
        let since =
            oldest.map_or(to_ms(since), |oldest| to_ms(since).min(oldest - REPLAYED.as_millis() as i64));
        let mut replayed = Replayed::default();
        for (event, received) in self.db.events_since(since, to_ms(now)).await? {
            replayed.newest = Some(received);
            let mut outputs = Vec::new();
            self.engine.push(event, received, &mut |output| outputs.push(output));
            self.recall(outputs, &mut stored, &mut replayed);
        }
        let started = own_event(json!({ "type": "host.started" }), now)?;
        self.store_start(started.clone()).await?;
        let mut outputs = Vec::new();
        self.engine.push(started, now, &mut |output| outputs.push(output));
        self.recall(outputs, &mut stored, &mut replayed);
        self.settle_past(replayed);
        self.restore_hindrances(to_ms(now)).await?;
        self.end_unknown(stored, now).await?;
        self.effects.finish(&self.db).await;
        Ok(())
    }

    /// No recorder is connected now. Between the two runs, the server could command none.
    async fn restore_hindrances(&mut self, now: i64) -> Result<()> {
        let arrival = self.db.newest_arrival_before(now).await?;
        if let Some(last) = self.db.last_alive().await?.max(arrival) {
            self.effects.write(IndexUpdate::Hindrance(HindranceRow {
                id: format!("{last:012x}server"),
                place: None,
                source: HindranceSource::Server,
                cause: "the server was not running".to_owned(),
                from: last,
                to: Some(now.max(last)),
            }));
        }
        self.db.open_hindrances().await?.into_iter().for_each(|row| self.hindrances.restore(row));
        for place in self.db.places_of_recorders().await? {
            self.hinder_by_line(&place, now);
            self.set_hindrances(&place, HindranceSource::Recorder, &[], now);
        }
        Ok(())
    }

    async fn store_start(&mut self, started: Event) -> Result<()> {
        let feed = OWN_FEED.to_owned();
        self.store_events(&[NewEvent { feed, event: started, corrected: None }], &[]).await.map(drop)
    }

    /// Takes outputs of the engine that are from before this start.
    fn recall(&mut self, outputs: Vec<Output>, stored: &mut Vec<StoredFootage>, replayed: &mut Replayed) {
        for output in outputs {
            match output {
                Output::Command(commanded) => self.recall_command(commanded, stored),
                Output::Touched(agent) => replayed.touched.push(agent),
                Output::Footage(footage) => replayed.finals.push(footage),
                Output::Decision(_) | Output::Note(_) => {}
            }
        }
    }

    fn recall_command(&mut self, commanded: RecorderCommand, stored: &mut Vec<StoredFootage>) {
        let RecorderCommand { agent, place, at, late_ms, command, why } = commanded;
        match command {
            Wanted::Start { capture } => {
                let from = at.minus(Duration::from_millis(late_ms));
                let off = |row: &StoredFootage| to_ms(from).abs_diff(row.from);
                let is_theirs = |row: &StoredFootage| row.agent == agent && row.place == place;
                let rows = stored.iter().enumerate().filter(|(_, row)| is_theirs(row));
                let nearest = rows.min_by_key(|(_, row)| off(row)).filter(|(_, row)| off(row) <= SLACK_MS);
                match nearest.map(|(at, _)| at) {
                    Some(at) => {
                        let row = stored.remove(at);
                        self.commanded.push(CommandedFootage::restored(from, capture, row));
                    }
                    // The run before ended between the event and the command.
                    None => self.want(agent, place, from, capture, why),
                }
            }
            Wanted::Stop => self.mark_over(&agent, place.as_ref()),
            Wanted::SetMode { capture } => {
                let theirs = self.commanded.iter_mut().filter(|one| one.is_of(&agent, place.as_ref()));
                theirs.for_each(|one| one.capture = capture);
            }
        }
    }

    /// Writes what the run before may not have written.
    fn settle_past(&mut self, replayed: Replayed) {
        let Replayed { touched, finals, newest } = replayed;
        for footage in finals {
            let is_written = |to: Utc| newest.is_some_and(|newest| to.plus(UNWRITTEN) < newest);
            match footage.to.is_some_and(is_written) {
                true => self.forget(&footage),
                false => self.settle(footage),
            }
        }
        self.update_footage(touched);
    }

    /// Ends footage that the index has as running and that nothing wants any more: the pipeline file has
    /// changed.
    async fn end_unknown(&mut self, stored: Vec<StoredFootage>, now: Utc) -> Result<()> {
        for row in stored.iter().filter(|row| row.to.is_none()) {
            tracing::warn!(agent = %row.agent, footage = %row.id, "no longer wanted by the pipeline file");
            self.db.end_footage(&row.id, to_ms(now), "the server has started with other policies").await?;
        }
        Ok(())
    }
}
