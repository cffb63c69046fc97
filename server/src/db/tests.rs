//! Reads rows of every kind from an SQLite index, so that a wrong column name shows here. tests/server checks
//! their content, on PostgreSQL too.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use deskreel_contract::Role as SegmentRole;
use deskreel_model::link::{EventStreamId, RecorderStatus, RunningRecording};
use deskreel_model::segment::{Footage, Segment, Tag};
use deskreel_model::{AgentId, InteractionId, RecordingId, Utc};

use crate::account::coverage::Coverage;
use crate::db::Db;
use crate::db::annotations::{Note, note_id};
use crate::db::deletion::Deletion;
use crate::db::directory::{Directory, DirectoryAgent, DirectoryGroup, DirectoryPlace};
use crate::db::events::{ReceivedEvent, StreamPosition, event_ids};
use crate::db::footage::NewFootage;
use crate::db::interactions::{Filter, HasFootage};
use crate::db::recorders::Recorder;
use crate::db::retention::Rule;
use crate::db::scope::Scope;
use crate::db::uploads::{FileStart, FragmentOutcome, NewFragment};
use crate::fragments::{FragmentName, FragmentTimes, StoredFragment};
use crate::manifest::About;
use crate::names::known_recording;
use crate::people::{Person, Role};
use crate::segments::Stretch;
use crate::time::{now_ms, to_ms};
use deskreel_interaction::CallSummary;

async fn index(folder: &tempfile::TempDir) -> Db {
    Db::open(&format!("sqlite://{}/index.db", folder.path().display())).await.unwrap()
}

fn recording(name: &str) -> RecordingId {
    known_recording(name).unwrap()
}

fn person(name: &str, role: Role) -> Person {
    let (groups, agent) = (vec!["sales".to_owned()], Some("ann".into()));
    Person { name: name.to_owned().into(), role, groups, agent, csrf: None }
}

fn fragment(number: u32) -> StoredFragment {
    let start_ns = u64::from(number - 1) * 4_000_000_000;
    let times = FragmentTimes { start_ns, duration_ns: 4_000_000_000, keyframe: true };
    let name = FragmentName { track: "video".to_owned(), part: 1, number };
    StoredFragment { name, size: 100, sha256: format!("digest-{number}"), times: Some(times) }
}

