//! The seat's recordings on disk: admission of another one, room, and delivery to the sinks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use deskreel_contract::RecordingAbout;
use deskreel_host::Catalog;
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Fault, RecordingId, SinkName, Utc, layout};
use deskreel_pipeline::RecorderGraph;
use deskreel_recorder::{Error, Notice, RecordingResult};
use deskreel_spool::Outbox;
use deskreel_spool::account::NoStartCause;
use deskreel_spool::capacity::{self, CapacityPlan, Full, Limits, WhenFull};
use deskreel_spool::outbox::{OldestFailure, StartupFinding};
use tokio::sync::mpsc;

use super::delivery::{self, Delivery, Progress, Sink};
use super::seat::FailingDelivery;
use super::unsettled::Unsettled;
use deskreel_deployment::wall_clock;
use deskreel_desk::status::{SinkStatus, SpoolStatus};

/// Limit for the sinks' current calls when the daemon ends.
const STOP_LIMIT: Duration = Duration::from_secs(5);

pub struct SeatSpool {
    directory: PathBuf,
    limits: Limits,
    delivery: Delivery,
    /// The plugin's id by sink.
    plugins: BTreeMap<SinkName, String>,
    /// The running recording, with its size in bytes at its last report.
    running: Option<(RecordingId, u64)>,
}

impl SeatSpool {
    /// Locks the folder for this process and starts to deliver the recordings in it. The receiver reports the
    /// progress of deliveries.
    pub fn open(
        graph: &RecorderGraph,
        catalog: &Catalog,
    ) -> Result<(SeatSpool, mpsc::UnboundedReceiver<Progress>)> {
        let directory = graph.recording.directory.clone();
        let names: Vec<SinkName> = graph.sinks.iter().map(|sink| sink.name.as_str().into()).collect();
        let (outbox, findings) = Outbox::open(&directory, &names, u64::from(std::process::id()))?;
        findings.iter().for_each(log);
        let (sender, progress) = mpsc::unbounded_channel();
        let report = move |progress| drop(sender.send(progress));
        let delivery = Delivery::start(outbox, sinks(graph, catalog)?, rate(graph), report)?;
        let spool =
            SeatSpool { directory, limits: limits(graph), delivery, plugins: plugins(graph), running: None };
        spool.delivery.sweep();
        Ok((spool, progress))
    }

