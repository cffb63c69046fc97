//! The means of this machine for encoding: its GPUs, their drivers, and a [`fingerprint`] of everything that
//! decides whether an encoder works.
//!
//! Only looks: opens no device, and loads no driver except NVIDIA's management library (NVML), and that only
//! if NVIDIA's driver runs. Things that cannot be read are left out; nothing here fails. Reads Linux's files,
//! so other systems have no GPUs for now.

// Linux's information.
mod names;
mod pci;

// NVIDIA's additions.
mod cuda;
mod nvidia;

mod fingerprint;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use deskreel_model::gpu::{GpuName, PciAddress};

pub use fingerprint::Fingerprint;
pub use nvidia::{Sessions, encoder_sessions};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// PCI address, as Linux writes it: `0000:65:00.0`.
    pub pci: String,
    pub vendor: Vendor,
    pub name: String,
    /// `GPU-...`: NVIDIA only.
    pub uuid: Option<String>,
    /// `/dev/dri/renderD128`, if it is there.
    pub render_node: Option<String>,
    /// The driver, with its version if it has one of its own: `nvidia 550.54.14`, `i915`.
    pub driver: Option<String>,
    /// CUDA's number of the GPU if CUDA counts by address: with `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
    pub cuda_index: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    Nvidia,
    Intel,
    Amd,
    /// Its PCI vendor id.
    Other(u16),
}

/// The GPUs of this machine, by address. Takes a millisecond or so; with NVIDIA's driver, up to four
/// seconds.
pub fn gpus() -> Vec<Gpu> {
    let mut gpus = Machine::here().gpus();
    nvidia::complete(&mut gpus);
    gpus
}

/// Finds a GPU by PCI address, UUID or render node. An address without a domain that fits two GPUs finds
/// none.
pub fn find<'a>(gpus: &'a [Gpu], name: &str) -> Option<&'a Gpu> {
    let name = GpuName::parse(name)?;
    let mut found = gpus.iter().filter(|gpu| gpu.is(&name));
    found.next().filter(|_| found.next().is_none())
}

/// A fingerprint of everything on this machine that a verdict on an encoder depends on. Takes about 3 ms, and
/// 10 ms the first time.
pub fn fingerprint() -> Fingerprint {
    Machine::here().fingerprint()
}

impl Gpu {
    fn is(&self, name: &GpuName) -> bool {
        match name {
            GpuName::Pci(address) => PciAddress::parse(&self.pci).is_some_and(|own| address.fits(own)),
            GpuName::Uuid(uuid) => self.uuid.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(uuid)),
            GpuName::RenderNode(_) => {
                self.render_node.as_ref().and_then(|own| GpuName::parse(own)).is_some_and(|own| own == *name)
            }
        }
    }
}

impl Vendor {
    pub(crate) fn from_id(id: u16) -> Self {
        match id {
            0x10de => Vendor::Nvidia,
            0x8086 => Vendor::Intel,
            0x1002 => Vendor::Amd,
            other => Vendor::Other(other),
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Vendor::Nvidia => f.write_str("NVIDIA"),
            Vendor::Intel => f.write_str("Intel"),
            Vendor::Amd => f.write_str("AMD"),
            Vendor::Other(id) => write!(f, "vendor {id:04x}"),
        }
    }
}

/// A machine as its files and environment describe it: this one, or one that a test has made up in a folder.
pub(crate) struct Machine {
    root: PathBuf,
    environment: BTreeMap<OsString, OsString>,
}

impl Machine {
    pub fn here() -> Self {
        Machine { root: PathBuf::from("/"), environment: std::env::vars_os().collect() }
    }

    #[cfg(test)]
    pub fn at(root: &Path, environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Machine { root: root.to_owned(), environment }
    }

    /// The real path of an absolute path of this machine.
    fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let path = absolute.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The trimmed text of a small file; `None` if it is empty or cannot be read.
    fn read(&self, absolute: &str) -> Option<String> {
        let bytes = std::fs::read(self.path(absolute)).ok()?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    }

    /// Sorted names of a folder's entries; empty if there is no such folder.
    fn list(&self, absolute: impl AsRef<Path>) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(absolute)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.get(OsStr::new(name)).map(OsString::as_os_str)
    }
}

#[cfg(test)]
mod tests;
