//! Each kind of plugin answers, in Rust, in C and without code; bad settings, panics and logs are reported to
//! the right place.

use super::*;

#[test]
fn a_rust_source_answers_with_a_recipe() {
    let mut source = open("example_source_minimal", "example.source.minimal", json!({ "pattern": "ball" }));
    let recipe = source.recipe(&SourceRequest { max_fps: 10 }).unwrap();
    let Producer::Elements(elements) = recipe.producer else { panic!("elements expected") };
    assert_eq!(elements[0].factory, "videotestsrc");
    assert_eq!(elements[0].properties[1].value, "ball");
    assert_eq!(source.devices().unwrap(), []);
    assert_eq!(source.frame(0, 0, &mut [0; 4]).unwrap_err().kind, ErrorKind::Unsupported);
}

#[test]
fn a_c_source_paints_frames() {
    let folder = TempDir::new().unwrap();
    let library = load(&compile(&folder, "libexample_source_bar.so", "examples/source-minimal-c/plugin.c"));
    let mut source =
        library.create("example.source.bar", &json!({ "speed": 8 }), HostCallbacks::default()).unwrap();
    let recipe = source.recipe(&SourceRequest { max_fps: 30 }).unwrap();
    let Producer::Frames(format) = recipe.producer else { panic!("frames expected") };

    let mut pixels = vec![0; format.frame_size()];
    assert_eq!(source.frame(3, 100_000_000, &mut pixels).unwrap(), FrameStatus::Painted);
    let row: Vec<usize> = (0..format.width as usize).filter(|x| pixels[*x] == 235).collect();
    assert_eq!(row, (24..40).collect::<Vec<_>>(), "the bar is 16 wide and has walked three times 8 pixels");
    let failure = source.frame(4, 0, &mut [0; 10]).unwrap_err();
    assert_eq!(failure.to_string(), "example.source.bar: the size of the frame is not that of the recipe");
}

#[test]
fn an_unknown_status_is_no_success() {
    let folder = TempDir::new().unwrap();
    let library = |name: &str, text: String| load(&compile(&folder, name, write(&folder, "plugin.c", &text)));
    let create = |library: &Library| library.create("test.source.c", &json!({}), HostCallbacks::default());
    let message = "test.source.c: returned status 1, which is not in the contract";

    let mut called = create(&library("libcall.so", c_plugin("", "return DESKREEL_END;"))).unwrap();
    assert_eq!(called.devices().unwrap_err().to_string(), message);
    let created = c_plugin("", "return 0;").replace("return DESKREEL_OK;", "return 1;");
    assert_eq!(create(&library("libcreate.so", created)).err().unwrap().to_string(), message);

    let painted = c_plugin(
        "static deskreel_status frame(void *self, uint64_t number, uint64_t ns, uint8_t *pixels, size_t len,
                                      const deskreel_out *out) {
             (void)self; (void)ns; (void)pixels; (void)len; (void)out;
             return (deskreel_status)number;
         }",
        "return 0;",
    );
    let painted = painted.replace(".call = call,", ".call = call, .frame = frame,");
    let mut source = create(&library("libframe.so", painted)).unwrap();
    let mut frame = |number| source.frame(number, 0, &mut [0]);
    assert_eq!(frame(0).unwrap(), FrameStatus::Painted);
    assert_eq!(frame(1).unwrap(), FrameStatus::End);
    assert!(frame(2).unwrap_err().message.starts_with("returned status 2, "));
}

#[test]
fn a_c_plugin_keeps_its_descriptor_where_unused_sections_are_dropped() {
    let folder = TempDir::new().unwrap();
    let library = folder.path().join("libsmall.so");
    let mut compiler = compiler(&library, Path::new("examples/source-minimal-c/plugin.c"));
    compiler.args(["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"]);
    assert!(compiler.status().expect("a C compiler").success());
    assert_eq!(load(&library).descriptor().name, "example-source-bar");
}

#[test]
fn an_encoder_offers_candidates() {
    let library = load(Path::new("plugins/encoder-x264/plugin.toml"));
    let mut encoder = library.create("encoder.x264", &json!({}), HostCallbacks::default()).unwrap();
    let candidates = encoder.candidates(&encode_request()).unwrap();
    assert_eq!(candidates[0].elements[0].factory, "x264enc");
    let h265 = EncodeRequest { codec: Codec::H265, ..encode_request() };
    assert_eq!(encoder.candidates(&h265).unwrap(), []);
}

#[test]
fn a_sink_may_take_whole_recordings_only() {
    let folder = TempDir::new().unwrap();
    let mut sink = open("deskreel_sink_file", "sink.file", json!({ "directory": folder.path() }));
    let delivery = FragmentDelivery { id: "r/t/1/1".into(), path: "/nowhere".into(), ..Default::default() };
    assert_eq!(sink.fragment(&delivery).unwrap(), None);
    let missing =
        FinishedRecording { id: "r".into(), directory: folder.path().join("missing"), ..Default::default() };
    assert!(!matches!(sink.finish(&missing), Ok(Answer::Acknowledged { .. })), "it has taken nothing");
}

