//! Which crate may depend on which: the table in ARCHITECTURE.md against `cargo metadata`.

use std::collections::BTreeSet;
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use super::{File, assert_none, files, read, root, table};

/// The words of the table's last column: each with crates that must not be reached through any number of
/// others, and with texts that the crate's own code must not have.
const BANNED: [(&str, &[&str], &[&str]); 6] = [
    ("GStreamer", &["gstreamer", "gstreamer-sys", "glib"], &[]),
    ("HTTP", &["hyper", "reqwest", "axum", "tungstenite", "ureq"], &["TcpStream", "TcpListener"]),
    (
        "network",
        &["tokio", "hyper", "reqwest", "axum"],
        &["std::net", "TcpStream", "TcpListener", "UdpSocket"],
    ),
    ("plugin ABI", &["abi_stable", "libloading", "deskreel-sdk"], &[]),
    (
        "IO",
        &["tokio", "rustix"],
        &["std::fs", "fs::", "File::", "std::net", "std::process", "std::env", "std::thread"],
    ),
    ("clocks", &[], &["Instant", "SystemTime", "Timestamp::now", "Zoned::now"]),
];

struct Row {
    crates: String,
    may_use: Vec<String>,
    must_not: Vec<String>,
}

impl Row {
    /// `core/*` names every crate directly below that folder.
    fn is_about(&self, folder: &str) -> bool {
        match self.crates.strip_suffix("/*") {
            Some(parent) => folder.rsplit_once('/').is_some_and(|(own, _)| own == parent),
            None => self.crates == folder,
        }
    }
}

fn rows() -> Vec<Row> {
    let list = |cell: &str| -> Vec<String> {
        cell.split(',')
            .map(|word| word.trim().replace('`', ""))
            .filter(|word| word != "nothing" && !word.is_empty())
            .collect()
    };
    let rows = table(&read("ARCHITECTURE.md"), "| crate | may use (ours) | must not |");
    let row = |cells: Vec<String>| Row {
        crates: cells[0].replace('`', ""),
        may_use: list(&cells[1]),
        must_not: list(&cells[2]),
    };
    rows.into_iter().map(row).collect()
}

/// For this machine alone, since script/setup does not fetch what other systems need.
fn metadata() -> Metadata {
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let said = String::from_utf8(rustc.stdout).unwrap();
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let options = ["--offline", "--locked", "--filter-platform", host].map(str::to_owned);
    MetadataCommand::new().current_dir(root()).other_options(options.to_vec()).exec().unwrap()
}

fn folder(package: &Package) -> String {
    let folder = package.manifest_path.parent().unwrap().strip_prefix(root()).unwrap().as_str();
    if folder.is_empty() { ".".to_owned() } else { folder.to_owned() }
}

#[test]
fn each_crate_uses_only_what_its_layer_may() {
    let (metadata, rows) = (metadata(), rows());
    let members = metadata.workspace_packages();
    let mut wrong = Vec::new();
    for package in &members {
        let folder = folder(package);
        let found: Vec<&Row> = rows.iter().filter(|row| row.is_about(&folder)).collect();
        let [row] = found[..] else {
            wrong.push(format!("{folder} has {} rows in ARCHITECTURE.md", found.len()));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            let Some(ours) = members.iter().find(|member| member.name.as_str() == dependency.name) else {
                continue;
            };
            let used = self::folder(ours);
            if !row.may_use.contains(&used) {
                wrong.push(format!("{folder} uses {used}"));
            }
        }
    }
    assert_none(&wrong, "the layer table in ARCHITECTURE.md does not allow this");
}

#[test]
fn layer_table_names_only_what_there_is() {
    let metadata = metadata();
    let folders: BTreeSet<String> = metadata.workspace_packages().into_iter().map(folder).collect();
    for row in rows() {
        assert!(folders.iter().any(|folder| row.is_about(folder)), "there is no crate {}", row.crates);
        for used in &row.may_use {
            assert!(folders.contains(used), "{} may use {used}, which is no crate", row.crates);
        }
        for word in &row.must_not {
            assert!(BANNED.iter().any(|(banned, ..)| banned == word), "`{word}` is not known to this test");
        }
    }
}

#[test]
fn no_crate_reaches_what_its_layer_must_not() {
    let (metadata, sources) = (metadata(), files("rs"));
    let mut wrong = Vec::new();
    for row in rows() {
        for package in
            metadata.workspace_packages().into_iter().filter(|package| row.is_about(&folder(package)))
        {
            let (folder, reached) = (folder(package), reached(&metadata, &package.id));
            let banned = BANNED.iter().filter(|(word, ..)| row.must_not.iter().any(|own| own == word));
            for (word, crates, texts) in banned {
                let crates = crates.iter().filter(|name| reached.contains(**name));
                wrong.extend(crates.map(|name| format!("{folder}: {word}, through the crate {name}")));
                let own = sources.iter().filter(|file| file.path.starts_with(&format!("{folder}/src/")));
                wrong.extend(own.flat_map(|file| uses(file, word, texts)));
            }
        }
    }
    assert_none(&wrong, "the layer table in ARCHITECTURE.md forbids this");
}

/// Names of all crates that one is built from, without those of its tests. The search does not look into
/// `core/platform`: it stands for the operating system, and hands out no network and no plugin ABI.
fn reached(metadata: &Metadata, from: &PackageId) -> BTreeSet<String> {
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let mut open = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if id != from && metadata[id].name.as_str() == "deskreel-platform" {
            continue;
        }
        let node = nodes.iter().find(|node| node.id == *id).unwrap();
        let used = node
            .deps
            .iter()
            .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        open.extend(used.map(|dep| &dep.pkg).filter(|id| seen.insert((*id).clone())));
    }
    seen.iter().map(|id| metadata[id].name.to_string()).collect()
}

/// Unit tests, which are at the end of a file or in a file called `tests`, are exempt.
fn uses(file: &File, word: &str, texts: &[&str]) -> Vec<String> {
    if file.path.contains("/tests") || file.path.ends_with("/fixture.rs") {
        return Vec::new();
    }
    let code = file.code().take_while(|(_, line)| line != "mod tests {");
    let found = code.filter(|(_, line)| texts.iter().any(|text| line.contains(text)));
    found.map(|(number, line)| format!("{}:{number}: {word}: {}", file.path, line.trim())).collect()
}

/// The supervisor outlives every driver, so it must not even load GStreamer. Both programs are one package,
/// so their dependencies do not show it.
#[test]
fn only_the_worker_links_gstreamer() {
    let links = |program: &str| {
        let bytes = std::fs::read(program).unwrap();
        let needle = b"\0libgstreamer-1.0.so";
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    assert!(links(env!("CARGO_BIN_EXE_deskreel-worker")));
    assert!(!links(env!("CARGO_BIN_EXE_deskreel")));
}
