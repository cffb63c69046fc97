//! The output and the exit code of the command: `tests/cli/*.txt`. A file is a comment and commands. Each
//! command is followed by its standard output, after `[stderr]` by its standard error, and by its exit code.
//!
//! The files run in the order of their names, in one folder. It has the files of [`files`], a short recording
//! in `recordings/`, a damaged copy of it in `damaged/`, and `notes.txt`, which is not a video. What differs
//! between runs is masked; commands may use the masks' names. `UPDATE=1` writes the actual output instead:
//! read the diff before you commit it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use deskreel_test_support::paths::{build_folder, root};
use deskreel_test_support::recorder::deskreel;
use serde_json::Value;
use tempfile::TempDir;

const GOOD: &str = r#"version = 1
name = "desk"

[source.screen]
plugin = "source.synthetic"
width = 320
height = 240

[encoder.video]
from = "screen"
plugin = ["encoder.x264", "encoder.openh264"]

[recording]
tracks = ["video"]
"#;

/// Name and content of each pipeline file and each log of events.
fn files() -> [(&'static str, String); 10] {
    let mistakes = GOOD.replace("\"screen\"", "\"sceen\"").replace("width = 320", "widht = 320");
    let warning = GOOD.replace("[encoder", "[source.camera]\nplugin = \"source.synthetic\"\n\n[encoder");
    let policy = |plugin: &str| format!("{GOOD}\n[policy]\nplugin = \"policy.{plugin}\"\n");
    let day = include_str!("../../examples/events/transfer-two-step.jsonl").to_owned();
    let linger = policy("voice-first-call") + "linger = \"2s\"\n";
    let broken = day.replacen("\"call\"", "\"cal\"", 1) + "no event\n";
    [
        ("desk.toml", GOOD.to_owned()),
        ("mistakes.toml", mistakes),
        ("warning.toml", warning),
        ("calls.toml", policy("voice-all-calls")),
        ("first.toml", policy("voice-first-call")),
        ("linger.toml", linger),
        ("server.toml", include_str!("../../pipelines/server.toml").to_owned()),
        ("day.jsonl", day),
        ("broken.jsonl", broken),
        ("voice.jsonl", VOICE.to_owned()),
    ]
}

/// Ann's call goes on for nine minutes after its voice recording has stopped, Eve's still does; Bob's ends
/// with it, and Cid's is recorded at the end of the log.
const VOICE: &str = r#"{"type":"agent.logged_in","at":"2026-01-05T09:00:00.000Z","agent":"ann","place":"PC-1"}
{"type":"call.established","at":"2026-01-05T09:00:10.000Z","call":"77","agent":"ann"}
{"type":"recording.started","at":"2026-01-05T09:00:10.200Z","call":"77","agent":"ann"}
{"type":"call.established","at":"2026-01-05T09:00:20.000Z","call":"78","agent":"bob"}
{"type":"recording.started","at":"2026-01-05T09:00:20.100Z","call":"78","agent":"bob"}
{"type":"recording.stopped","at":"2026-01-05T09:00:40.000Z","call":"78","agent":"bob"}
{"type":"call.cleared","at":"2026-01-05T09:00:40.900Z","call":"78","agent":"bob"}
{"type":"recording.stopped","at":"2026-01-05T09:01:10.000Z","call":"77","agent":"ann"}
{"type":"call.held","at":"2026-01-05T09:02:00.000Z","call":"77","agent":"ann"}
{"type":"call.retrieved","at":"2026-01-05T09:03:00.000Z","call":"77","agent":"ann"}
{"type":"call.cleared","at":"2026-01-05T09:10:10.000Z","call":"77","agent":"ann"}
{"type":"call.established","at":"2026-01-05T09:11:00.000Z","call":"79","agent":"eve"}
{"type":"recording.started","at":"2026-01-05T09:11:00.000Z","call":"79","agent":"eve"}
{"type":"recording.stopped","at":"2026-01-05T09:12:00.000Z","call":"79","agent":"eve"}
{"type":"recording.started","at":"2026-01-05T09:13:00.000Z","call":"80","agent":"cid"}
"#;

struct Desk {
    folder: TempDir,
    /// Id of the recording.
    recording: String,
}

impl Desk {
    fn new() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files() {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::write(folder.path().join("notes.txt"), "no video\n").unwrap();
        let recorded =
            deskreel().args(["record", "desk.toml", "--duration", "2s"]).current_dir(&folder).output();
        let recorded = recorded.unwrap();
        assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
        let recording = fs::read_dir(folder.path().join("recordings")).unwrap().next().unwrap().unwrap();
        let recording = recording.file_name().into_string().unwrap();
        damage(folder.path(), &recording);
        Desk { folder, recording }
    }

    /// The output and exit code of a command, masked.
    fn run(&self, line: &str) -> String {
        let line = line.replace("<recording>", &self.recording);
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("deskreel"), "{line}");
        let mut command = deskreel();
        command
            .args(words)
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("STATE_DIRECTORY", self.folder.path().join("state"));
        let output = command.output().unwrap();
        let mut text = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        if !stderr.is_empty() {
            text += &format!("[stderr]\n{stderr}");
        }
        self.mask(&text) + &format!("[exit {}]\n", output.status.code().expect("it ends by itself"))
    }

    fn mask(&self, text: &str) -> String {
        let built = build_folder();
        let here = self.folder.path().canonicalize().unwrap();
        let text = text.replace(&self.recording, "<recording>");
        let text = text.replace(here.to_str().unwrap(), "<here>").replace(built.to_str().unwrap(), "<built>");
        let text = text.replace(root().to_str().unwrap(), "<source>");
        let version = env!("CARGO_PKG_VERSION");
        let text = text.replace(&format!(" {version}\n"), " <version>\n");
        let text = text.replace(&format!("\"{version}\""), "\"<version>\"");
        text.split_inclusive('\n').map(mask_numbers).collect()
    }
}

