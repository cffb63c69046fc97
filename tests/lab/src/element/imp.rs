//! The element's implementation: a bin around `x264enc`, with probes that apply the fault.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;

use crate::faults::{Fault, is_back};

#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::LabH264Enc)]
pub struct LabH264Enc {
    /// H.264's quantizer.
    #[property(get, set, default_value = 23, maximum = 51)]
    quality: Mutex<u32>,
    /// Frames from one keyframe to the next.
    #[property(get, set, default_value = 40, minimum = 1)]
    keyframe_distance: Mutex<u32>,
    #[property(get, set, builder(Fault::None))]
    fault: Mutex<Fault>,
    #[property(get, set)]
    at: Mutex<u32>,
    #[property(get, set)]
    limit: Mutex<u32>,
    #[property(get, set)]
    folder: Mutex<String>,
    #[property(get, set)]
    back: Mutex<String>,

    /// The fault and its frame when the device was opened.
    now: Mutex<(Fault, u32)>,
    frames: AtomicU32,
    encoder: OnceLock<gst::Element>,
    /// A locked file while this element is open, if the number of sessions is limited.
    session: Mutex<Option<File>>,
}

#[glib::object_subclass]
impl ObjectSubclass for LabH264Enc {
    const NAME: &'static str = "LabH264Enc";
    type Type = super::LabH264Enc;
    type ParentType = gst::Bin;
}

#[glib::derived_properties]
impl ObjectImpl for LabH264Enc {
    fn constructed(&self) {
        self.parent_constructed();
        if let Err(error) = self.fill() {
            gst::warning!(gst::CAT_RUST, imp = self, "{error}");
        }
    }
}

impl GstObjectImpl for LabH264Enc {}
impl BinImpl for LabH264Enc {}

impl ElementImpl for LabH264Enc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Lab H.264 encoder",
                "Codec/Encoder/Video",
                "A software encoder with faults on demand; for tests",
                "Deskreel",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let raw = gst::Caps::builder("video/x-raw").field("format", gst::List::new(["NV12", "I420"]));
            let coded = gst::Caps::builder("video/x-h264")
                .field("stream-format", gst::List::new(["avc", "byte-stream"]))
                .field("alignment", "au");
            let pads = [("sink", gst::PadDirection::Sink, raw), ("src", gst::PadDirection::Src, coded)];
            let template = |(name, direction, caps): (&str, _, gst::caps::Builder<_>)| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps.build())
            };
            pads.into_iter().filter_map(|pad| template(pad).ok()).collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::NullToReady {
            self.open().map_err(|reason| {
                gst::element_imp_error!(self, gst::ResourceError::OpenReadWrite, ("{reason}"));
                gst::StateChangeError
            })?;
        }
        let changed = self.parent_change_state(transition);
        if transition == gst::StateChange::ReadyToNull {
            *lock(&self.session) = None;
        }
        changed
    }
}

impl LabH264Enc {
    fn fill(&self) -> Result<(), glib::BoolError> {
        let encoder = gst::ElementFactory::make("x264enc")
            .property_from_str("tune", "zerolatency")
            .property_from_str("speed-preset", "ultrafast")
            .property_from_str("pass", "qual")
            .property("vbv-buf-capacity", 0u32)
            // One, so that a test with many recordings does not overload a small machine.
            .property("threads", 1u32)
            .property("bframes", 0u32)
            .property("aud", false)
            .build()?;
        let bin = self.obj();
        bin.add(&encoder)?;
        for template in Self::pad_templates() {
            let name = template.name_template();
            let inner =
                encoder.static_pad(name).ok_or_else(|| glib::bool_error!("x264enc has no pad {name}"))?;
            let mask = match template.direction() {
                gst::PadDirection::Sink => gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM,
                _ => gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_UPSTREAM,
            };
            let weak = bin.downgrade();
            inner.add_probe(mask, move |pad, info| match weak.upgrade() {
                Some(bin) => bin.imp().apply_fault(pad, info),
                None => gst::PadProbeReturn::Ok,
            });
            bin.add_pad(&gst::GhostPad::builder_from_template_with_target(template, &inner)?.build())?;
        }
        let _ = self.encoder.set(encoder);
        Ok(())
    }

