//! `/health` says what the next upload and the next event will meet, and a full disk keeps people in charge.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use deskreel_test_support::sealed_recording::ID;
use deskreel_test_support::server::{Server, Who};

use crate::ingest::put;

/// The problems that `/health` names; empty with a 200.
fn problems(server: &Server) -> String {
    let answer = server.get(&Who::Nobody, "/api/v1/health");
    match answer.status {
        200 => String::new(),
        503 => answer.json()["problems"].to_string(),
        other => panic!("{other}: {}", answer.text()),
    }
}

#[test]
fn storage_that_takes_no_object_is_a_problem_until_it_does() {
    let folder = Server::start().stop();
    // The object that proves that objects can be written cannot be.
    let in_the_way = folder.path().join("footage/.health/x");
    fs::create_dir_all(&in_the_way).unwrap();
    let mut server = Server::in_folder(folder);
    let line = server.wait_for_log("not healthy");
    assert!(line["problems"].as_str().unwrap().starts_with("footage cannot be stored"), "{line}");
    assert!(problems(&server).contains("footage cannot be stored"), "{}", problems(&server));
    fs::remove_dir_all(in_the_way.parent().unwrap()).unwrap();
    server.wait_for_log("healthy");
    assert_eq!(problems(&server), "");
}

#[test]
fn an_index_that_takes_no_row_is_a_problem_although_it_can_be_read() {
    if std::env::var_os("DESKREEL_TEST_POSTGRES").is_some() {
        return;
    }
    let folder = Server::start().stop();
    let index = folder.path().join("index.db");
    let run = |sql: &str| {
        let code =
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
        assert!(Command::new("python3").args(["-c", code]).arg(&index).arg(sql).status().unwrap().success());
    };
    let trigger =
        "CREATE TRIGGER full BEFORE INSERT ON health BEGIN SELECT RAISE(ABORT, 'no more rows'); END";
    run(trigger);
    let mut server = Server::in_folder(folder);
    server.wait_for_log("not healthy");
    assert!(problems(&server).contains("the index cannot be written"), "{}", problems(&server));
    run("DROP TRIGGER full");
    server.wait_for_log("healthy");
    assert_eq!(problems(&server), "");
}

#[test]
fn on_a_full_disk_footage_is_refused_and_people_stay_in_charge() {
    let mut server = Server::start_with("min_free = \"1000GB\"\n");
    server.add_user("root", &["--role", "administrator"]);
    let token = server.enrol("seat-12");
    let path = format!("/api/v1/recordings/{ID}/tracks/video/parts/1/fragments/0");
    let refused = put(&server, &token, &path, b"header");
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert!(refused.json()["detail"].as_str().unwrap().contains("min_free"), "{}", refused.text());
    let root = server.log_in("root");
    assert_eq!(server.ask(&root, "POST", "/api/v1/retention/sweep", Some(json!({}))).status, 200);
    server.wait_for_log("not healthy");
    assert!(problems(&server).contains("uploads are refused"), "{}", problems(&server));
    let metrics = server.get(&root, "/api/v1/metrics").text();
    assert!(metrics.contains("deskreel_server_healthy 0"), "{metrics}");
    assert!(metrics.contains("deskreel_server_problem{part=\"disk\"} 1"), "{metrics}");
}

#[test]
fn only_the_service_can_read_the_index() {
    if std::env::var_os("DESKREEL_TEST_POSTGRES").is_some() {
        return;
    }
    let folder = Server::start().stop();
    let mode = fs::metadata(folder.path().join("index.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
