//! Scenarios with the API's reports, and the events made of them.

use serde_json::json;

use super::*;

/// An event as a line: its type and the fields that matter.
fn lines(events: Vec<Event>) -> Vec<String> {
    let line = |event: Event| {
        let shown = [
            "agent",
            "call",
            "media",
            "interaction",
            "state",
            "work_mode",
            "reason",
            "device",
            "place",
            "role",
            "call_type",
            "parent_call",
            "primary_call",
            "secondary_call",
            "from_agent",
            "to_agent",
            "voice_recording",
        ];
        let fields = shown.iter().filter_map(|key| Some(format!(" {key}={}", event.text(key)?)));
        format!("{}{}", event.kind, fields.collect::<String>())
    };
    events.into_iter().map(line).collect()
}

struct Api(Agent);

impl Api {
    fn new(agent: &str, device: &str, devices: &Devices) -> Api {
        let mut agent = Agent::new(agent, AgentName::User, devices.clone());
        agent.take(&dn(device, "Ready", "AutoIn"), "now");
        Api(agent)
    }

    fn ann() -> Api {
        Api::new("ann", "4711", &Devices::default())
    }

    fn take(&mut self, data: Value) -> Vec<String> {
        lines(self.0.take(&data, "2026-01-05T09:00:00.000Z"))
    }

    fn call(&mut self, call: Value) -> Vec<String> {
        self.take(json!({ "messageType": "CallStateChanged", "call": call }))
    }
}

fn dn(number: &str, state: &str, mode: &str) -> Value {
    json!({ "messageType": "DnStateChanged", "dn": { "number": number, "agentState": state, "agentWorkMode": mode } })
}

#[test]
fn a_call_rings_is_held_and_ends() {
    let mut api = Api::ann();
    let call = |state: &str| json!({ "id": "u1", "callUuid": "uuid", "state": state, "callType": "Inbound" });
    assert_eq!(api.call(call("Ringing")), ["call.delivered agent=ann call=u1 device=4711 call_type=inbound"]);
    assert_eq!(
        api.call(call("Established")),
        ["call.established agent=ann call=u1 device=4711 call_type=inbound"]
    );
    assert!(api.call(call("Established")).is_empty(), "the same again");
    assert_eq!(api.call(call("Held")), ["call.held agent=ann call=u1 device=4711 call_type=inbound"]);
    assert_eq!(
        api.call(call("Established")),
        ["call.retrieved agent=ann call=u1 device=4711 call_type=inbound"]
    );
    assert_eq!(api.call(call("Released")), ["call.cleared agent=ann call=u1 device=4711"]);
    assert!(api.call(call("Completed")).is_empty());
}

#[test]
fn an_outbound_call_is_reported_once_it_is_established() {
    let mut api = Api::ann();
    let call = |state: &str| json!({ "id": "u1", "state": state, "callType": "Outbound" });
    assert!(api.call(call("Dialing")).is_empty());
    assert!(api.call(call("Released")).is_empty(), "nobody answered");
    assert!(api.call(call("Dialing")).is_empty());
    assert_eq!(
        api.call(call("Established")),
        ["call.established agent=ann call=u1 device=4711 call_type=outbound"]
    );
}

#[test]
fn the_voice_recorder_starts_pauses_resumes_and_stops() {
    let mut api = Api::ann();
    let call =
        |state: &str| json!({ "id": "u1", "callUuid": "v", "state": "Established", "recordingState": state });
    assert_eq!(
        api.call(call("Recording")),
        [
            "call.established agent=ann call=u1 device=4711",
            "recording.started agent=ann call=u1 voice_recording=v"
        ]
    );
    assert_eq!(api.call(call("Paused")), ["recording.paused agent=ann call=u1 voice_recording=v"]);
    assert_eq!(api.call(call("Recording")), ["recording.resumed agent=ann call=u1 voice_recording=v"]);
    assert_eq!(api.call(call("Stopped")), ["recording.stopped agent=ann call=u1 voice_recording=v"]);
    api.call(call("Recording"));
    assert_eq!(
        api.call(json!({ "id": "u1", "state": "Released", "recordingState": "Recording" })),
        [
            "recording.stopped agent=ann call=u1 voice_recording=v",
            "call.cleared agent=ann call=u1 device=4711"
        ]
    );
}

