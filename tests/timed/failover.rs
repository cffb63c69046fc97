//! Encoders that lie, fail, hang or take the process with them: every recording continues with the next one,
//! and its manifest has the cost. The encoders are those of tests/lab; the pixels are the judge.

use std::time::Duration;

use crate::support::lab::{FPS, Hole, Lab, assert_no_frame_missing, plugins};
use deskreel_model::manifest::{Cause, Outcome};
use deskreel_test_support::random::Random;
use deskreel_test_support::recorder::{Recording, Running, assert_ffmpeg_accepts};

/// The variable `FAULTS` sets another number, for a soak.
const FAULTS: usize = 18;
/// The number of frames that a probe passes to an encoder. A fault after them strikes in recordings only.
const PROBED: u64 = 16;
const DEADLINE_MS: u64 = 500;
/// The most footage that a dying encoder may cost.
const LIMIT_MS: u64 = 250;

/// `lab.encoder.a` with this fault, and x264 after it.
fn with_x264(fault: &str) -> String {
    format!("plugin = [\"lab.encoder.a\", \"encoder.x264\"]\na = {{ {fault} }}")
}

fn wait_for_encoder(running: &mut Running, plugin: &str) {
    running.wait_for(plugin, |event| event["event"] == "encoder" && event["encoder"]["plugin"] == plugin);
}

fn footage(recording: &Recording) -> Vec<Vec<deskreel_test_support::counter::Frame>> {
    assert!(recording.status.success(), "{:#?}", recording.manifest);
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    recording.assert_verified();
    let parts = recording.frames();
    parts.iter().for_each(|part| assert_no_frame_missing(part));
    parts
}

/// Asserts that the second one records, as if the first did not exist, and that the first one makes the next
/// recording, once the fault is gone.
fn refused_at_the_probe(fault: &str, reason: &str) {
    let lab = Lab::new(&with_x264(fault));
    let recording = lab.record_a_moment();
    let parts = footage(&recording);
    let track = recording.track();
    assert_eq!(plugins(&track.parts), ["encoder.x264"], "{fault}");
    assert_eq!((track.gaps.len(), recording.manifest.incidents.len()), (0, 0), "{fault}");
    assert_eq!(parts[0][0].reading.unwrap().number, 0, "{fault}");
    let refused = &track.parts[0].encoder.refused;
    assert_eq!(refused.len(), 1, "{fault}: {refused:?}");
    assert_eq!(refused[0].plugin, "lab.encoder.a");
    assert!(refused[0].reason.contains(reason), "{fault}: {}", refused[0].reason);

    lab.set_encoder(&with_x264("fault = \"none\""));
    let after = lab.record_a_moment();
    footage(&after);
    assert_eq!(plugins(&after.track().parts), ["lab.encoder.a"], "after {fault}");
}

#[test]
fn missing_encoder_is_refused() {
    refused_at_the_probe("fault = \"absent\"", "labh264enc-of-another-machine");
}

#[test]
fn encoder_that_does_not_open_is_refused() {
    refused_at_the_probe("fault = \"no-open\"", "cannot be opened");
}

#[test]
fn encoder_whose_pictures_are_black_is_refused() {
    refused_at_the_probe("fault = \"black\"", "picture");
}

#[test]
fn encoder_whose_pictures_are_green_is_refused() {
    refused_at_the_probe("fault = \"green\"", "picture");
}

#[test]
fn encoder_that_never_delivers_a_frame_is_refused() {
    refused_at_the_probe("fault = \"hang\"", "frame");
}

#[test]
fn encoder_that_soon_hangs_is_refused() {
    refused_at_the_probe("fault = \"hang\", at = 11", "frame");
}

#[test]
fn encoder_that_begins_without_a_keyframe_is_refused() {
    refused_at_the_probe("fault = \"drop-keyframes\"", "");
}

#[test]
fn encoder_that_loses_keyframes_is_refused() {
    refused_at_the_probe("fault = \"drop-keyframes\", at = 1", "");
}