/// Makes a copy with one flipped bit in a fragment's number, which the hash shows and a decoder ignores.
fn damage(folder: &Path, recording: &str) {
    let copied = Command::new("cp").args(["-r", "recordings", "damaged"]).current_dir(folder).status();
    assert!(copied.unwrap().success());
    let fragment = folder.join("damaged").join(recording).join("video/part-0001/000002.m4s");
    let mut bytes = fs::read(&fragment).unwrap();
    // `moof` has 8 bytes before `mfhd`, which has 12 before its number.
    bytes[23] ^= 0x40;
    fs::write(&fragment, bytes).unwrap();
}

/// Sizes, counts of frames and hashes depend on the machine: `12.3 kB`, `"frames": 30`, 64 hexadecimal
/// digits.
fn mask_numbers(line: &str) -> String {
    const COUNTED: [&str; 7] = ["B", "kB", "MB", "bytes", "decoded", "fragments", "frames"];
    let words: Vec<&str> = line.split(' ').collect();
    let bare =
        |word: Option<&&str>| word.map_or("", |word| word.trim_matches(['"', ',', ':', '\n'])).to_owned();
    let masked = words.iter().enumerate().map(|(index, word)| {
        let (before, own, after) = (index.checked_sub(1), bare(Some(word)), bare(words.get(index + 1)));
        let before = bare(before.and_then(|index| words.get(index)));
        let counts = [before, after].iter().any(|word| COUNTED.contains(&word.as_str()));
        if counts && own.parse::<f64>().is_ok() {
            word.replace(&own, "<n>")
        } else if own.len() == 64 && own.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            word.replace(&own, "<sha256>")
        } else {
            (*word).to_owned()
        }
    });
    masked.collect::<Vec<_>>().join(" ")
}

/// The comment and the commands of a transcript.
fn commands(text: &str) -> (String, Vec<&str>) {
    let comment = text.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n"));
    (comment.collect(), text.lines().filter_map(|line| line.strip_prefix("$ ")).collect())
}

