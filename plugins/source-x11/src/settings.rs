//! The settings.

use deskreel_sdk::prelude::*;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name such as `:0`. Without it, `$DISPLAY`.
    pub display: Option<String>,
    pub monitor: Option<MonitorChoice>,
    /// Part of a title, or an id as in `0x3c00007`.
    pub window: Option<String>,
    pub region: Option<Region>,
    #[serde(default = "yes")]
    pub cursor: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum MonitorChoice {
    /// Counts from 0, in the X server's order.
    Number(usize),
    Name(String),
}

/// A rectangle in pixels of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

fn yes() -> bool {
    true
}

impl Settings {
    pub fn check(&self) -> Result<()> {
        let given: Vec<&str> = [
            ("monitor", self.monitor.is_some()),
            ("window", self.window.is_some()),
            ("region", self.region.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect();
        if given.len() > 1 {
            let keys = given.join("` and `");
            return Err(PluginError::settings(format!("`{keys}` exclude each other; set only one of them")));
        }
        match self.region {
            Some(Region { width: 0..2, .. } | Region { height: 0..2, .. }) => {
                Err(PluginError::settings("`region` must be at least 2x2 pixels"))
            }
            _ => Ok(()),
        }
    }

    pub fn display(&self) -> Result<String> {
        let from_environment = || std::env::var("DISPLAY").ok().filter(|name| !name.is_empty());
        self.display.clone().or_else(from_environment).ok_or_else(|| {
            PluginError::unavailable(
                "no X display: set `display` in the pipeline file, or DISPLAY in the environment",
            )
        })
    }
}
