//! Tests how the supervisor selects encoders. The worker is a fake that behaves as the settings of its
//! encoders say: `works`, `green`, `crash` or `hang`. No real encoder takes part.
//!
//! This program is its own worker when its standard input is a socket. Each test runs in a process and with a
//! cache of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use deskreel_contract::{Codec, EncodeRequest, Memory, Tier};
use deskreel_model::manifest::Outcome;
use deskreel_model::worker::{
    self, Command, Job, Picture, PluginSettings, Proof, Report, SurveyedCandidate, TrackJob, TrackSurvey,
};
use deskreel_recorder::{
    Control, KnownCandidate, Notice, Pool, RecordingSetup, Standing, record, survey_encoders,
};
use serde_json::json;
use tokio::sync::mpsc;

type Test = fn(&tokio::runtime::Runtime);

const TESTS: [(&str, Test); 5] = [
    ("each_candidate_is_tried_in_a_process_of_its_own", each_candidate_is_tried_in_a_process_of_its_own),
    ("what_was_tried_is_not_tried_again", what_was_tried_is_not_tried_again),
    ("fresh_means_that_everything_is_tried_again", fresh_means_that_everything_is_tried_again),
    ("a_stop_does_not_wait_for_an_encoder_that_hangs", a_stop_does_not_wait_for_an_encoder_that_hangs),
    (
        "without_an_encoder_the_recording_fails_and_says_why",
        without_an_encoder_the_recording_fails_and_says_why,
    ),
];

fn main() {
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    if socket.peer_addr().is_ok() {
        return fake_worker(socket);
    }
    if let Ok(name) = std::env::var("SELECTION_TEST") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_, test) = TESTS.iter().find(|(known, _)| *known == name).unwrap();
        return test(&runtime);
    }
    // The options are those of libtest. cargo-nextest lists the tests first, then the ignored ones.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|word| word == option);
    if has("--list") {
        let listed = if has("--ignored") { &[] } else { &TESTS[..] };
        listed.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    // The first argument that is not an option is a filter.
    let filter = arguments.iter().find(|word| !word.starts_with('-')).map_or("", String::as_str);
    let (mut passed, mut failed) = (0, 0);
    for (name, _) in TESTS.iter().filter(|(name, _)| name.contains(filter)) {
        let cache = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let child = child.env("SELECTION_TEST", name).env("DESKREEL_CACHE", cache.path());
        let well = child.stdin(std::process::Stdio::null()).status().unwrap().success();
        println!("test {name} ... {}", if well { "ok" } else { "FAILED" });
        *(if well { &mut passed } else { &mut failed }) += 1;
    }
    // script/test counts by this line.
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured");
    std::process::exit(failed.min(1));
}

fn each_candidate_is_tried_in_a_process_of_its_own(runtime: &tokio::runtime::Runtime) {
    let (tried, names) = find_out(runtime, &job(["works", "green", "crash", "works"]), false);
    assert_eq!(names.len(), 4);
    let reasons: Vec<_> = tried.iter().map(|one| reason(one)).collect();
    let died = "it took down the process that tried it, which ended by signal 6";
    assert_eq!(reasons, [None, Some("the picture is green"), Some(died), None]);
}

fn what_was_tried_is_not_tried_again(runtime: &tokio::runtime::Runtime) {
    let job = job(["works", "green", "crash"]);
    let (before, names) = find_out(runtime, &job, false);
    assert_eq!(names.len(), 3);
    let (after, names) = find_out(runtime, &job, false);
    assert_eq!((after, names), (before, vec![]));
}

fn fresh_means_that_everything_is_tried_again(runtime: &tokio::runtime::Runtime) {
    let job = job(["works", "green"]);
    find_out(runtime, &job, false);
    assert_eq!(find_out(runtime, &job, true).1.len(), 2);
}

fn a_stop_does_not_wait_for_an_encoder_that_hangs(runtime: &tokio::runtime::Runtime) {
    let start = Instant::now();
    let outcome = runtime.block_on(recorded(&job(["hang", "works"])));
    assert_eq!(outcome, Outcome::Abandoned);
    assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
}

