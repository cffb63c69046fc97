//! Runs the inputs in `tests/fuzz/corpus`, which the fuzzers there have found (tests/README.md).

#[path = "../fuzz/targets.rs"]
mod targets;

use deskreel_test_support::paths::root;

#[test]
fn corpus_is_run_without_a_panic() {
    for (name, run) in targets::TARGETS {
        let folder = root().join("tests/fuzz/corpus").join(name);
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() > 5, "{name} has a corpus");
        for file in files {
            run(&std::fs::read(file).unwrap());
        }
    }
}
