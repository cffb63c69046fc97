//! Tests the threads, with closures as sinks and a real spool. The outbox decides what is delivered when, and
//! its own tests cover that.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use deskreel_contract::RecordingAbout;
use deskreel_model::manifest::{
    Anchor, Cause, EncoderUse, FileRef, Fragment, FrameCounts, Outcome, Part, PluginUse,
};
use deskreel_model::{Manifest, MediaTime, PartNumber, Utc, layout};
use deskreel_spool::{RecordingDir, sha256_hex};
use tempfile::TempDir;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

struct Closure<F>(F);

/// Answers both calls.
impl<F: FnMut(&str) -> Result<Option<Answer>, String>> Deliver for Closure<F> {
    fn fragment(&mut self, delivery: &FragmentDelivery) -> Result<Option<Answer>, String> {
        (self.0)(&delivery.id)
    }

    fn finish(&mut self, recording: &FinishedRecording) -> Result<Answer, String> {
        (self.0)(&recording.id).map(Option::unwrap)
    }
}

fn sink<F>(name: &str, make: impl Fn() -> F + Send + 'static) -> Sink
where
    F: FnMut(&str) -> Result<Option<Answer>, String> + 'static,
{
    let make = move || Ok(Box::new(Closure(make())) as Box<dyn Deliver>);
    Sink { name: name.into(), make: Box::new(make) }
}

fn acknowledged() -> Result<Option<Answer>, String> {
    Ok(Some(Answer::Acknowledged { place: "there".into() }))
}

/// A sealed recording with a header and two fragments.
fn recording(directory: &Path, salt: u32) -> RecordingId {
    let utc = Utc::parse("2026-11-23T07:10:02.250Z").unwrap();
    let id = RecordingId::new(utc, salt);
    let folder = RecordingDir::create(directory, &id).unwrap();
    let anchor = Anchor { media: MediaTime::ZERO, utc, uncertainty_ns: 0 };
    let mut manifest = Manifest::new(id.clone(), "test".into(), &["video".to_owned()], anchor);
    fs::create_dir_all(folder.path().join(layout::part_folder("video", PartNumber::FIRST))).unwrap();
    let file = |file: String| {
        let bytes = file.repeat(100).into_bytes();
        fs::write(folder.path().join(&file), &bytes).unwrap();
        FileRef { file, size: bytes.len() as u64, sha256: sha256_hex(&bytes) }
    };
    let fragment = |number| Fragment {
        number,
        file: file(layout::fragment_file("video", PartNumber::FIRST, number)),
        start: MediaTime::ZERO,
        duration_ns: 1,
        frames: 1,
        starts_with_keyframe: true,
        salvaged: false,
    };
    let encoder = serde_json::json!({ "plugin": "test", "version": "1", "candidate": "test", "refused": [] });
    manifest.tracks[0].parts.push(Part {
        number: PartNumber::FIRST,
        cause: Cause::Start,
        source: PluginUse { plugin: "test".into(), version: "1".into() },
        encoder: serde_json::from_value::<EncoderUse>(encoder).unwrap(),
        codec: String::new(),
        width: 64,
        height: 48,
        fps: 10,
        timescale: 90_000,
        init: file(layout::init_file("video", PartNumber::FIRST)),
        fragments: vec![fragment(1), fragment(2)],
        frames: FrameCounts::default(),
    });
    manifest.outcome = Some(Outcome::Finished);
    folder.publish(&manifest).unwrap();
    id
}

fn start(folder: &TempDir, sinks: Vec<Sink>) -> (Delivery, Receiver<Progress>) {
    let names: Vec<SinkName> = sinks.iter().map(|sink| sink.name.clone()).collect();
    let (outbox, _) = Outbox::open(folder.path(), &names, 1).unwrap();
    let (sender, progress) = mpsc::channel();
    let progress_of = move |progress| sender.send(progress).unwrap_or(());
    (Delivery::start(outbox, sinks, None, progress_of).unwrap(), progress)
}

fn release(delivery: &Delivery, recording: &RecordingId) {
    delivery.update(|outbox| outbox.released(recording, RecordingAbout::default())).unwrap();
}

/// Collects the progress until this recording has left.
fn until_left(progress: &Receiver<Progress>, recording: &RecordingId) -> Vec<Progress> {
    let mut told = Vec::new();
    loop {
        let next = progress.recv_timeout(LIMIT).unwrap();
        if next == (Progress::Left { recording: recording.clone() }) {
            return told;
        }
        told.push(next);
    }
}

#[test]
fn what_every_sink_has_got_whole_and_in_order_leaves_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let id = recording(folder.path(), 1);
    let (sender, asked) = mpsc::channel();
    let fragments = sink("fragments", move || {
        let sender = sender.clone();
        move |id: &str| {
            sender.send(id.to_owned()).unwrap();
            acknowledged()
        }
    });
    let whole = sink("whole", || |id: &str| if id.contains('/') { Ok(None) } else { acknowledged() });
    let (mut delivery, progress) = start(&folder, vec![fragments, whole]);
    release(&delivery, &id);
    let told = until_left(&progress, &id);
    assert!(!folder.path().join(id.as_str()).exists());
    let delivered = told.iter().filter(|told| matches!(told, Progress::Delivered { .. }));
    assert_eq!(delivered.count(), 2);
    assert_eq!(delivery.stop(LIMIT), []);
    let asked: Vec<String> = asked.try_iter().collect();
    let expected = ["/video/1/0", "/video/1/1", "/video/1/2", ""].map(|end| format!("{id}{end}"));
    assert_eq!(asked, expected);
}

