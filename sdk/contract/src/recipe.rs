//! The production of a source's frames: by elements with typed properties, or by a callback.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Meaning, Wish};

/// The host's request to a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRequest {
    /// Maximum number of frames per second that the host will take.
    pub max_fps: u32,
}

/// A source's answer: the way in which its frames are produced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRecipe {
    pub producer: Producer,
    /// Caps between the producer and everything after it, in GStreamer's notation; empty for no constraint.
    #[serde(default)]
    pub caps: String,
    /// Set if frames that look the same are skipped before conversion, unless the pipeline file decides
    /// otherwise. True for screens.
    #[serde(default)]
    pub changes_only: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Producer {
    /// GStreamer elements, linked in this order; the last one outputs raw video. A vendor's own element is
    /// registered when the plugin is loaded, and named here like any other.
    Elements(Vec<Element>),
    /// The host calls the plugin for each frame.
    Frames(FrameFormat),
}

impl SourceRecipe {
    /// These elements, without caps after them, all of whose frames count.
    pub fn elements(elements: impl IntoIterator<Item = Element>) -> Self {
        let producer = Producer::Elements(elements.into_iter().collect());
        SourceRecipe { producer, caps: String::new(), changes_only: false }
    }

    /// Frames that the plugin paints itself.
    pub fn frames(format: FrameFormat) -> Self {
        SourceRecipe { producer: Producer::Frames(format), caps: String::new(), changes_only: false }
    }
}

/// A GStreamer element by factory name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Element {
    pub factory: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
    /// Effects that each element version reaches by other properties.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wishes: Vec<Wish>,
}

impl Element {
    pub fn new(factory: impl Into<String>) -> Self {
        Element { factory: factory.into(), properties: Vec::new(), wishes: Vec::new() }
    }

    /// Sets a property that the element must have.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.push(Property::new(name, value));
        self
    }

    /// Sets a property if the element of this GStreamer version has it.
    pub fn set_if_present(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.push(Property { if_present: true, ..Property::new(name, value) });
        self
    }

    /// Asks for something, in the first of these ways that the element takes.
    pub fn wish(mut self, means: Meaning, ways: impl IntoIterator<Item = Vec<Property>>) -> Self {
        self.wishes.push(Wish { means, ways: ways.into_iter().collect() });
        self
    }
}

/// A property with a typed value: a number, a boolean, or a text that the property's own type parses (the
/// nick of an enum, a fraction, caps).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Property {
    pub name: String,
    pub value: Value,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub if_present: bool,
    /// A number above the property's range is lowered to its maximum.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_most: bool,
}

impl Property {
    pub fn new(name: impl Into<String>, value: impl Into<Value>) -> Self {
        Property { name: name.into(), value: value.into(), if_present: false, at_most: false }
    }

    /// Like [`new`](Self::new), but a number above the property's range is lowered to its maximum.
    pub fn at_most(name: impl Into<String>, value: impl Into<Value>) -> Self {
        Property { at_most: true, ..Property::new(name, value) }
    }
}

/// Size, layout and rate of the frames that a plugin paints itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameFormat {
    pub format: PixelFormat,
    /// Pixels; even.
    pub width: u32,
    /// Pixels; even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
}

/// Raw formats of the frame callback. Planes follow each other without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PixelFormat {
    /// 8-bit luma, then U and V, both subsampled 2x2.
    I420,
    /// Four bytes a pixel: blue, green, red, unused.
    BGRx,
}

impl PixelFormat {
    /// GStreamer's name of the format.
    pub fn name(self) -> &'static str {
        match self {
            PixelFormat::I420 => "I420",
            PixelFormat::BGRx => "BGRx",
        }
    }
}

impl FrameFormat {
    /// Bytes of one frame.
    pub fn frame_size(&self) -> usize {
        let pixels = self.width as usize * self.height as usize;
        match self.format {
            PixelFormat::I420 => pixels * 3 / 2,
            PixelFormat::BGRx => pixels * 4,
        }
    }
}

/// Something that a source can capture on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// A name for people: `monitor DP-1, 1920x1080`.
    pub name: String,
    /// The settings that select it.
    pub settings: Value,
}
