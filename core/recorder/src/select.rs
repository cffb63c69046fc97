//! Finds out which encoders work here. A worker looks at the sources' pictures. Then each candidate has to
//! encode pictures of that kind in a process of its own, unless an earlier verdict says that it can.
//!
//! A selection ends within limits, whatever a driver does, and dropping it ends every process that it has
//! started. It decides nothing: `ranking` says which candidate is next and when enough is known.

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
use crate::probe_verdicts::{ProbeVerdict, ProbeVerdicts, VerdictKey};
use crate::ranking::{Extent, KnownCandidate, Standing, is_enough, next_to_try};
use crate::worker::{Worker, tell_refused};

/// Limit for a worker to load its plugins, open the sources and get a picture. The first one on a machine
/// waits until GStreamer has scanned all its plugins.
const SURVEY_LIMIT: Duration = Duration::from_secs(20);
/// Limit for one candidate at 1920x1080, loading included. The worker has shorter limits of its own, with
/// better error messages; this one is for a driver that hangs uninterruptibly.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// The basis of a selection.
#[derive(Debug, Clone)]
pub(crate) struct SelectionRequest {
    pub program: PathBuf,
    pub plugins: Vec<PluginFile>,
    pub tracks: Vec<TrackJob>,
    /// Fingerprint of this machine, see [`VerdictKey::new`].
    pub machine: String,
    pub verdicts: ProbeVerdicts,
    pub extent: Extent,
    /// Candidates that have failed in this recording, by track name. They are used again only if no other
    /// works.
    pub barred: Vec<(String, Refusal)>,
}

pub(crate) struct SelectionResult {
    /// The worker that looked at the sources; it can record.
    pub worker: Worker,
    pub surveys: Vec<TrackSurvey>,
    /// The candidates of each track, in the order of preference.
    pub candidates: Vec<Vec<KnownCandidate>>,
    pub verdicts: ProbeVerdicts,
}

pub(crate) enum SelectionError {
    /// The worker reported the reason.
    Failed(Failure),
    /// The worker ended while it looked at the sources; the text says how, for people.
    Gone(String),
    Silent(String),
    PluginHangs {
        path: PathBuf,
        reason: String,
    },
}

/// A candidate that is being tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateTrial {
    pub track: String,
    pub plugin: String,
    pub candidate: String,
}

/// A running selection. Dropping it ends it.
pub(crate) struct Selection {
    task: JoinHandle<Result<SelectionResult, SelectionError>>,
    trying: mpsc::UnboundedReceiver<CandidateTrial>,
}

pub(crate) enum SelectionStep {
    Trying(CandidateTrial),
    Done(Box<Result<SelectionResult, SelectionError>>),
}

impl Selection {
    pub fn begin(worker: Worker, request: SelectionRequest) -> Selection {
        let (tell, trying) = mpsc::unbounded_channel();
        Selection { task: tokio::spawn(select(worker, request, tell)), trying }
    }

    /// Cancel safe. Not to be called again after `Done`.
    pub async fn next(&mut self) -> SelectionStep {
        match self.trying.recv().await {
            Some(trying) => SelectionStep::Trying(trying),
            None => {
                SelectionStep::Done(Box::new((&mut self.task).await.unwrap_or_else(|error| Err(bug(&error)))))
            }
        }
    }
}

impl Drop for Selection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn bug(error: &JoinError) -> SelectionError {
    SelectionError::Failed(Failure::new(Fault::Bug, error.to_string()))
}

async fn select(
    mut worker: Worker,
    mut request: SelectionRequest,
    tell: mpsc::UnboundedSender<CandidateTrial>,
) -> Result<SelectionResult, SelectionError> {
    let surveys = match survey(&mut worker, &request.tracks).await? {
        Ok(surveys) => surveys,
        Err(Error::WorkerGone) => return Err(SelectionError::Gone(worker.reap().await)),
        Err(error) => {
            return Err(SelectionError::Silent(format!(
                "looking at what the sources show: {}",
                error.with_causes()
            )));
        }
    };
    let mut selected = Vec::new();
    // One track at a time: most often tracks ask the same of the same encoders, and then each is tried once.
    for (index, survey) in surveys.iter().enumerate() {
        let mut tried = try_candidates(&mut request, index, survey, &tell).await;
        let track = &request.tracks.get(index).map(|track| track.track.clone()).unwrap_or_default();
        if !tried.iter().any(KnownCandidate::works) && request.barred.iter().any(|(name, _)| name == track) {
            request.barred.retain(|(name, _)| name != track);
            tried = try_candidates(&mut request, index, survey, &tell).await;
        }
        selected.push(tried);
    }
    Ok(SelectionResult { worker, surveys, candidates: selected, verdicts: request.verdicts })
}

