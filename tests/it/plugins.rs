//! Plugins good and bad: each kind has a specimen that loads and answers, and each defect is refused with a
//! message of its own while the others still load.
//!
//! The plugins are libraries of this workspace (`plugins/`, `examples/`, `tests/broken-plugins/`), which a
//! plain `cargo test` does not build: `script/test` runs `cargo build --workspace` first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Once, mpsc};
use std::time::Duration;

use deskreel_contract::{
    Answer, Codec, Decision, EncodeRequest, Fact, FinishedRecording, FragmentDelivery, Producer,
    SourceRequest,
};
use deskreel_host::{
    AllowList, Catalog, EntryPoint, ErrorKind, FrameStatus, HostCallbacks, LOAD_LIMIT, Library, Plugin,
    examine, load_with_deadline, search,
};
use deskreel_test_support::paths::{build_folder, library as built};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A feed's event is on its way for microseconds.
const LIMIT: Duration = Duration::from_secs(5);

mod answers;
mod finding;
mod refusals;

/// An instance of the plugin `id` out of a library of this workspace.
fn open(library: &str, id: &str, settings: Value) -> Plugin {
    let opened = load(&built(library)).create(id, &settings, HostCallbacks::default());
    opened.unwrap_or_else(|failure| panic!("{failure}"))
}

fn load(file: &Path) -> Library {
    load_with_deadline(&examine(file), LOAD_LIMIT)
        .unwrap_or_else(|refused| panic!("{}: {refused}", file.display()))
}

fn refusal(file: &Path) -> String {
    let loaded = load_with_deadline(&examine(file), LOAD_LIMIT);
    loaded.err().unwrap_or_else(|| panic!("{} should be refused", file.display())).to_string()
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn compile(folder: &TempDir, name: &str, source: impl AsRef<Path>) -> PathBuf {
    let library = folder.path().join(name);
    assert!(compiler(&library, source.as_ref()).status().expect("a C compiler").success());
    library
}

fn compiler(library: &Path, source: &Path) -> Command {
    let strict =
        ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-implicit-function-declaration"];
    let shared = ["-shared", "-fPIC", "-fvisibility=hidden", "-I", "sdk/include"];
    let mut compiler = Command::new("cc");
    compiler.args(strict).args(shared).arg("-D_DEFAULT_SOURCE").arg("-o").arg(library).arg(source);
    compiler
}

/// A C plugin with these declarations, whose `call` has this body.
fn c_plugin(declarations: &str, call: &str) -> String {
    format!(
        r#"
#include "deskreel.h"
{declarations}
DESKREEL_DESCRIPTOR static const char descriptor[] =
    "schema = 1\nname = \"test\"\nversion = \"1.0.0\"\nlicense = \"MIT\"\nabout = \"\"\ncontract = \"1.0\"\n"
    "[[provides]]\nid = \"test.source.c\"\ninterface = \"source/1\"\nabout = \"\"\n";
static deskreel_status create(deskreel_str id, deskreel_str settings, const deskreel_host *host, void **instance,
                              const deskreel_out *error) {{
    (void)id; (void)settings; (void)host; (void)instance; (void)error;
    return DESKREEL_OK;
}}
static deskreel_status call(void *instance, deskreel_str method, deskreel_str json, const deskreel_out *out) {{
    (void)instance; (void)method; (void)json; (void)out;
    {call}
}}
static void destroy(void *instance) {{ (void)instance; }}
static const deskreel_provides provides[] = {{ {{ DESKREEL_STR("source"), DESKREEL_STR("test.source.c") }} }};
const deskreel_entry_table deskreel_entry = {{
    .size = sizeof deskreel_entry, .contract_major = 1, .provides_len = 1, .provides = provides,
    .create = create, .call = call, .destroy = destroy,
}};
"#
    )
}

fn encode_request() -> EncodeRequest {
    EncodeRequest::new(Codec::H264)
}

/// Everything that this process logs, from now on.
fn log() -> Arc<Mutex<Vec<u8>>> {
    static START: Once = Once::new();
    static LOG: Mutex<Option<Arc<Mutex<Vec<u8>>>>> = Mutex::new(None);
    START.call_once(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        *LOG.lock().unwrap() = Some(log.clone());
        let builder =
            tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG);
        builder.without_time().with_ansi(false).with_writer(move || Line(log.clone())).init();
    });
    LOG.lock().unwrap().clone().unwrap()
}

struct Line(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const RECIPES: &str = r#"
schema = 1
name = "acme-card"
version = "1.0.0"
license = "MIT"
about = "A capture card that GStreamer knows."
contract = "1.0"

[[provides]]
id = "acme.source.card"
interface = "source/1"
about = "The card's picture."
settings.properties.device = { type = "string" }
settings.properties.mode = { type = "integer", default = 2 }
settings.properties.brightness = { type = "integer" }

[provides.recipe]
changes_only = false

[[provides.recipe.producer.elements]]
factory = "v4l2src"
properties = [
    { name = "device", value = "{device}" },
    { name = "io-mode", value = "{mode}" },
    { name = "brightness", value = "{brightness}" },
    { name = "norm", value = "{ PAL, NTSC }" },
]

[[provides]]
id = "acme.encoder.card"
interface = "encoder/1"
about = "The card's encoder."

[[provides.recipe]]
id = "card"
tier = "hardware"
formats = ["NV12"]
elements = [{ factory = "acmeh264enc", properties = [{ name = "qp", value = "{rate.quality}" }] }]
"#;
