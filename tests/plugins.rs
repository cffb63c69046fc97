//! Plugins good and bad: each kind has a specimen that loads and answers, and each defect is refused with a
//! message of its own while the others still load.
//!
//! The plugins are libraries of this workspace (`plugins/`, `examples/`, `tests/broken-plugins/`), which a plain
//! `cargo test` does not build: `script/test` runs `cargo build --workspace` first.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Once, mpsc};
use std::time::Duration;

use deskreel_contract::{
    Answer, Codec, EncodeRequest, Event, Fact, FinishedRecording, FragmentDelivery, Producer, Rate,
    SourceRequest,
};
use deskreel_host::{
    Allow, Catalog, Entry, ErrorKind, FrameStatus, HostCallbacks, LOAD_LIMIT, Library, Plugin, examine,
    load_with_deadline, search,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A feed's event is on its way for microseconds.
const LIMIT: Duration = Duration::from_secs(5);

// ---- every kind answers -------------------------------------------------------------------------------------

#[test]
fn a_rust_source_answers_with_a_recipe() {
    let mut source = open("example_source_minimal", "example.source.minimal", json!({ "pattern": "ball" }));
    let recipe = source.recipe(&SourceRequest { max_fps: 10 }).unwrap();
    let Producer::Elements(elements) = recipe.producer else { panic!("elements expected") };
    assert_eq!(elements[0].factory, "videotestsrc");
    assert_eq!(elements[0].properties[1].value, "ball");
    assert_eq!(source.devices().unwrap(), []);
    assert_eq!(source.frame(0, 0, &mut [0; 4]).unwrap_err().kind, ErrorKind::Unsupported);
}

#[test]
fn a_c_source_paints_frames() {
    let folder = TempDir::new().unwrap();
    let library = load(&compile(&folder, "libexample_source_bar.so", "examples/source-minimal-c/plugin.c"));
    let mut source =
        library.create("example.source.bar", &json!({ "speed": 8 }), HostCallbacks::default()).unwrap();
    let recipe = source.recipe(&SourceRequest { max_fps: 30 }).unwrap();
    let Producer::Frames(format) = recipe.producer else { panic!("frames expected") };

    let mut pixels = vec![0; format.frame_size()];
    assert_eq!(source.frame(3, 100_000_000, &mut pixels).unwrap(), FrameStatus::Painted);
    let row: Vec<usize> = (0..format.width as usize).filter(|x| pixels[*x] == 235).collect();
    assert_eq!(row, (24..40).collect::<Vec<_>>(), "the bar is 16 wide and has walked three times 8 pixels");
    let failure = source.frame(4, 0, &mut [0; 10]).unwrap_err();
    assert_eq!(failure.to_string(), "example.source.bar: the frame has another size than the recipe said");
}

#[test]
fn a_status_that_the_contract_does_not_have_is_no_success() {
    let folder = TempDir::new().unwrap();
    let library = |name: &str, text: String| load(&compile(&folder, name, write(&folder, "plugin.c", &text)));
    let create = |library: &Library| library.create("test.source.c", &json!({}), HostCallbacks::default());
    let message = "test.source.c: returned status 1, which the contract does not have";

    let mut called = create(&library("libcall.so", c_plugin("", "return DESKREEL_END;"))).unwrap();
    assert_eq!(called.devices().unwrap_err().to_string(), message);
    let created = c_plugin("", "return 0;").replace("return DESKREEL_OK;", "return 1;");
    assert_eq!(create(&library("libcreate.so", created)).err().unwrap().to_string(), message);

    let painted = c_plugin(
        "static deskreel_status frame(void *self, uint64_t number, uint64_t ns, uint8_t *pixels, size_t len,
                                      const deskreel_out *out) {
             (void)self; (void)ns; (void)pixels; (void)len; (void)out;
             return (deskreel_status)number;
         }",
        "return 0;",
    );
    let painted = painted.replace(".call = call,", ".call = call, .frame = frame,");
    let mut source = create(&library("libframe.so", painted)).unwrap();
    let mut frame = |number| source.frame(number, 0, &mut [0]);
    assert_eq!(frame(0).unwrap(), FrameStatus::Painted);
    assert_eq!(frame(1).unwrap(), FrameStatus::End);
    assert!(frame(2).unwrap_err().message.starts_with("returned status 2, "));
}

