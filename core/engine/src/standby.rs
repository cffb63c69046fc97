//! A track's writer before there is a recording: coded frames stay in memory, and the disk is not touched, until they
//! are wanted. Then what was chosen of them is written like any frame that comes, and the writer goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Receiver;

use deskreel_model::PartNumber;
use deskreel_model::worker::Report;

use crate::counters::Counters;
use crate::ring::{Kept, Limits, Ring};
use crate::writer::{Input, Setup, Writer};

/// Bytes of coded frames that a track keeps: a minute of a busy screen at 8 Mbit/s.
const MOST_BYTES: usize = 64 << 20;

/// Waits until the frames are wanted; gives the writer that has begun with them. `None` where nobody wanted any.
pub fn wait<D: AsRef<[u8]>>(
    setup: Setup,
    length: u64,
    number: PartNumber,
    counters: &Arc<Counters>,
    inputs: &Receiver<Input<D>>,
    backlog: &AtomicUsize,
) -> Option<Writer<D>> {
    let mut ring = Ring::new(Limits { length, bytes: MOST_BYTES });
    let mut configured = None;
    while let Ok(input) = inputs.recv() {
        backlog.fetch_sub(1, Relaxed);
        match input {
            Input::Configured(config, opened) => configured = Some((config, opened)),
            Input::Frame(frame) => {
                // As good as on disk, as far as a standby goes.
                if counters.written.fetch_add(1, Relaxed) == 0 {
                    setup.reporter.send(&Report::StandingBy { track: setup.track.clone() });
                }
                let (skipped, lost) = (counters.skipped.load(Relaxed), counters.lost.load(Relaxed));
                if !ring.push(Kept { frame, skipped, lost }) {
                    counters.want_keyframe.store(true, Relaxed);
                }
            }
            Input::Choose(from, answer) => drop(answer.send(ring.choose(from))),
            Input::Keep { directory, zero } => {
                let setup = Setup { directory, ..setup };
                let reporter = setup.reporter.clone();
                let mut writer = match Writer::new(setup, number, counters.clone()) {
                    Ok(writer) => writer,
                    Err(error) => {
                        reporter.send(&Report::Failed { failure: error.into() });
                        // A track that ended by itself would say that its source did.
                        while inputs.recv().is_ok_and(|input| !matches!(input, Input::Finish)) {
                            backlog.fetch_sub(1, Relaxed);
                        }
                        return None;
                    }
                };
                let frames = ring.into_frames();
                count_anew(counters, frames.front(), frames.len() as u64);
                writer.begin(zero, configured, frames.into_iter().map(|kept| kept.frame));
                return Some(writer);
            }
            Input::Next(..) | Input::Finish => return None,
        }
    }
    None
}

/// The part begins with what is kept: everything before has never been.
fn count_anew<D>(counters: &Counters, first: Option<&Kept<D>>, kept: u64) {
    let given = counters.written.swap(0, Relaxed);
    let (skipped, lost) = first.map_or_else(
        || (counters.skipped.load(Relaxed), counters.lost.load(Relaxed)),
        |first| (first.skipped, first.lost),
    );
    counters.captured.fetch_sub(given.saturating_sub(kept) + skipped + lost, Relaxed);
    counters.skipped.fetch_sub(skipped, Relaxed);
    counters.lost.fetch_sub(lost, Relaxed);
}