#[test]
fn a_two_step_transfer_moves_the_second_agent_to_the_main_call() {
    let devices = Devices::default();
    let (mut ann, mut bob) = (Api::new("ann", "1", &devices), Api::new("bob", "2", &devices));
    ann.call(json!({ "id": "u1", "state": "Established", "callType": "Inbound" }));
    let consult =
        |state: &str| json!({ "id": "u2", "parentConnId": "u1", "state": state, "callType": "Consult" });
    assert_eq!(ann.call(json!({ "id": "u1", "state": "Held", "callType": "Inbound" })).len(), 1);
    assert!(ann.call(consult("Dialing")).is_empty());
    assert_eq!(
        bob.call(consult("Ringing")),
        ["call.delivered agent=bob call=u2 device=2 call_type=consult parent_call=u1"]
    );
    assert_eq!(
        bob.call(consult("Established")),
        ["call.established agent=bob call=u2 device=2 call_type=consult parent_call=u1"]
    );
    assert_eq!(
        ann.call(consult("Established")),
        ["call.established agent=ann call=u2 device=1 call_type=consult parent_call=u1"]
    );

    let moved = json!({ "id": "u1", "previousConnId": "u2", "state": "Established", "callType": "Inbound",
        "participants": [{ "number": "+49", "role": "RoleOrigination" }] });
    assert_eq!(
        bob.call(moved),
        [
            "call.established agent=bob call=u1 device=2 call_type=inbound",
            "call.cleared agent=bob call=u2 device=2"
        ]
    );
    assert_eq!(ann.call(consult("Released")), ["call.cleared agent=ann call=u2 device=1"]);
    assert_eq!(
        ann.call(json!({ "id": "u1", "state": "Released" })),
        ["call.cleared agent=ann call=u1 device=1"]
    );
    assert!(bob.call(json!({ "id": "u1", "state": "Established", "callType": "Inbound" })).is_empty());
}

#[test]
fn a_conference_is_known_by_the_colleague_who_stays() {
    let devices = Devices::default();
    let (_ann, mut bob) = (Api::new("ann", "1", &devices), Api::new("bob", "2", &devices));
    bob.call(json!({ "id": "u2", "parentConnId": "u1", "state": "Established", "callType": "Consult" }));
    let moved = json!({ "id": "u1", "previousConnId": "u2", "state": "Established", "callType": "Inbound",
        "participants": [{ "number": "+49" }, { "number": "1" }, { "number": "2" }] });
    assert_eq!(
        bob.call(moved),
        ["call.conferenced primary_call=u1 secondary_call=u2 from_agent=ann to_agent=bob"]
    );
    assert_eq!(
        bob.call(json!({ "id": "u1", "state": "Released" })),
        ["call.cleared agent=bob call=u1 device=2"]
    );
}

#[test]
fn attached_data_are_keys_and_values_and_new_ones_are_reported() {
    let mut api = Api::ann();
    let call = |value: &str| {
        json!({ "messageType": "CallStateChanged", "call": { "id": "u1", "state": "Established", "userData": [
        { "key": "product", "type": "str", "value": value },
        { "key": "more", "type": "kvlist", "value": [{ "key": "n", "type": "int", "value": 7 }] },
    ] } })
    };
    let first = api.0.take(&call("loan"), "now");
    assert_eq!(first[0].fields["attached"], json!({ "product": "loan", "more": { "n": 7 } }));
    assert!(api.0.take(&call("loan"), "now").is_empty());
    let second = api.0.take(&call("card"), "now");
    assert_eq!(
        (&*second[0].kind, &second[0].fields["attached"]["product"]),
        ("call.established", &json!("card"))
    );
}

