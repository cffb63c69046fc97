//! Recordings in the making, each in a lane of its own: one that still writes its last fragment does not hold up the next.
//!
//! A lane is a pool of workers with what is known of the encoders. One idle lane is kept, with a worker that has loaded
//! everything; a second one begins cold, which costs a tenth of a second, and ends with its recording.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};
use deskreel_contract::Capture;
use deskreel_host::Catalog;
use deskreel_model::worker::PluginFile;
use deskreel_model::{AgentId, Place, RecordingId};
use deskreel_pipeline::Graph;
use deskreel_recorder::{Control, Error, Finished, Notice, Pool, Setup, default_worker, encoders, job_of};
use tokio::sync::mpsc;

use crate::plugins;

/// What recordings are made with, as the pipeline file says.
pub struct Making {
    pub graph: Graph,
    worker: PathBuf,
    plugins: Vec<PluginFile>,
}

impl Making {
    pub fn new(graph: Graph, catalog: &Catalog) -> Result<Making> {
        let plugins = plugins::worker_files(&graph, catalog);
        let worker = default_worker().context("cannot record")?;
        Ok(Making { graph, worker, plugins })
    }

    fn pool(&self) -> Pool {
        Pool::new(self.worker.clone(), self.plugins.clone(), &job_of(&self.graph), true)
    }
}

/// A recording that is to begin.
#[derive(Debug, Clone)]
pub struct Order {
    pub recording: RecordingId,
    pub agent: AgentId,
    pub place: Place,
    /// What is taken of the screen from the first frame on, and why.
    pub capture: Capture,
    pub why: String,
}

/// What a lane tells.
pub enum Told {
    Notice(RecordingId, Notice),
    Ended(RecordingId, Result<Finished, Error>),
    /// Whether a recording could begin, as far as trying its encoders out shows.
    Ready(Result<(), String>),
}

/// A lane's own words: its pool comes back for the next recording.
pub enum Back {
    Told(Told),
    Pool(Box<Pool>, Rc<Making>, Told),
}

pub struct Lanes {
    making: Rc<Making>,
    idle: Option<Box<Pool>>,
    running: HashMap<RecordingId, mpsc::Sender<Control>>,
    tell: mpsc::UnboundedSender<Back>,
}

impl Lanes {
    /// What lanes tell comes out of the receiver, and goes through [`Lanes::take_back`].
    pub fn new(making: Making) -> (Lanes, mpsc::UnboundedReceiver<Back>) {
        let (tell, told) = mpsc::unbounded_channel();
        (Lanes { making: Rc::new(making), idle: None, running: HashMap::new(), tell }, told)
    }

    pub fn making(&self) -> &Making {
        &self.making
    }

    /// Loads a worker and tries the encoders, so that the first recording need not. `Ready` says what came of it.
    pub fn prepare(&self) {
        let (making, tell) = (self.making.clone(), self.tell.clone());
        tokio::task::spawn_local(async move {
            let mut pool = Box::new(making.pool());
            let tried = encoders(&mut pool, false, |_| {}).await.map_err(|error| error.to_string());
            let ready = tried.and_then(|tracks| {
                let without = tracks.iter().find(|track| !track.tried.iter().any(|tried| tried.works()));
                without.map_or(Ok(()), |track| Err(format!("no encoder works for track `{}`", track.track)))
            });
            let ready = match pool.settle().await {
                Ok(()) => ready,
                Err(error) => Err(error.to_string()),
            };
            let _ = tell.send(Back::Pool(pool, making, Told::Ready(ready)));
        });
    }

    /// Recordings from now on are made by another file; those that run are not touched.
    pub fn change(&mut self, making: Making) {
        self.making = Rc::new(making);
        self.idle = None;
        self.prepare();
    }

    pub fn begin(&mut self, order: Order) {
        let mut pool = self.idle.take().unwrap_or_else(|| Box::new(self.making.pool()));
        let (control, mut asked) = mpsc::channel(16);
        self.running.insert(order.recording.clone(), control);
        let (making, tell) = (self.making.clone(), self.tell.clone());
        tokio::task::spawn_local(async move {
            let id = order.recording.clone();
            let graph = &making.graph;
            // Without its greatest length: the engine counts it, and begins anew what is still wanted.
            let setup = Setup {
                recording: Some(order.recording),
                agent: Some(order.agent),
                place: Some(order.place),
                capture: order.capture,
                why: order.why,
                ..Setup::new(&graph.name, &graph.recording.directory, job_of(graph))
            };
            let notice = |notice| drop(tell.send(Back::Told(Told::Notice(id.clone(), notice))));
            let result = deskreel_recorder::record(setup, &mut pool, &mut asked, notice).await;
            let _ = tell.send(Back::Pool(pool, making, Told::Ended(id.clone(), result)));
        });
    }

    /// Tells a recording something; one that has ended does not hear it.
    pub fn control(&self, recording: &RecordingId, control: Control) {
        if let Some(running) = self.running.get(recording)
            && running.try_send(control).is_err()
        {
            tracing::warn!(%recording, "the recording does not listen");
        }
    }

    pub fn stop_all(&self) {
        self.running.keys().for_each(|recording| self.control(recording, Control::Stop));
    }

    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Keeps what may be used again.
    pub fn take_back(&mut self, back: Back) -> Told {
        let (pool, making, told) = match back {
            Back::Told(told) => return told,
            Back::Pool(pool, making, told) => (pool, making, told),
        };
        if let Told::Ended(recording, _) = &told {
            self.running.remove(recording);
        }
        if Rc::ptr_eq(&making, &self.making) && self.idle.is_none() {
            self.idle = Some(pool);
        }
        told
    }
}