/// Two fragments of a recording, with the `about` of a call of Ann.
async fn upload(db: &Db, recorder: &Recorder, id: &RecordingId) {
    let mut write = db.write().await.unwrap();
    for number in [1, 2] {
        let (recorder, recording) = (recorder.clone(), id.clone());
        let new = NewFragment { recorder, recording, fragment: fragment(number), file: None };
        assert_eq!(write.add_fragment(&new).await.unwrap(), FragmentOutcome::New);
        assert_eq!(write.add_fragment(&new).await.unwrap(), FragmentOutcome::Same);
    }
    let about = r#"{"agent":"ann","calls":["77"],"tags":{"queue":"loans"}}"#;
    assert!(!write.set_about(id, about).await.unwrap());
    assert!(write.set_about(id, about).await.unwrap());
    let about: About = serde_json::from_str(about).unwrap();
    write.describe(id, about.agent.as_ref(), None, (Some(1_000), Some(9_000), None)).await.unwrap();
    write.apply_about(id, &about).await.unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn a_recording_is_live_while_its_link_says_so_or_its_newest_footage_is_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let db = index(&folder).await;
    let (recorder, _) = db.enrol(&"seat-12".into()).await.unwrap();
    let started = now_ms() - 100_000;
    let id = RecordingId::new(Utc(jiff::Timestamp::from_millisecond(started).unwrap()), 1);
    let add = async |number: u32, end_ms: u64| {
        let times = FragmentTimes { start_ns: 0, duration_ns: end_ms * 1_000_000, keyframe: true };
        let fragment = StoredFragment { times: Some(times), ..fragment(number) };
        let mut write = db.write().await.unwrap();
        let new = NewFragment { recorder: recorder.clone(), recording: id.clone(), fragment, file: None };
        write.add_fragment(&new).await.unwrap();
        write.commit().await.unwrap();
    };
    let is_live = async || {
        let listed = db.live(&Scope::All).await.unwrap().len() == 1;
        assert_eq!(db.recording(&id).await.unwrap().unwrap().live(), listed);
        listed
    };
    let report = async |recordings: &[RecordingId]| {
        let running = |recording: &RecordingId| RunningRecording {
            recording: recording.clone(),
            agent: "ann".into(),
            capture: Default::default(),
            since: Utc(jiff::Timestamp::from_millisecond(started).unwrap()),
        };
        let status =
            RecorderStatus { recordings: recordings.iter().map(running).collect(), ..Default::default() };
        let mut write = db.write().await.unwrap();
        write.set_status(&recorder.id, &status).await.unwrap();
        write.commit().await.unwrap();
    };

    // A backlog that arrives now is not live, footage of now is.
    add(1, 1000).await;
    add(2, 50_000).await;
    assert!(!is_live().await);
    add(3, 99_000).await;
    assert!(is_live().await);
    add(4, 200_000).await;
    assert!(!is_live().await, "footage of the future");

    report(std::slice::from_ref(&id)).await;
    assert!(is_live().await);
    report(&[]).await;
    assert!(!is_live().await);
    report(std::slice::from_ref(&id)).await;
    let mut write = db.write().await.unwrap();
    write.set_presence(&recorder.id, None, None).await.unwrap();
    write.commit().await.unwrap();
    assert!(!is_live().await, "its line is lost");
    report(std::slice::from_ref(&id)).await;
    db.forget_links().await.unwrap();
    assert!(!is_live().await, "the server has just started");

    report(std::slice::from_ref(&id)).await;
    let mut write = db.write().await.unwrap();
    write.describe(&id, None, None, (None, None, Some(started + 90_000))).await.unwrap();
    write.commit().await.unwrap();
    assert!(!is_live().await, "its `about` has an end");
}

#[tokio::test]
async fn rows_of_recorders_and_people_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let db = index(&folder).await;
    let (recorder, token) = db.enrol(&"seat-12".into()).await.unwrap();
    assert_eq!(db.recorder_of_token(&token).await.unwrap().as_ref(), Some(&recorder));
    let code = db.add_enrolment(&"seat-13".into()).await.unwrap();
    assert_eq!(db.redeem(&code).await.unwrap().unwrap().0.place.as_str(), "seat-13");
    assert!(db.redeem(&code).await.unwrap().is_none());
    assert_eq!(db.places_of_recorders().await.unwrap().len(), 2);

    assert_eq!(db.stored_stream(&recorder.id).await.unwrap(), None);
    let (ids, stream) = (event_ids(1, 6).unwrap(), EventStreamId("s-1".into()));
    let body = r#"{"type":"agent.logged_out","at":"2026-01-05T09:00:00.000Z","agent":"ann"}"#;
    let event = ReceivedEvent { id: ids[0].clone(), feed: "api", received: 6, at: Some(5), body };
    let position = StreamPosition { recorder: &recorder.id, stream: &stream, number: 3 };
    db.store_events(&[event], &[position]).await.unwrap();
    assert_eq!(db.stored_stream(&recorder.id).await.unwrap(), Some((stream, 3)));
    let [(event, received)] = &db.events_since(6, 6).await.unwrap()[..] else { panic!("one event") };
    assert_eq!((to_ms(event.at), to_ms(*received), &*event.json), (5, 6, body));
    assert_eq!(db.events_since(7, 7).await.unwrap(), []);
    assert_eq!(db.events_since(5, 5).await.unwrap(), [], "from the future");

    let mut write = db.write().await.unwrap();
    write.set_presence(&recorder.id, Some("1.0"), None).await.unwrap();
    write.set_status(&recorder.id, &RecorderStatus::default()).await.unwrap();
    write.commit().await.unwrap();
    let listed = db.recorders().await.unwrap();
    assert_eq!(
        (listed[0].version.as_deref(), listed[0].connected, listed[1].connected),
        (Some("1.0"), true, false)
    );

    let user = person("root", Role::Supervisor);
    assert!(db.add_user(&user, "correct horse").await.unwrap());
    assert_eq!(db.users().await.unwrap(), std::slice::from_ref(&user));
    assert_eq!(db.log_in(&user.name, "correct horse").await.unwrap(), Some(user.clone()));
    assert_eq!(db.log_in(&user.name, "wrong").await.unwrap(), None);
    let session = db.begin_session(&user.name).await.unwrap();
    assert_eq!(db.session(&session.token).await.unwrap().unwrap().csrf, Some(session.csrf));
    let program = db.add_token(&user).await.unwrap();
    assert_eq!(db.program(&program.token).await.unwrap(), Some(user.clone()));
    assert!(db.revoke_token(&program.id).await.unwrap());
    db.audit("root", "saw", "i-1", Some("detail")).await.unwrap();
    let entries = db.audit_entries(Some("i-1"), None, 10).await.unwrap();
    assert_eq!((entries[0].who.as_str(), entries[0].detail.as_deref()), ("root", Some("detail")));
}

