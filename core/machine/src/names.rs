//! Names of GPUs for people, from the list of PCI ids that most systems have.

use crate::{Gpu, Machine};

/// On Debian and Ubuntu; on Fedora, Arch and SUSE.
const LISTS: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];

/// Names the GPUs that have no name. The list, 1.5 MB, is read only if there is such a GPU.
pub(crate) fn fill(machine: &Machine, gpus: &mut [Gpu]) {
    let mut list = None;
    for gpu in gpus.iter_mut().filter(|gpu| gpu.name.is_empty()) {
        let list = list.get_or_insert_with(|| LISTS.iter().find_map(|path| machine.read(path)));
        let (vendor, device) = (machine.id(&gpu.pci, "vendor"), machine.id(&gpu.pci, "device"));
        let model = list.as_ref().and_then(|list| look_up(list, vendor, device));
        gpu.name = match model {
            Some(model) => format!("{} {model}", gpu.vendor),
            None => format!("{} {vendor:04x}:{device:04x}", gpu.vendor),
        };
    }
}

/// A vendor's line begins with its id; its devices follow, after one tab each: `\t4680  AlderLake-S GT1`.
fn look_up(list: &str, vendor: u16, device: u16) -> Option<&str> {
    let (vendor, device) = (format!("{vendor:04x}  "), format!("\t{device:04x}  "));
    let devices = list.lines().skip_while(|line| !line.starts_with(&vendor)).skip(1);
    let mut own = devices.take_while(|line| line.starts_with(['\t', '#']));
    own.find_map(|line| line.strip_prefix(&device))
}