fn without_an_encoder_the_recording_fails_and_says_why(runtime: &tokio::runtime::Runtime) {
    let Outcome::Failed { failure } = runtime.block_on(recorded(&job(["green"]))) else {
        panic!("it failed")
    };
    let why = "track `video`: no encoder works here: fake.encoder.0 (fake0): the picture is green";
    assert_eq!(failure.message, why);
}

/// Records; if there is an encoder that hangs, only until it is being tried.
async fn recorded(job: &Job) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let setup = RecordingSetup::new("fake", folder.path(), job.clone());
    let (stop, mut control) = mpsc::channel(1);
    let hangs = |candidate: &str| {
        let index: usize = candidate.trim_start_matches("fake").parse().unwrap();
        job.tracks[0].encoders[index].settings["does"] == "hang"
    };
    let tell = |notice| {
        if let Notice::Trying(trying) = notice
            && hangs(&trying.candidate)
        {
            stop.try_send(Control::Stop).unwrap();
        }
    };
    let finished = record(setup, &mut pool(job), &mut control, tell).await.unwrap();
    finished.manifest.outcome.unwrap()
}

/// Returns the candidates, and the names of those that were tried.
fn find_out(runtime: &tokio::runtime::Runtime, job: &Job, fresh: bool) -> (Vec<KnownCandidate>, Vec<String>) {
    let mut names = Vec::new();
    let tell = |trying: deskreel_recorder::CandidateTrial| names.push(trying.candidate);
    let mut tracks = runtime.block_on(survey_encoders(&mut pool(job), fresh, tell)).unwrap();
    (tracks.remove(0).candidates, names)
}

fn reason(tried: &KnownCandidate) -> Option<&str> {
    match &tried.standing {
        Standing::Refused { reason, .. } => Some(reason),
        _ => None,
    }
}

fn pool(job: &Job) -> Pool {
    Pool::new(std::env::current_exe().unwrap(), Vec::new(), job, false)
}

fn job<const N: usize>(does: [&str; N]) -> Job {
    let plugin = |id: String, settings| PluginSettings { plugin: id, settings };
    let encoders = does.iter().enumerate();
    let encoders = encoders.map(|(n, does)| plugin(format!("fake.encoder.{n}"), json!({ "does": does })));
    let source = plugin("fake.source".to_owned(), json!({}));
    let track = TrackJob::new("video", source, encoders.collect(), EncodeRequest::new(Codec::H264));
    Job::new(vec![track])
}

fn fake_worker(mut socket: UnixStream) {
    while let Some(command) = receive(&mut socket) {
        let report = match command {
            Command::Prepare { .. } => Report::Ready { gstreamer: "none".to_owned(), refused: Vec::new() },
            Command::Survey { tracks } => {
                Report::Surveyed { tracks: tracks.iter().map(fake_survey).collect() }
            }
            Command::Probe { plugin, .. } => match plugin.settings["does"].as_str().unwrap() {
                "works" => Report::Probed { result: Ok(Proof::default()) },
                "green" => Report::Probed { result: Err("the picture is green".to_owned()) },
                "crash" => std::process::abort(),
                _ => loop {
                    std::thread::park();
                },
            },
            _ => return,
        };
        socket.write_all(&worker::encode(&report).unwrap()).unwrap();
    }
}

fn fake_survey(track: &TrackJob) -> Result<TrackSurvey, deskreel_model::Failure> {
    let candidate = |(number, plugin): (usize, &PluginSettings)| SurveyedCandidate {
        plugin: plugin.clone(),
        version: "1".to_owned(),
        candidate: format!("fake{number}"),
        tier: Tier::Software,
        memory: Memory::System,
        gpu: None,
        recipe: "fake".to_owned(),
        on_demand: true,
        cannot: Vec::new(),
        refused: None,
    };
    let picture = Picture { format: "BGRx".to_owned(), width: 64, height: 48, fps: 10 };
    Ok(TrackSurvey { picture, candidates: track.encoders.iter().enumerate().map(candidate).collect() })
}

fn receive(socket: &mut UnixStream) -> Option<Command> {
    let mut length = [0; 4];
    socket.read_exact(&mut length).ok()?;
    let mut body = vec![0; worker::body_length(length).unwrap()];
    socket.read_exact(&mut body).ok()?;
    Some(worker::decode(&body).unwrap())
}
