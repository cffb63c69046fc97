//! Who sits where: a recorder that refuses an agent who does not sit at it, and two recorders at one place.

use serde_json::{Value, json};

use crate::links::{Line, Site, commands, idle, records, until, with_type};
use deskreel_test_support::server::Server;

fn seats(agent: &str) -> Value {
    let mut status = idle();
    status["agent"] = json!(agent);
    status
}

fn refuse(line: &mut Line, command: &Value, seated: &str) {
    line.say(json!({
        "type": "answer", "id": command["id"], "result": "refused", "refusal": "other",
        "message": format!("{seated} is logged in at seat-12, not ann"), "seated": seated,
    }));
}

/// The recorder at seat-12 that a second one there is told about.
fn occupied_by(said: &[Value]) -> &str {
    said[0]["occupied_by"].as_str().unwrap_or("")
}

fn overview(site: &Site, is: impl Fn(&Value) -> bool) {
    until(site, "/recorders", |found| found["recorders"].as_array().unwrap().iter().any(&is));
}

#[test]
fn a_refusal_is_the_reason_of_the_missing_footage_until_the_agent_sits_there() {
    let site = Site::new();
    let (mut line, _) = site.greet(&site.ann, seats("bob"));
    site.call("ann", "seat-12", "77");
    let start = line.command();
    assert_eq!((&start["kind"], &start["agent"]), (&json!("start"), &json!("ann")));
    refuse(&mut line, &start, "bob");
    let first = |found: &Value| found["segments"][0].clone();
    until(&site, "/interactions/77", |found| {
        let segment = first(found);
        segment["recording"].is_null()
            && segment["account"][0]["why"] == "bob is logged in at seat-12, not ann"
            && segment["account"][0]["state"] == "missing"
    });
    let missing = site.get("/completeness")["missing"][0]["why"].clone();
    assert_eq!(missing, "bob is logged in at seat-12, not ann");
    // He still sits there; then she does.
    line.say(with_type("status", seats("bob")));
    assert!(commands(&line.settle()).is_empty());
    line.say(with_type("status", seats("ann")));
    let again = line.command();
    assert_eq!((&again["kind"], &again["agent"]), (&json!("start"), &json!("ann")));
    line.say(json!({ "type": "answer", "id": again["id"], "result": "done" }));
    line.say(with_type("status", records(&again["recording"], "ann")));
    line.settle();
    until(&site, "/interactions/77", |found| first(found)["recording"] == again["recording"]);
}

#[test]
fn a_second_recorder_at_a_place_is_told_and_not_commanded() {
    let site = Site::new();
    let second = site.server.enrol("seat-12");
    let (mut one, said) = site.greet(&site.ann, idle());
    assert_eq!(occupied_by(&said), "");
    // It began before it was told, and ends.
    let foreign = json!("20260105T090000Z-000008");
    let (mut other, said) = site.greet(&second, records(&foreign, "ann"));
    assert!(occupied_by(&said).starts_with("pc ("), "{said:?}");
    let [stop] = commands(&said)[..] else { panic!("one command: {said:?}") };
    assert_eq!((&stop["kind"], &stop["recording"]), (&json!("stop"), &foreign));
    overview(&site, |one| one["occupied_by"].as_str().is_some_and(|text| text.starts_with("pc (")));
    other.say(json!({ "type": "answer", "id": stop["id"], "result": "done" }));
    other.say(with_type("status", idle()));

    site.call("ann", "seat-12", "77");
    let start = one.command();
    assert_eq!(start["kind"], "start");
    assert!(commands(&other.settle()).is_empty());
    // A short break of the first one's line changes nothing, nor does that of the second.
    drop((one, other));
    let (mut other, said) = site.greet(&second, idle());
    assert!(occupied_by(&said).starts_with("pc ("), "{said:?}");
    let (mut one, said) = site.greet(&site.ann, records(&start["recording"], "ann"));
    assert_eq!((occupied_by(&said), commands(&said).iter().any(|one| one["kind"] == "stop")), ("", false));
    site.tell(&[json!({ "type": "call.cleared", "agent": "ann", "call": "77" })]);
    assert_eq!(one.command()["kind"], "stop");
    assert!(commands(&other.settle()).is_empty());
}

#[test]
fn a_recorder_that_records_goes_before_one_that_connects_first_after_a_restart() {
    let site = Site::new();
    let second = site.server.enrol("seat-12");
    let (mut one, _) = site.greet(&site.ann, idle());
    site.call("ann", "seat-12", "77");
    let start = one.command();
    one.say(json!({ "type": "answer", "id": start["id"], "result": "done" }));
    let running = records(&start["recording"], "ann");
    one.say(with_type("status", running.clone()));
    one.settle();
    until(&site, "/live", |found| found["recordings"].as_array().unwrap().len() == 1);
    let site = Site { server: Server::in_folder(site.server.kill()), ..site };
    let (other, said) = site.greet(&second, idle());
    assert_eq!(occupied_by(&said), "");
    let (mut one, said) = site.greet(&site.ann, running);
    assert_eq!(occupied_by(&said), "");
    assert!(other.ends(), "it has to connect again, to be told");
    assert!(commands(&one.settle()).iter().all(|one| one["kind"] != "stop"));
    let (_other, said) = site.greet(&second, idle());
    assert!(occupied_by(&said).starts_with("pc ("), "{said:?}");
}