    /// Returns the recordings from before this start whose segments are not final. Recordings with a
    /// `footage.json` are released, and so are all if a server decides: it knows what they belong to.
    pub fn unsettled(&mut self, is_served: bool) -> Unsettled {
        let mut unsettled = Unsettled::default();
        for recording in self.delivery.look(Outbox::unreleased) {
            let folder = self.directory.join(recording.as_str());
            let known = std::fs::read(folder.join(layout::FOOTAGE)).ok();
            match known.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
                Some(footage) => self.release(&recording, about(&footage)),
                None => {
                    let manifest = deskreel_spool::load(&folder).ok();
                    let agent = manifest.as_ref().and_then(|manifest| manifest.agent.clone());
                    if is_served {
                        let place =
                            manifest.and_then(|manifest| manifest.place).map(|place| place.to_string());
                        let agent = agent.map(|agent| agent.to_string());
                        self.release(
                            &recording,
                            RecordingAbout { agent, place, ..RecordingAbout::default() },
                        );
                        continue;
                    }
                    let since = manifest.and_then(|manifest| manifest.zero());
                    // Without an agent no footage comes, and the recording expires by itself.
                    let agent = agent.unwrap_or_else(|| "".into());
                    unsettled.began(recording.clone(), agent, since.unwrap_or_else(wall_clock), folder);
                    unsettled.ended(&recording, wall_clock());
                }
            }
        }
        unsettled
    }

    /// Applies the limits and sinks of another pipeline file. The new sinks repeat interrupted calls.
    pub fn change(&mut self, graph: &RecorderGraph, catalog: &Catalog) -> Result<()> {
        let sinks = sinks(graph, catalog)?;
        self.delivery.stop(Duration::ZERO);
        self.delivery.set_sinks(sinks)?;
        self.delivery.set_rate(rate(graph));
        (self.limits, self.plugins) = (limits(graph), plugins(graph));
        Ok(())
    }

    /// Waits for the sinks' current calls to end.
    pub fn close(&mut self) {
        for sink in self.delivery.stop(STOP_LIMIT) {
            tracing::warn!(%sink, "the sink did not end in time; its item is delivered again after the next start");
        }
    }

    // A recording, from its command to its release.

    /// Returns the reason if there is no room for a recording. Makes room for it if the pipeline file allows
    /// that.
    pub fn admit(&mut self, recording: &RecordingId, agent: &AgentId, why: &str) -> Result<(), String> {
        let agent = Some(agent.to_string());
        self.delivery.update(|outbox| outbox.commanded(recording, agent, why.to_owned()));
        let Some(full) = self.make_room(capacity::plan_start) else { return Ok(()) };
        let cause = match full {
            Full::Disk { .. } => NoStartCause::Disk,
            Full::Quota { .. } => NoStartCause::Quota,
        };
        let detail = format!("there is no room for a recording: {full}");
        self.delivery.update(|outbox| outbox.not_begun(recording, cause, detail.clone()));
        Err(detail)
    }

    /// Returns the reason if the running recording has to end for lack of room.
    pub fn must_end(&mut self) -> Option<String> {
        self.make_room(capacity::plan_running).map(|full| format!("no room is left: {full}"))
    }

    pub fn notice(&mut self, recording: &RecordingId, notice: &Notice) {
        match notice {
            Notice::Began { .. } => {
                self.running = Some((recording.clone(), 0));
                self.write(recording, |outbox| outbox.entered(recording));
            }
            Notice::File { track, part, number, file } => {
                self.write(recording, |outbox| outbox.fragment(recording, track, *part, *number, file));
            }
            Notice::Progress(status) => self.running = Some((recording.clone(), status.bytes)),
            _ => {}
        }
    }

    pub fn ended(&mut self, recording: &RecordingId, result: &Result<RecordingResult, Error>) {
        self.running.take_if(|(running, _)| running == recording);
        match result {
            Ok(_) => {
                self.write(recording, |outbox| outbox.sealed(recording));
                // A recording without footage is of no use.
                self.delivery.sweep();
            }
            Err(error) => {
                let cause = match error.fault() {
                    Fault::Disk => NoStartCause::Disk,
                    Fault::Config => NoStartCause::Config,
                    Fault::Device => NoStartCause::Worker,
                    Fault::Plugin | Fault::Network | Fault::Bug => NoStartCause::Plugin,
                };
                self.delivery.update(|outbox| outbox.not_begun(recording, cause, error.with_causes()));
            }
        }
    }

    /// Writes the row of the segment table beside the recording, and releases it to the sinks.
    pub fn settle(&mut self, recording: &RecordingId, folder: &Path, footage: &Footage) {
        let written = serde_json::to_vec_pretty(footage)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Ok(deskreel_spool::write_atomic(&folder.join(layout::FOOTAGE), &bytes)?));
        if let Err(error) = written {
            tracing::warn!(%recording, %error, "could not write footage.json beside the recording");
        }
        tracing::info!(%recording, "settled");
        self.release(recording, about(footage));
    }

    /// Releases a recording to the sinks: what it belongs to is final.
    pub fn release(&mut self, recording: &RecordingId, about: RecordingAbout) {
        self.write(recording, |outbox| outbox.released(recording, about));
    }

    fn write(
        &self,
        recording: &RecordingId,
        write: impl FnOnce(&mut Outbox) -> Result<(), deskreel_spool::Error>,
    ) {
        if let Err(error) = self.delivery.update(write) {
            tracing::warn!(%recording, %error, "could not write to the outbox; the recording is delivered after the next start at the earliest");
        }
    }

    // Room.

    /// Deletes what may be deleted. Returns the reason if there still is too little room.
    fn make_room(
        &self,
        plan: fn(&Limits, u64, &[capacity::StoredRecording]) -> CapacityPlan,
    ) -> Option<Full> {
        let stored = self.stored();
        let CapacityPlan { evict, full } = plan(&self.limits, free(&self.directory), &stored);
        for recording in evict {
            tracing::warn!(%recording, "deleted for lack of room");
            if let Err(error) = self.delivery.evict(&recording, "there was no room") {
                tracing::warn!(%recording, %error, "not deleted");
            }
        }
        full
    }

    fn stored(&self) -> Vec<capacity::StoredRecording> {
        let running = |recording: &RecordingId| {
            self.running.as_ref().filter(|(running, _)| running == recording).map_or(0, |(_, bytes)| *bytes)
        };
        self.delivery.look(|outbox| outbox.stored_recordings(running))
    }

    /// Why a recording would find no room now, after everything that may be deleted for it.
    pub fn no_room(&self) -> Option<String> {
        let stored = self.stored();
        capacity::plan_start(&self.limits, free(&self.directory), &stored).full.map(|full| full.to_string())
    }

    /// The sinks that could not deliver, with the reason.
    pub fn sink_problems(&self) -> Vec<(String, String)> {
        self.delivery.problems().into_iter().map(|(sink, why)| (sink.to_string(), why)).collect()
    }

    /// The deliveries that fail, the oldest of each sink. `began` is one moment by both clocks.
    pub fn failing(&self, now: Instant, began: (Instant, Utc)) -> Vec<FailingDelivery> {
        let outbox = self.delivery.look(|outbox| outbox.status(now));
        let failing = outbox.sinks.into_iter().filter_map(|sink| {
            let OldestFailure { since, reason } = sink.oldest_failure?;
            Some(FailingDelivery {
                sink: sink.sink.to_string(),
                lasts: now.saturating_duration_since(since),
                since: began.1.plus(since.saturating_duration_since(began.0)),
                reason,
            })
        });
        failing.collect()
    }

    pub fn status(&self) -> SpoolStatus {
        let outbox = self.delivery.look(|outbox| outbox.status(Instant::now()));
        let running = self.running.as_ref().map_or(0, |(_, bytes)| *bytes);
        let sink = |sink: deskreel_spool::outbox::SinkStatus| SinkStatus {
            plugin: self.plugins.get(&sink.sink).cloned().unwrap_or_default(),
            sink: sink.sink.to_string(),
            pending: sink.recordings,
            pending_bytes: sink.bytes,
            delivered: sink.counts.recordings,
            refused: sink.refused,
            problem: sink.last_error,
        };
        SpoolStatus {
            recordings: outbox.recordings.len(),
            bytes: outbox.recordings.iter().map(|recording| recording.bytes).sum::<u64>() + running,
            free_bytes: free(&self.directory),
            quota_bytes: self.limits.quota,
            sinks: outbox.sinks.into_iter().map(sink).collect(),
        }
    }
}