/// If only changes are recorded, keyframes cannot come by counting frames. A verdict from recording every
/// frame does not hold for it.
#[test]
fn encoder_without_keyframes_on_demand_is_refused_if_only_changes_are_recorded() {
    let lab = Lab::new(&with_x264("fault = \"deaf\""));
    let every_frame = lab.record_a_moment();
    footage(&every_frame);
    assert_eq!(plugins(&every_frame.track().parts), ["lab.encoder.a"]);

    let text = std::fs::read_to_string(lab.desk.pipeline()).unwrap();
    std::fs::write(lab.desk.pipeline(), text.replace("changes_only = false", "changes_only = true")).unwrap();
    let changes_only = lab.record_a_moment();
    footage(&changes_only);
    let parts = &changes_only.track().parts;
    assert_eq!(plugins(parts), ["encoder.x264"]);
    assert!(parts[0].encoder.refused[0].reason.contains("keyframe"), "{:?}", parts[0].encoder.refused);
}

#[test]
fn encoder_that_soon_fails_is_refused() {
    refused_at_the_probe("fault = \"fail\", at = 5", "the lab encoder failed at frame 5");
}

#[test]
fn encoder_that_ends_the_process_is_refused() {
    refused_at_the_probe("fault = \"crash\", at = 5", "signal 6");
}

#[test]
fn encoder_without_a_session_left_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fault = format!("fault = \"sessions\", limit = 0, folder = \"{}\"", folder.path().display());
    refused_at_the_probe(&fault, "session");
}

/// Two recordings at once on a GPU that encodes one: the second uses another encoder, and takes nothing from
/// the first.
#[test]
fn encoder_whose_sessions_are_taken_is_used_again_when_one_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let fault = format!("fault = \"sessions\", limit = 1, folder = \"{}\"", folder.path().display());
    let lab = Lab::new(&with_x264(&fault));
    let mut first = lab.record();
    first.wait_for_event("recording");
    // The first one's probe has shown that it works. Only opening it shows that no session is left.
    let second = lab.record_a_moment();
    footage(&second);
    assert_eq!(plugins(&second.track().parts).last(), Some(&"encoder.x264"));
    let first = first.stop();
    footage(&first);
    assert_eq!(plugins(&first.track().parts), ["lab.encoder.a"]);

    let third = lab.record_a_moment();
    footage(&third);
    assert_eq!(plugins(&third.track().parts), ["lab.encoder.a"]);
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Fail,
    Hang,
    Crash,
}

impl Fault {
    fn cause(self) -> Cause {
        match self {
            Fault::Fail => Cause::EncoderFailed,
            Fault::Hang => Cause::EncoderHung,
            Fault::Crash => Cause::WorkerDied,
        }
    }

    fn limit_ms(self) -> u64 {
        match self {
            Fault::Hang => DEADLINE_MS + LIMIT_MS,
            Fault::Fail | Fault::Crash => LIMIT_MS,
        }
    }
}

/// Three encoders die in one recording, in sequence, each at its own moment.
#[test]
fn dying_encoders_cost_a_moment_and_the_manifest_says_how_long() {
    let random = Random::new();
    let faults = std::env::var("FAULTS").ok().and_then(|n| n.parse().ok()).unwrap_or(FAULTS);
    let lab = Lab::new(&with_x264(""));
    let mut worst = [(Fault::Fail, 0), (Fault::Hang, 0), (Fault::Crash, 0)];
    for _ in 0..faults.div_ceil(3) {
        let mut order = vec![Fault::Fail, Fault::Hang, Fault::Crash];
        let order: Vec<Fault> = (1..=3).rev().map(|left| order.remove(random.below(left) as usize)).collect();
        let mut encoder = format!(
            "plugin = [\"lab.encoder.a\", \"lab.encoder.b\", \"lab.encoder.c\", \"encoder.x264\"]\n\
             frame_deadline = \"{DEADLINE_MS}ms\"\n"
        );
        for (name, fault) in ["a", "b", "c"].iter().zip(&order) {
            let (word, at) = (format!("{fault:?}").to_lowercase(), PROBED + random.below(2 * FPS));
            encoder += &format!("{name} = {{ fault = \"{word}\", at = {at} }}\n");
        }
        println!("{order:?} {}", encoder.split_once('\n').unwrap().1.replace('\n', " "));
        lab.set_encoder(&encoder);
        let mut running = lab.record();
        wait_for_encoder(&mut running, "encoder.x264");
        running.run_for(Duration::from_millis(500));
        let recording = running.stop();
        let costs = costs_of(&recording, &order);
        for (fault, cost) in order.iter().zip(costs) {
            let (_, worst) = worst.iter_mut().find(|(known, _)| known == fault).unwrap();
            *worst = cost.max(*worst);
        }
        std::fs::remove_dir_all(&recording.folder).unwrap();
    }
    println!("{faults} faults; the worst cost, in ms: {worst:?}");
}

