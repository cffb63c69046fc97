//! GPUs as Linux's `/sys` and NVIDIA's files in `/proc` show them.

use crate::{Gpu, Machine, Vendor, cuda, names};

const DEVICES: &str = "/sys/bus/pci/devices";
/// Display controllers, whether or not a monitor can be attached: 0300 VGA, 0302 3D, 0380 other.
const DISPLAY_CLASS: &str = "0x03";

impl Machine {
    /// The GPUs, by address, without the properties that only a driver's library knows.
    pub fn gpus(&self) -> Vec<Gpu> {
        let display = |pci: &String| {
            let class = self.read(&format!("{DEVICES}/{pci}/class"));
            class.is_some_and(|class| class.starts_with(DISPLAY_CLASS))
        };
        let mut gpus: Vec<_> =
            self.list(DEVICES).into_iter().filter(display).map(|pci| self.gpu(pci)).collect();
        names::fill(self, &mut gpus);
        gpus.sort_by(|one, two| one.pci.cmp(&two.pci));
        cuda::number(self, &mut gpus);
        gpus
    }

    fn gpu(&self, pci: String) -> Gpu {
        let nvidia = self.read(&format!("/proc/driver/nvidia/gpus/{pci}/information")).unwrap_or_default();
        Gpu {
            vendor: Vendor::from_id(self.id(&pci, "vendor")),
            name: value_of(&nvidia, "Model").unwrap_or_default(),
            // The driver shows question marks until something has used the GPU.
            uuid: value_of(&nvidia, "GPU UUID").filter(|uuid| !uuid.contains('?')),
            render_node: self.render_node(&pci),
            driver: self.driver(&pci),
            cuda_index: None,
            pci,
        }
    }

    /// `vendor`, `device`, `subsystem_vendor` or `subsystem_device`; 0 if it cannot be read.
    pub fn id(&self, pci: &str, what: &str) -> u16 {
        let text = self.read(&format!("{DEVICES}/{pci}/{what}")).unwrap_or_default();
        u16::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
    }

    /// The render node, if it exists: a container may see the device in `/sys` and still lack the node.
    fn render_node(&self, pci: &str) -> Option<String> {
        let names = self.list(format!("{DEVICES}/{pci}/drm")).into_iter();
        let mut nodes =
            names.filter(|name| name.starts_with("renderD")).map(|name| format!("/dev/dri/{name}"));
        nodes.find(|node| self.path(node).exists())
    }

    fn driver(&self, pci: &str) -> Option<String> {
        let about = self.read(&format!("{DEVICES}/{pci}/uevent"))?;
        let driver = about.lines().find_map(|line| line.strip_prefix("DRIVER="))?;
        Some(match self.read(&format!("/sys/module/{driver}/version")) {
            Some(version) => format!("{driver} {version}"),
            None => driver.to_owned(),
        })
    }
}

/// `Model: NVIDIA RTX A2000`, with blanks and tabs between the two.
fn value_of(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}
