//! Measurements that `script/bench` can make only from inside; docs/benchmarks.md explains the numbers.
//!
//! ```text
//! bench launch-line FILE    the pipeline of `deskreel record FILE`, as a line for gst-launch-1.0
//! bench warm-start FILE N   N starts with a warm worker, each in milliseconds until a frame is on disk
//! bench load-plugins N      loads N libraries, each in milliseconds to examine and to load it
//! ```
//!
//! Everything is printed as JSON. The program must stay where cargo puts it, below the folder of what it
//! measures.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deskreel_contract::SourceRequest;
use deskreel_host::{FoundFile, HostCallbacks, Plugin};
use deskreel_model::worker::{PluginFile, PluginSettings};
use deskreel_pipeline::{Deployment, RecorderGraph, elements};
use deskreel_recorder::{Control, Notice, Pool, RecordingSetup, job_of};
use serde_json::json;
use tokio::sync::mpsc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["launch-line", file] => launch_line(Path::new(file)).await,
        ["warm-start", file, count] => warm_start(Path::new(file), count.parse()?).await,
        ["load-plugins", count] => load_plugins(count.parse()?),
        _ => Err("expected launch-line FILE, warm-start FILE N or load-plugins N".into()),
    }
}

/// A line for `gst-launch-1.0`, up to the access units. It has the recipe with which the best encoder of the
/// first track was proven, so that both sides of a comparison stay the same.
async fn launch_line(file: &Path) -> Result<()> {
    let built = built()?;
    let graph = graph(file, &built)?;
    let track = graph.recording.tracks.first().ok_or("no track")?.job();
    let recipe = open(&built, &track.source)?.recipe(&SourceRequest { max_fps: track.max_fps })?;
    let mut line: Vec<String> = Vec::new();
    for step in elements::capture_chain(&recipe).steps {
        let properties = step.element.properties.iter().map(|p| match p.value.as_str() {
            Some(text) => format!(" {}={text:?}", p.name),
            None => format!(" {}={}", p.name, p.value),
        });
        line.push(std::iter::once(step.element.factory.clone()).chain(properties).collect());
    }
    line.push("queue".to_owned());
    let tracks = deskreel_recorder::survey_encoders(&mut pool(&built, &graph)?, false, |_| ()).await?;
    let chosen = tracks.first().and_then(|track| track.candidates.iter().find(|tried| tried.works()));
    line.push(chosen.ok_or("no encoder works")?.candidate.recipe.clone());
    println!("{}", json!(line.join(" ! ")));
    Ok(())
}

fn pool(built: &[FoundFile], graph: &RecorderGraph) -> Result<Pool> {
    Ok(Pool::new(build_folder()?.join("deskreel-worker"), files(built, graph)?, &job_of(graph), true))
}

fn open(built: &[FoundFile], wanted: &PluginSettings) -> Result<Plugin> {
    let library = deskreel_host::load(find(built, &wanted.plugin)?)?;
    Ok(library.create(&wanted.plugin, &wanted.settings, HostCallbacks::default())?)
}

/// Measures from the call to the report that a frame is on disk, as a daemon sees it.
async fn warm_start(file: &Path, count: usize) -> Result<()> {
    let built = built()?;
    let graph = graph(file, &built)?;
    let mut pool = pool(&built, &graph)?;
    let mut times = Vec::new();
    for _ in 0..count {
        pool.settle().await?;
        let (stop, mut control) = mpsc::channel(1);
        let start = Instant::now();
        let mut on_disk = None;
        let tell = |notice| {
            if matches!(notice, Notice::Recording { .. }) {
                on_disk.get_or_insert_with(|| start.elapsed());
                // Full only if a report was sent before.
                let _ = stop.try_send(Control::Stop);
            }
        };
        deskreel_recorder::record(setup(&graph), &mut pool, &mut control, tell).await?;
        times.push(milliseconds(on_disk.ok_or("a recording without a frame")?));
    }
    println!("{}", json!(times));
    Ok(())
}

fn setup(graph: &RecorderGraph) -> RecordingSetup {
    let setup = RecordingSetup::new(&graph.name, &graph.recording.directory, job_of(graph));
    RecordingSetup { max_duration: graph.recording.max_duration, ..setup }
}

/// Loads copies of the shipped libraries, because the loader recognizes a file that it has loaded before.
fn load_plugins(count: usize) -> Result<()> {
    let mut built = built()?;
    // Plugins without code load nothing.
    built.retain(|found| found.path.extension().is_some_and(|extension| extension == "so"));
    let folder = tempfile::tempdir()?;
    let mut times = Vec::new();
    for (number, library) in built.iter().cycle().take(count).enumerate() {
        let copy = folder.path().join(format!("libcopy_{number}.so"));
        std::fs::copy(&library.path, &copy)?;
        let start = Instant::now();
        let found = deskreel_host::examine(&copy);
        let examined = start.elapsed();
        deskreel_host::load(&found)?;
        times.push([milliseconds(examined), milliseconds(start.elapsed() - examined)]);
    }
    println!("{}", json!(times));
    Ok(())
}

fn graph(file: &Path, built: &[FoundFile]) -> Result<RecorderGraph> {
    let descriptors = built.iter().filter_map(|found| found.descriptor.clone().ok());
    let catalog = deskreel_pipeline::Catalog::new(descriptors);
    let (deployment, diagnostics) = deskreel_pipeline::check(&std::fs::read_to_string(file)?, &catalog);
    match deployment {
        Some(Deployment::Recorder(graph)) => Ok(graph),
        _ => Err(format!("{}: {diagnostics:?}", file.display()).into()),
    }
}

/// The libraries that a worker has to load for a graph.
fn files(built: &[FoundFile], graph: &RecorderGraph) -> Result<Vec<PluginFile>> {
    let found = graph.worker_plugins().map(|plugin| find(built, &plugin.plugin));
    found
        .map(|found| {
            found.map(|f| PluginFile { path: f.path.clone(), sha256: f.sha256.clone(), unusable: None })
        })
        .collect()
}

fn find<'a>(built: &'a [FoundFile], id: &str) -> Result<&'a FoundFile> {
    let has = |found: &&FoundFile| {
        found.descriptor.as_ref().is_ok_and(|descriptor| descriptor.provides.iter().any(|p| p.id == id))
    };
    built.iter().find(has).ok_or_else(|| format!("{id} is not built").into())
}

fn built() -> Result<Vec<FoundFile>> {
    match deskreel_host::search(&deskreel_host::folders_beside(&build_folder()?)) {
        found if found.is_empty() => Err("no plugins beside this program; build the workspace first".into()),
        found => Ok(found),
    }
}

/// The folder of the programs: cargo puts examples one folder below it.
fn build_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("this program is not in a build folder")?.to_owned())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