#[tokio::test]
async fn rows_of_recordings_and_interactions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let db = index(&folder).await;
    let (recorder, _) = db.enrol(&"seat-12".into()).await.unwrap();
    let id = recording("20260105T090000Z-000001");
    upload(&db, &recorder, &id).await;

    assert_eq!(db.fragments(&id).await.unwrap(), [fragment(1), fragment(2)]);
    assert_eq!(db.fragment(&id, &fragment(2).name).await.unwrap(), Some(fragment(2)));
    assert_eq!(db.fragments_between(&id, &fragment(1).name, 2).await.unwrap().len(), 2);
    let (state, digest) = db.state_and_digest(&id, &fragment(1).name).await.unwrap().unwrap();
    assert_eq!((Some(state), digest.as_deref()), (db.state(&id).await.unwrap(), Some("digest-1")));
    let row = db.recording(&id).await.unwrap().unwrap();
    assert_eq!(
        (row.agent, row.started, row.ended, row.bytes),
        (Some("ann".into()), Some(1_000), Some(9_000), 200)
    );
    assert!(db.documents(&id).await.unwrap().about.is_some());
    assert_eq!((db.counts().await.unwrap().open, db.open_bytes(&recorder.id).await.unwrap()), (1, 200));

    let directory = Directory {
        agents: vec![DirectoryAgent {
            agent: "ann".into(),
            name: None,
            group: Some("loans".into()),
            aliases: vec!["a.lee@x".into()],
            devices: vec!["1".into()],
        }],
        groups: vec![DirectoryGroup { group: "loans".into(), parent: Some("sales".into()) }],
        places: vec![DirectoryPlace { place: "seat-12".into(), name: None, devices: Vec::new() }],
    };
    db.import(&directory).await.unwrap();
    let scope = db.scope(&person("sam", Role::Supervisor)).await.unwrap();
    assert_eq!(db.agents(&scope).await.unwrap(), directory.agents);
    assert_eq!(
        (db.groups().await.unwrap(), db.places().await.unwrap()),
        (directory.groups, directory.places)
    );

    let call = InteractionId::from("77");
    assert!(
        db.sees_recording(&scope, &id).await.unwrap() && db.sees_interaction(&scope, &call).await.unwrap()
    );
    let filter = Filter {
        agent: Some("ann".into()),
        group: Some("sales".into()),
        call: Some("77".into()),
        tags: vec![("queue".into(), Some("loans".into()))],
        from: Some(0),
        max_ms: Some(60_000),
        limit: 10,
        ..Filter::default()
    };
    let found = db.find(&scope, &filter).await.unwrap();
    let outline = &found[0].outline;
    assert_eq!(
        (outline.has_footage, outline.duration_ms, outline.live),
        (HasFootage::All, Some(8_000), false)
    );
    assert_eq!(
        (&found[0].calls[..], &outline.agents[..]),
        (&["77".to_owned()][..], &[AgentId::from("ann")][..])
    );
    assert!(db.find(&Scope::Own("bob".into()), &filter).await.unwrap().is_empty());
    assert!(db.live(&scope).await.unwrap().is_empty(), "it has ended");
    assert_eq!(db.completeness(&Scope::All, 0, i64::MAX).await.unwrap().captured, 1);

    let (author, label) = ("root".to_owned().into(), "complaint");
    db.label(&call, label, &author).await.unwrap();
    let note = Note {
        id: note_id().unwrap(),
        at_ms: 3,
        recording: Some(id.clone()),
        author: author.clone(),
        text: "?".into(),
        label: None,
        created: String::new(),
    };
    db.add_note(&call, &note).await.unwrap();
    assert_eq!(db.notes(&call).await.unwrap()[0].recording.as_ref(), Some(&id));
    let rule =
        Rule { label: Some(label.into()), media: Some("voice".into()), group: Some("sales".into()), days: 1 };
    db.set_retention(std::slice::from_ref(&rule)).await.unwrap();
    assert_eq!(db.retention().await.unwrap(), std::slice::from_ref(&rule));
    assert_eq!(db.due(&[rule]).await.unwrap()[0].interaction, call);
    db.hold(&call, "court", &author).await.unwrap();
    assert!(db.summary(&scope, &call).await.unwrap().unwrap().outline.held);
    assert_eq!(db.delete_interaction(&call, "x").await.unwrap(), Deletion::Held("court".into()));
    assert!(db.release(&call).await.unwrap());
    assert_eq!(db.delete_interaction(&call, "x").await.unwrap(), Deletion::Done(vec![id.clone()]));
    assert_eq!(db.unpurged().await.unwrap(), std::slice::from_ref(&id));
    db.forget_fragments(&id).await.unwrap();
    assert!(db.unpurged().await.unwrap().is_empty());
}

