//! Finds out which encoders work here: a worker looks at what the sources show, and each candidate has to encode
//! pictures of that kind in a process of its own, unless it is known that it can.
//!
//! It decides nothing that `ranking` does not say. It ends within limits, whatever a driver does; dropping it ends
//! every process that it has started.

use std::path::PathBuf;
use std::time::Duration;

use deskreel_model::manifest::Refusal;
use deskreel_model::worker::{
    Command, Picture, PluginFile, Proof, Report, SurveyedCandidate, TrackJob, TrackSurvey,
};
use deskreel_model::{Failure, Fault, Utc};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::Error;
use crate::ranking::{Extent, Standing, Tried, is_settled, next_to_try};
use crate::verdicts::{Key, Verdict, Verdicts};
use crate::worker::{Worker, tell_refused};

/// For a worker to load its plugins, open the sources and get a picture. The first one on a machine waits for GStreamer
/// to look at all its plugins.
const SURVEY_LIMIT: Duration = Duration::from_secs(20);
/// For one candidate at 1920x1080, loading included. The child has shorter limits of its own, and better words; this is
/// for a driver that hangs where nobody can interrupt it.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// What a selection needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub program: PathBuf,
    pub plugins: Vec<PluginFile>,
    pub tracks: Vec<TrackJob>,
    /// Stands for this machine, see [`Key::new`].
    pub machine: String,
    pub verdicts: Verdicts,
    pub extent: Extent,
    /// Of a track by name: what has failed in this recording, and is not to be used again if there is another.
    pub barred: Vec<(String, Refusal)>,
}

pub(crate) struct Selected {
    /// The one that looked; it can record.
    pub worker: Worker,
    pub surveys: Vec<TrackSurvey>,
    /// Of each track, in the order of preference.
    pub tried: Vec<Vec<Tried>>,
    pub verdicts: Verdicts,
}

pub(crate) enum NotSelected {
    /// For a reason that was told.
    Failed(Failure),
    /// The worker ended while it looked; how, for people.
    Gone(String),
    Silent(String),
    PluginHangs {
        path: PathBuf,
        reason: String,
    },
}

/// A candidate that is being tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trying {
    pub track: String,
    pub plugin: String,
    pub candidate: String,
}

/// A selection that runs. Dropping it ends it.
pub(crate) struct Selection {
    task: JoinHandle<Result<Selected, NotSelected>>,
    trying: mpsc::UnboundedReceiver<Trying>,
}

pub(crate) enum Step {
    Trying(Trying),
    Done(Box<Result<Selected, NotSelected>>),
}

impl Selection {
    pub fn begin(worker: Worker, request: Request) -> Selection {
        let (tell, trying) = mpsc::unbounded_channel();
        Selection { task: tokio::spawn(select(worker, request, tell)), trying }
    }

    /// Cancel safe. Not to be called again after `Done`.
    pub async fn next(&mut self) -> Step {
        match self.trying.recv().await {
            Some(trying) => Step::Trying(trying),
            None => Step::Done(Box::new((&mut self.task).await.unwrap_or_else(|error| Err(bug(&error))))),
        }
    }
}

impl Drop for Selection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn bug(error: &JoinError) -> NotSelected {
    NotSelected::Failed(Failure::new(Fault::Bug, error.to_string()))
}

async fn select(
    mut worker: Worker,
    mut request: Request,
    tell: mpsc::UnboundedSender<Trying>,
) -> Result<Selected, NotSelected> {
    let surveys = match survey(&mut worker, &request.tracks).await? {
        Ok(surveys) => surveys,
        Err(Error::WorkerGone) => return Err(NotSelected::Gone(worker.reap().await)),
        Err(error) => return Err(NotSelected::Silent(format!("looking at what the sources show: {error}"))),
    };
    let mut selected = Vec::new();
    // One track after the other: most often they ask the same of the same encoders, and each is tried once.
    for (index, survey) in surveys.iter().enumerate() {
        let mut tried = prove(&mut request, index, survey, &tell).await;
        let track = &request.tracks.get(index).map(|track| track.track.clone()).unwrap_or_default();
        if !tried.iter().any(Tried::works) && request.barred.iter().any(|(name, _)| name == track) {
            request.barred.retain(|(name, _)| name != track);
            tried = prove(&mut request, index, survey, &tell).await;
        }
        selected.push(tried);
    }
    Ok(Selected { worker, surveys, tried: selected, verdicts: request.verdicts })
}

async fn survey(
    worker: &mut Worker,
    tracks: &[TrackJob],
) -> Result<Result<Vec<TrackSurvey>, Error>, NotSelected> {
    let answer = |report| match report {
        Report::Surveyed { tracks } => Some(Ok(tracks)),
        Report::PluginHangs { path, reason } => Some(Err(NotSelected::PluginHangs { path, reason })),
        Report::Failed { failure } => Some(Err(NotSelected::Failed(failure))),
        Report::Ready { refused, .. } => {
            tell_refused(&refused);
            None
        }
        _ => None,
    };
    let answer = worker.ask(&Command::Survey { tracks: tracks.to_vec() }, SURVEY_LIMIT, answer).await;
    let surveys = match answer {
        Ok(answer) => answer?,
        Err(error) => return Ok(Err(error)),
    };
    let of_track = |(track, survey): (&TrackJob, Result<TrackSurvey, Failure>)| {
        survey.map_err(|failure| {
            let text = format!("track `{}`: {}", track.track, failure.message);
            NotSelected::Failed(Failure::new(failure.fault, text))
        })
    };
    tracks.iter().zip(surveys).map(of_track).collect::<Result<_, _>>().map(Ok)
}

