//! Runs an encoder's elements, without any of our own media code, and describes their output.

use std::process::{Command, Stdio};

use deskreel_contract::Element;
use serde_json::Value;

#[derive(Debug)]
pub struct Coded {
    pub frames: usize,
    /// Numbers of the frames that are keyframes.
    pub keyframes: Vec<usize>,
    pub bits_per_second: usize,
}

/// Encodes a pattern of `videotestsrc`, with further properties after it if need be, at 640x360.
///
/// The elements must be fitted: wishes are ignored.
pub fn encode(elements: &[Element], parser: &str, pattern: &str, frames: usize, fps: usize) -> Coded {
    let mut launch = Command::new("gst-launch-1.0");
    launch.args(["--quiet", "videotestsrc", &format!("num-buffers={frames}")]);
    launch.args(format!("pattern={pattern}").split(' '));
    launch.args(["!", &format!("video/x-raw,format=I420,width=640,height=360,framerate={fps}/1")]);
    for element in elements {
        launch.args(["!", &element.factory]).args(element.properties.iter().map(|property| {
            match &property.value {
                Value::String(text) => format!("{}={text}", property.name),
                other => format!("{}={other}", property.name),
            }
        }));
    }
    launch.args(["!", parser, "!", "matroskamux", "!", "fdsink"]);
    let mut encoder = launch.stdout(Stdio::piped()).spawn().expect_tool("gst-launch-1.0");

    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=size,flags", "-of", "csv=print_section=0", "-"])
        .stdin(encoder.stdout.take().unwrap())
        .output()
        .expect_tool("ffprobe");
    assert!(encoder.wait().unwrap().success(), "the elements do not run");
    let text = String::from_utf8(output.stdout).unwrap();
    let packets: Vec<(usize, bool)> = text
        .lines()
        .map(|line| line.split_once(',').unwrap())
        .map(|(size, flags)| (size.parse().unwrap(), flags.starts_with('K')))
        .collect();
    let keyframes = packets.iter().enumerate().filter(|(_, (_, key))| *key).map(|(number, _)| number);
    let bits = packets.iter().map(|(size, _)| size * 8).sum::<usize>();
    Coded {
        frames: packets.len(),
        keyframes: keyframes.collect(),
        bits_per_second: bits * fps / packets.len().max(1),
    }
}

trait ExpectTool<T> {
    fn expect_tool(self, tool: &str) -> T;
}

impl<T> ExpectTool<T> for std::io::Result<T> {
    fn expect_tool(self, tool: &str) -> T {
        self.unwrap_or_else(|error| panic!("{tool} does not run ({error}); script/test installs it"))
    }
}
