//! The source: its recipe, and the watch on its target.

use deskreel_sdk::prelude::*;

use crate::display::Display;
use crate::settings::Settings;
use crate::target::{Area, Target};
use crate::watch::Watch;
use crate::xlib;

pub struct X11 {
    settings: Settings,
    host: Host,
    /// Watches the target of the last recipe.
    watch: Option<Watch>,
}

impl Source for X11 {
    type Settings = Settings;

    fn open(settings: Settings, host: Host) -> Result<Self> {
        settings.check()?;
        Ok(X11 { settings, host, watch: None })
    }

    fn recipe(&mut self, request: &SourceRequest) -> Result<SourceRecipe> {
        xlib::outlive_errors();
        let name = self.settings.display()?;
        let display = Display::open(&name)?;
        let target = Target::find(&display, &self.settings)?;
        let recipe = recipe(&name, &target, self.settings.cursor, request.max_fps);

        self.watch = None;
        let host = self.host.clone();
        let notify = move |notice| {
            if let Err(error) = host.notify(&notice) {
                tracing::error!(%error, "could not report the state of the source to the host");
            }
        };
        self.watch = Some(Watch::start(display, self.settings.clone(), target, notify)?);
        Ok(recipe)
    }

    fn devices(&mut self) -> Result<Vec<Device>> {
        Target::list(&Display::open(&self.settings.display()?)?)
    }
}

fn recipe(display: &str, target: &Target, cursor: bool, max_fps: u32) -> SourceRecipe {
    let Area { x, y, width, height } = target.area;
    let mut ximagesrc = Element::new("ximagesrc")
        .set("display-name", display)
        .set("show-pointer", cursor)
        // XDamage saves no frames, only copies: it took 0.13 s of CPU for 50 still frames of 1080p against
        // 0.02 s without it, the same time on a busy screen, and 40 MiB more in both cases.
        .set("use-damage", false)
        // Shared memory works only with displays of this machine.
        .set("remote", !(display.starts_with(':') || display.starts_with("unix:")));
    if let Some(window) = target.window {
        ximagesrc = ximagesrc.set("xid", window);
    }
    let mut caps = format!("video/x-raw,framerate={max_fps}/1");
    // Corners are inclusive. If the screen becomes too small for them, ximagesrc ignores them and captures
    // the whole screen: then the caps end the capture before a pixel outside of the target passes.
    if target.is_cut {
        let (right, bottom) = (x + width - 1, y + height - 1);
        ximagesrc = ximagesrc.set("startx", x).set("starty", y).set("endx", right).set("endy", bottom);
        caps += &format!(",width={width},height={height}");
    }
    SourceRecipe { caps, changes_only: true, ..SourceRecipe::elements([ximagesrc]) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::Command;

    use super::*;
    use crate::settings::{MonitorChoice, Region};
    use crate::xvfb::Xvfb;

    fn target(area: Area, window: Option<u32>, is_cut: bool) -> Target {
        Target { what: String::new(), area, window, is_cut }
    }

    fn properties(recipe: SourceRecipe) -> Value {
        let Producer::Elements(mut elements) = recipe.producer else { return Value::Null };
        elements
            .remove(0)
            .properties
            .into_iter()
            .map(|p| (p.name, p.value))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    #[test]
    fn whole_screen_has_no_corners() {
        let area = Area { x: 0, y: 0, width: 1920, height: 1080 };
        let recipe = recipe(":0", &target(area, None, false), true, 10);
        assert_eq!((recipe.caps.as_str(), recipe.changes_only), ("video/x-raw,framerate=10/1", true));
        let expected =
            json!({ "display-name": ":0", "show-pointer": true, "use-damage": false, "remote": false });
        assert_eq!(properties(recipe), expected);
    }

    #[test]
    fn part_of_a_screen_is_pinned() {
        let area = Area { x: 1920, y: 8, width: 1280, height: 1024 };
        let recipe = recipe("pc-7:0", &target(area, Some(7), true), false, 5);
        assert_eq!(recipe.caps, "video/x-raw,framerate=5/1,width=1280,height=1024");
        let properties = properties(recipe);
        let corners =
            ["startx", "starty", "endx", "endy", "xid", "remote"].map(|name| properties[name].clone());
        let expected = [json!(1920), json!(8), json!(3199), json!(1031), json!(7), json!(true)];
        assert_eq!(corners, expected);
    }

    /// Captures one frame as BGRx with the recipe, without any of our own media code.
    fn capture(xvfb: &Xvfb, settings: &Settings) -> Vec<u8> {
        let target = Target::find(&Display::open(&xvfb.name).unwrap(), settings).unwrap();
        let recipe = recipe(&xvfb.name, &target, false, 10);
        let caps = recipe.caps.clone();
        let mut launch = Command::new("gst-launch-1.0");
        launch.args(["--quiet", "ximagesrc", "num-buffers=1"]);
        for (name, value) in properties(recipe).as_object().unwrap() {
            launch.arg(format!("{name}={}", value.as_str().map_or(value.to_string(), str::to_owned)));
        }
        let output = launch.args(["!", &caps, "!", "fdsink"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn capture_has_the_requested_pixels() {
        let xvfb = Xvfb::start(641, 480);
        let window = xvfb.window("Case 7 - CRM", 201, 101);
        xvfb.move_window(window, 100, 50);
        let region = |x, y, width, height| Settings {
            region: Some(Region { x, y, width, height }),
            ..Settings::default()
        };
        let monitor = Settings { monitor: Some(MonitorChoice::Number(0)), ..Settings::default() };
        let title = Settings { window: Some("Case 7".to_owned()), ..Settings::default() };
        let id = Settings { window: Some(format!("{window:#x}")), ..Settings::default() };
        // Settings, the expected size, and the number of pixels that show the window.
        for (settings, (width, height), covered) in [
            (Settings::default(), (640, 480), 201 * 101),
            (monitor, (640, 480), 201 * 101),
            (region(300, 150, 8, 4), (8, 4), 1),
            (region(98, 50, 5, 2), (4, 2), 2 * 2),
            (title, (200, 100), 200 * 100),
            (id, (200, 100), 200 * 100),
        ] {
            let pixels = capture(&xvfb, &settings);
            assert_eq!(pixels.len(), width * height * 4, "{settings:?}");
            let blue = pixels.chunks_exact(4).filter(|pixel| pixel[..3] == [0xcc, 0x66, 0x33]).count();
            assert_eq!(blue, covered, "{settings:?}");
        }
    }
}