    /// Opens the device, as a driver would.
    fn open(&self) -> Result<(), String> {
        let encoder = self.encoder.get().ok_or("the lab encoder needs x264enc, which is missing")?;
        encoder.set_property("quantizer", (*lock(&self.quality)).min(50));
        encoder.set_property("key-int-max", *lock(&self.keyframe_distance));
        let fault = if is_back(&lock(&self.back)) { Fault::None } else { *lock(&self.fault) };
        *lock(&self.now) = (fault, *lock(&self.at));
        self.frames.store(0, Ordering::Relaxed);
        match fault {
            Fault::NoOpen => Err("the lab encoder cannot be opened".to_owned()),
            Fault::Sessions => {
                let session = session(Path::new(&*lock(&self.folder)), *lock(&self.limit))?;
                *lock(&self.session) = Some(session);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Applies the fault to everything that enters or leaves.
    fn apply_fault(&self, pad: &gst::Pad, info: &mut gst::PadProbeInfo) -> gst::PadProbeReturn {
        let (fault, at) = *lock(&self.now);
        if let Some(event) = info.event() {
            let asks_for_keyframe = event.has_name("GstForceKeyUnit");
            return if fault == Fault::Deaf && asks_for_keyframe {
                gst::PadProbeReturn::Drop
            } else {
                gst::PadProbeReturn::Ok
            };
        }
        if pad.direction() == gst::PadDirection::Src {
            let is_keyframe =
                info.buffer().is_some_and(|buffer| !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
            let is_late_enough = self.frames.load(Ordering::Relaxed) > at;
            return if fault == Fault::DropKeyframes && is_keyframe && is_late_enough {
                gst::PadProbeReturn::Drop
            } else {
                gst::PadProbeReturn::Ok
            };
        }
        let frame = self.frames.fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::Black => paint(info, |luma, chroma| {
                luma.fill(16);
                chroma.fill(128);
            }),
            Fault::Green => paint(info, |luma, chroma| {
                luma.fill(0);
                chroma.fill(0);
            }),
            Fault::Hang if frame >= at => loop {
                std::thread::park();
            },
            Fault::Crash if frame >= at => std::process::abort(),
            Fault::Fail if frame >= at => {
                if frame == at {
                    let message = format!("the lab encoder failed at frame {frame}");
                    gst::element_imp_error!(self, gst::StreamError::Encode, ("{message}"));
                }
                info.flow_res = Err(gst::FlowError::Error);
                return gst::PadProbeReturn::Handled;
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    }
}

/// Passes the picture's luma and chroma to `with`: in I420 and NV12 alike, the first two thirds and the rest.
fn paint(info: &mut gst::PadProbeInfo, with: impl Fn(&mut [u8], &mut [u8])) {
    let Some(buffer) = info.buffer_mut() else { return };
    if let Ok(mut picture) = buffer.make_mut().map_writable() {
        let luma = picture.len() / 3 * 2;
        let (luma, chroma) = picture.split_at_mut(luma);
        with(luma, chroma);
    }
}

/// Takes one of `limit` sessions, counted over all processes, for as long as the file is kept.
fn session(folder: &Path, limit: u32) -> Result<File, String> {
    for number in 0..limit {
        let file = File::create(folder.join(format!("session-{number}")));
        let file = file.map_err(|error| format!("{}: {error}", folder.display()))?;
        if file.try_lock().is_ok() {
            return Ok(file);
        }
    }
    Err(format!("out of sessions: all {limit} are in use"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Encodes thirty frames. Returns, for each frame that comes out, whether it is a keyframe.
    fn encode(fault: Fault, at: u32, prepare: impl FnOnce(&gst::Element)) -> Result<Vec<bool>, ()> {
        crate::element::register().unwrap();
        let make = |factory: &str| gst::ElementFactory::make(factory).build().unwrap();
        let (source, encoder, sink) = (make("videotestsrc"), make("labh264enc"), make("fakesink"));
        source.set_property("num-buffers", 30);
        encoder.set_property("fault", fault);
        encoder.set_property("at", at);
        encoder.set_property("keyframe-distance", 10u32);
        prepare(&encoder);
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([&source, &encoder, &sink]).unwrap();
        gst::Element::link_many([&source, &encoder, &sink]).unwrap();
        let out = watch(&sink);
        if pipeline.set_state(gst::State::Playing).is_err() {
            pipeline.set_state(gst::State::Null).unwrap();
            return Err(());
        }
        let mut keyframes = Vec::new();
        while let Some(is_keyframe) = out.recv_timeout(PATIENCE).unwrap() {
            keyframes.push(is_keyframe);
        }
        pipeline.set_state(gst::State::Null).unwrap();
        Ok(keyframes)
    }

    fn watch(sink: &gst::Element) -> Receiver<Option<bool>> {
        let (tell, out) = channel();
        let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        sink.static_pad("sink").unwrap().add_probe(mask, move |_, info| {
            let is_end = info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
            let is_keyframe =
                info.buffer().map(|buffer| !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
            if is_end || is_keyframe.is_some() {
                let _ = tell.send(is_keyframe);
            }
            gst::PadProbeReturn::Ok
        });
        out
    }

    fn keyframes(coded: &[bool]) -> Vec<usize> {
        (0..coded.len()).filter(|frame| coded[*frame]).collect()
    }

    #[test]
    fn without_a_fault_it_is_an_encoder() {
        let coded = encode(Fault::None, 0, |_| {}).unwrap();
        assert_eq!((coded.len(), keyframes(&coded)), (30, vec![0, 10, 20]));
    }

    #[test]
    fn faults_happen_at_their_frame() {
        assert_eq!(encode(Fault::Fail, 17, |_| {}).unwrap().len(), 17);
        let dropped = encode(Fault::DropKeyframes, 5, |_| {}).unwrap();
        assert_eq!((dropped.len(), keyframes(&dropped)), (28, vec![0]));
        assert_eq!(encode(Fault::NoOpen, 0, |_| {}), Err(()));
    }

    #[test]
    fn sessions_run_out_and_come_back() {
        let folder = std::env::temp_dir().join(format!("lab-sessions-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let set = |encoder: &gst::Element| {
            encoder.set_property("folder", folder.to_str().unwrap());
            encoder.set_property("limit", 1u32);
        };
        let held = session(&folder, 1).unwrap();
        assert_eq!(encode(Fault::Sessions, 0, set), Err(()));
        drop(held);
        assert_eq!(encode(Fault::Sessions, 0, set).unwrap().len(), 30);
        assert_eq!(encode(Fault::Sessions, 0, set).unwrap().len(), 30, "a session ends with its element");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn there_is_no_fault_while_the_device_is_back() {
        let back = std::env::current_exe().unwrap();
        let set = |encoder: &gst::Element| encoder.set_property("back", back.to_str().unwrap());
        assert_eq!(encode(Fault::NoOpen, 0, set).unwrap().len(), 30);
    }
}
