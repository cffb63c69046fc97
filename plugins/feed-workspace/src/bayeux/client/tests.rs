//! Answers as CometD's servers and the proxies before them give them.

use super::*;

fn hello() -> Value {
    json!({ "channel": "/meta/handshake", "id": "1", "successful": true, "clientId": "c1", "ext": { "ack": true },
        "advice": { "reconnect": "retry", "timeout": 30000, "interval": 0 } })
}

fn begin(answer: &[Value]) -> Result<Client, Trouble> {
    Client::begin(answer, Line::default())
}

fn client() -> Client {
    begin(&[hello()]).unwrap()
}

fn data(number: u64) -> Value {
    json!({ "channel": "/workspace/v3/voice", "data": { "number": number } })
}

fn connected() -> Value {
    json!({ "channel": "/meta/connect", "successful": true })
}

/// The numbers of the messages in the inbox.
fn numbers(client: &mut Client) -> Vec<u64> {
    client.take_inbox().iter().filter_map(|data| data["number"].as_u64()).collect()
}

#[test]
fn messages_are_taken_from_the_answer_to_any_request_and_once() {
    let mut client = begin(&[data(1), hello(), data(2)]).unwrap();
    client.take_subscribed(&[data(3), json!({ "channel": "/meta/subscribe", "successful": true })]).unwrap();
    client.take_polled(&[connected(), data(4)]).unwrap();
    assert_eq!(numbers(&mut client), [1, 2, 3, 4]);
    client.take_polled(&[connected()]).unwrap();
    assert!(numbers(&mut client).is_empty());
}

#[test]
fn messages_beside_a_refusal_are_taken() {
    let mut client = client();
    let refused = json!({ "channel": "/meta/connect", "successful": false, "error": "402::session_unknown" });
    client.take_polled(&[data(1), refused]).unwrap();
    let refused = json!({ "channel": "/meta/subscribe", "successful": false, "subscription": "/a" });
    client.take_subscribed(&[data(2), refused]).unwrap_err();
    client.take_polled(&[data(3)]).unwrap_err();
    assert_eq!(numbers(&mut client), [1, 2, 3]);
}

#[test]
fn a_handshake_with_two_answers_is_that_of_the_last_client() {
    let refused = json!({ "channel": "/meta/handshake", "successful": false, "error": "403::denied" });
    let mut other = hello();
    other["clientId"] = json!("c2");
    for (answer, expected) in [
        (vec![refused.clone(), hello()], "c1"),
        (vec![hello(), refused.clone()], "c1"),
        (vec![hello(), other.clone()], "c2"),
        (vec![hello(), json!({ "channel": "/meta/handshake", "successful": true })], "c1"),
    ] {
        let mut client = begin(&answer).unwrap();
        assert_eq!(client.poll_request(false)["clientId"], expected, "{answer:?}");
    }
    assert!(begin(&[refused]).unwrap_err().to_string().contains("403::denied"));
    assert!(matches!(begin(&[data(1)]).unwrap_err(), Trouble::Failed(_)));
}

#[test]
fn a_client_is_forgotten_with_402_or_without_advice_to_retry() {
    let reply = |error: &str, advice: Value| json!({ "channel": "/meta/connect", "successful": false, "error": error, "advice": advice });
    for (error, advice, is_forgotten) in [
        ("402::session_unknown", json!({ "reconnect": "handshake" }), true),
        ("402::session_unknown", json!({ "reconnect": "retry" }), true),
        ("402::Unknown client", Value::Null, true),
        ("no reason", Value::Null, true),
        ("403::denied", json!({ "reconnect": "none" }), true),
        ("500::busy", json!({ "reconnect": "retry" }), false),
    ] {
        let mut client = client();
        let outcome = client.take_polled(&[reply(error, advice.clone())]).unwrap();
        assert_eq!(matches!(outcome, PollOutcome::Forgotten(_)), is_forgotten, "{error} {advice}");
        assert!(client.pause() >= Duration::from_secs(1), "no busy loop");
    }
}

#[test]
fn batches_are_acknowledged() {
    let mut client = client();
    assert!(client.is_counted());
    assert_eq!(client.poll_request(true)["ext"]["ack"], -1);
    let mut reply = connected();
    reply["ext"] = json!({ "ack": 7 });
    client.take_polled(&[data(1), reply]).unwrap();
    assert_eq!(client.poll_request(false)["ext"]["ack"], 7);
    let mut plain = hello();
    plain["ext"] = Value::Null;
    let mut client = begin(&[plain]).unwrap();
    assert!(!client.is_counted() && client.poll_request(false).get("ext").is_none());
}

#[test]
fn polls_become_shorter_than_the_silence_that_a_proxy_allows() {
    let mut client = client();
    let hold = |client: &mut Client| client.poll_request(false)["advice"]["timeout"].as_u64();
    let cut = |client: &mut Client, ms: &[u64]| {
        ms.iter().for_each(|ms| client.note_break(Duration::from_millis(*ms)));
    };
    cut(&mut client, &[5, 5]);
    assert_eq!(hold(&mut client), None, "a line that fails at once says nothing");
    cut(&mut client, &[31_000, 31_000]);
    assert_eq!(hold(&mut client), None, "longer than the server holds a poll");
    cut(&mut client, &[4_000, 14_000]);
    assert_eq!(hold(&mut client), None, "breaks by chance");
    cut(&mut client, &[10_000, 10_050]);
    assert_eq!(hold(&mut client), Some(5_025));
    cut(&mut client, &[7_000, 7_000]);
    assert_eq!(hold(&mut client), Some(5_025), "no poll is held that long");
    assert_eq!(client.poll_request(true)["advice"]["timeout"], 0);
    let mut next = Client::begin(&[hello()], client.line()).unwrap();
    assert_eq!(hold(&mut next), Some(5_025), "the next client knows it");
}
