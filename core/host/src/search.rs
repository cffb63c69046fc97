//! Finds plugins and learns what they are, without running any of their code.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use deskreel_contract::Descriptor;
use sha2::{Digest, Sha256};

use crate::descriptor::{self, Entry};
use crate::error::Refused;

/// A library or a `plugin.toml` that lies in a plugin folder.
#[derive(Debug, Clone)]
pub struct Found {
    pub path: PathBuf,
    /// Of the whole file, lower-case hexadecimal; empty if it could not be read.
    pub sha256: String,
    pub entry: Entry,
    pub what: Result<Descriptor, Refused>,
}

/// Where plugins are looked for, in this order: the `explicit` paths, those in `DESKREEL_PLUGIN_PATH` (separated
/// by colons), and the folders that came with this program.
pub fn default_paths(explicit: &[PathBuf]) -> Vec<PathBuf> {
    let variable = env::var_os("DESKREEL_PLUGIN_PATH").unwrap_or_default();
    let named = env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty());
    explicit.iter().cloned().chain(named).chain(shipped_folders()).collect()
}

/// The folders of the plugins that came with this program: `../lib/deskreel/plugins`, seen from the folder of the
/// executable, and in a development tree that folder itself, where cargo puts what it builds, with the tree's
/// `plugins/`, where those lie that need no building.
pub fn shipped_folders() -> Vec<PathBuf> {
    let program = env::current_exe().ok();
    program.as_deref().and_then(Path::parent).map(folders_beside).unwrap_or_default()
}

/// The same for a program that lies in this folder.
pub fn folders_beside(folder: &Path) -> Vec<PathBuf> {
    let installed = folder.join("../lib/deskreel/plugins").canonicalize().ok();
    let sources = is_cargo_output(folder).then(|| sources_of(folder)).flatten();
    let built = is_cargo_output(folder).then(|| folder.to_owned());
    installed.into_iter().chain(built).chain(sources).collect()
}

/// Every plugin in these folders and in their subfolders (one level), in order. A path may also be a file. A
/// `plugin.toml` beside a `Cargo.toml` goes into a library, and is no plugin by itself.
///
/// In a folder that cargo builds into, only `libdeskreel_*.so` counts: libraries for tests and examples are put
/// there too, and some of those are broken on purpose.
pub fn search(paths: &[PathBuf]) -> Vec<Found> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_file() {
            files.push(path.clone());
            continue;
        }
        let ours_only = is_cargo_output(path);
        for entry in sorted_entries(path) {
            if entry.is_dir() && !ours_only {
                files.extend(sorted_entries(&entry).into_iter().filter(|file| is_candidate(file, false)));
            } else if is_candidate(&entry, ours_only) {
                files.push(entry);
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    // One room for all of them, since megabytes that come and go a file at a time stay with the process for good.
    let mut room = Vec::new();
    files.iter().map(|file| examine_in(&mut room, file)).collect()
}

/// Reads one file and learns what it is.
pub fn examine(path: &Path) -> Found {
    examine_in(&mut Vec::new(), path)
}

fn examine_in(bytes: &mut Vec<u8>, path: &Path) -> Found {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    bytes.clear();
    if let Err(error) = File::open(&path).and_then(|mut file| file.read_to_end(bytes)) {
        let what = Err(Refused::Unreadable { reason: error.to_string() });
        return Found { path, sha256: String::new(), entry: Entry::None, what };
    }
    let sha256 = sha256(bytes);
    let described = if path.extension().is_some_and(|extension| extension == "toml") {
        descriptor::of_recipes(bytes).map(|descriptor| (descriptor, Entry::None))
    } else {
        descriptor::of_library(bytes)
    };
    match described {
        Ok((descriptor, entry)) => Found { path, sha256, entry, what: Ok(descriptor) },
        Err(refused) => Found { path, sha256, entry: Entry::None, what: Err(refused) },
    }
}

/// Lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By name, so that the order is the same on every machine. A folder that is not there has no entries.
fn sorted_entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn is_candidate(file: &Path, ours_only: bool) -> bool {
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    match ours_only {
        true => name.starts_with("libdeskreel_") && name.ends_with(".so"),
        false => {
            name.ends_with(".so") || (name == "plugin.toml" && !file.with_file_name("Cargo.toml").exists())
        }
    }
}

/// `plugins/` of the tree that cargo has built into this folder, wherever in the tree that is. A tree that is built
/// to somewhere else has its plugins named in `DESKREEL_PLUGIN_PATH`.
fn sources_of(output: &Path) -> Option<PathBuf> {
    let tree = output.ancestors().find(|folder| folder.join("Cargo.lock").is_file())?;
    tree.join("plugins").canonicalize().ok()
}

/// Cargo keeps its fingerprints beside what it builds.
fn is_cargo_output(folder: &Path) -> bool {
    folder.join(".fingerprint").is_dir()
}
