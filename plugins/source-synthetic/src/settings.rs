//! The settings.

use deskreel_sdk::prelude::*;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub mode: Mode,
    /// Pixels; even.
    pub width: u32,
    /// Pixels; even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    pub seed: u16,
    pub clock: Clock,
    /// Seconds since the source began between which the picture stays the same.
    pub rests: [u32; 2],
}

/// The time that a counter shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The time since the source began.
    Media,
    /// When the picture was painted: the time since midnight in UTC, by this machine's clock.
    Day,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            mode: Mode::Counter,
            width: 1280,
            height: 720,
            fps: 30,
            seed: 1,
            clock: Clock::Media,
            rests: [0, 0],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Counter,
    Office,
    Motion,
    Still,
}

impl Settings {
    /// Checks the schema's rules, for hosts that do not check the schema: the painters rely on them.
    pub fn check(&self) -> Result<()> {
        even("width", self.width, 320, 7680)?;
        even("height", self.height, 180, 4320)?;
        match self.fps {
            1..=240 => Ok(()),
            fps => Err(PluginError::settings(format!("`fps` is {fps}; expected 1 to 240"))),
        }
    }
}

fn even(key: &str, value: u32, least: u32, most: u32) -> Result<()> {
    if value.is_multiple_of(2) && (least..=most).contains(&value) {
        return Ok(());
    }
    let expected = format!("expected an even number from {least} to {most}");
    Err(PluginError::settings(format!("`{key}` is {value}; {expected}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn settings_outside_their_range_are_named() {
        for (settings, mistake) in [
            (json!({ "width": 641 }), "`width` is 641; expected an even number from 320 to 7680"),
            (json!({ "height": 100 }), "`height` is 100; expected an even number from 180 to 4320"),
            (json!({ "fps": 0 }), "`fps` is 0; expected 1 to 240"),
        ] {
            let settings: Settings = serde_json::from_value(settings).unwrap();
            assert_eq!(settings.check().unwrap_err().message, mistake);
        }
        assert_eq!(Settings::default().check(), Ok(()));
    }
}
