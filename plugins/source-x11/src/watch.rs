//! Reports, once, that the target has changed its size or position, or that its X server has ended. The host
//! then asks for a new recipe.

use std::sync::Arc;
use std::thread::JoinHandle;

use deskreel_sdk::prelude::*;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::randr::{ConnectionExt as _, NotifyMask};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, Window,
    WindowClass,
};

use crate::display::{Display, failed, lost};
use crate::settings::Settings;
use crate::target::Target;

/// A thread that waits for events of the X server. Dropping this ends it.
pub struct Watch {
    display: Arc<Display>,
    /// A window of our own that is never shown; a message to it wakes the thread.
    bell: Window,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn start(
        display: Display,
        settings: Settings,
        target: Target,
        notify: impl FnOnce(Notice) + Send + 'static,
    ) -> Result<Watch> {
        let bell = subscribe(&display, &target)?;
        // A change between the first look and the subscription has sent no event.
        let now = Target::find(&display, &settings)?;
        if now != target {
            return Err(PluginError::unavailable(format!(
                "{} while it was set up",
                target.changed_to(&Ok(now))
            )));
        }
        let display = Arc::new(display);
        let thread = std::thread::Builder::new().name("x11-watch".to_owned()).spawn({
            let display = Arc::clone(&display);
            move || wait(&display, &settings, &target, bell, notify)
        })?;
        Ok(Watch { display, bell, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let message =
            ClientMessageEvent::new(32, self.bell, x11rb::protocol::xproto::AtomEnum::WM_NAME, [0u32; 5]);
        let connection = &self.display.connection;
        let sent = connection.send_event(false, self.bell, EventMask::NO_EVENT, message).map(drop);
        let rung = sent.and_then(|()| connection.flush());
        // If the connection cannot be written to, the thread has ended as well.
        if let (Ok(()) | Err(_), Some(thread)) = (rung, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// Asks for the events that matter, and makes the bell.
fn subscribe(display: &Display, target: &Target) -> Result<Window> {
    let Display { connection, root } = display;
    let structure = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
    for window in [Some(*root), target.window].into_iter().flatten() {
        let cookie = connection.change_window_attributes(window, &structure).map_err(lost)?;
        cookie.check().map_err(failed)?;
    }
    let layout = NotifyMask::SCREEN_CHANGE | NotifyMask::CRTC_CHANGE | NotifyMask::OUTPUT_CHANGE;
    // Without RandR, the root window's own events must suffice.
    let _ = connection.randr_select_input(*root, layout).map_err(lost)?.check();

    let bell = connection.generate_id().map_err(failed)?;
    let class = WindowClass::INPUT_ONLY;
    let cookie = connection
        .create_window(0, bell, *root, 0, 0, 1, 1, 0, class, x11rb::COPY_FROM_PARENT, &CreateWindowAux::new())
        .map_err(lost)?;
    cookie.check().map_err(failed)?;
    Ok(bell)
}

fn wait(display: &Display, settings: &Settings, target: &Target, bell: Window, notify: impl FnOnce(Notice)) {
    loop {
        match display.connection.wait_for_event() {
            Ok(Event::ClientMessage(message)) if message.window == bell => return,
            Ok(_) => {}
            // The capture has lost its X server, too, and its thread stands still (`xlib.rs`).
            Err(error) => {
                let detail = format!("the X server has ended: {error}");
                return notify(Notice::SourceFailed { detail });
            }
        }
        let now = Target::find(display, settings);
        if now.as_ref() != Ok(target) {
            return notify(Notice::SourceChanged { detail: target.changed_to(&now) });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;
    use crate::settings::{MonitorChoice, Region};
    use crate::xvfb::Xvfb;

    /// Limit for an event to arrive on a machine under load.
    const LIMIT: Duration = Duration::from_secs(10);

    fn watch(xvfb: &Xvfb, settings: Settings) -> (Watch, Receiver<String>) {
        let (sender, receiver) = channel();
        let display = Display::open(&xvfb.name).unwrap();
        let target = Target::find(&display, &settings).unwrap();
        let notify = move |notice| {
            let text = match notice {
                Notice::SourceChanged { detail } => detail,
                Notice::SourceFailed { detail } => format!("failed: {detail}"),
            };
            sender.send(text).unwrap();
        };
        (Watch::start(display, settings, target, notify).unwrap(), receiver)
    }

    #[test]
    fn screen_of_another_size_is_reported_once() {
        let xvfb = Xvfb::start(1280, 720);
        let (_watch, reports) = watch(&xvfb, Settings::default());
        xvfb.resize(1024, 600);
        assert_eq!(reports.recv_timeout(LIMIT).unwrap(), "screen is now 1024x600");
        xvfb.resize(1280, 720);
        assert!(reports.recv_timeout(LIMIT).is_err(), "the thread has ended, and with it the sender");
    }

    #[test]
    fn region_that_no_longer_fits_is_gone() {
        let xvfb = Xvfb::start(1280, 720);
        let region = Region { x: 640, y: 0, width: 640, height: 360 };
        let (_watch, reports) = watch(&xvfb, Settings { region: Some(region), ..Settings::default() });
        xvfb.resize(1024, 600);
        let expected = "region 640x360+640+0 is gone: region 640x360+640+0 leaves the screen, 1024x600";
        assert_eq!(reports.recv_timeout(LIMIT).unwrap(), expected);
    }

    #[test]
    fn monitor_is_found_again_or_gone() {
        let xvfb = Xvfb::start(1280, 720);
        let monitor = Some(MonitorChoice::Name("screen".to_owned()));
        let (_watch, reports) = watch(&xvfb, Settings { monitor, ..Settings::default() });
        xvfb.resize(1024, 600);
        let report = reports.recv_timeout(LIMIT).unwrap();
        // Between the two modes the monitor is off for a moment.
        let acceptable = [
            "monitor screen is now 1024x600",
            "monitor screen is gone: no monitor is called `screen`; the monitors are: none",
        ];
        assert!(acceptable.contains(&report.as_str()), "{report}");
    }

    #[test]
    fn window_resized_or_closed_is_reported_and_moved_is_not() {
        let xvfb = Xvfb::start(1280, 720);
        let window = xvfb.window("Case 7 - CRM", 401, 300);
        let settings = Settings { window: Some("Case 7".to_owned()), ..Settings::default() };
        let (resized, reports) = watch(&xvfb, settings.clone());
        xvfb.move_window(window, 50, 60);
        xvfb.resize_window(window, 500, 300);
        assert_eq!(reports.recv_timeout(LIMIT).unwrap(), "window `Case 7` is now 500x300");
        drop(resized);
        let (_closed, reports) = watch(&xvfb, settings);
        xvfb.close_window(window);
        let expected = "window `Case 7` is gone: no window title contains `Case 7`; the windows are: none";
        assert_eq!(reports.recv_timeout(LIMIT).unwrap(), expected);
    }

    #[test]
    fn an_x_server_that_ends_is_a_failure_of_the_source() {
        let mut xvfb = Xvfb::start(640, 480);
        let (_watch, reports) = watch(&xvfb, Settings::default());
        xvfb.end();
        let report = reports.recv_timeout(LIMIT).unwrap();
        assert!(report.starts_with("failed: the X server has ended"), "{report}");
    }

    #[test]
    fn dropping_the_watch_ends_its_thread() {
        let xvfb = Xvfb::start(640, 480);
        let (watch, reports) = watch(&xvfb, Settings::default());
        drop(watch);
        assert!(reports.recv_timeout(LIMIT).is_err(), "nothing was reported");
    }
}