#[test]
fn an_instance_that_failed_is_made_anew_and_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let id = recording(folder.path(), 1);
    let (sender, made) = mpsc::channel();
    let sink = sink("a", move || {
        sender.send(()).unwrap();
        let mut calls = 0;
        move |_: &str| {
            calls += 1;
            if calls > 3 { Err("it panicked".into()) } else { acknowledged() }
        }
    });
    let (delivery, progress) = start(&folder, vec![sink]);
    release(&delivery, &id);
    let failed = |told: &Progress| matches!(told, Progress::Failed { reason, .. } if reason == "it panicked");
    let told = until_left(&progress, &id);
    assert_eq!((told.iter().filter(|told| failed(told)).count(), made.try_iter().count()), (1, 2));
}

#[test]
fn a_stop_does_not_wait_for_a_sink_that_hangs_and_its_late_answer_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let id = recording(folder.path(), 1);
    let (sender, asked) = mpsc::channel();
    let (answer, answers) = mpsc::channel::<()>();
    let answers = Arc::new(Mutex::new(answers));
    let hangs = sink("hangs", move || {
        let (sender, answers) = (sender.clone(), answers.clone());
        move |id: &str| {
            sender.send(id.to_owned()).unwrap();
            answers.lock().unwrap().recv().unwrap();
            acknowledged()
        }
    });
    let (mut delivery, progress) = start(&folder, vec![hangs]);
    release(&delivery, &id);
    asked.recv_timeout(LIMIT).unwrap();
    let begun = Instant::now();
    assert_eq!(delivery.stop(Duration::from_millis(50)), ["hangs".into()]);
    assert!(begun.elapsed() < Duration::from_secs(2));
    answer.send(()).unwrap();
    // The thread ends once it has its answer, which closes the other end.
    assert!(asked.recv_timeout(LIMIT).is_err());
    let fragments = delivery.look(|outbox| outbox.status(Instant::now()).sinks[0].fragments);
    assert_eq!((fragments, progress.try_iter().count()), (3, 0));

    // The next one is asked for everything.
    let eager = sink("hangs", || |_: &str| acknowledged());
    delivery.set_sinks(vec![eager]).unwrap();
    assert_eq!(until_left(&progress, &id).len(), 4);
}

#[test]
fn a_sink_that_hangs_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let id = recording(folder.path(), 1);
    let (keeps_hanging, answers) = mpsc::channel::<()>();
    let answers = Arc::new(Mutex::new(answers));
    let hangs = sink("hangs", move || {
        let answers = answers.clone();
        move |_: &str| answers.lock().unwrap().recv().map_err(|error| error.to_string()).map(|()| None)
    });
    let works = sink("works", || |_: &str| acknowledged());
    let (delivery, progress) = start(&folder, vec![hangs, works]);
    release(&delivery, &id);
    let delivered = || matches!(progress.recv_timeout(LIMIT).unwrap(), Progress::Delivered { sink, .. } if sink.as_str() == "works");
    while !delivered() {}
    assert!(folder.path().join(id.as_str()).exists(), "the other one has not got it");
    drop((delivery, keeps_hanging));
}

#[test]
fn sending_is_as_fast_as_it_may_be_over_any_time_and_never_stops() {
    let begun = Instant::now();
    let mut rate = Rate::new(1000, begun);
    let (mut now, mut sent) = (begun, 0);
    while now < begun + Duration::from_secs(60) {
        match rate.take(300, now) {
            None => sent += 300,
            Some(until) => {
                assert!(until > now);
                now = until;
            }
        }
    }
    // A second's worth ahead at the start, and a debt of at most one fragment at the end.
    assert!((60_000..=61_600).contains(&sent), "{sent}");

    // After an idle hour it may still send no more than that ahead.
    now += Duration::from_secs(3600);
    let at_once = (0..100).take_while(|_| rate.take(300, now).is_none()).count();
    assert_eq!(at_once, 4);
}