/// The milliseconds without footage of each fault, by the pixels.
fn costs_of(recording: &Recording, order: &[Fault]) -> Vec<u64> {
    let parts = footage(recording);
    let track = recording.track();
    assert_eq!(plugins(&track.parts), ["lab.encoder.a", "lab.encoder.b", "lab.encoder.c", "encoder.x264"]);
    assert_eq!(parts.len(), 4, "each part has footage");
    let pairs = parts.windows(2).zip(&track.parts[1..]).zip(order);
    let costs = pairs.map(|((pair, part), fault)| {
        assert_eq!(part.cause, fault.cause());
        let refused = part.encoder.refused.iter().map(|refusal| refusal.plugin.as_str());
        let before = ["lab.encoder.a", "lab.encoder.b", "lab.encoder.c"];
        assert_eq!(refused.collect::<Vec<_>>(), before[..part.encoder.refused.len()]);
        let hole = Hole::between(&pair[0], &pair[1]);
        hole.assert_reported(&track.gaps, &format!("{fault:?}"));
        if *fault != Fault::Crash {
            assert_eq!(
                hole.missing,
                Some(0),
                "{fault:?}: frames that the encoder had not delivered yet are encoded again"
            );
        }
        assert!(hole.ms() <= fault.limit_ms(), "{fault:?} cost {} ms", hole.ms());
        hole.ms()
    });
    let costs = costs.collect();
    let incidents: Vec<_> = recording.manifest.incidents.iter().map(|incident| incident.cause).collect();
    assert_eq!(incidents, order.iter().map(|fault| fault.cause()).collect::<Vec<_>>());
    assert_ffmpeg_accepts(&recording.export());
    costs
}

/// Frames wait for an encoder, but there is no room for all. Each that is dropped is counted.
#[test]
fn encoder_that_hangs_for_longer_than_frames_can_wait_costs_as_many_as_are_counted() {
    let source = format!(
        "plugin = \"source.synthetic\"\nmode = \"counter\"\nwidth = WIDTH\nheight = HEIGHT\nfps = {FPS}\n\
         max_fps = {FPS}\nchanges_only = false"
    );
    let encoder = "plugin = [\"lab.encoder.a\", \"lab.encoder.b\", \"encoder.x264\"]\nframe_deadline = \"4s\"\n\
                   a = { fault = \"hang\", at = 40 }";
    let lab = Lab::of_size(1920, 1080, &source, encoder);
    let mut running = lab.record();
    wait_for_encoder(&mut running, "lab.encoder.b");
    running.run_for(Duration::from_millis(2000));
    let recording = running.stop();
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    recording.assert_verified();
    let track = recording.track();
    assert_eq!(plugins(&track.parts), ["lab.encoder.a", "lab.encoder.b"]);
    let frames = recording.frames().concat();
    let numbers: Vec<u32> = frames.iter().map(|frame| frame.reading.unwrap().number).collect();
    let jumps: Vec<_> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    let missing: u32 = jumps.iter().map(|pair| pair[1] - pair[0] - 1).sum();
    println!(
        "{jumps:?} {:?} {:?}",
        track.gaps,
        track.parts.iter().map(|part| part.frames).collect::<Vec<_>>()
    );
    assert!(missing > 0, "256 MiB have room for less than three seconds");
    assert_eq!(track.frames().lost, u64::from(missing));
}

