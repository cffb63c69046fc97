//! Machines made up in a folder. They test how files are read and are no evidence about hardware; tests named
//! `hw_...` query the machine that runs them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// A PC that consists of files.
struct Pc {
    root: TempDir,
    environment: Vec<(&'static str, &'static str)>,
}

impl Pc {
    fn new() -> Self {
        let pc = Pc { root: tempfile::tempdir().unwrap(), environment: Vec::new() };
        pc.with("/proc/sys/kernel/osrelease", "6.1.0-28-amd64\n")
            .with("/sys/bus/pci/devices/0000:00:1f.3/class", "0x040300\n")
            .with("/usr/lib/gstreamer-1.0/libgstx264.so", "a plugin")
            .with("/opt/libgstreamer-1.0.so.0.2207.0", "GStreamer")
            .link("/usr/lib/libgstreamer-1.0.so.0", "../../opt/libgstreamer-1.0.so.0.2207.0")
    }

    fn with(self, path: &str, content: &str) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn link(self, path: &str, to: &str) -> Self {
        symlink(to, self.path(path)).unwrap();
        self
    }

    fn without(self, path: &str) -> Self {
        fs::remove_file(self.path(path)).unwrap();
        self
    }

    fn set(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    fn gpu(self, pci: &str, class: &str, (vendor, device): (u16, u16), driver: &str) -> Self {
        let folder = format!("/sys/bus/pci/devices/{pci}");
        self.with(&format!("{folder}/class"), &format!("{class}\n"))
            .with(&format!("{folder}/vendor"), &format!("0x{vendor:04x}\n"))
            .with(&format!("{folder}/device"), &format!("0x{device:04x}\n"))
            .with(&format!("{folder}/uevent"), &format!("DRIVER={driver}\nPCI_SLOT_NAME={pci}\n"))
    }

    fn node(self, pci: &str, number: u32) -> Self {
        let node = format!("renderD{number}");
        self.with(&format!("/sys/bus/pci/devices/{pci}/drm/card0/dev"), "226:0\n")
            .with(&format!("/sys/bus/pci/devices/{pci}/drm/{node}/dev"), "226:128\n")
            .with(&format!("/dev/dri/{node}"), "")
    }

    fn nvidia(self, pci: &str, uuid: &str) -> Self {
        let about = format!(
            "Model: \t\t NVIDIA RTX A2000\nIRQ:   \t\t 47\nGPU UUID: \t {uuid}\nDevice Minor: \t 0\n"
        );
        self.gpu(pci, "0x030000", (0x10de, 0x2531), "nvidia")
            .with("/sys/module/nvidia/version", "550.54.14\n")
            .with(&format!("/proc/driver/nvidia/gpus/{pci}/information"), &about)
    }

    fn intel(self) -> Self {
        let ids = "# The list\n8085  Somebody else\n\t4680  Wrong\n8086  Intel Corporation\n\t1234  Other\n\t4680  \
                   AlderLake-S GT1 [UHD Graphics 770]\n\t\t1028 0aa7  A subsystem\n8087  Next\n\t5690  Another's\n";
        self.gpu("0000:00:02.0", "0x030000", (0x8086, 0x4680), "i915")
            .node("0000:00:02.0", 128)
            .with("/usr/share/misc/pci.ids", ids)
    }

    fn machine(&self) -> Machine {
        Machine::at(self.root.path(), &self.environment)
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    fn id(&self) -> String {
        self.machine().fingerprint().id
    }
}

const UUID: &str = "GPU-01234567-89ab-cdef-0123-456789abcdef";
const SECOND: &str = "GPU-11111111-89ab-cdef-0123-456789abcdef";

#[test]
fn pc_without_gpu_has_none_and_still_a_fingerprint() {
    assert_eq!(Pc::new().machine().gpus(), []);
    assert_eq!(Pc::new().machine().fingerprint().id.len(), 16);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(Machine::at(empty.path(), &[]).gpus(), []);
    assert_eq!(Machine::at(empty.path(), &[]).fingerprint().facts, []);
}

#[test]
fn nvidia_card_has_name_uuid_driver_and_cuda_number() {
    let gpus = Pc::new().nvidia("0000:65:00.0", UUID).node("0000:65:00.0", 128).machine().gpus();
    let expected = Gpu {
        pci: "0000:65:00.0".to_owned(),
        vendor: Vendor::Nvidia,
        name: "NVIDIA RTX A2000".to_owned(),
        uuid: Some(UUID.to_owned()),
        render_node: Some("/dev/dri/renderD128".to_owned()),
        driver: Some("nvidia 550.54.14".to_owned()),
        cuda_index: Some(0),
    };
    assert_eq!(gpus, [expected]);
}

#[test]
fn name_comes_from_the_systems_list_of_pci_ids() {
    let names = |pc: Pc| pc.machine().gpus().into_iter().map(|gpu| gpu.name).collect::<Vec<_>>();
    assert_eq!(names(Pc::new().intel()), ["Intel AlderLake-S GT1 [UHD Graphics 770]"]);
    let unlisted = Pc::new().gpu("0000:03:00.0", "0x030000", (0x8086, 0x5690), "xe").intel();
    assert_eq!(names(unlisted)[1], "Intel 8086:5690");
    assert_eq!(names(Pc::new().intel().without("/usr/share/misc/pci.ids")), ["Intel 8086:4680"]);
}

#[test]
fn controller_without_a_monitor_is_a_gpu_too() {
    let pc = Pc::new().gpu("0000:0b:00.0", "0x038000", (0x1002, 0x73bf), "amdgpu").gpu(
        "0000:0c:00.0",
        "0x030200",
        (0x1af4, 0x1050),
        "virtio-pci",
    );
    let vendors: Vec<_> = pc.machine().gpus().into_iter().map(|gpu| (gpu.vendor, gpu.driver)).collect();
    let driver = |name: &str| Some(name.to_owned());
    assert_eq!(vendors, [(Vendor::Amd, driver("amdgpu")), (Vendor::Other(0x1af4), driver("virtio-pci"))]);
}

#[test]
fn render_node_that_a_container_lacks_is_none() {
    let pc = Pc::new().intel().without("/dev/dri/renderD128");
    assert_eq!(pc.machine().gpus()[0].render_node, None);
}

#[test]
fn each_of_two_gpus_is_found_by_every_name_of_its_own() {
    let gpus = two_gpus().machine().gpus();
    let found = |name: &str| find(&gpus, name).map(|gpu| gpu.pci.as_str());
    for name in ["0000:00:02.0", "00:02.0", "renderD128", "/dev/dri/renderD128"] {
        assert_eq!(found(name), Some("0000:00:02.0"), "{name}");
    }
    for name in ["00000000:65:00.0", "/dev/dri/renderD129", UUID, &UUID.to_uppercase()] {
        assert_eq!(found(name), Some("0000:65:00.0"), "{name}");
    }
    for name in ["0", "0001:65:00.0", "renderD130", SECOND] {
        assert_eq!(found(name), None, "{name}");
    }
}

#[test]
fn address_that_fits_two_gpus_means_none() {
    let gpus = Pc::new().nvidia("0001:00:00.0", UUID).nvidia("0002:00:00.0", SECOND).machine().gpus();
    assert_eq!(find(&gpus, "00:00.0"), None);
    assert_eq!(find(&gpus, "0002:00:00.0").unwrap().uuid.as_deref(), Some(SECOND));
}

#[test]
fn cuda_counts_by_address_and_only_what_is_visible() {
    let numbers = |visible: Option<&'static str>| {
        let pc = two_gpus().nvidia("0000:b3:00.0", SECOND);
        let pc = visible.into_iter().fold(pc, |pc, visible| pc.set("CUDA_VISIBLE_DEVICES", visible));
        pc.machine().gpus().into_iter().map(|gpu| gpu.cuda_index).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None), [None, Some(0), Some(1)]);
    assert_eq!(numbers(Some("1,0")), [None, Some(1), Some(0)]);
    assert_eq!(numbers(Some("GPU-1111")), [None, None, Some(0)]);
    assert_eq!(numbers(Some("7,0")), [None, None, None]);
    assert_eq!(numbers(Some("")), [None, None, None]);
}

