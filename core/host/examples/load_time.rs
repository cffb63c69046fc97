//! Measures how long it takes to find and load a plugin: `load_time LIBRARY [COPIES]`, 20 copies by default.
//! For `script/bench`; build it and the library with `--release`, or the numbers mean nothing.

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, error, fs};

use deskreel_host::{LOAD_LIMIT, load_with_deadline, search};

fn main() -> Result<(), Box<dyn error::Error>> {
    let library = env::args_os().nth(1).map(PathBuf::from).ok_or("usage: load_time LIBRARY [COPIES]")?;
    let copies: usize = env::args().nth(2).map_or(Ok(20), |copies| copies.parse())?;
    let folder = env::temp_dir().join(format!("deskreel-load-time-{}", std::process::id()));
    fs::create_dir(&folder)?;
    for number in 0..copies {
        fs::copy(&library, folder.join(format!("lib{number:03}.so")))?;
    }
    let begun = Instant::now();
    let found = search(std::slice::from_ref(&folder));
    let finding = begun.elapsed();
    let mut times = Vec::new();
    for found in &found {
        let begun = Instant::now();
        load_with_deadline(found, LOAD_LIMIT)?;
        times.push(begun.elapsed());
    }
    fs::remove_dir_all(&folder)?;
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let find = ms(finding) / copies as f64;
    let (median, worst) = (ms(times[times.len() / 2]), times.last().copied().map_or(0.0, ms));
    println!("{copies} plugins: find {find:.2} ms each, load {median:.2} ms median, {worst:.2} ms worst");
    Ok(())
}
