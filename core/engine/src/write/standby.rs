//! A track's writer before there is a recording: encoded frames stay in memory, and the disk is not touched,
//! until they are wanted. Then the chosen ones are written like any frame that arrives, and the writer
//! carries on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Receiver;

use deskreel_model::PartNumber;
use deskreel_model::worker::Report;

use crate::encode::counters::Counters;
use crate::write::link::{WriterInput, WriterSetup};
use crate::write::ring::{Ring, RingFrame, RingLimits};
use crate::write::writer::Writer;

/// Most bytes of encoded frames that a track keeps: a minute of a busy screen at 8 Mbit/s.
const MOST_BYTES: usize = 64 << 20;

/// Waits until the frames are wanted; returns the writer that has begun with them, or `None` if they never
/// were.
pub fn wait<D: AsRef<[u8]>>(
    setup: WriterSetup,
    preroll_ns: u64,
    number: PartNumber,
    counters: &Arc<Counters>,
    inputs: &Receiver<WriterInput<D>>,
    backlog: &AtomicUsize,
) -> Option<Writer<D>> {
    let mut ring = Ring::new(RingLimits { length_ns: preroll_ns, bytes: MOST_BYTES });
    let mut configured = None;
    while let Ok(input) = inputs.recv() {
        backlog.fetch_sub(1, Relaxed);
        match input {
            WriterInput::Configured(config, opened) => configured = Some((config, opened)),
            WriterInput::Frame(frame) => {
                // For a standby, as good as on disk.
                if counters.written.fetch_add(1, Relaxed) == 0 {
                    setup.reporter.send(&Report::StandingBy { track: setup.track.clone() });
                }
                let (skipped, lost) = (counters.skipped.load(Relaxed), counters.lost.load(Relaxed));
                if !ring.push(RingFrame { frame, skipped, lost }) {
                    counters.want_keyframe.store(true, Relaxed);
                }
            }
            WriterInput::Choose(from_ns, answer) => drop(answer.send(ring.choose(from_ns))),
            WriterInput::Keep { directory, zero_ns } => {
                let setup = WriterSetup { directory, ..setup };
                let reporter = setup.reporter.clone();
                let mut writer = match Writer::new(setup, number, counters.clone()) {
                    Ok(writer) => writer,
                    Err(error) => {
                        reporter.send(&Report::Failed { failure: error.into() });
                        // The thread stays until the job ends: a track that ends by itself counts as the end
                        // of its source.
                        while inputs.recv().is_ok_and(|input| !matches!(input, WriterInput::Finish)) {
                            backlog.fetch_sub(1, Relaxed);
                        }
                        return None;
                    }
                };
                let frames = ring.into_frames();
                restart_counts(counters, frames.front(), frames.len() as u64);
                writer.begin(zero_ns, configured, frames.into_iter().map(|kept| kept.frame));
                return Some(writer);
            }
            WriterInput::Next(..) | WriterInput::Finish => return None,
        }
    }
    None
}

/// Resets the counts to the kept frames, since the part begins with them.
fn restart_counts<D>(counters: &Counters, first: Option<&RingFrame<D>>, kept: u64) {
    let encoded = counters.written.swap(0, Relaxed);
    let (skipped, lost) = first.map_or_else(
        || (counters.skipped.load(Relaxed), counters.lost.load(Relaxed)),
        |first| (first.skipped, first.lost),
    );
    counters.captured.fetch_sub(encoded.saturating_sub(kept) + skipped + lost, Relaxed);
    counters.skipped.fetch_sub(skipped, Relaxed);
    counters.lost.fetch_sub(lost, Relaxed);
}