#[test]
fn fingerprint_changes_with_all_that_a_verdict_depends_on() {
    let pc = || two_gpus().with("/usr/lib/dri/iHD_drv_video.so", "a driver");
    let changed = [
        pc().with("/proc/sys/kernel/osrelease", "6.1.0-29-amd64\n"),
        pc().with("/sys/module/nvidia/version", "555.42.02\n"),
        pc().with("/usr/lib/libnvidia-encode.so.1", "a library"),
        pc().with("/usr/lib/dri/iHD_drv_video.so", "a newer driver"),
        pc().with("/usr/lib/gstreamer-1.0/libgstva.so", "a new plugin"),
        pc().with("/usr/lib/gstreamer-1.0/libgstx264.so", "a newer plugin"),
        // The link keeps its name; its target is another version.
        pc().with("/opt/libgstreamer-1.0.so.0.2207.0", "a newer GStreamer"),
        pc().with("/opt/gst/libgstva.so", "a plugin elsewhere").set("GST_PLUGIN_PATH", "/opt/gst"),
        pc().set("GST_PLUGIN_SYSTEM_PATH", "/nowhere"),
        pc().set("LIBVA_DRIVER_NAME", "i965"),
        pc().without("/dev/dri/renderD128"),
        pc().gpu("0000:65:00.0", "0x030000", (0x10de, 0x2531), "nouveau"),
        pc().gpu("0000:b3:00.0", "0x030200", (0x10de, 0x2331), "nvidia"),
    ];
    let ids: Vec<_> = changed.iter().map(|pc| settled(pc).id()).collect();
    let base = settled(&pc()).id();
    for (place, id) in ids.iter().enumerate() {
        assert_ne!(*id, base, "change {place}");
        assert!(!ids[..place].contains(id), "change {place} looks like an earlier one");
    }
}

