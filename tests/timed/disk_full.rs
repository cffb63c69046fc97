//! A recording survives a full disk, and continues when there is room. Each test records onto a file system
//! of a few megabytes.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use deskreel_model::manifest::{Cause, Outcome};
use deskreel_test_support::recorder::{Desk, Running};

/// Megabytes that the ballast leaves free.
const FREE: usize = 2;

/// A tmpfs that is unmounted when the test is over.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, megabytes: usize) -> SmallDisk {
        std::fs::create_dir(&at).unwrap();
        let size = format!("size={megabytes}M");
        let mounted = as_root("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).status();
        assert!(mounted.is_ok_and(|status| status.success()), "mounting a tmpfs needs root or `sudo -n`");
        std::fs::write(at.join("ballast"), vec![1; (megabytes - FREE) << 20]).unwrap();
        SmallDisk(at)
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = as_root("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn as_root(program: &str) -> Command {
    if rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", program]);
    sudo
}

/// Snow cannot be compressed, so the bit rate is the configured one.
fn busy(megabytes: usize, bitrate: &str) -> (Desk, SmallDisk) {
    let source = "plugin = \"source.gst\"\nmax_fps = 30\nchanges_only = false\n\
                  caps = \"video/x-raw,format=I420,width=640,height=360,framerate=30/1\"\n\
                  elements = [{ factory = \"videotestsrc\", properties = { is-live = true, pattern = \"snow\" } }]";
    let encoder = format!(
        "plugin = [\"encoder.x264\", \"encoder.openh264\"]\nkeyframe_interval = \"1s\"\n\
         rate = {{ mode = \"bitrate\", bitrate = \"{bitrate}\" }}"
    );
    let desk = Desk::new(source, &encoder);
    let disk = SmallDisk::mount(desk.folder.path().join("recordings"), megabytes);
    (desk, disk)
}

fn wait_until_full(running: &mut Running) {
    running.wait_for("full disk", |event| event["event"] == "incident" && event["cause"] == "disk_full");
}

#[test]
fn recording_resumes_when_there_is_room_again() {
    let (desk, disk) = busy(6, "4M");
    let mut running = desk.record();
    wait_until_full(&mut running);
    let full = running.wait_for("status that says so", |event| event["disk_full"] == true);
    running.run_for(Duration::from_secs(3));
    disk.make_room();
    running.wait_for_event("disk_back");
    let written = full["bytes"].as_u64().unwrap();
    running.wait_for("bytes that grow", |event| event["bytes"].as_u64().is_some_and(|bytes| bytes > written));
    let recording = running.stop();
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    recording.assert_verified();
    assert_eq!(recording.track().parts.len(), 1, "the worker lives through it");
    let full_at = recording.manifest.incidents[0].at;
    assert!(recording.track().end().unwrap() > full_at + Duration::from_secs(3), "footage after it was full");
}

#[test]
fn disk_that_stays_full_leaves_written_footage_playable() {
    let (desk, disk) = busy(6, "4M");
    let mut running = desk.record();
    wait_until_full(&mut running);
    running.run_for(Duration::from_secs(2));
    let recording = running.stop();
    // There is no room to seal it either: the next start that has room does.
    let sealed = recording.manifest.outcome == Some(Outcome::Finished);
    if !sealed {
        disk.make_room();
        desk.record_for(1);
    }
    let recording = deskreel_test_support::recorder::Recording::open(&recording.folder);
    recording.assert_verified();
    if sealed {
        let gap = recording.track().gaps.last().expect("time that was not recorded is a gap");
        assert_eq!((Some(gap.to), gap.cause), (recording.manifest.ended, Cause::DiskFull));
    }
    assert!(recording.track().frames().encoded > 30, "{:?}", recording.track().frames());
    assert!(recording.manifest.incidents.iter().any(|incident| incident.cause == Cause::DiskFull));
}

#[test]
fn frames_dropped_for_lack_of_room_are_a_gap_in_the_manifest() {
    // At this rate more than the worker holds in memory comes together in seconds.
    let (desk, disk) = busy(120, "60M");
    let mut running = desk.record();
    wait_until_full(&mut running);
    running.wait_for("lost frames", |event| event["frames"]["lost"].as_u64().is_some_and(|lost| lost > 30));
    disk.make_room();
    running.wait_for_event("disk_back");
    running.run_for(Duration::from_secs(2));
    let recording = running.stop();
    recording.assert_verified();
    let track = recording.track();
    assert_eq!(track.gaps.len(), 1, "{:?}", track.gaps);
    assert_eq!(track.gaps[0].cause, Cause::DiskFull);
    let after = track.parts[0].fragments.iter().find(|fragment| fragment.start >= track.gaps[0].to).unwrap();
    assert!(after.starts_with_keyframe, "footage continues with a picture that can be decoded");
}
