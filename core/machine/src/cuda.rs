//! CUDA's numbers of the GPUs, derived without asking CUDA.

use crate::{Gpu, Machine};

/// Numbers the GPUs that the `nvidia` driver has, by address, and applies `CUDA_VISIBLE_DEVICES`.
pub(crate) fn number(machine: &Machine, gpus: &mut [Gpu]) {
    let has_driver = |gpu: &&mut Gpu| gpu.driver.as_ref().is_some_and(|name| name.starts_with("nvidia"));
    for (gpu, index) in gpus.iter_mut().filter(has_driver).zip(0..) {
        gpu.cuda_index = Some(index);
    }
    apply_visible_devices(machine, gpus);
}

/// Renumbers the GPUs by `CUDA_VISIBLE_DEVICES`, if it is set. By CUDA's rules it lists numbers or prefixes
/// of UUIDs, the order of the list is that of the new numbers, and the first entry that is no GPU ends it.
pub(crate) fn apply_visible_devices(machine: &Machine, gpus: &mut [Gpu]) {
    let variable = machine.variable("CUDA_VISIBLE_DEVICES");
    let Some(visible) = variable.and_then(|text| text.to_str()) else { return };
    let find = |text: &str| {
        gpus.iter().position(|gpu| match text.parse::<u32>() {
            Ok(number) => gpu.cuda_index == Some(number),
            Err(_) => !text.is_empty() && gpu.uuid.as_ref().is_some_and(|uuid| uuid.starts_with(text)),
        })
    };
    let order: Vec<usize> = visible.split(',').map_while(|text| find(text.trim())).collect();
    for (position, gpu) in gpus.iter_mut().enumerate() {
        gpu.cuda_index = order.iter().zip(0..).find(|(place, _)| **place == position).map(|(_, index)| index);
    }
}
