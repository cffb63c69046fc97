//! Vendors' plugins in real recordings: built without our tree, admitted by the deployer's list, and harmless
//! to the recording if they are bad.

use std::path::PathBuf;
use std::process::Command;

use deskreel_model::manifest::Outcome;
use deskreel_test_support::paths::root;
use deskreel_test_support::recorder::{Desk, Running, deskreel};

/// A folder of plugins and the list that allows them.
struct Vendor {
    folder: tempfile::TempDir,
}

impl Vendor {
    fn new() -> Vendor {
        Vendor { folder: tempfile::tempdir().unwrap() }
    }

    fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    fn compile(&self, source: &str, library: &str) {
        std::fs::create_dir_all(self.plugins()).unwrap();
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-I"])
            .arg(root().join("sdk/include"))
            .arg("-o")
            .arg(self.plugins().join(library))
            .arg(root().join(source))
            .status()
            .expect("cc runs (script/setup installs it)");
        assert!(status.success());
    }

    /// The `[plugins]` of a pipeline file that allows everything in the folder, pinned by hash.
    fn section(&self) -> String {
        let mut list = "[plugins]\n".to_owned();
        for entry in std::fs::read_dir(self.plugins()).unwrap() {
            let found = deskreel_host::examine(&entry.unwrap().path());
            list += &format!("\"{}\" = {{ sha256 = \"{}\" }}\n", found.path.display(), found.sha256);
        }
        let lock = self.folder.path().join("plugins.lock");
        std::fs::write(&lock, list).unwrap();
        format!("[plugins]\npaths = [\"{}\"]\nallow = \"{}\"\n", self.plugins().display(), lock.display())
    }
}

fn add(desk: &Desk, section: &str) {
    let text = std::fs::read_to_string(desk.pipeline()).unwrap();
    std::fs::write(desk.pipeline(), text + section).unwrap();
}

#[test]
fn source_written_in_c_is_recorded() {
    let vendor = Vendor::new();
    vendor.compile("examples/source-minimal-c/plugin.c", "libexample_source_bar.so");
    let desk = Desk::new(
        "plugin = \"example.source.bar\"\nspeed = 8\nmax_fps = 25",
        "plugin = [\"encoder.x264\", \"encoder.openh264\"]",
    );
    add(&desk, &vendor.section());
    let recording = desk.record_for(2);
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    recording.assert_verified();
    assert_eq!(recording.track().parts[0].source.plugin, "example.source.bar");
    assert!(recording.track().frames().encoded > 20);
}

#[test]
fn unlisted_libraries_are_refused_with_the_line_to_add() {
    let vendor = Vendor::new();
    vendor.compile("examples/source-minimal-c/plugin.c", "libexample_source_bar.so");
    let desk = Desk::new("plugin = \"example.source.bar\"", "plugin = \"encoder.x264\"");
    add(&desk, &format!("[plugins]\npaths = [\"{}\"]\n", vendor.plugins().display()));
    let output = deskreel().arg("record").arg(desk.pipeline()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let sha256 = deskreel_host::examine(&vendor.plugins().join("libexample_source_bar.so")).sha256;
    assert!(said.contains(&format!("{{ sha256 = \"{sha256}\" }}")), "{said}");
}

#[test]
fn a_recording_continues_without_an_encoder_that_hangs_while_loading() {
    let vendor = Vendor::new();
    vendor.compile("tests/broken-plugins/hanging-encoder.c", "libbroken_hanging_encoder.so");
    let desk = Desk::new(
        "plugin = \"source.synthetic\"\nmode = \"counter\"\nmax_fps = 10",
        "plugin = [\"broken.encoder.hanging\", \"encoder.x264\"]",
    );
    add(&desk, &vendor.section());
    let mut command = deskreel();
    command.arg("record").arg(desk.pipeline()).arg("--json");
    let mut running = Running::start(command);
    running.wait_for_event("recording");
    let recording = running.stop();
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    recording.assert_verified();
    let encoder = &recording.track().parts[0].encoder;
    assert_eq!(encoder.plugin, "encoder.x264");
    assert_eq!(encoder.refused[0].plugin, "broken.encoder.hanging");
    assert!(
        encoder.refused[0].reason.contains("did not return from loading"),
        "{}",
        encoder.refused[0].reason
    );
}