#[test]
fn a_c_plugin_keeps_its_descriptor_where_unused_sections_are_dropped() {
    let folder = TempDir::new().unwrap();
    let library = folder.path().join("libsmall.so");
    let mut compiler = compiler(&library, Path::new("examples/source-minimal-c/plugin.c"));
    compiler.args(["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"]);
    assert!(compiler.status().expect("a C compiler").success());
    assert_eq!(load(&library).descriptor().name, "example-source-bar");
}

#[test]
fn an_encoder_offers_candidates() {
    let mut encoder = open("deskreel_encoder_x264", "encoder.x264", json!({}));
    let candidates = encoder.candidates(&encode_request()).unwrap();
    assert_eq!(candidates[0].elements[0].factory, "x264enc");
}

#[test]
fn a_sink_may_take_whole_recordings_only() {
    let folder = TempDir::new().unwrap();
    let mut sink = open("deskreel_sink_file", "sink.file", json!({ "directory": folder.path() }));
    let delivery = FragmentDelivery { id: "r/t/1/1".into(), path: "/nowhere".into(), sha256: String::new() };
    assert_eq!(sink.fragment(&delivery).unwrap(), None);
    let missing = FinishedRecording { id: "r".into(), directory: folder.path().join("missing") };
    assert!(!matches!(sink.finish(&missing), Ok(Answer::Acknowledged { .. })), "it has taken nothing");
}

#[test]
fn a_policy_decides_from_state_and_event_alone() {
    let mut policy = open("example_policy_minimal", "example.policy.minimal", json!({}));
    let mut state = Value::Null;
    let mut actions = Vec::new();
    for kind in ["call.established", "call.established", "call.cleared", "call.cleared"] {
        let event =
            Event { kind: kind.into(), at: "2026-01-05T09:00:00.000Z".into(), fields: Default::default() };
        let decided = policy.decide(&Fact { state, event }).unwrap();
        actions.push(decided.decisions.iter().map(|decision| decision.action.clone()).collect::<Vec<_>>());
        state = decided.state;
    }
    assert_eq!(actions, [vec!["start".to_owned()], vec![], vec![], vec!["stop".to_owned()]]);
}

#[test]
fn a_feed_emits_from_a_thread_of_its_own() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("day.jsonl");
    fs::write(&file, r#"{"type":"call.established","at":"2026-01-05T09:00:00.000Z","call":"77"}"#).unwrap();
    let (sender, events) = mpsc::channel();
    let sender = Mutex::new(sender);
    let host = HostCallbacks { on_emit: Arc::new(move |event| drop(sender.lock().unwrap().send(event))) };

    let library = load(&built("example_feed_minimal"));
    let mut feed = library.create("example.feed.minimal", &json!({ "file": file }), host).unwrap();
    feed.start_feed().unwrap();
    let event = events.recv_timeout(LIMIT).expect("the feed emits its event");
    assert_eq!(event["call"], "77");
    feed.stop_feed().unwrap();
}

#[test]
fn a_descriptor_alone_is_a_source_or_an_encoder() {
    let folder = TempDir::new().unwrap();
    let library = load(&write(&folder, "plugin.toml", RECIPES));
    let settings = json!({ "device": "/dev/video7" });
    let mut source = library.create("acme.source.card", &settings, HostCallbacks::default()).unwrap();
    let recipe = source.recipe(&SourceRequest { max_fps: 25 }).unwrap();
    let Producer::Elements(elements) = recipe.producer else { panic!("elements expected") };
    let properties: Vec<_> =
        elements[0].properties.iter().map(|p| (p.name.as_str(), p.value.clone())).collect();
    let expected =
        [("device", json!("/dev/video7")), ("io-mode", json!(2)), ("norm", json!("{ PAL, NTSC }"))];
    assert_eq!(properties, expected, "given, by default, and as it stands; `brightness` is not given");

    let mut encoder = library.create("acme.encoder.card", &json!({}), HostCallbacks::default()).unwrap();
    let candidates = encoder.candidates(&encode_request()).unwrap();
    assert_eq!(candidates[0].elements[0].properties[0].value, json!(23));
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

// ---- settings, panics and logs ------------------------------------------------------------------------------

#[test]
fn wrong_settings_are_the_deployers_fault() {
    let library = load(&built("example_source_minimal"));
    let open = |settings| {
        let opened = library.create("example.source.minimal", &settings, HostCallbacks::default());
        opened.err().expect("refused")
    };
    let failure = open(json!({ "pattren": "ball" }));
    assert_eq!(failure.fault().exit_code(), 2);
    assert_eq!(failure.to_string(), "example.source.minimal: unknown field `pattren`, expected `pattern`");
    assert_eq!(open(json!({})).to_string(), "example.source.minimal: missing field `pattern`");
}

#[test]
fn a_panic_ends_one_instance_and_nothing_else() {
    let library = load(&built("broken_panics_in_call"));
    let create = || {
        library
            .create("broken.source.panics-in-call", &json!({}), HostCallbacks::default())
            .expect("it opens")
    };
    let (mut first, mut second) = (create(), create());
    let request = SourceRequest { max_fps: 10 };
    let failure = first.recipe(&request).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Panicked);
    assert_eq!(failure.message, "the plugin panicked: index 7 of 3 monitors");
    let again = first.devices().unwrap_err();
    assert_eq!(again.message, "the plugin panicked earlier; this instance answers no more");
    assert_eq!(second.devices().unwrap(), [], "the other instance is whole");
}