/// A user with a place, before the first report about a device.
fn employee() -> Api {
    let mut api = Api(Agent::new("ann", AgentName::Employee, Devices::default()));
    let user =
        json!({ "userName": "ann", "employeeId": "E7", "agentLogin": "5001", "defaultPlace": "agent-12" });
    let ready = json!({ "messageType": "WorkspaceInitializationComplete", "state": "Complete", "data": { "user": user } });
    assert!(api.take(ready).is_empty() && api.0.is_ready());
    api
}

#[test]
fn states_devices_and_wrap_up_are_reported_when_they_change() {
    let mut api = employee();
    assert_eq!(
        api.take(dn("4711", "NotReady", "Unknown")),
        [
            "feed.state agent=E7 state=registered device=4711",
            "agent.logged_in agent=E7 place=agent-12",
            "agent.state agent=E7 media=voice state=not_ready"
        ]
    );
    assert_eq!(
        api.take(dn("4711", "Ready", "AutoIn")),
        ["agent.state agent=E7 media=voice state=ready work_mode=auto_in"]
    );
    let mut wrap_up = dn("4711", "NotReady", "AfterCallWork");
    wrap_up["dn"]["reasons"] = json!([{ "key": "ReasonCode", "type": "str", "value": "notes" }]);
    let event = "agent.state agent=E7 media=voice state=not_ready work_mode=after_call_work reason=notes";
    assert_eq!(api.take(wrap_up.clone()), [event]);
    assert!(api.take(wrap_up).is_empty());
    assert_eq!(
        api.take(dn("4711", "OutOfService", "Unknown")),
        ["feed.state agent=E7 state=lost device=4711"]
    );
    assert_eq!(
        api.take(dn("4711", "LoggedOut", "Unknown")),
        [
            "feed.state agent=E7 state=registered device=4711",
            "agent.state agent=E7 media=voice state=logged_out"
        ]
    );
    assert!(api.take(dn("4711", "LoggedOut", "Unknown")).is_empty());
}

#[test]
fn ready_ends_wrap_up_although_the_work_mode_is_repeated() {
    let mut api = Api::ann();
    api.take(dn("4711", "NotReady", "AfterCallWork"));
    assert_eq!(
        api.take(dn("4711", "Ready", "AfterCallWork")),
        ["agent.state agent=ann media=voice state=ready"]
    );
}

/// The default place says where the agent usually sits, so it comes once, and the seat stays over lunch.
#[test]
fn logging_out_of_voice_ends_voice_and_neither_mail_nor_the_seat() {
    let mut api = employee();
    api.take(dn("4711", "Ready", "Unknown"));
    let mail = json!({ "messageType": "InteractionStateChanged", "interaction": { "id": "m1", "mediatype": "email", "state": "Processing" } });
    api.take(mail);
    assert_eq!(
        api.take(dn("4711", "LoggedOut", "Unknown")),
        ["agent.state agent=E7 media=voice state=logged_out"]
    );
    assert_eq!(
        api.take(dn("4711", "Ready", "Unknown")),
        ["agent.state agent=E7 media=voice state=ready"],
        "neither a log-in nor a place"
    );
    assert_eq!(
        api.take(dn("4712", "Ready", "Unknown")),
        ["feed.state agent=E7 state=registered device=4712", "agent.logged_in agent=E7"],
        "another device, and no place"
    );
}

#[test]
fn an_agent_without_voice_is_logged_in_by_a_channel() {
    let mut api = employee();
    let channels = |state: &str| json!({ "messageType": "ChannelStateChanged", "media": { "channels": [{ "name": "email", "state": state }] } });
    assert_eq!(api.take(channels("LoggedOut")), ["agent.state agent=E7 media=email state=logged_out"]);
    assert_eq!(
        api.take(channels("Ready")),
        ["agent.logged_in agent=E7 place=agent-12", "agent.state agent=E7 media=email state=ready"]
    );
}

