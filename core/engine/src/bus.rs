//! GStreamer's messages -> our events. The only place that reads the bus of a recording.

use deskreel_model::{Failure, Fault};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

/// An event of a pipeline.
#[derive(Debug)]
pub enum Event {
    Failed(Failure),
    /// The latency has to be recomputed.
    Latency,
}

/// Hands the events of the pipeline's bus to `tell`, in order, on the thread that posts them.
pub fn watch(pipeline: &gst::Pipeline, tell: impl Fn(Event) + Send + Sync + 'static) -> Option<()> {
    pipeline.bus()?.set_sync_handler(handler(tell));
    Some(())
}

/// The same for an element that is in no pipeline.
pub fn watch_alone(element: &gst::Element, tell: impl Fn(Event) + Send + Sync + 'static) {
    let bus = gst::Bus::new();
    bus.set_sync_handler(handler(tell));
    element.set_bus(Some(&bus));
}

fn handler(
    tell: impl Fn(Event) + Send + Sync + 'static,
) -> impl Fn(&gst::Bus, &gst::Message) -> gst::BusSyncReply + Send + Sync + 'static {
    move |_, message| {
        if let Some(event) = translate(message) {
            tell(event);
        }
        gst::BusSyncReply::Drop
    }
}

/// Returns `None` for messages that are no event of ours.
fn translate(message: &gst::Message) -> Option<Event> {
    match message.view() {
        gst::MessageView::Error(error) => {
            let (element, detail) = (element(message), error.debug().unwrap_or_default());
            tracing::debug!(element, detail = detail.as_str(), "GStreamer error");
            let failure = Failure::new(fault(&error.error()), sentence(&element, &error.error(), &detail));
            Some(Event::Failed(failure))
        }
        gst::MessageView::Warning(warning) => {
            let (element, detail) = (element(message), warning.debug().unwrap_or_default());
            tracing::warn!(element, warning = %warning.error(), detail = detail.as_str(), "GStreamer warning");
            None
        }
        gst::MessageView::Latency(_) => Some(Event::Latency),
        _ => None,
    }
}

/// The factory's name, such as `x264enc`: it says more than the element's.
fn element(message: &gst::Message) -> String {
    let source = message.src();
    let element = source.and_then(|source| source.downcast_ref::<gst::Element>());
    let factory = element.and_then(|element| element.factory());
    match (factory, source) {
        (Some(factory), _) => factory.name().to_string(),
        (None, Some(source)) => source.name().to_string(),
        (None, None) => "unknown".to_owned(),
    }
}

fn fault(error: &glib::Error) -> Fault {
    if error.matches(gst::ResourceError::NoSpaceLeft) { Fault::Disk } else { Fault::Device }
}

/// The error with its reason, which GStreamer often puts only into the last line of the debug text.
fn sentence(element: &str, error: &glib::Error, detail: &str) -> String {
    match detail.lines().skip(1).last().map(str::trim).filter(|line| !line.is_empty()) {
        Some(detail) => format!("{element}: {error} {detail}"),
        None => format!("{element}: {error}"),
    }
}