/// What is known of a track's candidates without trying any.
pub(crate) fn recall(request: &Request, index: usize, survey: &TrackSurvey) -> Vec<Tried> {
    let Some(track) = request.tracks.get(index) else { return Vec::new() };
    let now = Utc(jiff::Timestamp::now());
    let one = |surveyed: &SurveyedCandidate| {
        let mut tried = Tried::new(surveyed.clone());
        let barred = request.barred.iter().find(|(name, refusal)| {
            let candidate = refusal.candidate.as_deref().unwrap_or_default();
            name == &track.track && tried.is(&refusal.plugin, candidate)
        });
        if let Some((_, refusal)) = barred {
            tried.standing = Standing::Refused { reason: refusal.reason.clone(), at: None };
        } else if tried.standing == Standing::Unknown
            && let Some(verdict) = request.verdicts.get(&key(request, track, &survey.picture, surveyed), now)
        {
            tried.standing = verdict.standing();
        }
        tried
    };
    survey.candidates.iter().map(one).collect()
}

fn key(request: &Request, track: &TrackJob, picture: &Picture, surveyed: &SurveyedCandidate) -> Key {
    let files: Vec<&str> = request.plugins.iter().map(|file| file.sha256.as_str()).collect();
    Key::new(&request.machine, &files.concat(), track, picture, surveyed)
}

/// Tries what is not known, as far as the request goes.
async fn prove(
    request: &mut Request,
    index: usize,
    survey: &TrackSurvey,
    tell: &mpsc::UnboundedSender<Trying>,
) -> Vec<Tried> {
    let mut tried = recall(request, index, survey);
    let Some(track) = request.tracks.get(index).cloned() else { return tried };
    let (mut running, mut probes) = (Vec::new(), JoinSet::new());
    while !is_settled(&tried, request.extent) {
        while running.len() < at_once()
            && let Some(next) = next_to_try(&tried, &running)
            && let Some(Tried { candidate, .. }) = tried.get(next)
        {
            let (plugin, id) = (candidate.plugin.clone(), candidate.candidate.clone());
            let _ = tell.send(Trying {
                track: track.track.clone(),
                plugin: plugin.plugin.clone(),
                candidate: id.clone(),
            });
            let picture = survey.picture.clone();
            let question = Command::Probe { track: Box::new(track.clone()), plugin, candidate: id, picture };
            let (program, plugins) = (request.program.clone(), request.plugins.clone());
            let limit = PROBE_LIMIT * survey.picture.times_full_hd();
            probes.spawn(async move { (next, probe(program, plugins, question, limit).await) });
            running.push(next);
        }
        match probes.join_next().await {
            Some(Ok((done, result))) => {
                running.retain(|index| *index != done);
                if let Some(one) = tried.get_mut(done) {
                    one.standing = settle(request, &track, &survey.picture, &one.candidate, result);
                }
            }
            // Only what was aborted or has panicked: nothing more is to be learned.
            Some(Err(_)) | None => break,
        }
    }
    tried
}

/// As many encoders as leave each other the time that they need. Even one processor waits for a driver now and then.
fn at_once() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).max(2)
}

enum Probed {
    Tried(Result<Proof, String>),
    /// Not the candidate's fault, and not to be kept.
    Untried(String),
}

async fn probe(program: PathBuf, plugins: Vec<PluginFile>, question: Command, limit: Duration) -> Probed {
    let mut worker = match Worker::spawn_to_try(&program, &plugins).await {
        Ok(worker) => worker,
        Err(error) => return Probed::Untried(error.to_string()),
    };
    let answer = |report| match report {
        Report::Probed { result } => Some(Probed::Tried(result)),
        Report::PluginHangs { reason, .. } => Some(Probed::Untried(reason)),
        _ => None,
    };
    match worker.ask(&question, limit, answer).await {
        Ok(probed) => probed,
        Err(Error::WorkerGone) => Probed::Tried(Err(format!(
            "it took down the process that tried it, which {}",
            worker.reap().await
        ))),
        Err(Error::WorkerSilent) => {
            let limit = limit.as_secs();
            Probed::Tried(Err(format!("it hangs: no frame and no error within {limit} s")))
        }
        Err(error) => Probed::Untried(error.to_string()),
    }
}

fn settle(
    request: &mut Request,
    track: &TrackJob,
    picture: &Picture,
    candidate: &SurveyedCandidate,
    probed: Probed,
) -> Standing {
    let result = match probed {
        Probed::Tried(result) => result,
        Probed::Untried(reason) => return Standing::Refused { reason, at: None },
    };
    let verdict = Verdict {
        plugin: candidate.plugin.plugin.clone(),
        candidate: candidate.candidate.clone(),
        picture: picture.clone(),
        result,
        at: Utc(jiff::Timestamp::now()),
    };
    let standing = verdict.standing();
    request.verdicts.found(key(request, track, picture, candidate), verdict);
    standing
}