#[test]
fn the_end_of_the_whole_session_logs_the_agent_out() {
    let mut api = Api::ann();
    api.call(json!({ "id": "u1", "state": "Established" }));
    let voice_is_out = json!({ "activeSession": { "dn": { "number": "4711", "agentState": "LoggedOut" } } });
    assert_eq!(
        lines(api.0.catch_up(&voice_is_out, "now", true)),
        ["call.cleared agent=ann call=u1 device=4711", "agent.state agent=ann media=voice state=logged_out"]
    );
    for over in [
        json!({}),
        json!({ "activeSession": null }),
        json!({ "activeSession": { "media": { "channels": [] } } }),
    ] {
        let mut api = Api::ann();
        assert_eq!(lines(api.0.catch_up(&over, "now", true)), ["agent.logged_out agent=ann"], "{over}");
        assert!(api.0.catch_up(&over, "now", true).is_empty());
    }
}

#[test]
fn chats_and_mails_are_accepted_and_completed_once() {
    let mut api = Api::ann();
    let mail = |state: &str| json!({ "messageType": "InteractionStateChanged", "interaction": { "id": "m1", "mediatype": "email", "state": state } });
    assert!(api.take(mail("Invited")).is_empty());
    assert_eq!(api.take(mail("Processing")), ["interaction.accepted agent=ann media=email interaction=m1"]);
    assert!(api.take(mail("Composing")).is_empty());
    assert_eq!(api.take(mail("Sent")), ["interaction.completed agent=ann media=email interaction=m1"]);
    assert!(api.take(mail("Completed")).is_empty());
    let channels = json!({ "messageType": "ChannelStateChanged", "media": { "channels": [
        { "name": "email", "state": "Ready" }, { "name": "chat", "state": "NotReady", "reasons": [{ "key": "ReasonCode", "value": "lunch" }] },
    ] } });
    assert_eq!(
        api.take(channels.clone()),
        [
            "agent.state agent=ann media=email state=ready",
            "agent.state agent=ann media=chat state=not_ready reason=lunch"
        ]
    );
    assert!(api.take(channels).is_empty());
}

/// The current session after a gap.
fn session_after_gap() -> Value {
    json!({ "userName": "ann", "activeSession": {
        "dn": { "number": "4711", "agentState": "NotReady", "agentWorkMode": "AfterCallWork" },
        "calls": [{ "id": "u2", "state": "Established" }, { "id": "u3", "state": "Ringing" }],
        "media": { "channels": [{ "name": "chat", "state": "Ready", "interactions": [{ "id": "c1", "mediatype": "chat", "state": "Processing" }] }] },
    } })
}

#[test]
fn what_was_missed_is_reported_from_the_current_session() {
    let mut api = Api::ann();
    api.call(json!({ "id": "u1", "state": "Established" }));
    api.call(json!({ "id": "u2", "state": "Held" }));
    api.take(json!({ "messageType": "InteractionStateChanged", "interaction": { "id": "m1", "mediatype": "email", "state": "Processing" } }));
    let missed = [
        "call.cleared agent=ann call=u1 device=4711",
        "interaction.completed agent=ann media=email interaction=m1",
        "call.retrieved agent=ann call=u2 device=4711",
        "call.delivered agent=ann call=u3 device=4711",
        "agent.state agent=ann media=voice state=not_ready work_mode=after_call_work",
        "agent.state agent=ann media=chat state=ready",
        "interaction.accepted agent=ann media=chat interaction=c1",
    ];
    assert_eq!(lines(api.0.catch_up(&session_after_gap(), "now", true)), missed);
    assert!(api.0.catch_up(&session_after_gap(), "now", false).is_empty());
}

