//! Sources that paint their own frames: a thread calls the plugin and pushes the frames that it paints.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use deskreel_contract::FrameFormat;
use deskreel_model::{Failure, Fault};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;

use crate::error::Error;
use crate::plugins::{PaintStatus, SourcePlugin};

/// Dropping it ends the painting after the current call of the plugin.
pub struct Painter {
    _stop: Sender<()>,
}

/// Paints frame `n` when the pipeline's running time reaches `n / fps`. A painter that falls behind catches
/// up: every frame number is painted once.
pub fn paint(
    mut plugin: SourcePlugin,
    format: FrameFormat,
    to: AppSrc,
    pipeline: &gst::Pipeline,
    fail: impl Fn(Failure) + Send + 'static,
) -> Result<Painter, Error> {
    let (stop, stopped) = channel();
    let pool = pool(&format).map_err(|error| Error::NoStart(error.to_string()))?;
    let clock = gst::SystemClock::obtain();
    let base = pipeline.base_time().unwrap_or_default();
    let run = move || {
        for number in 0.. {
            let pts = gst::ClockTime::SECOND.mul_div_floor(number, u64::from(format.fps)).unwrap_or_default();
            if !wait(&stopped, (base + pts).saturating_sub(clock.time())) {
                return;
            }
            match frame(&mut plugin, &pool, number, pts) {
                Ok(Some(buffer)) => {
                    if to.push_buffer(buffer).is_err() {
                        return;
                    }
                }
                Ok(None) => {
                    let _ = to.end_of_stream();
                    return;
                }
                Err(failure) => return fail(failure),
            }
        }
    };
    std::thread::Builder::new().name("painter".into()).spawn(run).map_err(Error::Thread)?;
    Ok(Painter { _stop: stop })
}

/// Returns false if the painting has to end.
fn wait(stopped: &Receiver<()>, time: gst::ClockTime) -> bool {
    matches!(stopped.recv_timeout(Duration::from(time)), Err(RecvTimeoutError::Timeout))
}

fn frame(
    plugin: &mut SourcePlugin,
    pool: &gst::BufferPool,
    number: u64,
    pts: gst::ClockTime,
) -> Result<Option<gst::Buffer>, Failure> {
    let no_memory = |_| Failure::new(Fault::Device, "no memory for a frame");
    let mut buffer = pool.acquire_buffer(None).map_err(no_memory)?;
    let Some(writable) = buffer.get_mut() else {
        return Err(Failure::new(Fault::Bug, "a pooled frame is shared"));
    };
    writable.set_pts(pts);
    let mut pixels =
        writable.map_writable().map_err(|_| Failure::new(Fault::Device, "a frame cannot be written to"))?;
    let painted = plugin.frame(number, pts.nseconds(), pixels.as_mut_slice()).map_err(Failure::from)?;
    drop(pixels);
    Ok((painted == PaintStatus::Painted).then_some(buffer))
}

/// Frames are reused: allocating 8 MB for each costs more than painting it.
fn pool(format: &FrameFormat) -> Result<gst::BufferPool, gst::glib::BoolError> {
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    let size = u32::try_from(format.frame_size()).map_err(|_| gst::glib::bool_error!("frame too large"))?;
    config.set_params(None, size, 0, 0);
    pool.set_config(config)?;
    pool.set_active(true)?;
    Ok(pool)
}
