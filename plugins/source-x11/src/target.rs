//! Resolves the settings to an area of the X server's present screen.

use deskreel_sdk::prelude::*;

use crate::display::{Display, Monitor, TopLevel};
use crate::settings::{MonitorChoice, Region, Settings};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name for people: `monitor DP-1`.
    pub what: String,
    /// Relative to the screen, or to the window.
    pub area: Area,
    pub window: Option<u32>,
    /// Set if the area is only a part of the screen.
    pub is_cut: bool,
}

/// A rectangle in pixels; width and height are even, as encoders need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Target {
    pub fn find(display: &Display, settings: &Settings) -> Result<Target> {
        let target = if let Some(choice) = &settings.monitor {
            monitor(&display.monitors()?, choice)?
        } else if let Some(wanted) = &settings.window {
            window(display, wanted)?
        } else if let Some(wanted) = settings.region {
            region(screen_size(display)?, wanted)?
        } else {
            screen(screen_size(display)?)
        };
        if target.area.width == 0 || target.area.height == 0 {
            return Err(PluginError::unavailable(format!("{} is too small to be captured", target.what)));
        }
        Ok(target)
    }

    /// Everything that can be captured.
    pub fn list(display: &Display) -> Result<Vec<Device>> {
        let (width, height) = screen_size(display)?;
        let mut devices = vec![Device { name: format!("screen, {width}x{height}"), settings: json!({}) }];
        devices.extend(display.monitors()?.into_iter().map(|monitor| Device {
            name: format!("monitor {}, {}x{}", monitor.name, monitor.width, monitor.height),
            settings: json!({ "monitor": monitor.name }),
        }));
        devices.extend(display.windows()?.into_iter().map(|window| Device {
            name: format!("window `{}`", window.title),
            settings: json!({ "window": format!("{:#x}", window.id) }),
        }));
        Ok(devices)
    }

    /// Describes the change for people: `screen is now 1280x1024`.
    pub fn changed_to(&self, now: &Result<Target>) -> String {
        match now {
            Ok(Target { area: Area { width, height, .. }, .. }) => {
                format!("{} is now {width}x{height}", self.what)
            }
            Err(error) => format!("{} is gone: {error}", self.what),
        }
    }
}

fn screen_size(display: &Display) -> Result<(u32, u32)> {
    let size = display.size(display.root)?;
    let (width, height) =
        size.ok_or_else(|| PluginError::failed("the X server does not know its root window"))?;
    Ok((width.into(), height.into()))
}

fn screen((width, height): (u32, u32)) -> Target {
    let area = Area { x: 0, y: 0, width: even(width), height: even(height) };
    let is_cut = (area.width, area.height) != (width, height);
    Target { what: "screen".to_owned(), area, window: None, is_cut }
}

fn region((screen_width, screen_height): (u32, u32), wanted: Region) -> Result<Target> {
    let Region { x, y, width, height } = wanted;
    if x.saturating_add(width) > screen_width || y.saturating_add(height) > screen_height {
        let message =
            format!("region {width}x{height}+{x}+{y} leaves the screen, {screen_width}x{screen_height}");
        return Err(PluginError::unavailable(message));
    }
    let area = Area { x, y, width: even(width), height: even(height) };
    Ok(Target { what: format!("region {width}x{height}+{x}+{y}"), area, window: None, is_cut: true })
}

fn monitor(monitors: &[Monitor], choice: &MonitorChoice) -> Result<Target> {
    let found = match choice {
        MonitorChoice::Number(number) => monitors.get(*number),
        MonitorChoice::Name(name) => monitors.iter().find(|monitor| monitor.name == *name),
    };
    let Some(Monitor { name, x, y, width, height }) = found else {
        let wanted = match choice {
            MonitorChoice::Number(number) => number.to_string(),
            MonitorChoice::Name(name) => name.clone(),
        };
        let there = listed(monitors.iter().map(|monitor| monitor.name.clone()));
        return Err(PluginError::unavailable(format!(
            "no monitor is called `{wanted}`; the monitors are: {there}"
        )));
    };
    let at_least_zero = |coordinate: i16| u32::try_from(coordinate).unwrap_or(0);
    let (x, y) = (at_least_zero(*x), at_least_zero(*y));
    let area = Area { x, y, width: even((*width).into()), height: even((*height).into()) };
    Ok(Target { what: format!("monitor {name}"), area, window: None, is_cut: true })
}

