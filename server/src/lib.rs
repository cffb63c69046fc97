//! The recording server: takes recordings in, keeps them, and shows them to the people who may see them.
//!
//! ```text
//! recorders --PUT--> api/uploads -> ingest -> store (bytes), then db (rows)       people <--GET-- api/* <- db, store
//! recorders <-link-> api/link <-> control (decides who is recorded) -> db (rows)
//! ```
//!
//! The index (`db.rs`) says what there is; the store (`store.rs`) has the bytes. Nothing here knows
//! GStreamer. Modules are in reading order; each group uses only itself and the groups below it.

// The program.
mod command;
mod import;
mod serve;

// What it offers, and what it does by itself.
mod api;
mod app;
mod retention;

// What happens to events and uploads.
mod control;
mod feeds;
mod ingest;

// Where it is kept.
mod db;
mod store;

// Pure decisions about footage.
mod about_segments;
mod manifest;
mod media;

// Nouns, and limits of what a client may use.
mod fragments;
mod limits;
mod names;
mod people;
mod segments;

// The ground floor.
mod config;
mod error;
mod metrics;
mod secret;
mod time;

pub use command::main;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    #[test]
    fn no_module_uses_a_group_above_its_own() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let text = fs::read_to_string(source.join("lib.rs")).unwrap();
        let groups = text.split("pub use").next().unwrap().split("\n\n").enumerate();
        let levels: BTreeMap<&str, usize> = groups
            .flat_map(|(level, group)| group.lines().map(move |line| (line, level)))
            .filter_map(|(line, level)| Some((line.strip_prefix("mod ")?.strip_suffix(';')?, level)))
            .collect();
        assert!(levels.len() > 20, "{levels:?}");
        for (module, level) in &levels {
            let folder = fs::read_dir(source.join(module)).into_iter().flatten();
            let inside = folder.map(|entry| entry.unwrap().path());
            for file in inside.chain([source.join(format!("{module}.rs"))]) {
                let text = fs::read_to_string(&file).unwrap();
                for used in text.split("crate::").skip(1) {
                    let used =
                        used.split(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap();
                    let is_below = levels.get(used).is_none_or(|below| below >= level);
                    assert!(is_below, "{} uses {used}", file.display());
                }
            }
        }
    }
}