#[test]
fn transcripts_are_what_the_command_prints() {
    let desk = Desk::new();
    let mut wrong = Vec::new();
    for file in transcripts() {
        let expected = fs::read_to_string(&file).unwrap();
        let (comment, commands) = commands(&expected);
        assert!(!comment.is_empty() && !commands.is_empty(), "{}", file.display());
        let blocks = commands.iter().map(|command| format!("\n$ {command}\n{}", desk.run(command)));
        let actual = comment + &blocks.collect::<String>();
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &actual).unwrap();
        } else if actual != expected {
            wrong.push(format!("--- {} is now:\n{actual}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn transcripts() -> Vec<PathBuf> {
    let folder = root().join("tests/cli");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    files
}

/// Every command has help with an example. A new command needs a transcript.
#[test]
fn help_of_every_command_is_in_a_transcript_and_has_an_example() {
    let help = fs::read_to_string(root().join("tests/cli/help.txt")).unwrap();
    let (_, all) = help.split_once("\nCommands:\n").unwrap();
    let listed: Vec<&str> = all
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(listed.len() >= 10, "{listed:?}");
    for command in listed {
        let shown = help.split_once(&format!("$ deskreel {command} --help\n"));
        let (_, shown) = shown.unwrap_or_else(|| panic!("`deskreel {command} --help` is in no transcript"));
        let (shown, _) = shown.split_once("[exit").unwrap();
        assert!(shown.contains("Example"), "`deskreel {command} --help` has no example");
    }
}

#[test]
fn completions_name_the_commands() {
    for (shell, first) in
        [("bash", "_deskreel() {"), ("zsh", "#compdef deskreel"), ("fish", "# Print an optspec")]
    {
        let script = stdout(&["completions", shell]);
        assert!(script.starts_with(first), "{shell}: {:?}", script.lines().next());
        assert!(script.contains("verify"), "{shell}");
    }
}

#[test]
fn schema_is_valid_and_knows_the_plugins() {
    let schema: Value = serde_json::from_str(&stdout(&["schema"])).unwrap();
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    for (name, text) in files().into_iter().filter(|(name, _)| name.ends_with(".toml")) {
        let document: Value = toml::from_str(&text).unwrap();
        assert_eq!(validator.is_valid(&document), name != "mistakes.toml", "{name}");
    }
}

#[test]
fn plugin_list_as_json_is_stable() {
    let list: Value = serde_json::from_str(&stdout(&["plugins", "list", "--json"])).unwrap();
    let plugins = list["plugins"].as_array().unwrap();
    let ids: Vec<&str> = plugins.iter().map(|plugin| plugin["id"].as_str().unwrap()).collect();
    for id in
        ["encoder.openh264", "encoder.x264", "sink.file", "source.gst", "source.synthetic", "source.x11"]
    {
        assert!(ids.contains(&id), "{id} is missing in {ids:?}");
    }
    for plugin in plugins {
        for key in ["about", "contract", "id", "interface", "license", "package", "path", "sha256", "version"]
        {
            assert!(plugin[key].is_string(), "{key} of {plugin}");
        }
    }
    assert_eq!((&list["refused"], &list["duplicates"]), (&Value::Array(vec![]), &Value::Array(vec![])));
}

#[test]
fn encoders_of_a_file_are_tried_once_until_fresh_results_are_requested() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("desk.toml"), GOOD).unwrap();
    let encoders = |further: &[&str]| -> Value {
        let mut command = deskreel();
        command.args(["encoders", "desk.toml", "--json"]).args(further).current_dir(&folder);
        let output = command.env("DESKREEL_CACHE", folder.path().join("cache")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let first = encoders(&[]);
    let track = &first["tracks"][0];
    assert_eq!((&track["track"], &track["picture"]["width"]), (&"video".into(), &320.into()));
    let candidates = track["candidates"].as_array().unwrap();
    let standing = |index: usize| (&candidates[index]["plugin"], &candidates[index]["standing"]);
    assert_eq!(standing(0), (&"encoder.x264".into(), &"chosen".into()));
    assert_eq!(standing(1), (&"encoder.openh264".into(), &"works".into()));
    for key in ["cannot", "gpu", "memory", "proof", "reason", "recipe", "tier", "tried", "version"] {
        assert!(candidates.iter().all(|one| one.get(key).is_some()), "{key} is missing in {candidates:?}");
    }
    assert_eq!(encoders(&[]), first);
    let tried = |answer: &Value| answer["tracks"][0]["candidates"][0]["tried"].clone();
    assert_ne!(tried(&encoders(&["--fresh"])), tried(&first));
}

#[test]
fn check_with_probe_tries_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("desk.toml"), GOOD).unwrap();
    let output = deskreel().args(["check", "--probe", "--json", "desk.toml"]).current_dir(&folder).output();
    let output = output.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && report["ok"] == true, "{report}");
    assert_eq!(report["tracks"][0]["candidates"][0]["standing"], "chosen");
}

fn stdout(arguments: &[&str]) -> String {
    let output = deskreel().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