#[test]
fn fingerprint_stays_while_nothing_changes() {
    let pc = settled(&two_gpus()).with("/dev/nvidia-uvm", "").with("/usr/lib/libunrelated.so.1", "x");
    assert_eq!(pc.id(), settled(&two_gpus()).id());
    assert_eq!(pc.id(), pc.set("LANG", "de_DE.UTF-8").id());
}

#[test]
fn folder_under_two_names_counts_once() {
    let facts = |pc: Pc| pc.machine().fingerprint().facts.len();
    assert_eq!(facts(Pc::new().link("/usr/lib64", "lib")), facts(Pc::new()));
}

#[test]
fn hw_nvml_and_files_show_the_same_gpus() {
    let here = gpus();
    if !Path::new("/sys/module/nvidia/version").exists() {
        println!("skipped: no NVIDIA driver");
        return;
    }
    let nvidia: Vec<_> = here.iter().filter(|gpu| gpu.cuda_index.is_some()).collect();
    assert!(!nvidia.is_empty(), "a driver and no GPU: {here:#?}");
    for gpu in nvidia {
        println!("{gpu:?}: {:?}", encoder_sessions(&gpu.pci));
        assert_eq!(find(&here, gpu.uuid.as_deref().unwrap()), Some(gpu));
    }
}

#[test]
fn no_driver_means_no_sessions() {
    assert_eq!(encoder_sessions("ffff:ff:1f.7"), None);
}

/// A desktop PC: the processor's own GPU, and a card.
fn two_gpus() -> Pc {
    Pc::new().intel().nvidia("0000:65:00.0", UUID).node("0000:65:00.0", 129)
}

/// A copy whose files all have the same time, so that only content and names differ.
fn settled(pc: &Pc) -> Pc {
    let copy = Pc { root: tempfile::tempdir().unwrap(), environment: pc.environment.clone() };
    copy_files(pc.root.path(), copy.root.path());
    copy
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, to) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&to).unwrap();
            copy_files(&entry.path(), &to);
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), to).unwrap();
        } else {
            fs::copy(entry.path(), &to).unwrap();
            fs::File::options().write(true).open(&to).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
    }
}
