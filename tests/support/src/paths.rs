//! The places of the repository and its build products.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Folder of the programs and libraries of this build. Test programs lie in its `deps`, other programs in
/// itself.
pub fn build_folder() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().unwrap();
    let folder = if folder.ends_with("deps") { folder.parent().unwrap() } else { folder };
    folder.to_owned()
}

/// One of our programs: `deskreel`, `deskreel-worker` or `deskreel-server`.
pub fn program(name: &str) -> PathBuf {
    built(name)
}

/// A plugin's library, `feed_jsonl` for feed.jsonl. `cargo test` does not build it.
pub fn plugin(name: &str) -> PathBuf {
    library(&format!("deskreel_{name}"))
}

/// Any library of this workspace.
pub fn library(name: &str) -> PathBuf {
    built(&format!("lib{name}.so"))
}

fn built(name: &str) -> PathBuf {
    let file = build_folder().join(name);
    assert!(file.exists(), "{} is missing: run `cargo build --workspace` first", file.display());
    file
}

/// A folder of this name below cargo's target folder, for what several tests or runs use.
pub fn shared_folder(name: &str) -> PathBuf {
    let folder = build_folder().with_file_name("tmp").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A program of script/pip-packages.txt. `script/setup` installs them.
pub fn python_program(name: &str) -> PathBuf {
    root().join("target/python/bin").join(name)
}
