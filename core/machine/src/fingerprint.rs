//! A verdict on an encoder holds as long as nothing that it depends on has changed.
//!
//! Files count by name, size and modification time, not by content: an update changes those, and looking at a
//! few hundred names takes milliseconds, while reading the files would take seconds. The fingerprint leaves
//! out what changes while a machine runs: NVIDIA's device nodes appear at the first use, and clocks and
//! temperatures vary.

use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use data_encoding::HEXLOWER;
use rustix::fs::Access;
use sha2::{Digest, Sha256};

use crate::Machine;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// 16 hexadecimal digits; different digits mean that something has changed.
    pub id: String,
    /// The facts behind the id, for people: name and value.
    pub facts: Vec<(String, String)>,
}

/// Prefixes of the libraries of drivers and encoders, as the loader searches for them.
const LIBRARIES: [&str; 17] = [
    "libgstreamer-1.0.so.0",
    "libcuda.so.1",
    "libnvcuvid.so.1",
    "libnvidia-encode.so.1",
    "libva.so",
    "libva-drm.so",
    "libmfx",
    "libvpl.so",
    "libigdgmm.so",
    "libdrm.so",
    "libamfrt64.so",
    "libx264.so",
    "libx265.so",
    "libopenh264.so",
    "libSvtAv1Enc.so",
    "libaom.so",
    "librav1e.so",
];

/// Variables that select another driver or hide a GPU. Variables that name folders count by the files in
/// these.
const VARIABLES: [&str; 4] =
    ["LIBVA_DRIVER_NAME", "CUDA_VISIBLE_DEVICES", "GST_VA_ALL_DRIVERS", "GST_PLUGIN_LOADING_WHITELIST"];

impl Machine {
    pub fn fingerprint(&self) -> Fingerprint {
        let mut facts = Vec::new();
        let mut add = |what: String, how: Option<String>| facts.extend(how.map(|how| (what, how)));
        add("kernel".to_owned(), self.read("/proc/sys/kernel/osrelease"));
        for gpu in self.gpus() {
            let ids = ["vendor", "device", "subsystem_vendor", "subsystem_device"]
                .map(|what| format!("{:04x}", self.id(&gpu.pci, what)));
            let driver = gpu.driver.as_deref().unwrap_or("no driver");
            let node = match &gpu.render_node {
                Some(node) if self.may_use(node) => node.clone(),
                Some(node) => format!("{node} not permitted"),
                None => "no render node".to_owned(),
            };
            add(format!("GPU {}", gpu.pci), Some(format!("{} {driver}, {node}", ids.join(":"))));
        }
        for name in VARIABLES {
            add(name.to_owned(), self.variable(name).map(|value| value.to_string_lossy().into_owned()));
        }
        let folders = self.library_folders();
        let library = |name: &str| LIBRARIES.iter().any(|begin| name.starts_with(begin));
        for folder in &folders {
            for (name, file) in self.files(folder, library) {
                add(folder.join(name).display().to_string(), Some(show(&file)));
            }
        }
        for folder in self.driver_folders(&folders) {
            add(folder.display().to_string(), self.sum(&folder, |name| name.ends_with("_drv_video.so")));
        }
        for folder in self.plugin_folders(&folders) {
            add(folder.display().to_string(), self.sum(&folder, |name| name.contains(".so")));
        }
        Fingerprint { id: short_hash(&facts), facts }
    }

    /// The folders that the loader searches, each once: on many systems some are links to others.
    fn library_folders(&self) -> Vec<PathBuf> {
        let usual = [
            format!("/usr/local/lib/{ARCH}-linux-gnu"),
            "/usr/local/lib64".to_owned(),
            "/usr/local/lib".to_owned(),
            format!("/usr/lib/{ARCH}-linux-gnu"),
            "/usr/lib64".to_owned(),
            "/usr/lib".to_owned(),
        ];
        self.deduplicate(self.folders_in("LD_LIBRARY_PATH").into_iter().chain(usual.map(PathBuf::from)))
    }

    /// The folders of VA-API drivers.
    fn driver_folders(&self, libraries: &[PathBuf]) -> Vec<PathBuf> {
        let usual = libraries.iter().flat_map(|folder| [folder.join("dri"), folder.join("va/drivers")]);
        self.deduplicate(self.folders_in("LIBVA_DRIVERS_PATH").into_iter().chain(usual))
    }

    /// The folders of GStreamer plugins, in GStreamer's search order.
    fn plugin_folders(&self, libraries: &[PathBuf]) -> Vec<PathBuf> {
        let either = |one, two| if self.variable(one).is_some() { one } else { two };
        let mut folders = self.folders_in(either("GST_PLUGIN_PATH_1_0", "GST_PLUGIN_PATH"));
        let system = either("GST_PLUGIN_SYSTEM_PATH_1_0", "GST_PLUGIN_SYSTEM_PATH");
        if self.variable(system).is_some() {
            folders.extend(self.folders_in(system));
        } else {
            let home = self.variable("HOME").map(|home| Path::new(home).join(".local/share"));
            let data = self.variable("XDG_DATA_HOME").map(PathBuf::from).or(home);
            folders.extend(data.map(|data| data.join("gstreamer-1.0/plugins")));
            folders.extend(libraries.iter().map(|folder| folder.join("gstreamer-1.0")));
        }
        self.deduplicate(folders)
    }

    fn folders_in(&self, variable: &str) -> Vec<PathBuf> {
        let value = self.variable(variable).unwrap_or_default();
        std::env::split_paths(value).filter(|path| !path.as_os_str().is_empty()).collect()
    }

    /// Drops folders that do not exist, and those that are links to an earlier one.
    fn deduplicate(&self, folders: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        let is_new = |folder: &PathBuf| self.path(folder).canonicalize().is_ok_and(|real| seen.insert(real));
        folders.into_iter().filter(is_new).collect()
    }

    /// A folder's files by name. Links are followed, so that a new target of an old link is noticed.
    fn files(&self, folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<(String, Metadata)> {
        let names = self.list(folder).into_iter().filter(|name| wanted(name));
        let files = names.filter_map(|name| {
            let metadata = std::fs::metadata(self.path(folder).join(&name)).ok()?;
            metadata.is_file().then_some((name, metadata))
        });
        files.collect()
    }

    /// A line that sums up a folder's files; `None` if there are none.
    fn sum(&self, folder: &Path, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let files = self.files(folder, wanted);
        let lines: Vec<_> = files.iter().map(|(name, file)| (name, show(file))).collect();
        (!lines.is_empty()).then(|| format!("{} files, {}", lines.len(), short_hash(&lines)))
    }

    /// Part of the fingerprint so that a user who was just added to the group `render` need not wait for a
    /// verdict to age.
    fn may_use(&self, node: &str) -> bool {
        rustix::fs::access(self.path(node), Access::READ_OK | Access::WRITE_OK).is_ok()
    }
}

/// Size and modification time in seconds since 1970: `1462345 bytes, 1697040000`.
fn show(file: &Metadata) -> String {
    let changed = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let changed = changed.map_or(0, |time| time.as_secs());
    format!("{} bytes, {changed}", file.len())
}

fn short_hash(what: &impl std::fmt::Debug) -> String {
    let digest = Sha256::digest(format!("{what:?}"));
    HEXLOWER.encode(&digest[..8])
}
