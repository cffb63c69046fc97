//! Laws of Rust files, each with its exceptions.

use std::collections::BTreeMap;

use super::{File, assert_none, files, read, words};

/// Files of more than 600 lines, each with the reason why it is not split.
const LONG: [(&str, &str); 0] = [];

/// Where `unsafe` may occur.
const UNSAFE: [&str; 7] = [
    "sdk/",
    "core/host/src/c_adapter.rs",
    "core/host/src/open_library.rs",
    "core/platform/src/library",
    "plugins/source-x11/src/xlib.rs",
    "tests/broken-plugins/changed-layout/",
    "tests/broken-plugins/no-entry/",
];

#[test]
fn files_are_short() {
    let files = files("rs");
    let mut lines: Vec<usize> = files.iter().map(|file| file.text.lines().count()).collect();
    lines.sort_unstable();
    let (median, p90) = (lines[lines.len() / 2], lines[lines.len() * 9 / 10]);
    println!("{} files, median {median} lines, nine of ten at most {p90}", lines.len());
    assert!(p90 <= 400, "nine of ten files have at most {p90} lines, 400 are aimed at");
    let long = files.iter().filter(|file| file.text.lines().count() > 600);
    let unexplained = long.filter(|file| !LONG.iter().any(|(path, _)| *path == file.path));
    let unexplained: Vec<String> = unexplained.map(|file| file.path.clone()).collect();
    assert_none(&unexplained, "over 600 lines, and no reason in this test");
}

#[test]
fn unsafe_stays_where_it_must_be() {
    let mut wrong = Vec::new();
    for file in files("rs").iter().filter(|file| !file.is_in(&UNSAFE)) {
        wrong.extend(found(file, |line| words(line).any(|word| word == "unsafe")));
    }
    assert_none(&wrong, "`unsafe` outside of the places that tests/tidy/sources.rs names");
}