#[test]
fn what_a_plugin_logs_arrives_with_its_id() {
    let log = log();
    let mut source = open("example_source_minimal", "example.source.minimal", json!({ "pattern": "snow" }));
    source.recipe(&SourceRequest { max_fps: 7 }).unwrap();
    let mut broken = open("broken_panics_in_call", "broken.source.panics-in-call", json!({}));
    broken.recipe(&SourceRequest { max_fps: 7 }).unwrap_err();
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let line = log.lines().find(|line| line.contains("max_fps=7")).expect("the event arrives");
    assert_eq!(
        line,
        "DEBUG plugin: recipe asked max_fps=7 plugin=\"example.source.minimal\" module=\"example_source_minimal\""
    );
    let panic = log.lines().find(|line| line.contains("panics-in-call/src/lib.rs:")).expect("with its place");
    assert!(panic.starts_with("ERROR plugin: panicked at"), "{panic}");
}

// ---- what is refused, and why -------------------------------------------------------------------------------

#[test]
fn each_defect_has_a_message_of_its_own() {
    let folder = TempDir::new().unwrap();
    let empty = write(&folder, "empty.c", "int nothing;");
    let undefined =
        write(&folder, "undefined.c", &c_plugin("extern int acme_driver(void);", "return acme_driver();"));
    let short = write(&folder, "short.c", &c_plugin("", "return 0;").replace("sizeof deskreel_entry", "16"));
    let mut other_machine = fs::read(built("example_source_minimal")).unwrap();
    other_machine[18] = 183; // e_machine: AArch64
    let other_machine_file = folder.path().join("libother.so");
    fs::write(&other_machine_file, other_machine).unwrap();

    let refused = [
        (
            write(&folder, "libtext.so", "I am a text."),
            "not a plugin library: not an ELF file; take it out of the plugin folder",
        ),
        (other_machine_file, "built for aarch64, this machine is x86_64; get the build for x86_64"),
        (
            compile(&folder, "libempty.so", empty),
            "has no descriptor (section .deskreelmeta), so it is no Deskreel plugin; take it out of the plugin folder, or link it without --gc-sections if it is yours",
        ),
        (
            built("broken_wrong_contract"),
            "broken-wrong-contract is built for plugin contract 2.0, this Deskreel has 1.0; update Deskreel",
        ),
        (
            built("broken_no_entry"),
            "exports neither the Rust nor the C entry of a plugin; build it with export_plugin! or deskreel.h",
        ),
        (
            compile(&folder, "libundefined.so", undefined),
            "cannot be opened: undefined symbol: acme_driver; install what it needs, or get another build",
        ),
        (
            compile(&folder, "libshort.so", short),
            "was built with a changed plugin interface: deskreel_entry has 16 bytes, expected 64; rebuild it with deskreel-sdk 1.0",
        ),
        (
            built("broken_lying_descriptor"),
            "its descriptor promises source `broken.source.lying-descriptor`, its code has source `broken.source.something-else`; ask its vendor for a mended build",
        ),
        (
            built("broken_panics_at_load"),
            "panicked while it was loaded: no licence dongle; report it to its vendor",
        ),
        (
            built("broken_never_returns"),
            "did not return from loading within 5000 ms; take it out of the plugin folder and tell its vendor",
        ),
    ];
    for (file, message) in refused {
        assert_eq!(refusal(&file), message, "{}", file.display());
    }
}