fn window(display: &Display, wanted: &str) -> Result<Target> {
    let id = match wanted.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
        Some(id) => id,
        None => titled(&display.windows()?, wanted)?,
    };
    let size = display.size(id)?;
    let (width, height) =
        size.ok_or_else(|| PluginError::unavailable(format!("there is no window {id:#x}")))?;
    let area = Area { x: 0, y: 0, width: even(width.into()), height: even(height.into()) };
    Ok(Target { what: format!("window `{wanted}`"), area, window: Some(id), is_cut: true })
}

/// The one window with such a title. With two it would be a guess, and the wrong window must not be recorded.
fn titled(windows: &[TopLevel], wanted: &str) -> Result<u32> {
    let found: Vec<&TopLevel> = windows.iter().filter(|window| window.title.contains(wanted)).collect();
    match found.as_slice() {
        [window] => Ok(window.id),
        [] => {
            let there = listed(windows.iter().map(|window| window.title.clone()));
            Err(PluginError::unavailable(format!(
                "no window title contains `{wanted}`; the windows are: {there}"
            )))
        }
        several => {
            let several = listed(several.iter().map(|window| format!("{} ({:#x})", window.title, window.id)));
            Err(PluginError::unavailable(format!("several window titles contain `{wanted}`: {several}")))
        }
    }
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn even(length: u32) -> u32 {
    length & !1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn odd_sizes_are_cut_to_even_ones() {
        let odd = screen((1367, 769));
        assert_eq!((odd.area.width, odd.area.height, odd.is_cut), (1366, 768, true));
        assert!(!screen((1366, 768)).is_cut);
    }

    #[test]
    fn region_must_lie_on_the_screen() {
        let region = |x, width| region((1920, 1080), Region { x, y: 0, width, height: 1080 });
        assert_eq!(region(960, 960).unwrap().area, Area { x: 960, y: 0, width: 960, height: 1080 });
        let error = region(960, 962).unwrap_err();
        assert_eq!(error.message, "region 962x1080+960+0 leaves the screen, 1920x1080");
    }

    #[test]
    fn monitors_go_by_name_or_number() {
        let monitor = |name: &str, x| Monitor { name: name.to_owned(), x, y: 0, width: 1281, height: 1024 };
        let both = [monitor("DP-1", 0), monitor("HDMI-1", 1281)];
        let find = |choice| super::monitor(&both, &choice);
        let right = find(MonitorChoice::Name("HDMI-1".to_owned())).unwrap();
        assert_eq!(right.area, Area { x: 1281, y: 0, width: 1280, height: 1024 });
        assert_eq!(find(MonitorChoice::Number(1)).unwrap(), right);
        let error = find(MonitorChoice::Name("DP-9".to_owned())).unwrap_err();
        assert_eq!(error.message, "no monitor is called `DP-9`; the monitors are: DP-1, HDMI-1");
    }

    #[test]
    fn title_must_match_one_window() {
        let window = |id, title: &str| TopLevel { id, title: title.to_owned() };
        let windows = [window(1, "Mail"), window(2, "Case 7 - CRM"), window(3, "Case 8 - CRM")];
        assert_eq!(titled(&windows, "Case 8").unwrap(), 3);
        let several = titled(&windows, "CRM").unwrap_err().message;
        assert_eq!(several, "several window titles contain `CRM`: Case 7 - CRM (0x2), Case 8 - CRM (0x3)");
        let none = titled(&windows, "Chat").unwrap_err().message;
        assert_eq!(
            none,
            "no window title contains `Chat`; the windows are: Mail, Case 7 - CRM, Case 8 - CRM"
        );
    }
}
