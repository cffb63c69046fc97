//! Information that only NVIDIA's management library (NVML) has. A driver in trouble may never answer, so
//! each query runs on a thread that is abandoned if it takes too long.

use std::ffi::OsStr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use deskreel_model::gpu::PciAddress;
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::EncoderType;

use crate::{Gpu, Machine, Vendor, cuda};

/// The library's name if the driver's development files are not installed.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// Either file shows that the driver runs. Some containers have only the device.
const DRIVER: [&str; 2] = ["/sys/module/nvidia/version", "/dev/nvidiactl"];
/// Waking an idle GPU takes 1 to 3 seconds according to NVIDIA's page on driver persistence.
const PATIENCE: Duration = Duration::from_secs(4);

/// The load of a GPU's encoder, over all processes of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sessions {
    pub used: u32,
    /// Average over all sessions.
    pub average_fps: u32,
    pub average_latency_us: u32,
    /// Capacity left for more H.264, in percent; `None` if the driver does not say.
    pub h264_left_percent: Option<u32>,
}

/// The encoder sessions of an NVIDIA GPU. `None` if there is no such GPU, driver or encoder, or no answer
/// within four seconds.
pub fn encoder_sessions(pci: &str) -> Option<Sessions> {
    let pci = pci.to_owned();
    ask(&Machine::here(), move |nvml| {
        let device = nvml.device_by_pci_bus_id(pci).ok()?;
        let stats = device.encoder_stats().ok()?;
        Some(Sessions {
            used: stats.session_count,
            average_fps: stats.average_fps,
            average_latency_us: stats.average_latency,
            h264_left_percent: device.encoder_capacity(EncoderType::H264).ok(),
        })
    })
}

/// Fills in names, UUIDs and CUDA's numbers from the driver. A container may have fewer GPUs than its `/sys`
/// shows: the others then get no number. It may also have more: they are added.
pub(crate) fn complete(gpus: &mut Vec<Gpu>) {
    let machine = Machine::here();
    let Some(known) = ask(&machine, devices).filter(|known| !known.is_empty()) else { return };
    merge(gpus, known);
    cuda::apply_visible_devices(&machine, gpus);
}

fn merge(gpus: &mut Vec<Gpu>, known: Vec<NvmlDevice>) {
    for gpu in gpus.iter_mut().filter(|gpu| gpu.vendor == Vendor::Nvidia) {
        gpu.cuda_index = None;
    }
    for NvmlDevice { address, index, name, uuid, driver } in known {
        let is_it = |gpu: &&mut Gpu| PciAddress::parse(&gpu.pci) == Some(address);
        let (uuid, cuda_index) = (Some(uuid), Some(index));
        match gpus.iter_mut().find(is_it) {
            Some(gpu) => (gpu.name, gpu.uuid, gpu.cuda_index) = (name, uuid, cuda_index),
            None => gpus.push(Gpu {
                pci: address.to_string(),
                vendor: Vendor::Nvidia,
                name,
                uuid,
                render_node: None,
                driver: Some(format!("nvidia {driver}")),
                cuda_index,
            }),
        }
    }
    gpus.sort_by(|one, two| one.pci.cmp(&two.pci));
}

/// A GPU as NVML describes it.
struct NvmlDevice {
    address: PciAddress,
    index: u32,
    name: String,
    uuid: String,
    /// The driver's version.
    driver: String,
}

/// All GPUs of the driver. NVML counts by address, as CUDA does on request.
fn devices(nvml: &Nvml) -> Option<Vec<NvmlDevice>> {
    let driver = nvml.sys_driver_version().ok()?;
    let device = |index| {
        let driver = driver.clone();
        let device = nvml.device_by_index(index).ok()?;
        let address = PciAddress::parse(&device.pci_info().ok()?.bus_id)?;
        Some(NvmlDevice { address, index, name: device.name().ok()?, uuid: device.uuid().ok()?, driver })
    };
    Some((0..nvml.device_count().ok()?).filter_map(device).collect())
}

fn ask<T: Send + 'static>(
    machine: &Machine,
    question: impl FnOnce(&Nvml) -> Option<T> + Send + 'static,
) -> Option<T> {
    // Without the driver there is nothing to ask, so do not search for the library.
    DRIVER.iter().find(|path| machine.path(path).exists())?;
    let (answer, answered) = mpsc::sync_channel(1);
    let asking = move || {
        let nvml = Nvml::builder().lib_path(OsStr::new(LIBRARY)).init().ok();
        // The receiver is gone if this took too long.
        let _ = answer.send(nvml.as_ref().and_then(question));
    };
    thread::Builder::new().name("nvml".to_owned()).spawn(asking).ok()?;
    answered.recv_timeout(PATIENCE).ok().flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_overrides_the_files_on_which_gpus_can_be_used() {
        let gpu = |pci: &str, cuda_index| Gpu {
            pci: pci.to_owned(),
            vendor: Vendor::Nvidia,
            name: String::new(),
            uuid: None,
            render_node: None,
            driver: None,
            cuda_index: Some(cuda_index),
        };
        let known = |pci: &str, index| NvmlDevice {
            address: PciAddress::parse(pci).unwrap(),
            index,
            name: "a card".to_owned(),
            uuid: format!("GPU-{index}"),
            driver: "550.54.14".to_owned(),
        };
        let mut gpus = vec![gpu("0000:65:00.0", 0), gpu("0000:b3:00.0", 1)];
        merge(&mut gpus, vec![known("00000000:B3:00.0", 0), known("00000000:17:00.0", 1)]);
        let seen: Vec<_> =
            gpus.iter().map(|gpu| (gpu.pci.as_str(), gpu.cuda_index, gpu.uuid.as_deref())).collect();
        let expected = [
            ("0000:17:00.0", Some(1), Some("GPU-1")),
            ("0000:65:00.0", None, None),
            ("0000:b3:00.0", Some(0), Some("GPU-0")),
        ];
        assert_eq!(seen, expected);
    }
}
