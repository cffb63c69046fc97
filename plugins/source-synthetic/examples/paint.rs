//! Writes raw frames to standard output, and reports how long a frame takes.
//!
//! ```text
//! cargo run --release -p deskreel-source-synthetic --example paint -- office 1920 1080 150 1 > office.raw
//! ffmpeg -f rawvideo -pix_fmt bgr0 -s 1920x1080 -i office.raw office.png
//! ```
//!
//! Arguments: mode, width, height, number of the first frame, count of frames; 30 frames per second.

use std::io::Write;
use std::time::{Duration, Instant};

use deskreel_source_synthetic::{Scene, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, width, height, first, count] = arguments.as_slice() else {
        return Err("give the arguments MODE WIDTH HEIGHT FIRST_FRAME COUNT".into());
    };
    let mode = serde_json::from_value(mode.as_str().into())?;
    let settings = Settings { mode, width: width.parse()?, height: height.parse()?, ..Settings::default() };
    settings.check()?;
    let (first, count): (u64, u64) = (first.parse()?, count.parse()?);

    let mut scene = Scene::new(&settings, 30);
    let mut pixels = vec![0; scene.format.frame_size()];
    let (mut spent, mut worst) = (Duration::ZERO, Duration::ZERO);
    let mut out = std::io::stdout().lock();
    for number in first..first + count {
        let start = Instant::now();
        scene.paint(number, number * 1_000_000_000 / 30, &mut pixels);
        let cost = start.elapsed();
        (spent, worst) = (spent + cost, worst.max(cost));
        out.write_all(&pixels)?;
    }
    eprintln!("{:?} per frame, at worst {worst:?}", spent / u32::try_from(count.max(1))?);
    Ok(())
}
