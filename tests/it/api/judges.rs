//! Independent programs judge the API: Schemathesis the document and the answers, Python's `websockets` the
//! sockets.
//!
//! Both come from script/pip-packages.txt, which `script/setup` installs below `target/python`. Without them,
//! the tests report that they were skipped.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use deskreel_desk_api::Limits;
use deskreel_test_support::paths::{python_program, root};

use super::world::{PAGE, PASSWORD, TOKEN, World, basic, limited};

/// A program of the pip packages.
fn judge(name: &str) -> Option<PathBuf> {
    let path = python_program(name);
    if !path.exists() {
        eprintln!("skipped: there is no {}; run script/setup", path.display());
        return None;
    }
    Some(path)
}

fn must_pass(command: &mut Command) {
    let output = command.output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    println!("{text}");
}

/// A world whose rate limits a judge does not reach.
fn judged() -> World {
    limited(Limits { rate: 1_000_000, keys: 100_000, failures: 1_000_000, ..Limits::default() })
}

/// Rules that no schema can express: a key of one command is refused with another, and the token of programs
/// needs an agent's name beside it, while a password does not.
const SETTINGS: &str = r#"
[[operations]]
include-path-regex = "^/api/v1/(recording/.*|session)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429, "5xx"]
"#;

fn schemathesis(world: &World, headers: &[String], operations: &[&str]) {
    let Some(schemathesis) = judge("schemathesis") else { return };
    fs::write(world.folder.path().join("schemathesis.toml"), SETTINGS).unwrap();
    must_pass(
        Command::new(schemathesis)
            .arg("run")
            .arg(format!("http://{}/api/v1/openapi.json", world.address))
            .args(["--url", &format!("http://{}", world.address)])
            .args(headers.iter().flat_map(|header| ["--header", header]))
            // The same requests each time, so that findings are reproducible.
            .args(["--seed", "1", "--max-examples", "25", "--no-color", "--suppress-health-check", "all"])
            .args(operations)
            .current_dir(world.folder.path()),
    );
}

/// Excludes operations that never end, that end the session of the judge, or that need other credentials.
const OF_A_SESSION: [&str; 10] = [
    "--exclude-operation-id",
    "hearEvents",
    "--exclude-operation-id",
    "openSocket",
    "--exclude-operation-id",
    "logOut",
    "--exclude-operation-id",
    "logIn",
    "--exclude-tag",
    "classic",
];

/// For operations that do not lead to each other.
const WITHOUT_LINKS: [&str; 2] = ["--phases", "examples,coverage,fuzzing"];

#[test]
fn schemathesis_finds_nothing_with_a_session() {
    let world = judged();
    let session = world.session("ann");
    schemathesis(&world, &[format!("Authorization: {session}")], &OF_A_SESSION);
}

#[test]
fn schemathesis_finds_nothing_with_the_token_of_programs() {
    let world = judged();
    let operations = ["--include-operation-id-regex", "^(logIn|show(Status|Health|Version)|getMetrics)$"];
    let headers = [format!("Authorization: Bearer {TOKEN}")];
    schemathesis(&world, &headers, &[&operations[..], &WITHOUT_LINKS].concat());
}

#[test]
fn schemathesis_finds_nothing_in_the_classic_endpoints() {
    let world = judged();
    let headers = [format!("Authorization: {}", basic("ann", PASSWORD)), format!("Origin: {PAGE}")];
    schemathesis(&world, &headers, &[&["--include-tag", "classic"][..], &WITHOUT_LINKS].concat());
}

#[test]
fn websockets_finds_nothing() {
    let Some(python) = judge("python") else { return };
    let world = judged();
    let session = world.session("ann");
    let script = root().join("tests/it/api/websocket.py");
    must_pass(
        Command::new(python)
            .arg(script)
            .arg(world.address.to_string())
            .arg(session.strip_prefix("Bearer ").unwrap()),
    );
}
