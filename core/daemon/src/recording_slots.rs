//! Runs recordings, each in a slot of its own: a recording that still writes its last fragment does not hold
//! up the next.
//!
//! A slot is a pool of workers with the results of its encoder trials. One idle slot is kept, with a worker
//! that has loaded everything. A second one starts cold, which costs a tenth of a second, and ends with its
//! recording.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use deskreel_contract::CaptureMode;
use deskreel_host::Catalog;
use deskreel_model::worker::PluginFile;
use deskreel_model::{AgentId, Place, RecordingId};
use deskreel_pipeline::RecorderGraph;
use deskreel_recorder::{
    Control, Error, KeepRequest, Notice, Pool, RecordingResult, RecordingSetup, Rest, default_worker, job_of,
    look_at_sources, stand_by, survey_encoders,
};
use tokio::sync::mpsc;

/// The part of the pipeline file that making recordings needs.
pub struct Equipment {
    pub graph: RecorderGraph,
    worker: PathBuf,
    plugins: Vec<PluginFile>,
}

impl Equipment {
    pub fn new(graph: RecorderGraph, catalog: &Catalog) -> Result<Equipment> {
        let plugins = deskreel_deployment::worker_files(&graph, catalog);
        let worker = default_worker().context("cannot record")?;
        Ok(Equipment { graph, worker, plugins })
    }

    fn pool(&self) -> Pool {
        Pool::new(self.worker.clone(), self.plugins.clone(), &job_of(&self.graph), true)
    }
}

/// A recording that is to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct StartOrder {
    pub recording: RecordingId,
    pub agent: AgentId,
    pub place: Place,
    /// The capture mode from the first frame on, and the reason for it.
    pub capture: CaptureMode,
    pub why: String,
}

/// A report of a recording or a standby.
pub enum SlotReport {
    Notice(RecordingId, Notice),
    Ended(RecordingId, Result<RecordingResult, Error>),
    /// A standby ended without becoming a recording.
    StandbyEnded(Result<(), Error>),
    /// The result of a trial of the encoders: whether a recording could begin.
    Prepared(Result<(), String>),
}

/// A slot that keeps the last moments of the screen in memory, for a recording that begins before its
/// command.
struct Standby {
    control: mpsc::Sender<Control>,
    /// The recording that it has become, if it has.
    kept: Rc<RefCell<Option<RecordingId>>>,
    preroll: Duration,
}

/// A message of a slot. At the end of its task it returns its pool for the next recording.
pub enum SlotMessage {
    Report(SlotReport),
    Pool(Box<Pool>, Rc<Equipment>, SlotReport),
}

pub struct RecordingSlots {
    equipment: Rc<Equipment>,
    idle: Option<Box<Pool>>,
    running: HashMap<RecordingId, mpsc::Sender<Control>>,
    standby: Option<Standby>,
    /// Set while a trial is under way.
    is_preparing: bool,
    /// The encoders of the equipment work, by their last trial.
    is_ready: bool,
    /// Set while nothing is to be captured.
    rest: Option<Rest>,
    tell: mpsc::UnboundedSender<SlotMessage>,
}

impl RecordingSlots {
    /// Pass the receiver's messages to [`RecordingSlots::take_back`].
    pub fn new(equipment: Equipment) -> (RecordingSlots, mpsc::UnboundedReceiver<SlotMessage>) {
        let (tell, told) = mpsc::unbounded_channel();
        let equipment = Rc::new(equipment);
        (
            RecordingSlots {
                equipment,
                idle: None,
                running: HashMap::new(),
                standby: None,
                is_preparing: false,
                is_ready: false,
                rest: None,
                tell,
            },
            told,
        )
    }

    pub fn equipment(&self) -> &Equipment {
        &self.equipment
    }

    /// Finds out whether a recording could begin: loads a worker and tries the encoders, so that the next
    /// recording need not, or, if they work, only asks the sources whether they could capture. `Prepared`
    /// reports the result. A standby captures already, which says more.
    pub fn prepare(&mut self) {
        if self.is_preparing || self.standby.is_some() {
            return;
        }
        self.is_preparing = true;
        let (equipment, tell, is_ready) = (self.equipment.clone(), self.tell.clone(), self.is_ready);
        let mut pool = self.idle.take().unwrap_or_else(|| Box::new(equipment.pool()));
        tokio::task::spawn_local(async move {
            let ready = match is_ready {
                true => look_at_sources(&mut pool).await.map_err(|error| error.with_causes()),
                false => try_encoders(&mut pool).await,
            };
            let _ = tell.send(SlotMessage::Pool(pool, equipment, SlotReport::Prepared(ready)));
        });
    }

    /// Starts a standby if the file sets `preroll` and there is none.
    pub fn stand_by(&mut self) {
        let Some(preroll) = self.equipment.graph.recording.preroll.filter(|_| self.standby.is_none()) else {
            return;
        };
        let mut pool = self.idle.take().unwrap_or_else(|| Box::new(self.equipment.pool()));
        let (control, mut asked) = mpsc::channel(16);
        let kept = Rc::new(RefCell::new(None));
        self.standby = Some(Standby { control, kept: kept.clone(), preroll });
        let (equipment, tell, rest) = (self.equipment.clone(), self.tell.clone(), self.rest.clone());
        tokio::task::spawn_local(async move {
            let graph = &equipment.graph;
            let setup = RecordingSetup {
                rest,
                ..RecordingSetup::new(&graph.name, &graph.recording.directory, job_of(graph))
            };
            let notice = |notice| {
                // Reports of a standby are of no interest until it is a recording.
                if let Some(recording) = kept.borrow().clone() {
                    let _ = tell.send(SlotMessage::Report(SlotReport::Notice(recording, notice)));
                }
            };
            let result = stand_by(setup, preroll, &mut pool, &mut asked, notice).await;
            let told = match (kept.borrow_mut().take(), result) {
                (Some(recording), Ok(Some(finished))) => SlotReport::Ended(recording, Ok(finished)),
                (Some(recording), Ok(None)) => SlotReport::Ended(recording, Err(Error::WorkerGone)),
                (Some(recording), Err(error)) => SlotReport::Ended(recording, Err(error)),
                (None, result) => SlotReport::StandbyEnded(result.map(drop)),
            };
            let _ = tell.send(SlotMessage::Pool(pool, equipment, told));
        });
    }