async fn survey(
    worker: &mut Worker,
    tracks: &[TrackJob],
) -> Result<Result<Vec<TrackSurvey>, Error>, SelectionError> {
    let answer = |report| match report {
        Report::Surveyed { tracks } => Some(Ok(tracks)),
        Report::PluginHangs { path, reason } => Some(Err(SelectionError::PluginHangs { path, reason })),
        Report::Failed { failure } => Some(Err(SelectionError::Failed(failure))),
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
            SelectionError::Failed(Failure::new(failure.fault, text))
        })
    };
    tracks.iter().zip(surveys).map(of_track).collect::<Result<_, _>>().map(Ok)
}

/// Returns the standings of a track's candidates that are known without trying any.
pub(crate) fn recall(request: &SelectionRequest, index: usize, survey: &TrackSurvey) -> Vec<KnownCandidate> {
    let Some(track) = request.tracks.get(index) else { return Vec::new() };
    let now = Utc(jiff::Timestamp::now());
    let one = |surveyed: &SurveyedCandidate| {
        let mut tried = KnownCandidate::new(surveyed.clone());
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

fn key(
    request: &SelectionRequest,
    track: &TrackJob,
    picture: &Picture,
    surveyed: &SurveyedCandidate,
) -> VerdictKey {
    let files: Vec<&str> = request.plugins.iter().map(|file| file.sha256.as_str()).collect();
    VerdictKey::new(&request.machine, &files.concat(), track, picture, surveyed)
}

/// Tries candidates of unknown standing, as many as the request wants.
async fn try_candidates(
    request: &mut SelectionRequest,
    index: usize,
    survey: &TrackSurvey,
    tell: &mpsc::UnboundedSender<CandidateTrial>,
) -> Vec<KnownCandidate> {
    let mut tried = recall(request, index, survey);
    let Some(track) = request.tracks.get(index).cloned() else { return tried };
    let (mut running, mut probes) = (Vec::new(), JoinSet::new());
    while !is_enough(&tried, request.extent) {
        while running.len() < probes_at_once()
            && let Some(next) = next_to_try(&tried, &running)
            && let Some(KnownCandidate { candidate, .. }) = tried.get(next)
        {
            let (plugin, id) = (candidate.plugin.clone(), candidate.candidate.clone());
            let _ = tell.send(CandidateTrial {
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
                    one.standing = record_verdict(request, &track, &survey.picture, &one.candidate, result);
                }
            }
            // A probe was aborted or has panicked, or none is running: there is nothing more to learn.
            Some(Err(_)) | None => break,
        }
    }
    tried
}

/// Number of encoders that are tried at once: each must get the processor time that it needs. At least two,
/// since even a single processor waits for a driver now and then.
fn probes_at_once() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).max(2)
}

enum ProbeOutcome {
    Judged(Result<Proof, String>),
    /// Could not be tried. That is not the candidate's fault, so no verdict is kept.
    Untried(String),
}

async fn probe(
    program: PathBuf,
    plugins: Vec<PluginFile>,
    question: Command,
    limit: Duration,
) -> ProbeOutcome {
    let mut worker = match Worker::spawn_to_try(&program, &plugins).await {
        Ok(worker) => worker,
        Err(error) => return ProbeOutcome::Untried(error.with_causes()),
    };
    let answer = |report| match report {
        Report::Probed { result } => Some(ProbeOutcome::Judged(result)),
        Report::PluginHangs { reason, .. } => Some(ProbeOutcome::Untried(reason)),
        _ => None,
    };
    match worker.ask(&question, limit, answer).await {
        Ok(probed) => probed,
        Err(Error::WorkerGone) => ProbeOutcome::Judged(Err(format!(
            "it took down the process that tried it, which {}",
            worker.reap().await
        ))),
        Err(Error::WorkerSilent) => {
            let limit = limit.as_secs();
            ProbeOutcome::Judged(Err(format!("it hangs: no frame and no error within {limit} s")))
        }
        Err(error) => ProbeOutcome::Untried(error.with_causes()),
    }
}

fn record_verdict(
    request: &mut SelectionRequest,
    track: &TrackJob,
    picture: &Picture,
    candidate: &SurveyedCandidate,
    probed: ProbeOutcome,
) -> Standing {
    let result = match probed {
        ProbeOutcome::Judged(result) => result,
        ProbeOutcome::Untried(reason) => return Standing::Refused { reason, at: None },
    };
    let verdict = ProbeVerdict {
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