#[test]
fn each_unsafe_block_says_why_it_is_safe() {
    let mut wrong = Vec::new();
    for file in files("rs") {
        let lines: Vec<&str> = file.text.lines().collect();
        for (number, line) in
            file.code().filter(|(_, line)| line.contains("unsafe {") || line.contains("unsafe impl"))
        {
            // A comment of a few lines, then the start of a statement of a few lines.
            let before = &lines[number.saturating_sub(7)..number];
            if !before.iter().any(|line| line.contains("SAFETY:")) {
                wrong.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none(&wrong, "`unsafe` without `SAFETY:`");
}

#[test]
fn only_build_makes_elements() {
    let makes = [
        "ElementFactory::make",
        "ElementFactory::create",
        "factory.create(",
        "gst::parse",
        "AppSrc::builder()",
    ];
    // The lab's element makes the encoder whose output it spoils.
    only_in(&["core/engine/src/build.rs", "tests/lab/src/element/imp.rs"], &makes, "an element is made");
}

#[test]
fn only_bus_and_decode_read_a_bus() {
    let reads = [".bus()", "BusSyncReply", "timed_pop", "add_watch", "iter_timed"];
    only_in(&["core/engine/src/bus.rs", "core/engine/src/probe/decode.rs"], &reads, "a bus is read");
}

#[test]
fn only_render_draws_diagnostics() {
    only_in(&["core/deployment/src/render.rs"], &["annotate_snippets"], "diagnostics are drawn");
}

/// All differences between operating systems are in one crate.
#[test]
fn only_platform_asks_for_the_operating_system() {
    let systems = ["unix", "windows", "target_os", "target_family"];
    let asks = |line: &str| {
        let conditions = line
            .split("cfg")
            .skip(1)
            .filter(|rest| rest.starts_with(['(', '!']) || rest.starts_with("_attr("));
        conditions.flat_map(words).any(|word| systems.contains(&word))
    };
    let mut wrong = Vec::new();
    for file in files("rs").iter().filter(|file| !file.path.starts_with("core/platform/")) {
        wrong.extend(found(file, asks));
    }
    assert_none(&wrong, "the operating system is asked for outside of core/platform");
}

/// Calls of one operating system's interfaces are in `core/platform`. The exceptions are about Linux by their
/// subject, or plugins, which may use only the SDK.
#[test]
fn only_platform_calls_one_operating_system() {
    let calls =
        ["std::os::unix", "std::os::linux", "std::os::fd", "rustix::", "signal::unix", "sd_notify", "zbus::"];
    let places = [
        "core/platform/",
        "core/machine/",
        "plugins/feed-jsonl/",
        "plugins/sink-command/",
        "plugins/source-x11/",
        "tests/",
        "sdk/tests/",
    ];
    let mut wrong = Vec::new();
    for file in files("rs").iter().filter(|file| !file.is_in(&places) && !file.path.contains("/tests")) {
        let code = file.code().take_while(|(_, line)| line != "mod tests {");
        let called = code.filter(|(_, line)| calls.iter().any(|call| line.contains(call)));
        wrong.extend(called.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    assert_none(&wrong, "one operating system is called outside of core/platform");
}

/// `server/src/lib.rs` lists its modules in groups, the highest first. A module uses its own group and lower
/// ones.
#[test]
fn no_module_of_the_server_uses_a_group_above_its_own() {
    let text = read("server/src/lib.rs");
    let groups = text.split("pub use").next().unwrap().split("\n\n").enumerate();
    let levels: BTreeMap<&str, usize> = groups
        .flat_map(|(level, group)| group.lines().map(move |line| (line, level)))
        .filter_map(|(line, level)| Some((line.strip_prefix("mod ")?.strip_suffix(';')?, level)))
        .collect();
    assert!(levels.len() > 20, "{levels:?}");
    let mut wrong = Vec::new();
    for file in files("rs") {
        let Some(path) = file.path.strip_prefix("server/src/") else { continue };
        let Some(level) = path.split(['/', '.']).next().and_then(|module| levels.get(module)) else {
            continue;
        };
        for used in file.text.split("crate::").skip(1) {
            let used = used.split(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap();
            if levels.get(used).is_some_and(|used| used < level) {
                wrong.push(format!("{} uses {used}", file.path));
            }
        }
    }
    assert_none(&wrong, "a module of the server uses one above its own group");
}

/// Every public item of tests/support is used outside of its file. The compiler does not check that.
#[test]
fn test_support_is_used() {
    let sources = files("rs");
    let mut wrong = Vec::new();
    for file in sources.iter().filter(|file| file.is_in(&["tests/support/src/"])) {
        for (number, line) in file.code() {
            let Some(rest) = line.trim_start().strip_prefix("pub ") else { continue };
            let Some(name) = words(rest).nth(1).filter(|_| !rest.starts_with("mod ") && !rest.contains(':'))
            else {
                continue;
            };
            let others = sources.iter().filter(|other| other.path != file.path);
            if !others.flat_map(|other| words(&other.text)).any(|word| word == name) {
                wrong.push(format!("{}:{number}: {name}", file.path));
            }
        }
    }
    assert_none(&wrong, "test equipment that no test uses");
}

/// A test that sleeps is slow on a fast machine and wrong on a slow one.
#[test]
fn tests_wait_for_events_and_not_for_time() {
    let sleeps = ["thread::sleep", "time::sleep(", "park_timeout"];
    // Discards what it has waited for.
    let is_sleep = |line: &str| {
        sleeps.iter().any(|sleep| line.contains(sleep))
            || line.contains("recv_timeout(") && (line.contains("let _ =") || line.contains("drop("))
    };
    let mut wrong = Vec::new();
    for file in files("rs") {
        let is_test =
            file.is_in(&["tests/"]) || file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
        let tests = file.code().skip_while(|(_, line)| !is_test && line != "mod tests {");
        let found = tests.filter(|(_, line)| is_sleep(line));
        wrong.extend(found.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    assert_none(&wrong, "a test sleeps");
}

#[test]
fn no_test_is_left_out() {
    only_in(&[], &["#[ignore", "should_panic"], "a test is left out or cannot say why it fails");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TODO", "FIXME", "XXX", "HACK"].map(|mark| format!("{mark}:"));
    let mut wrong = Vec::new();
    for file in ["rs", "md", "toml", "c", "h"].iter().flat_map(|extension| files(extension)) {
        let lines = file.text.lines().enumerate();
        let marked = lines.filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
        wrong.extend(marked.map(|(index, line)| format!("{}:{}: {}", file.path, index + 1, line.trim())));
    }
    assert_none(&wrong, "finish it, or write it into an issue");
}

/// Asserts that only files in these places have code with one of these texts.
fn only_in(places: &[&str], texts: &[&str], rule: &str) {
    let sources = files("rs");
    let mut wrong = Vec::new();
    for file in &sources {
        if !file.is_in(places) {
            wrong.extend(found(file, |line| texts.iter().any(|text| line.contains(text))));
        }
    }
    assert_none(&wrong, &format!("{rule} outside of {places:?}"));
    for place in places {
        let there =
            |file: &File| !found(file, |line| texts.iter().any(|text| line.contains(text))).is_empty();
        assert!(
            sources.iter().any(|file| file.path == *place && there(file)),
            "{rule}: not in {place} any more"
        );
    }
}

fn found(file: &File, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = file.code().filter(|(_, line)| wanted(line));
    lines.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())).collect()
}