    /// Ends the standby and drops its footage.
    pub fn stand_down(&mut self) {
        if let Some(standby) = self.standby.take() {
            let _ = standby.control.try_send(Control::Stop);
        }
    }

    /// Applies another pipeline file to recordings from now on; running ones keep theirs.
    pub fn change(&mut self, equipment: Equipment) {
        self.stand_down();
        self.equipment = Rc::new(equipment);
        (self.idle, self.is_preparing, self.is_ready) = (None, false, false);
        self.prepare();
    }

    pub fn begin(&mut self, order: StartOrder) {
        let order = match self.standby.take() {
            Some(standby) => match self.keep(standby, order) {
                Ok(()) => return,
                // The standby has just ended.
                Err(order) => order,
            },
            None => order,
        };
        let mut pool = self.idle.take().unwrap_or_else(|| Box::new(self.equipment.pool()));
        let (control, mut asked) = mpsc::channel(16);
        self.running.insert(order.recording.clone(), control);
        let (equipment, tell, rest) = (self.equipment.clone(), self.tell.clone(), self.rest.clone());
        tokio::task::spawn_local(async move {
            let id = order.recording.clone();
            let graph = &equipment.graph;
            // Without `max_duration`: the interaction engine ends the footage, and begins it again if it is
            // still wanted.
            let setup = RecordingSetup {
                recording: Some(order.recording),
                agent: Some(order.agent),
                place: Some(order.place),
                capture: order.capture,
                why: order.why,
                rest,
                ..RecordingSetup::new(&graph.name, &graph.recording.directory, job_of(graph))
            };
            let notice =
                |notice| drop(tell.send(SlotMessage::Report(SlotReport::Notice(id.clone(), notice))));
            let result = deskreel_recorder::record(setup, &mut pool, &mut asked, notice).await;
            let _ = tell.send(SlotMessage::Pool(pool, equipment, SlotReport::Ended(id.clone(), result)));
        });
    }

    /// Turns a standby into a recording.
    fn keep(&mut self, standby: Standby, order: StartOrder) -> Result<(), StartOrder> {
        let Standby { control, kept, preroll } = standby;
        let keep = KeepRequest {
            look_back: preroll,
            recording: Some(order.recording.clone()),
            agent: Some(order.agent.clone()),
            place: Some(order.place.clone()),
        };
        *kept.borrow_mut() = Some(order.recording.clone());
        if control.try_send(Control::Keep(keep)).is_err() {
            *kept.borrow_mut() = None;
            return Err(order);
        }
        if order.capture != CaptureMode::Live {
            let _ = control.try_send(Control::SetMode { capture: order.capture, why: order.why });
        }
        self.running.insert(order.recording, control);
        Ok(())
    }

    /// Sends a control message to a running recording; does nothing if it has ended.
    pub fn control(&self, recording: &RecordingId, control: Control) {
        if let Some(running) = self.running.get(recording)
            && running.try_send(control).is_err()
        {
            tracing::warn!(%recording, "the recording does not take control messages");
        }
    }

    /// Captures nothing while `rest` is set.
    pub fn rest(&mut self, rest: Option<Rest>) {
        if self.rest == rest {
            return;
        }
        let control = rest.clone().map_or(Control::GoOn, Control::Rest);
        self.rest = rest;
        self.running.keys().for_each(|recording| self.control(recording, control.clone()));
        if let Some(standby) = &self.standby {
            let _ = standby.control.try_send(control);
        }
    }

    pub fn stop_all(&self) {
        self.running.keys().for_each(|recording| self.control(recording, Control::Stop));
    }

    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Keeps a returned pool if it can be used again; returns the report.
    pub fn take_back(&mut self, back: SlotMessage) -> SlotReport {
        let (pool, equipment, told) = match back {
            SlotMessage::Report(told) => return told,
            SlotMessage::Pool(pool, equipment, told) => (pool, equipment, told),
        };
        let is_current = Rc::ptr_eq(&equipment, &self.equipment);
        match &told {
            SlotReport::Prepared(result) if is_current => {
                (self.is_preparing, self.is_ready) = (false, result.is_ok());
            }
            SlotReport::Ended(recording, result) => {
                self.is_ready &= result.is_ok();
                self.running.remove(recording);
            }
            SlotReport::StandbyEnded(result) => {
                self.is_ready &= result.is_ok();
                self.standby.take_if(|standby| standby.control.is_closed());
            }
            SlotReport::Notice(..) | SlotReport::Prepared(_) => {}
        }
        if is_current && self.idle.is_none() {
            self.idle = Some(pool);
        }
        told
    }
}

/// Tries the encoders, and leaves a worker in the pool that has loaded everything.
async fn try_encoders(pool: &mut Pool) -> Result<(), String> {
    let tried = survey_encoders(pool, false, |_| {}).await.map_err(|error| error.with_causes());
    let ready = tried.and_then(|tracks| {
        let without = tracks.iter().find(|track| !track.candidates.iter().any(|tried| tried.works()));
        without.map_or(Ok(()), |track| Err(format!("no encoder works for track `{}`", track.track)))
    });
    pool.settle().await.map_err(|error| error.with_causes())?;
    ready
}
