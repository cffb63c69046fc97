//! What the fuzzers found interesting, run again. `tests/fuzz` has the fuzzers; tests/README.md says how to run them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "fuzz/targets.rs"]
mod targets;

use std::path::Path;

#[test]
fn corpus_is_run_without_a_panic() {
    for (name, run) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() > 5, "{name} has a corpus");
        for file in files {
            run(&std::fs::read(file).unwrap());
        }
    }
}
