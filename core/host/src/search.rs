//! Finds plugins and reads their descriptors, without running any of their code.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use deskreel_contract::Descriptor;
use sha2::{Digest, Sha256};

use crate::descriptor::{self, EntryPoint};
use crate::error::Refusal;

/// A library or a `plugin.toml` in a plugin folder.
#[derive(Debug, Clone)]
pub struct FoundFile {
    pub path: PathBuf,
    /// Hash of the whole file in lower-case hexadecimal; empty if it could not be read.
    pub sha256: String,
    pub entry: EntryPoint,
    pub descriptor: Result<Descriptor, Refusal>,
}

/// The paths to search for plugins, in this order: the `explicit` ones, those in `DESKREEL_PLUGIN_PATH`
/// (separated by colons), and the folders that came with this program.
pub fn default_paths(explicit: &[PathBuf]) -> Vec<PathBuf> {
    let variable = env::var_os("DESKREEL_PLUGIN_PATH").unwrap_or_default();
    let named = env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty());
    explicit.iter().cloned().chain(named).chain(shipped_folders()).collect()
}

/// The folders of the plugins that came with this program: `../lib/deskreel/plugins`, relative to the folder
/// of the executable. In a development tree also that folder itself, into which cargo builds, and the tree's
/// `plugins/`, for the plugins that need no building.
pub fn shipped_folders() -> Vec<PathBuf> {
    let program = env::current_exe().ok();
    program.as_deref().and_then(Path::parent).map(folders_beside).unwrap_or_default()
}

/// The same for a program in this folder.
pub fn folders_beside(folder: &Path) -> Vec<PathBuf> {
    let installed = folder.join("../lib/deskreel/plugins").canonicalize().ok();
    let sources = is_cargo_output(folder).then(|| sources_of(folder)).flatten();
    let built = is_cargo_output(folder).then(|| folder.to_owned());
    installed.into_iter().chain(built).chain(sources).collect()
}

/// Finds every plugin in these folders and in their subfolders (one level), in order. A path may also be a
/// file. A `plugin.toml` beside a `Cargo.toml` becomes part of a library, and is not a plugin by itself.
///
/// In a folder that cargo builds into, only `libdeskreel_*.so` counts: cargo also puts libraries for tests
/// and examples there, and some of those are broken on purpose.
pub fn search(paths: &[PathBuf]) -> Vec<FoundFile> {
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
    // One buffer for all of them: memory that is allocated and freed per file would stay with the process.
    let mut buffer = Vec::new();
    files.iter().map(|file| examine_in(&mut buffer, file)).collect()
}

/// Reads one file and its descriptor.
pub fn examine(path: &Path) -> FoundFile {
    examine_in(&mut Vec::new(), path)
}

fn examine_in(bytes: &mut Vec<u8>, path: &Path) -> FoundFile {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    bytes.clear();
    if let Err(error) = File::open(&path).and_then(|mut file| file.read_to_end(bytes)) {
        let descriptor = Err(Refusal::Unreadable { reason: error.to_string() });
        return FoundFile { path, sha256: String::new(), entry: EntryPoint::None, descriptor };
    }
    let sha256 = sha256(bytes);
    let described = if path.extension().is_some_and(|extension| extension == "toml") {
        descriptor::read_recipes(bytes).map(|descriptor| (descriptor, EntryPoint::None))
    } else {
        descriptor::read_library(bytes)
    };
    match described {
        Ok((descriptor, entry)) => FoundFile { path, sha256, entry, descriptor: Ok(descriptor) },
        Err(refused) => FoundFile { path, sha256, entry: EntryPoint::None, descriptor: Err(refused) },
    }
}

/// The hash in lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Sorted by name, so that the order is the same on every machine. Empty if the folder does not exist.
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

/// `plugins/` of the tree that contains this build folder. A tree that is built into a folder elsewhere names
/// its plugins in `DESKREEL_PLUGIN_PATH`.
fn sources_of(output: &Path) -> Option<PathBuf> {
    let tree = output.ancestors().find(|folder| folder.join("Cargo.lock").is_file())?;
    tree.join("plugins").canonicalize().ok()
}

/// Cargo keeps its fingerprints beside its output.
fn is_cargo_output(folder: &Path) -> bool {
    folder.join(".fingerprint").is_dir()
}
