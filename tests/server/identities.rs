//! Names of agents in events: imported, unresolved, assigned, and the mapping redone from the events.

use serde_json::{Value, json};

use crate::links::{Line, Site, idle, records, until};

fn device(kind: &str, call: &str, device: &str) -> Value {
    json!({ "type": kind, "call": call, "device": device })
}

fn seated(site: &Site) -> Line {
    let (line, _) = site.greet(&site.ann, idle());
    site.tell(&[json!({ "type": "agent.logged_in", "agent": "ann", "place": "seat-12" })]);
    line
}

fn wait_for_unresolved(site: &Site, events: u64) {
    until(site, "/identities", |found| {
        let unresolved = found["unresolved"].as_array().unwrap();
        unresolved.iter().map(|one| one["events"].as_u64().unwrap()).sum::<u64>() == events
    });
}

fn assign(site: &Site, body: Value) -> u16 {
    site.server.ask(&site.root, "POST", "/api/v1/identities", Some(body)).status
}

fn segments(site: &Site, interaction: &str) -> Vec<Value> {
    let found = site.server.get(&site.root, &format!("/api/v1/interactions/{interaction}"));
    if found.status == 404 {
        return Vec::new();
    }
    found.json()["segments"].as_array().unwrap().clone()
}

#[test]
fn a_device_that_nobody_knows_is_counted_and_assigned_and_its_calls_are_mapped_again() {
    let site = Site::new();
    let mut line = seated(&site);
    site.tell(&[device("call.established", "76", "PJSIP/4711")]);
    // An event is final, and so counted, after a second: long enough for a segment.
    wait_for_unresolved(&site, 1);
    site.tell(&[device("call.cleared", "76", "PJSIP/4711"), device("call.established", "77", "PJSIP/4711")]);
    wait_for_unresolved(&site, 3);
    let found = site.get("/identities");
    let one = &found["unresolved"][0];
    assert_eq!(
        (&one["kind"], &one["name"], &one["feed"]),
        (&json!("device"), &json!("PJSIP/4711"), &json!("api"))
    );
    let metrics = site.server.get(&site.root, "/api/v1/metrics").text().to_owned();
    assert!(metrics.contains("deskreel_server_unresolved_names 1\n"), "{metrics}");
    assert!(metrics.contains("deskreel_server_unresolved_events 3\n"), "{metrics}");
    assert_eq!(site.get("/interactions")["interactions"], json!([]));

    assert_eq!(assign(&site, json!({ "kind": "device", "name": "pjsip/4711", "agent": "ann" })), 204);
    // The call that goes on is recorded from now on, and both are mapped.
    let start = line.command();
    assert_eq!((&start["kind"], &start["agent"]), (&json!("start"), &json!("ann")));
    wait_for_unresolved(&site, 0);
    line.say(json!({ "type": "answer", "id": start["id"], "result": "done" }));
    let running = records(&start["recording"], "ann");
    line.say(crate::links::with_type("status", running));
    let past = segments(&site, "76");
    assert_eq!(past.len(), 1, "{past:#?}");
    assert_eq!((&past[0]["agent"], &past[0]["recording"]), (&json!("ann"), &Value::Null));
    assert_eq!(past[0]["account"][0]["why"], "its events named no known agent then");
    until(&site, "/interactions/77", |found| {
        let segments = found["segments"].as_array().unwrap();
        segments.iter().any(|segment| segment["recording"] == start["recording"])
    });
    site.tell(&[device("call.cleared", "77", "PJSIP/4711")]);
    assert_eq!(line.command()["kind"], "stop");
    // From now on, the device is hers in whatever way it is written.
    site.tell(&[device("call.established", "78", "sip:4711")]);
    // The stop has no answer, so it may come again.
    let next = std::iter::repeat_with(|| line.command()).find(|command| command["kind"] != "stop");
    assert_eq!(next.unwrap()["agent"], "ann");

    let agents = site.get("/agents");
    assert_eq!(agents["agents"][0]["devices"], json!(["pjsip/4711"]));
    let audit = site.get("/audit");
    for what in ["name_assigned", "mapping_redone"] {
        assert!(audit["entries"].as_array().unwrap().iter().any(|one| one["what"] == what), "{audit:#}");
    }
    // Once more changes nothing; taken back, the device means nobody again.
    assert_eq!(assign(&site, json!({ "kind": "device", "name": "pjsip/4711", "agent": "ann" })), 204);
    assert_eq!(assign(&site, json!({ "kind": "device", "name": "pjsip/4711" })), 204);
    assert_eq!(assign(&site, json!({ "kind": "device", "name": "pjsip/4711" })), 404);
    assert_eq!(segments(&site, "76").len(), 1);
}

#[test]
fn a_redo_keeps_the_segments_of_others_and_leaves_deleted_interactions_deleted() {
    let site = Site::new();
    let (_bob, _) = site.greet(&site.bob, idle());
    let _ann = seated(&site);
    site.call("bob", "seat-13", "80");
    let call = |device_name: &str, call: &str| {
        site.tell(&[device("call.established", call, device_name)]);
        wait_for_unresolved(&site, 1);
        site.tell(&[device("call.cleared", call, device_name)]);
        wait_for_unresolved(&site, 2);
        let body = json!({ "kind": "device", "name": device_name, "agent": "ann" });
        assert_eq!(assign(&site, body), 204);
        wait_for_unresolved(&site, 0);
        assert_eq!(segments(&site, call).len(), 1, "{call}");
    };
    call("4711", "81");
    let of_bob = segments(&site, "80");
    let deleted = site.server.ask(&site.root, "DELETE", "/api/v1/interactions/81", None);
    assert!((200..300).contains(&deleted.status), "{}", deleted.text());
    // The same span again, for another name of hers.
    call("4712", "82");
    assert!(segments(&site, "81").is_empty());
    let ids = |segments: &[Value]| segments.iter().map(|one| one["recording"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&segments(&site, "80")), ids(&of_bob));
}

#[test]
fn an_import_names_the_agents_that_claim_the_same_name() {
    let site = Site::new();
    let agents = json!([
        { "agent": "ann", "aliases": ["a.lee@x.com", "lee"], "devices": ["4711"] },
        { "agent": "bob", "aliases": ["LEE"], "devices": [] },
    ]);
    let answer = site.server.ask(&site.root, "POST", "/api/v1/agents", Some(agents));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let conflicts = answer.json()["conflicts"].clone();
    assert_eq!(conflicts[0]["text"], "the name `lee` belongs to ann and bob; leave it with one of them");
    assert_eq!(site.get("/identities")["conflicts"], conflicts);
    let agents = json!({ "agent": "bob", "aliases": ["b.lee"] });
    assert_eq!(site.server.ask(&site.root, "POST", "/api/v1/agents", Some(agents)).status, 204);
    assert_eq!(site.get("/identities")["conflicts"], json!([]));
    // Any feed may write the agent in any of these ways.
    let (mut line, _) = site.greet(&site.ann, idle());
    site.call("A.LEE@x.com", "seat-12", "77");
    assert_eq!(line.command()["agent"], "ann");
}