#[test]
fn a_changed_layout_is_refused_in_one_line_and_explained_in_a_file() {
    let message = refusal(&built("broken_changed_layout"));
    let (line, file) = message.split_once(" (details in ").unwrap();
    let field = "contract_minor: mismatched type, expected u32, found u64";
    assert_eq!(line, format!("was built with a changed plugin interface: {field}"));
    let (file, cure) = file.split_once(')').unwrap();
    assert_eq!(cure, "; rebuild it with deskreel-sdk 1.0");
    assert!(fs::read_to_string(file).unwrap().contains("contract_minor"));
}

#[test]
fn bad_ones_do_not_keep_good_ones_from_loading() {
    let folder = TempDir::new().unwrap();
    let names = [
        "broken_changed_layout",
        "broken_lying_descriptor",
        "broken_never_returns",
        "broken_no_entry",
        "broken_panics_at_load",
        "broken_wrong_contract",
        "example_feed_minimal",
        "example_source_minimal",
    ];
    for name in names {
        fs::copy(built(name), folder.path().join(format!("lib{name}.so"))).unwrap();
    }
    write(&folder, "libtext.so", "I am a text.");
    let found = search(&[folder.path().to_owned()]);
    assert_eq!(found.len(), names.len() + 1);
    let loaded = found.iter().filter_map(|found| load_with_deadline(found, LOAD_LIMIT).ok());
    let ids: Vec<_> = loaded.map(|library| library.descriptor().provides[0].id.clone()).collect();
    assert_eq!(ids, ["example.feed.minimal", "example.source.minimal"]);
}

/// The dynamic loader holds its lock while a library's constructors run, so this one needs a process of its own:
/// the test runs itself again.
#[test]
fn a_library_that_hangs_in_the_loader_is_named_by_those_that_come_after() {
    const CHILD: &str = "DESKREEL_TEST_HANGING_LIBRARY";
    if let Some(hanging) = std::env::var_os(CHILD) {
        println!("first: {}", refusal(Path::new(&hanging)));
        println!("second: {}", refusal(&built("example_source_minimal")));
        // An ordinary exit would wait for the loader's lock, too.
        std::process::abort();
    }
    let folder = TempDir::new().unwrap();
    let hang =
        "#include <unistd.h>\n__attribute__((constructor)) static void hang(void) { for (;;) pause(); }";
    let source = write(&folder, "hang.c", &c_plugin(hang, "return 0;"));
    let hanging = compile(&folder, "libhang.so", source);
    let name = "a_library_that_hangs_in_the_loader_is_named_by_those_that_come_after";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, &hanging).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.contains("first: did not return from loading within 5000 ms"), "{output}");
    let second = format!("second: cannot be loaded in this process, because {} hangs", hanging.display());
    assert!(output.contains(&second), "{output}");
}

#[test]
fn only_what_is_listed_and_unchanged_loads() {
    let folder = TempDir::new().unwrap();
    let plugin = folder.path().join("libgrabber.so");
    fs::copy(built("example_source_minimal"), &plugin).unwrap();
    let found = examine(&plugin);
    let line = format!("\"{}\" = {{ sha256 = \"{}\" }}", plugin.display(), found.sha256);

    let refusal = Allow::shipped().check(&found).unwrap_err();
    let list = "the file that `allow` in the pipeline file names";
    assert_eq!(
        refusal.to_string(),
        format!("not on the allow-list; if you trust it, add to [plugins] in {list}: {line}")
    );
    let lock = write(&folder, "plugins.lock", "[plugins]\n");
    let refusal = Allow::listed(&lock).unwrap().check(&found).unwrap_err();
    assert!(refusal.to_string().ends_with(&format!("add to [plugins] in {}: {line}", lock.display())));

    write(&folder, "plugins.lock", &format!("[plugins]\n{line}\n"));
    let allow = Allow::listed(&lock).unwrap();
    allow.check(&found).unwrap();
    load_with_deadline(&found, LOAD_LIMIT).unwrap();

    fs::copy(built("example_feed_minimal"), &plugin).unwrap();
    let changed = examine(&plugin);
    let message = format!(
        "changed: its sha256 is {}, expected {}; restore the file, or allow the new one",
        changed.sha256, found.sha256
    );
    assert_eq!(allow.check(&changed).unwrap_err().to_string(), message);
    let loaded = load_with_deadline(&found, LOAD_LIMIT);
    assert_eq!(loaded.err().unwrap().to_string(), message, "also between the check and the loading");
}