/// An encoder that failed in use is probed before the next recording, and used if it works again.
#[test]
fn encoder_that_failed_is_probed_before_the_next_recording() {
    let lab = Lab::new(&with_x264("fault = \"fail\", at = 40"));
    for _ in 0..2 {
        let mut running = lab.record();
        running.wait_for("a probe of it", |event| {
            event["event"] == "trying" && event["plugin"] == "lab.encoder.a"
        });
        wait_for_encoder(&mut running, "encoder.x264");
        let recording = running.stop();
        footage(&recording);
        assert_eq!(plugins(&recording.track().parts), ["lab.encoder.a", "encoder.x264"]);
    }
}

#[test]
fn encoder_that_died_is_not_used_again_in_the_recording_even_if_it_is_back() {
    let lab = Lab::new("");
    let back = lab.file("back");
    lab.set_encoder(&format!(
        "plugin = [\"lab.encoder.a\", \"lab.encoder.b\", \"encoder.x264\"]\n\
         a = {{ fault = \"fail\", at = 30, back = \"{0}\" }}\nb = {{ fault = \"crash\", at = 60 }}",
        back.display()
    ));
    let mut running = lab.record();
    wait_for_encoder(&mut running, "lab.encoder.b");
    std::fs::write(&back, "").unwrap();
    // Another worker, to which the first encoder would look new.
    wait_for_encoder(&mut running, "encoder.x264");
    running.wait_for_event("recording");
    let recording = running.stop();
    footage(&recording);
    assert_eq!(plugins(&recording.track().parts), ["lab.encoder.a", "lab.encoder.b", "encoder.x264"]);

    let after = lab.record_a_moment();
    footage(&after);
    assert_eq!(plugins(&after.track().parts), ["lab.encoder.a"], "it is back");
}

#[test]
fn refused_encoder_that_comes_back_is_used_when_it_is_tried_afresh() {
    for fault in ["absent", "no-open", "green"] {
        let lab = Lab::new("");
        let back = lab.file("back");
        lab.set_encoder(&with_x264(&format!("fault = \"{fault}\", back = \"{}\"", back.display())));
        let before = lab.record_a_moment();
        footage(&before);
        assert_eq!(plugins(&before.track().parts), ["encoder.x264"], "{fault}");
        let again = lab.record_a_moment();
        let refused = |recording: &Recording| recording.track().parts[0].encoder.refused.clone();
        assert_eq!(refused(&again), refused(&before), "{fault}: the reason is remembered");
        std::fs::write(&back, "").unwrap();
        lab.encoders(&["--fresh"]);
        let after = lab.record_a_moment();
        footage(&after);
        assert_eq!(plugins(&after.track().parts), ["lab.encoder.a"], "{fault}");
    }
}

/// A gap at each death is better than no footage.
#[test]
fn the_only_encoder_that_works_is_used_again_after_it_died() {
    for (fault, cause) in [("crash", Cause::WorkerDied), ("fail", Cause::WorkerFailed)] {
        let lab = Lab::new(&format!("plugin = \"lab.encoder.a\"\na = {{ fault = \"{fault}\", at = 30 }}"));
        let mut running = lab.record();
        running.wait_for_event("recording");
        running.wait_for_event("incident");
        running.wait_for_event("recording");
        let recording = running.stop();
        let parts = footage(&recording);
        let track = recording.track();
        assert_eq!(track.parts[1].cause, cause, "{fault}");
        assert_eq!(plugins(&track.parts)[..2], ["lab.encoder.a", "lab.encoder.a"], "{fault}");
        Hole::between(&parts[0], &parts[1]).assert_reported(&track.gaps, fault);
    }
}