#[tokio::test]
async fn rows_of_footage_and_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let db = index(&folder).await;
    let (recorder, _) = db.enrol(&"seat-12".into()).await.unwrap();
    let (id, at) = (recording("20260105T090000Z-000002"), |text: &str| Utc::parse(text).unwrap());
    let (from, to) = (at("2026-01-05T09:00:00Z"), at("2026-01-05T09:01:00Z"));
    let new = NewFootage {
        recording: id.clone(),
        agent: "ann".into(),
        place: Some(recorder.place.clone()),
        from,
        why: "a call".into(),
        learned: from,
        missing: None,
    };
    db.add_footage(&[new]).await.unwrap();
    let [stored] = &db.unsettled_footage(to_ms(to)).await.unwrap()[..] else { panic!("it still runs") };
    assert_eq!((&stored.id, &stored.recorder, stored.from), (&id, &Some(recorder.id.clone()), to_ms(from)));
    assert_eq!((stored.to, stored.continued.len()), (None, 0));

    let segment = Segment {
        interaction: "i-1".into(),
        call: Some("77".into()),
        role: SegmentRole::Primary,
        from,
        to: Some(to),
        offset_ms: 0,
        why: "a call".into(),
    };
    let footage = Footage {
        agent: "ann".into(),
        place: Some(recorder.place.clone()),
        from,
        to: Some(to),
        why: "a call".into(),
        why_ended: None,
        withheld: Vec::new(),
        tags: vec![Tag { name: "queue".into(), value: "loans".into() }],
        segments: vec![segment],
    };
    let data = CallSummary {
        direction: Some("inbound".into()),
        attached: [("a".into(), "b".into())].into(),
        held: vec![(from, None)],
        ..CallSummary::default()
    };
    let stretch = Stretch { recording: Some(id.clone()), from: None, to: None };
    let mut write = db.write().await.unwrap();
    write.claim(&id, &recorder).await.unwrap();
    write
        .write_footage(
            &id,
            std::slice::from_ref(&stretch),
            &footage,
            &HashMap::from([(("i-1".into(), "77".into()), data)]),
        )
        .await
        .unwrap();
    write.commit().await.unwrap();
    let calls = serde_json::to_value(db.calls(&"i-1".into()).await.unwrap()).unwrap();
    assert_eq!(
        calls,
        serde_json::json!([{
            "call": "77", "direction": "inbound", "type": null, "attached": { "a": "b" },
            "held": [{ "from": "2026-01-05T09:00:00.000Z", "to": null }],
        }])
    );
    let segments = db.segments(&Scope::All, &["i-1".into()]).await.unwrap();
    assert_eq!(
        (segments[0].role.as_str(), segments[0].missing().as_deref()),
        ("primary", Some("it is not delivered yet"))
    );
    let mut write = db.write().await.unwrap();
    write.remove_footage(&id, &[stretch]).await.unwrap();
    write.commit().await.unwrap();
    assert!(db.summary(&Scope::All, &"i-1".into()).await.unwrap().is_none());

    let file = recording("20260105T090000Z-000003");
    let mut write = db.write().await.unwrap();
    assert_eq!(write.begin_file(&file, &recorder, "digest").await.unwrap(), FileStart::Started);
    assert_eq!(write.begin_file(&file, &recorder, "other").await.unwrap(), FileStart::OtherFile);
    write.keep_only(&file, &Default::default()).await.unwrap();
    write.close_recording(&file, "{}", &Coverage::default()).await.unwrap();
    assert_eq!(write.documents(&file).await.unwrap().manifest.as_deref(), Some("{}"));
}