#[test]
fn a_policy_decides_from_state_and_event_alone() {
    let mut policy = open("example_policy_minimal", "example.policy.minimal", json!({}));
    let fact = |state: &str| {
        let call = json!({
            "call": "77", "interaction": "77", "role": "primary", "state": state, "since": "2026-01-05T09:00:00.000Z",
        });
        let fact = json!({
            "state": null, "at": "2026-01-05T09:00:00.000Z", "agent": { "id": "ann" }, "calls": [call],
            "event": { "type": "call.established", "at": "2026-01-05T09:00:00.000Z" }, "changed": ["77"],
        });
        fact.to_string()
    };
    let (ringing, up) = (fact("ringing"), fact("up"));
    let fact = |text| serde_json::from_str::<Fact>(text).unwrap();
    for _ in 0..2 {
        assert_eq!(policy.decide(&fact(&ringing)).unwrap().decisions, []);
        let decisions = policy.decide(&fact(&up)).unwrap().decisions;
        assert_eq!(decisions, [Decision::start("the call was answered").for_call("77")]);
    }
}

#[test]
fn a_feed_emits_from_a_thread_of_its_own() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("day.jsonl");
    fs::write(&file, r#"{"type":"call.established","at":"2026-01-05T09:00:00.000Z","call":"77"}"#).unwrap();
    let (sender, events) = mpsc::channel();
    let sender = Mutex::new(sender);
    let on_emit = Arc::new(move |event| drop(sender.lock().unwrap().send(event)));
    let host = HostCallbacks { on_emit, on_submit: None };

    let library = load(&built("example_feed_minimal"));
    let mut feed = library.create("example.feed.minimal", &json!({ "file": file }), host).unwrap();
    feed.start_feed().unwrap();
    let event = events.recv_timeout(LIMIT).expect("the feed emits its event");
    assert_eq!(event["call"], "77");
    feed.stop_feed().unwrap();
}

#[test]
fn a_descriptor_alone_is_a_source_or_an_encoder() {
    let folder = TempDir::new().unwrap();
    let library = load(&write(&folder, "plugin.toml", RECIPES));
    let settings = json!({ "device": "/dev/video7" });
    let mut source = library.create("acme.source.card", &settings, HostCallbacks::default()).unwrap();
    let recipe = source.recipe(&SourceRequest { max_fps: 25 }).unwrap();
    let Producer::Elements(elements) = recipe.producer else { panic!("elements expected") };
    let properties: Vec<_> =
        elements[0].properties.iter().map(|p| (p.name.as_str(), p.value.clone())).collect();
    let expected =
        [("device", json!("/dev/video7")), ("io-mode", json!(2)), ("norm", json!("{ PAL, NTSC }"))];
    assert_eq!(properties, expected, "set, by default, and unchanged; `brightness` is not set");

    let mut encoder = library.create("acme.encoder.card", &json!({}), HostCallbacks::default()).unwrap();
    let candidates = encoder.candidates(&encode_request()).unwrap();
    assert_eq!(candidates[0].elements[0].properties[0].value, json!(23));
}

#[test]
fn wrong_settings_are_the_deployers_fault() {
    let library = load(&built("example_source_minimal"));
    let open = |settings| {
        let opened = library.create("example.source.minimal", &settings, HostCallbacks::default());
        opened.err().expect("refused")
    };
    let failure = open(json!({ "pattren": "ball" }));
    assert_eq!(failure.fault().exit_code(), 2);
    assert_eq!(failure.to_string(), "example.source.minimal: unknown field `pattren`, expected `pattern`");
    assert_eq!(open(json!({})).to_string(), "example.source.minimal: missing field `pattern`");
}

#[test]
fn a_panic_ends_one_instance_and_nothing_else() {
    let library = load(&built("broken_panics_in_call"));
    let create = || {
        library
            .create("broken.source.panics-in-call", &json!({}), HostCallbacks::default())
            .expect("it opens")
    };
    let (mut first, mut second) = (create(), create());
    let request = SourceRequest { max_fps: 10 };
    let failure = first.recipe(&request).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Panicked);
    assert_eq!(failure.message, "the plugin panicked: index 7 of 3 monitors");
    let again = first.devices().unwrap_err();
    assert_eq!(again.message, "the plugin panicked earlier; this instance answers no more calls");
    assert_eq!(second.devices().unwrap(), [], "the other instance is whole");
}

#[test]
fn a_plugins_log_arrives_with_its_id() {
    let log = log();
    let mut source = open("example_source_minimal", "example.source.minimal", json!({ "pattern": "snow" }));
    source.recipe(&SourceRequest { max_fps: 7 }).unwrap();
    let mut broken = open("broken_panics_in_call", "broken.source.panics-in-call", json!({}));
    broken.recipe(&SourceRequest { max_fps: 7 }).unwrap_err();
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let line = log.lines().find(|line| line.contains("max_fps=7")).expect("the event arrives");
    assert_eq!(
        line,
        "DEBUG plugin: recipe requested max_fps=7 plugin=\"example.source.minimal\" module=\"example_source_minimal\""
    );
    let panic = log.lines().find(|line| line.contains("panics-in-call/src/lib.rs:")).expect("with its place");
    assert!(panic.starts_with("ERROR plugin: panicked at"), "{panic}");
}
