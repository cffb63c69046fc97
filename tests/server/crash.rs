//! The server is killed under load again and again: everything it acknowledged is there, once, and recorders
//! finish.
//!
//! `KILLS=50` sets the number of kills; the suite does fewer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use deskreel_contract::Answer;

use crate::ingest::sink;
use deskreel_test_support::random::Random;
use deskreel_test_support::sealed_recording::SealedRecording;
use deskreel_test_support::server::{Server, Who};
use deskreel_test_support::upload_server::hex;

const RECORDERS: usize = 4;
/// Most time between two acknowledgements, in any case.
const PATIENCE: Duration = Duration::from_secs(60);
/// A server that is up and refuses for another reason is asked again after this time.
const RETRY: Duration = Duration::from_millis(200);

/// However the test ends, it ends its recorders, which would otherwise fill the disk.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A number of events, for which threads can wait.
#[derive(Default)]
struct Counter {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Counter {
    fn add(&self) {
        *self.count.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    fn get(&self) -> usize {
        *self.count.lock().unwrap()
    }

    /// False if there are not this many within the limit.
    fn wait_for(&self, count: usize, limit: Duration) -> bool {
        let counted = self.count.lock().unwrap();
        !self.changed.wait_timeout_while(counted, limit, |counted| *counted < count).unwrap().1.timed_out()
    }
}

/// An acknowledged fragment.
struct Fresh {
    token: String,
    recording: String,
    sha256: String,
}

#[test]
fn nothing_acknowledged_is_lost_though_the_server_is_killed_under_load() {
    under_load(Server::start(), kills(5), |server| Server::in_folder(server.kill()));
}

pub fn kills(unless_told: usize) -> usize {
    std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(unless_told)
}

/// Recorders upload without a pause while `strike` is called this many times; then everything must be there.
pub fn under_load(mut server: Server, strikes: usize, mut strike: impl FnMut(Server) -> Server) {
    let is_over = Arc::new(AtomicBool::new(false));
    // Fragments, and strikes after which the server was up again.
    let (acknowledged, survived) = (Arc::<Counter>::default(), Arc::<Counter>::default());
    let _over = Over(is_over.clone());
    // The ones since the last strike. Later, recorders would repair a loss unnoticed.
    let fresh = Arc::<Mutex<Vec<Fresh>>>::default();
    let mut recorders = Vec::new();
    let mut tokens = Vec::new();
    for recorder in 0..RECORDERS {
        let token = server.enrol(&format!("seat-{recorder}"));
        let folder = tempfile::tempdir().unwrap();
        let mut upload = sink(&server.url, &token, folder.path());
        tokens.push(token);
        let (is_over, fresh) = (is_over.clone(), fresh.clone());
        let (acknowledged, survived) = (acknowledged.clone(), survived.clone());
        let token = tokens[recorder].clone();
        // Delivers one recording after another, each until it is complete. Asks again as soon as the server
        // is up.
        recorders.push(thread::spawn(move || {
            let mut delivered = Vec::new();
            let insist = |mut ask: Box<dyn FnMut() -> Answer + '_>| {
                loop {
                    let before = survived.get();
                    match ask() {
                        Answer::Acknowledged { .. } => return,
                        Answer::Refused { reason } => panic!("refused: {reason}"),
                        Answer::RetryAfter { .. } => drop(survived.wait_for(before + 1, RETRY)),
                    }
                }
            };
            while !is_over.load(Ordering::SeqCst) {
                let number = delivered.len();
                let recording = SealedRecording::called(&format!(
                    "20260105T09{recorder:02}{:02}Z-{number:06x}",
                    number % 60
                ));
                for delivery in &recording.deliveries {
                    insist(Box::new(|| upload.fragment(delivery).unwrap().unwrap()));
                    acknowledged.add();
                    let (recording, sha256) = (delivery.recording.clone(), delivery.sha256.clone());
                    fresh.lock().unwrap().push(Fresh { token: token.clone(), recording, sha256 });
                }
                insist(Box::new(|| upload.finish(&recording.finished()).unwrap()));
                delivered.push(recording);
            }
            drop(folder);
            delivered
        }));
    }
    let random = Random::new();
    for round in 0..strikes {
        // Strikes under load: more was acknowledged since the server came up.
        let before = acknowledged.get();
        let more = 1 + usize::try_from(random.below(20)).unwrap();
        assert!(acknowledged.wait_for(before + more, PATIENCE), "nothing is acknowledged any more");
        println!("strike {round} after {}", acknowledged.get());
        let before = fresh.lock().unwrap().len();
        server = strike(server);
        survived.add();
        let mut held = BTreeMap::new();
        let fresh: Vec<Fresh> = fresh.lock().unwrap().drain(..).take(before).collect();
        assert!(!fresh.is_empty());
        for Fresh { token, recording, sha256 } in fresh {
            // Fetched once per recording: recorders continue meanwhile, and would otherwise be faster than
            // this.
            let text = held.entry(recording.clone()).or_insert_with(|| {
                server.get(&Who::Token(token), &format!("/api/v1/recordings/{recording}")).text()
            });
            assert!(text.contains(&sha256), "acknowledged but missing: {recording} {sha256}: {text}");
        }
    }
    is_over.store(true, Ordering::SeqCst);
    let delivered: Vec<Vec<SealedRecording>> =
        recorders.into_iter().map(|recorder| recorder.join().unwrap()).collect();
    let (stored, mut count) = (server.stored(), 0);
    for (delivered, token) in delivered.into_iter().zip(tokens) {
        let who = Who::Token(token);
        for recording in delivered {
            count += 1;
            let held = server.get(&who, &format!("/api/v1/recordings/{}", recording.id)).json();
            assert_eq!(held["closed"], true, "{}", recording.id);
            let bytes = recording.bytes();
            let fragments = held["fragments"].as_array().unwrap();
            assert_eq!(fragments.len(), bytes.len(), "{}: a fragment is missing or doubled", recording.id);
            for one in fragments {
                let number = |key: &str| u32::try_from(one[key].as_u64().unwrap()).unwrap();
                let name = (one["track"].as_str().unwrap().to_owned(), number("part"), number("number"));
                assert_eq!(one["sha256"], hex(&bytes[&name]), "{} {name:?}", recording.id);
                let object = format!("{}/{}", recording.id, one["sha256"].as_str().unwrap());
                assert!(stored[&object] == bytes[&name], "{} {name:?}", recording.id);
            }
        }
    }
    println!("{count} recordings, {} fragments acknowledged, {strikes} strikes", acknowledged.get());
    assert!(count >= RECORDERS);
}
