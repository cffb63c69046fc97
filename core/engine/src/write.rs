//! Turns encoded frames into files: one thread per track writes fragments, and keeps them in memory while the
//! track stands by.

pub mod link;
pub mod writer;

pub mod fragments;

pub mod files;

// Before there is a recording.
pub mod ring;
pub mod standby;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::channel;

use deskreel_model::PartNumber;

use self::link::{WriterLink, WriterSetup};
use self::writer::Writer;
use crate::encode::counters::Counters;
use crate::error::Error;

/// Starts the thread with the track's first part. `done` is called when everything is on disk or given up.
pub fn start<D: AsRef<[u8]> + Send + 'static>(
    setup: WriterSetup,
    number: PartNumber,
    counters: Arc<Counters>,
    done: impl FnOnce() + Send + 'static,
) -> Result<WriterLink<D>, Error> {
    let (sender, inputs) = channel();
    let backlog = Arc::new(AtomicUsize::new(0));
    let link = WriterLink::new(sender, backlog.clone());
    let run: Box<dyn FnOnce() + Send> = match setup.preroll_ns {
        Some(preroll_ns) => Box::new(move || {
            let writer = standby::wait(setup, preroll_ns, number, &counters, &inputs, &backlog);
            if let Some(mut writer) = writer {
                writer.run(&inputs, &backlog);
            }
            done();
        }),
        None => {
            let mut writer = Writer::new(setup, number, counters)?;
            Box::new(move || {
                writer.run(&inputs, &backlog);
                done();
            })
        }
    };
    std::thread::Builder::new().name("writer".into()).spawn(run).map_err(Error::Thread)?;
    Ok(link)
}