/// A gap puts in doubt what has not changed as well.
#[test]
fn all_that_goes_on_is_reported_again_after_a_gap() {
    let mut api = Api::ann();
    let call = |id: &str, state: &str, voice: &str| json!({ "id": id, "callUuid": "v", "state": state, "recordingState": voice });
    for (id, state, voice) in [
        ("u1", "Established", "Recording"),
        ("u2", "Held", "Paused"),
        ("u3", "Ringing", "Stopped"),
        ("u4", "Dialing", "Stopped"),
    ] {
        api.call(call(id, state, voice));
    }
    let user = json!({ "userName": "ann", "activeSession": {
        "dn": { "number": "4711", "agentState": "Ready", "agentWorkMode": "AutoIn" },
        "calls": [
            call("u3", "Ringing", "Stopped"), call("u1", "Established", "Recording"),
            call("u2", "Held", "Paused"), call("u4", "Dialing", "Stopped"),
        ],
    } });
    let events = lines(api.0.catch_up(&user, "now", true));
    assert_eq!(
        events,
        [
            "call.held agent=ann call=u2 device=4711",
            "recording.paused agent=ann call=u2 voice_recording=v",
            "call.established agent=ann call=u1 device=4711",
            "recording.started agent=ann call=u1 voice_recording=v",
            "call.delivered agent=ann call=u3 device=4711",
            "agent.state agent=ann media=voice state=ready work_mode=auto_in",
        ],
        "a call on hold first: it ends no other call in doubt; states last: they do"
    );
    assert_eq!(lines(api.0.catch_up(&user, "now", true)), events, "after each gap");
}

#[test]
fn a_session_that_shows_other_calls_or_states_than_the_messages_differs() {
    let mut api = Api::ann();
    api.call(json!({ "id": "u1", "state": "Established", "userData": [{ "key": "a", "value": "b" }] }));
    api.call(json!({ "id": "u2", "state": "Dialing" }));
    let user = |calls: Value, state: &str| json!({ "activeSession": { "dn": { "number": "4711", "agentState": state }, "calls": calls } });
    let up = json!([{ "connId": "u1", "state": "Established" }, { "id": "u9", "state": "Released" }]);
    for (user, differs) in [
        (user(up.clone(), "Ready"), false),
        (user(up, "NotReady"), true),
        (user(json!([]), "Ready"), true),
        (user(json!([{ "id": "u1", "state": "Held" }]), "Ready"), true),
        (
            user(
                json!([{ "id": "u1", "state": "Established" }, { "id": "u3", "state": "Ringing" }]),
                "Ready",
            ),
            true,
        ),
        (user(Value::Null, "Ready"), false),
        (json!({}), false),
    ] {
        assert_eq!(api.0.differs_from(&user), differs, "{user}");
    }
}

#[test]
fn an_agent_who_is_added_to_a_call_makes_it_a_conference() {
    let devices = Devices::default();
    let (mut ann, mut bob) = (Api::new("ann", "1", &devices), Api::new("bob", "2", &devices));
    let with = |number: &str| {
        json!({ "id": "u1", "state": "Established", "participants": [
            { "number": "+49", "role": "RoleOrigination" }, { "number": number, "role": "RoleNewParty" },
        ] })
    };
    ann.call(json!({ "id": "u1", "state": "Established", "participants": [{ "number": "+49", "role": "RoleOrigination" }] }));
    assert!(ann.call(with("+50")).is_empty(), "a stranger");
    assert_eq!(ann.call(with("2")), ["call.conferenced primary_call=u1 from_agent=ann to_agent=bob"]);
    assert!(ann.call(with("2")).is_empty());
    // Bob's session says so too.
    let own = json!({ "id": "u1", "state": "Established", "participants": [
        { "number": "1", "role": "RoleDestination" }, { "number": "2", "role": "RoleNewParty" },
    ] });
    assert_eq!(bob.call(own.clone()), ["call.established agent=bob call=u1 device=2"]);
    bob.call(json!({ "id": "u1", "state": "Released" }));
    assert_eq!(
        bob.call(own),
        [
            "call.established agent=bob call=u1 device=2",
            "call.conferenced primary_call=u1 from_agent=ann to_agent=bob"
        ],
        "added again"
    );
}

