//! The scene that a mode paints.

use deskreel_sdk::prelude::{FrameFormat, PixelFormat};

use crate::counter::Counter;
use crate::motion::Motion;
use crate::office::Office;
use crate::settings::{Mode, Settings};

/// Paints the frames of a mode. The settings must have been checked.
pub struct Scene {
    pub format: FrameFormat,
    painter: Painter,
}

enum Painter {
    Counter(Counter),
    Office(Office),
    Motion(Motion),
    /// The office without changes.
    Still(Office),
}

impl Scene {
    pub fn new(settings: &Settings, max_fps: u32) -> Scene {
        let Settings { mode, width, height, seed, .. } = *settings;
        let fps = settings.fps.min(max_fps).max(1);
        let office = || Office::new(width, height, fps, seed);
        let (format, painter) = match mode {
            Mode::Counter => (PixelFormat::I420, Painter::Counter(Counter::new(width, height, fps, seed))),
            Mode::Motion => (PixelFormat::I420, Painter::Motion(Motion::new(width, height))),
            Mode::Office => (PixelFormat::BGRx, Painter::Office(office())),
            Mode::Still => (PixelFormat::BGRx, Painter::Still(office())),
        };
        Scene { format: FrameFormat { format, width, height, fps }, painter }
    }

    /// Desktops are mostly still; test patterns must not lose a frame.
    pub fn changes_only(&self) -> bool {
        matches!(self.painter, Painter::Office(_) | Painter::Still(_))
    }

    /// `pixels` must have the size of the format.
    pub fn paint(&mut self, number: u64, time_ns: u64, pixels: &mut [u8]) {
        match &mut self.painter {
            Painter::Counter(counter) => counter.paint(number, time_ns / 1_000_000, pixels),
            Painter::Motion(motion) => motion.paint(number, pixels),
            Painter::Office(office) => pixels.copy_from_slice(office.paint(number)),
            Painter::Still(office) => pixels.copy_from_slice(office.paint(0)),
        }
    }
}