#[test]
fn a_mistake_in_a_list_or_a_descriptor_has_its_line() {
    let folder = TempDir::new().unwrap();
    let lock = write(&folder, "plugins.lock", "[plugins]\n\n\"/opt/libgood.so\" = { sha = \"00\" }\n");
    let refused = Allow::listed(&lock).err().unwrap().to_string();
    let reason = "line 3: unknown field `sha`, expected `sha256` or `signature`";
    assert_eq!(refused, format!("the allow-list {} cannot be used: {reason}", lock.display()));

    let mistaken = RECIPES.replacen("interface = \"source/1\"", "interface = \"screen/1\"", 1);
    let message = examine(&write(&folder, "plugin.toml", &mistaken)).what.unwrap_err().to_string();
    assert!(
        message.starts_with("its descriptor cannot be read: line 11: `screen/1` is not an interface"),
        "{message}"
    );
    let broken = RECIPES.replacen("license = \"MIT\"", "license = MIT", 1);
    let message = examine(&write(&folder, "plugin.toml", &broken)).what.unwrap_err().to_string();
    assert!(message.starts_with("its descriptor cannot be read: line 5: "), "{message}");
}

// ---- finding ------------------------------------------------------------------------------------------------

#[test]
fn the_first_library_with_an_id_wins_and_the_others_are_listed() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let nested = second.path().join("acme");
    fs::create_dir(&nested).unwrap();
    let used = first.path().join("libours.so");
    let ignored = nested.join("libtheirs.so");
    let mut lock = String::from("[plugins]\n");
    for path in [&used, &ignored] {
        fs::copy(built("example_source_minimal"), path).unwrap();
        lock += &format!("\"{}\" = {{ sha256 = \"{}\" }}\n", path.display(), examine(path).sha256);
    }
    let allow = Allow::listed(&write(&first, "plugins.lock", &lock)).unwrap();
    let catalog = Catalog::new(search(&[first.path().into(), second.path().into()]), &allow);
    assert_eq!(catalog.find("example.source.minimal").unwrap().0.path, used);
    assert_eq!(catalog.plugins().count(), 1);
    assert_eq!(catalog.duplicates.len(), 1);
    assert_eq!((&catalog.duplicates[0].used, &catalog.duplicates[0].ignored), (&used, &ignored));
}

#[test]
fn in_a_development_tree_only_our_own_plugins_are_found() {
    let found = search(&[folder_of_libraries()]);
    let names: Vec<_> = found.iter().map(|found| found.path.file_name().unwrap().to_str().unwrap()).collect();
    assert!(names.contains(&"libdeskreel_source_synthetic.so"), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("libdeskreel_")), "{names:?}");
}

#[test]
fn a_description_is_read_without_running_code() {
    let found = examine(&built("broken_never_returns"));
    assert_eq!(found.entry, Entry::Rust);
    assert_eq!(found.what.unwrap().about, "Does not return from loading.");
}

#[test]
fn the_smallest_source_fits_in_forty_lines() {
    let text = fs::read_to_string("examples/source-minimal-rust/src/lib.rs").unwrap();
    assert!(text.lines().count() <= 40, "{} lines", text.lines().count());
}

// ---- how ----------------------------------------------------------------------------------------------------

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

/// Where cargo puts libraries: beside the programs.
fn folder_of_libraries() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_deskreel")).parent().unwrap().to_owned()
}

fn built(name: &str) -> PathBuf {
    let file = folder_of_libraries().join(format!("lib{name}.so"));
    assert!(file.exists(), "{} is missing: run `cargo build --workspace` first", file.display());
    file
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
    let rate = Rate::Quality { quality: 23 };
    EncodeRequest { codec: Codec::H264, rate, keyframe_interval_ms: 4000, max_fps: 10 }
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