fn limits(graph: &RecorderGraph) -> Limits {
    let when_full = if graph.spool.drop_oldest { WhenFull::DropOldest } else { WhenFull::Stop };
    Limits { quota: graph.spool.quota, min_free: graph.spool.min_free, when_full }
}

/// Bytes per second.
fn rate(graph: &RecorderGraph) -> Option<u64> {
    graph.spool.rate.map(|bits| bits / 8)
}

fn plugins(graph: &RecorderGraph) -> BTreeMap<SinkName, String> {
    graph.sinks.iter().map(|sink| (sink.name.as_str().into(), sink.plugin.plugin.clone())).collect()
}

fn sinks(graph: &RecorderGraph, catalog: &Catalog) -> Result<Vec<Sink>> {
    let sink = |node: &deskreel_pipeline::Node| {
        Ok(Sink { name: node.name.as_str().into(), make: delivery::instances(catalog, &node.plugin)? })
    };
    graph.sinks.iter().map(sink).collect()
}

/// Free bytes for this user. If they cannot be read, recordings run into a full disk themselves.
fn free(directory: &Path) -> u64 {
    deskreel_platform::system::free_bytes(directory).unwrap_or(u64::MAX)
}

fn log(finding: &StartupFinding) {
    match finding {
        StartupFinding::TakenIn { .. } | StartupFinding::Sealed { .. } => {
            tracing::info!(?finding, "in the spool")
        }
        finding => tracing::warn!(?finding, "in the spool"),
    }
}

/// The `about` of a recording, for its sinks.
fn about(footage: &Footage) -> RecordingAbout {
    let mut about = RecordingAbout {
        agent: Some(footage.agent.to_string()),
        place: footage.place.as_ref().map(ToString::to_string),
        from: Some(footage.from.to_string()),
        to: footage.to.map(|to| to.to_string()),
        tags: footage.tags.iter().map(|tag| (tag.name.clone(), tag.value.clone())).collect(),
        ..RecordingAbout::default()
    };
    for segment in &footage.segments {
        let call = segment.call.as_ref().map(ToString::to_string);
        let call = call.filter(|call| !about.calls.contains(call));
        about.calls.extend(call);
        let interaction = segment.interaction.to_string();
        if !about.interactions.contains(&interaction) {
            about.interactions.push(interaction);
        }
    }
    about
}
