//! One pipeline file on many PCs, whose GPUs are simulated (tests/lab): the file stays unchanged, the best
//! encoder that works is chosen, and each rejected one has a reason.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::lab::{Lab, assert_no_frame_missing, plugins};
use deskreel_test_support::recorder::Recording;
use serde_json::{Value, json};

/// The most time in which a PC finds out that it has no GPU.
const NO_GPU_LIMIT: Duration = Duration::from_millis(1500);

const PLUGINS: [&str; 5] = [
    "lab.encoder.pretend-nvidia",
    "lab.encoder.pretend-intel",
    "lab.encoder.pretend-amd",
    "encoder.x264",
    "encoder.openh264",
];

/// A PC: its name, its simulated GPUs with the fault of each, the plugin that is to be chosen, and words of
/// the reasons for rejecting the earlier ones.
struct Machine {
    name: &'static str,
    gpus: &'static [(&'static str, &'static str)],
    chosen: &'static str,
    reasons: &'static [&'static str],
}

const NOT_THERE: &str = "no such pretend GPU";

const MACHINES: [Machine; 8] = [
    Machine {
        name: "workstation with an NVIDIA card",
        gpus: &[("nvidia", "none")],
        chosen: "lab.encoder.pretend-nvidia",
        reasons: &[],
    },
    Machine {
        name: "laptop with Intel graphics",
        gpus: &[("intel", "none")],
        chosen: "lab.encoder.pretend-intel",
        reasons: &[NOT_THERE],
    },
    Machine {
        name: "office PC with AMD graphics",
        gpus: &[("amd", "none")],
        chosen: "lab.encoder.pretend-amd",
        reasons: &[NOT_THERE, NOT_THERE],
    },
    Machine {
        name: "laptop with Intel graphics and an NVIDIA card that the driver does not open",
        gpus: &[("nvidia", "no-open"), ("intel", "none")],
        chosen: "lab.encoder.pretend-intel",
        reasons: &["cannot be opened"],
    },
    Machine {
        name: "server whose NVIDIA card has no encoder on it",
        gpus: &[("nvidia", "no-open")],
        chosen: "encoder.x264",
        reasons: &["cannot be opened", NOT_THERE, NOT_THERE],
    },
    Machine {
        name: "PC with an old Intel driver that encodes green",
        gpus: &[("intel", "green")],
        chosen: "encoder.x264",
        reasons: &[NOT_THERE, "picture", NOT_THERE],
    },
    Machine {
        name: "PC where each of three drivers is bad in its own way",
        gpus: &[("nvidia", "crash"), ("intel", "hang"), ("amd", "black")],
        chosen: "encoder.x264",
        reasons: &["signal 6", "frame", "picture"],
    },
    Machine {
        name: "virtual desktop without any GPU",
        gpus: &[],
        chosen: "encoder.x264",
        reasons: &[NOT_THERE, NOT_THERE, NOT_THERE],
    },
];

#[test]
fn one_file_takes_the_best_encoder_of_every_pc() {
    let lab = Lab::new("");
    let list: Vec<String> = PLUGINS.iter().map(|plugin| format!("\"{plugin}\"")).collect();
    let file = |name: &str| lab.file(&format!("{name}.json"));
    let tables = ["nvidia", "intel", "amd"]
        .map(|name| format!("{name} = {{ machine = \"{}\" }}", file(name).display()));
    lab.set_encoder(&format!("plugin = [{}]\n{}", list.join(", "), tables.join("\n")));
    let text = std::fs::read(lab.desk.pipeline()).unwrap();

    for machine in &MACHINES {
        for name in ["nvidia", "intel", "amd"] {
            let _ = std::fs::remove_file(file(name));
        }
        // Another PC has another cache.
        let _ = std::fs::remove_dir_all(lab.file("cache"));
        for (name, fault) in machine.gpus {
            std::fs::write(file(name), json!({ "fault": fault }).to_string()).unwrap();
        }
        let listed = candidates(&lab, &[]);
        let chosen = listed.iter().find(|one| one["standing"] == "chosen").unwrap();
        assert_eq!(chosen["plugin"], machine.chosen, "{}", machine.name);

        let recording = lab.record_a_moment();
        assert!(recording.status.success(), "{}", machine.name);
        let track = recording.track();
        assert_eq!(plugins(&track.parts), [machine.chosen], "{}", machine.name);
        recording.frames().iter().for_each(|part| assert_no_frame_missing(part));
        let refused = &track.parts[0].encoder.refused;
        println!("{}: {} {refused:?}", machine.name, machine.chosen);
        assert_eq!(refused.len(), machine.reasons.len(), "{}: {refused:?}", machine.name);
        for ((refusal, reason), plugin) in refused.iter().zip(machine.reasons).zip(PLUGINS) {
            assert_eq!(refusal.plugin, plugin, "{}", machine.name);
            assert!(refusal.reason.contains(reason), "{}: {}", machine.name, refusal.reason);
            let told = listed.iter().find(|one| one["plugin"] == plugin).unwrap();
            assert_eq!(told["reason"], json!(refusal.reason), "{}", machine.name);
        }
    }
    assert_eq!(std::fs::read(lab.desk.pipeline()).unwrap(), text, "nothing in the file changed");
}

