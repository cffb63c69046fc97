//! A vendor builds a plugin in Rust with a copy of `sdk/`, another compiler, and nothing else of this
//! repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use deskreel_contract::SourceRequest;
use deskreel_host::{HostCallbacks, LOAD_LIMIT, examine, load_with_deadline};
use deskreel_test_support::paths::{root, shared_folder};
use serde_json::{Value, json};

/// Resolved, but not built, which would compile abi_stable once more. Anything that a crate inherits from a
/// workspace fails here.
#[test]
fn copy_of_the_sdk_needs_no_workspace() {
    let folder = tempfile::tempdir().unwrap();
    copy_to(folder.path());
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--offline", "--format-version", "1"]);
    let output = cargo.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let manifest = |name: &str| {
        let package = packages.iter().find(|package| package["name"] == name).unwrap();
        PathBuf::from(package["manifest_path"].as_str().unwrap())
    };
    let copy = folder.path().canonicalize().unwrap();
    assert_eq!(manifest("deskreel-sdk"), copy.join("sdk/Cargo.toml"));
    assert_eq!(manifest("deskreel-contract"), copy.join("sdk/contract/Cargo.toml"));
}

/// Two copies of one dependency would make two types of one in the contract.
#[test]
fn dependencies_of_the_sdk_are_those_of_the_workspace() {
    let workspace = &manifest("Cargo.toml")["workspace"];
    let (sdk, contract) = (manifest("sdk/Cargo.toml"), manifest("sdk/contract/Cargo.toml"));
    for (of, toml) in [("sdk", &sdk), ("sdk/contract", &contract)] {
        let dependencies = toml["dependencies"].as_table().unwrap();
        for (name, own) in dependencies.iter().filter(|(_, own)| own.get("path").is_none()) {
            assert_eq!(Some(own), workspace["dependencies"].get(name), "{of}: {name}");
        }
        assert_eq!(toml["lints"], workspace["lints"], "{of}");
        for key in ["edition", "license", "publish"] {
            assert_eq!(toml["package"][key], workspace["package"][key], "{of}: {key}");
        }
    }
    let oldest = sdk["package"]["rust-version"].as_str().unwrap();
    let readme = std::fs::read_to_string("sdk/README.md").unwrap();
    assert!(readme.contains(&format!("Rust {oldest}")), "sdk/README.md says another Rust than {oldest}");
}

/// Built outside of the repository by nightly with randomized layouts, so that both sides can agree only on
/// the contract.
#[test]
fn a_plugin_of_another_compiler_loads() {
    let compiler = |command: &str| {
        let mut cargo = Command::new("rustup");
        cargo.args(["run", "nightly", "cargo", command]).env_remove("RUSTUP_TOOLCHAIN");
        cargo
    };
    if !compiler("--version").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no nightly toolchain (rustup toolchain install nightly)");
        return;
    }
    // The same folder each time, since cargo would build everything again in a new one, and keep it.
    let folder = shared_folder("vendor");
    copy_to(&folder);
    let mut build = compiler("build");
    build.args(["--quiet", "--offline"]).env("RUSTFLAGS", "-Zrandomize-layout");
    // Its own target folder, wherever this test was built: abi_stable takes half a minute, once.
    build.env("CARGO_TARGET_DIR", "target").current_dir(&folder);
    assert!(build.status().unwrap().success());

    let found = examine(&folder.join("target/debug/libexample_source_minimal.so"));
    let library = load_with_deadline(&found, LOAD_LIMIT).unwrap_or_else(|refused| panic!("{refused}"));
    let settings = json!({ "pattern": "snow" });
    let mut source = library.create("example.source.minimal", &settings, HostCallbacks::default()).unwrap();
    assert!(source.recipe(&SourceRequest { max_fps: 5 }).is_ok());
}

/// Copies the SDK and the smallest source to a vendor's workspace, from which they inherit nothing. The
/// versions are ours, so that nothing has to be fetched.
fn copy_to(folder: &Path) {
    for name in ["sdk", "examples/source-minimal-rust"] {
        let to = folder.join(name);
        if to.exists() {
            std::fs::remove_dir_all(&to).unwrap();
        }
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        // With the files' times, from which cargo knows that nothing changed.
        assert!(Command::new("cp").arg("-a").arg(root().join(name)).arg(to).status().unwrap().success());
    }
    let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"examples/source-minimal-rust\"]\n";
    std::fs::write(folder.join("Cargo.toml"), workspace).unwrap();
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
}

fn manifest(path: &str) -> toml::Table {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}