/// An engine that has started remembers the ids of half a day. A later call with the same id is another
/// interaction, and what is written of it afterwards goes there, too, even if the engine has given the id to
/// a third customer meanwhile.
#[tokio::test]
async fn an_id_that_the_engine_has_forgotten_is_another_interaction() {
    let folder = tempfile::tempdir().unwrap();
    let db = index(&folder).await;
    let write = async |id: &str, interaction: &str, day: u32, hour: u32, attached: &str| {
        let at = |minute| Utc::parse(&format!("2026-01-{day:02}T{hour:02}:{minute:02}:00Z")).unwrap();
        let (from, to) = (at(0), at(5));
        let segment = Segment {
            interaction: interaction.into(),
            call: Some("77".into()),
            role: SegmentRole::Primary,
            from,
            to: Some(to),
            offset_ms: 0,
            why: "a call".into(),
        };
        let footage = Footage {
            agent: "ann".into(),
            place: None,
            from,
            to: Some(to),
            why: "a call".into(),
            why_ended: None,
            withheld: Vec::new(),
            tags: Vec::new(),
            segments: vec![segment],
        };
        let attached = [("customer".to_owned(), attached.to_owned())].into();
        let data = CallSummary { attached, ..CallSummary::default() };
        let calls = HashMap::from([((interaction.into(), "77".into()), data)]);
        let stretch = Stretch { recording: None, from: None, to: None };
        let mut write = db.write().await.unwrap();
        write.write_footage(&recording(id), &[stretch], &footage, &calls).await.unwrap();
        write.commit().await.unwrap();
    };
    write("20260105T090000Z-000001", "77", 5, 9, "Meier").await;
    write("20260105T200000Z-000002", "77", 5, 20, "Meier").await;
    write("20260107T090000Z-000003", "77", 7, 9, "Schulz").await;
    write("20260107T100000Z-000004", "77@2026-01-07T10:00:00.000Z", 7, 10, "Huber").await;
    write("20260107T110000Z-000005", "77", 7, 11, "Schulz").await;
    write("20260107T220000Z-000006", "77", 7, 22, "Weber").await;
    let found = async |interaction: &str| {
        let segments = db.segments(&Scope::All, &[interaction.into()]).await.unwrap().len();
        let calls = serde_json::to_value(db.calls(&interaction.into()).await.unwrap()).unwrap();
        (segments, calls[0]["attached"]["customer"].as_str().unwrap().to_owned())
    };
    assert_eq!(found("77").await, (2, "Meier".to_owned()));
    assert_eq!(found("77~2026-01-07T09:00:00.000Z").await, (2, "Schulz".to_owned()));
    assert_eq!(found("77@2026-01-07T10:00:00.000Z").await, (1, "Huber".to_owned()));
    assert_eq!(found("77~2026-01-07T22:00:00.000Z").await, (1, "Weber".to_owned()));
}