/// Every candidate of the file's only track, from `deskreel encoders --json`.
fn candidates(lab: &Lab, options: &[&str]) -> Vec<Value> {
    lab.encoders(options)["tracks"][0]["candidates"].as_array().unwrap().clone()
}

/// The machine that this runs on, if it has no GPU.
#[test]
fn pc_without_a_gpu_says_so_at_once() {
    if Path::new("/dev/dri").exists() || Path::new("/proc/driver/nvidia").exists() {
        println!("skipped: this machine has a GPU");
        return;
    }
    let hardware = "\"encoder.nvenc\", \"encoder.qsv\", \"encoder.va\"";
    let lab = Lab::new(&format!("plugin = [{hardware}]"));
    // GStreamer scans its plugins once on each machine, which is not measured here.
    lab.encoders(&[]);
    let began = Instant::now();
    let listed = candidates(&lab, &["--fresh"]);
    let took = began.elapsed();
    for plugin in ["encoder.nvenc", "encoder.qsv", "encoder.va"] {
        assert!(listed.iter().any(|one| one["plugin"] == plugin), "{plugin} has candidates");
    }
    for one in &listed {
        assert_eq!(one["standing"], "refused", "{one}");
        println!("{} {}: {}", one["plugin"], one["candidate"], one["reason"]);
    }
    println!("refused within {took:?}");
    assert!(took < NO_GPU_LIMIT, "took {took:?}");

    lab.set_encoder(&format!("plugin = [{hardware}, \"encoder.x264\", \"encoder.openh264\"]"));
    let listed = candidates(&lab, &[]);
    let chosen = listed.iter().find(|one| one["standing"] == "chosen").unwrap();
    assert_eq!(chosen["plugin"], "encoder.x264");
}

const COUNTER: &str = "plugin = \"source.synthetic\"\nmode = \"counter\"\nwidth = WIDTH\nheight = HEIGHT\nfps = 10\n\
                       max_fps = 10\nchanges_only = false";
const BALL: &str = "plugin = \"source.gst\"\nmax_fps = 10\nchanges_only = false\n\
                    caps = \"video/x-raw,format=BGRx,width=WIDTH,height=HEIGHT,framerate=10/1\"\n\
                    elements = [{ factory = \"videotestsrc\", properties = { is-live = true, pattern = \"ball\" } }]";

/// Two monitors side by side, and the largest common monitor.
#[test]
fn large_pictures_are_recorded_frame_by_frame() {
    for (width, height) in [(3840, 2160), (7680, 1080)] {
        for encoder in ["encoder.x264", "encoder.openh264"] {
            if let Some((_lab, recording)) = recorded_or_refused(width, height, COUNTER, encoder) {
                recording.frames().iter().for_each(|part| assert_no_frame_missing(part));
            }
        }
    }
}

#[test]
fn odd_and_tiny_pictures_are_recorded() {
    for (width, height) in [(1919, 1079), (64, 48)] {
        for encoder in ["encoder.x264", "encoder.openh264"] {
            recorded_or_refused(width, height, BALL, encoder);
        }
    }
}

/// The recording, and the lab in whose folder it is. `None` if the size is beyond the encoder; then the
/// reason names a size.
fn recorded_or_refused(width: u32, height: u32, source: &str, encoder: &str) -> Option<(Lab, Recording)> {
    let lab = Lab::of_size(width, height, source, &format!("plugin = \"{encoder}\""));
    let listed = candidates(&lab, &[]);
    if let Some(reason) = listed.iter().find(|one| one["standing"] == "refused").map(|one| &one["reason"]) {
        println!("{encoder} at {width}x{height} is refused: {reason}");
        let reason = reason.as_str().unwrap();
        assert!(reason.contains(&format!("{width}x{height}")), "{reason}");
        let limit = reason.replace(&format!("{width}x{height}"), "");
        assert!(limit.contains(|char: char| char.is_ascii_digit()), "no limit is named: {reason}");
        return None;
    }
    let mut running = lab.record();
    running.wait_for_event("recording");
    running.run_for(Duration::from_millis(1500));
    let recording = running.stop();
    assert!(recording.status.success());
    recording.assert_verified();
    let track = recording.track();
    let part = &track.parts[0];
    println!("{encoder} at {width}x{height}: {}x{}, {:?}", part.width, part.height, track.frames());
    // An odd picture may get a column and a row more, since 4:2:0 needs even sizes.
    assert_eq!(
        (part.width.next_multiple_of(2), part.height.next_multiple_of(2)),
        (width + width % 2, height + height % 2)
    );
    assert!(track.frames().encoded >= 5, "{:?}", track.frames());
    assert_eq!(recording.frames().iter().map(Vec::len).sum::<usize>() as u64, track.frames().encoded);
    Some((lab, recording))
}
