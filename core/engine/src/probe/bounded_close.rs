//! Stopping elements with a time limit: drivers may hang when they are closed.

use std::sync::mpsc::channel;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

/// Stops an element or a pipeline on a thread of its own and waits at most this long. Returns false if it
/// takes longer: then the thread is left behind until the process ends.
pub fn within(element: gst::Element, limit: Duration) -> bool {
    let (done, closed) = channel();
    let close = move || {
        let _ = element.set_state(gst::State::Null);
        let _ = done.send(());
    };
    std::thread::Builder::new().name("close".into()).spawn(close).is_ok()
        && closed.recv_timeout(limit).is_ok()
}