#[test]
fn a_consultation_becomes_a_conference_without_a_previous_id() {
    let devices = Devices::default();
    let (mut ann, _bob) = (Api::new("ann", "1", &devices), Api::new("bob", "2", &devices));
    ann.call(json!({ "id": "u1", "state": "Held" }));
    ann.call(json!({ "id": "u2", "parentConnId": "u1", "state": "Established", "callType": "Consult" }));
    let joined = json!({ "id": "u1", "state": "Established", "participants": [{ "number": "2", "role": "RoleNewParty" }] });
    assert_eq!(
        ann.call(joined),
        [
            "call.retrieved agent=ann call=u1 device=1",
            "call.conferenced primary_call=u1 secondary_call=u2 from_agent=ann to_agent=bob"
        ]
    );
}

/// As the vendor's simulator reports it: the supervised agent is a new party for the supervisor.
#[test]
fn a_supervisor_monitors_coaches_and_barges_in() {
    let devices = Devices::default();
    let (mut ann, mut eve) = (Api::new("ann", "1", &devices), Api::new("eve", "3", &devices));
    let call = |state: &str, mode: &str| {
        json!({ "id": "u1", "state": state, "isMonitoredByMe": true, "monitoringInfo": { "monitorMode": mode },
            "supervisorListeningIn": true, "participants": [
                { "number": "+49", "role": "RoleOrigination" }, { "number": "1", "role": "RoleNewParty" },
                { "number": "3", "role": "RoleObserver" },
            ] })
    };
    let event = |kind: &str, role: &str| vec![format!("call.{kind} agent=eve call=u1 device=3 role={role}")];
    assert_eq!(eve.call(call("Ringing", "Mute")), event("delivered", "monitor"));
    assert_eq!(eve.call(call("Established", "Mute")), event("established", "monitor"));
    assert_eq!(eve.call(call("Established", "Coach")), event("established", "coach"));
    assert_eq!(eve.call(call("Established", "connect")), event("established", "barge"));
    assert!(eve.call(call("Established", "connect")).is_empty());
    let silent = json!({ "activeSession": { "dn": { "number": "3", "agentState": "Ready" }, "calls": [] } });
    assert!(!eve.0.differs_from(&silent), "a server that leaves out supervised calls");
    assert_eq!(
        eve.call(json!({ "id": "u1", "state": "Released" })),
        ["call.cleared agent=eve call=u1 device=3"]
    );

    let heard = json!({ "id": "u1", "state": "Established", "supervisorListeningIn": true, "supervisorMonitoringState": "Mute",
        "participants": [{ "number": "+49", "role": "RoleOrigination" }, { "number": "3", "role": "RoleObserver" }] });
    assert_eq!(ann.call(heard), ["call.established agent=ann call=u1 device=1"], "the supervised agent");
}

#[test]
fn nothing_that_the_api_may_say_makes_it_panic() {
    let mut api = Api::ann();
    for kind in [
        "WorkspaceInitializationComplete",
        "DnStateChanged",
        "CallStateChanged",
        "ChannelStateChanged",
        "InteractionStateChanged",
        "EventError",
        "Other",
    ] {
        for value in
            [json!(null), json!(7), json!([]), json!("x"), json!({}), json!({ "id": 7, "number": [] })]
        {
            api.take(json!({ "messageType": kind, "dn": value, "call": value, "media": value, "interaction": value, "data": value, "error": value }));
        }
    }
    api.take(json!([]));
    for again in [false, true] {
        api.0.catch_up(&json!("x"), "now", again);
        let odd = json!({ "activeSession": { "dn": {}, "calls": [7, {}, { "id": 7 }], "media": { "channels": ["x", {}] } } });
        api.0.catch_up(&odd, "now", again);
        api.0.differs_from(&odd);
    }
}
