//! Names of GPUs that stay the same across reboots. Numbers do not: they follow the order in which drivers
//! load.

use std::fmt;

/// The name of a GPU in a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuName {
    Pci(PciAddress),
    /// NVIDIA's UUID, in lower case: `gpu-01234567-89ab-cdef-0123-456789abcdef`.
    Uuid(String),
    /// The number in `renderD128`.
    RenderNode(u32),
}

/// A device's place on the PCI buses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciAddress {
    /// `None` if it is left out, as in `65:00.0`. Most machines have only domain 0.
    pub domain: Option<u32>,
    pub bus: u8,
    pub device: u8,
    pub function: u8,
}

impl GpuName {
    /// Accepts `0000:65:00.0`, `65:00.0`, `GPU-...`, `renderD128` and the paths of a render node, in upper or
    /// lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let name = text.strip_prefix("/dev/dri/").unwrap_or(&text);
        if let Some(number) = name.strip_prefix("renderd") {
            return decimal(number).map(GpuName::RenderNode);
        }
        let by_path = name.strip_prefix("by-path/pci-").and_then(|rest| rest.strip_suffix("-render"));
        if by_path.is_none() && is_uuid(&text) {
            return Some(GpuName::Uuid(text));
        }
        PciAddress::parse(by_path.unwrap_or(&text)).map(GpuName::Pci)
    }
}

impl PciAddress {
    /// The domain has four digits in Linux and eight in NVIDIA's tools, and may be left out.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, function) = text.rsplit_once('.')?;
        let (rest, device) = rest.rsplit_once(':')?;
        let (domain, bus) = match rest.rsplit_once(':') {
            Some((domain, bus)) => (Some(hexadecimal(domain, 8)?), bus),
            None => (None, rest),
        };
        Some(PciAddress {
            domain,
            bus: u8::try_from(hexadecimal(bus, 2)?).ok()?,
            // Five bits and three.
            device: u8::try_from(hexadecimal(device, 2)?).ok().filter(|device| *device < 32)?,
            function: u8::try_from(hexadecimal(function, 1)?).ok().filter(|function| *function < 8)?,
        })
    }

    /// Whether both may be the same device: a domain that is left out fits every domain.
    pub fn fits(self, other: Self) -> bool {
        let place = |address: Self| (address.bus, address.device, address.function);
        let domains = self.domain.zip(other.domain);
        place(self) == place(other) && domains.is_none_or(|(one, two)| one == two)
    }
}

/// Writes it as Linux does.
impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PciAddress { domain, bus, device, function } = self;
        write!(f, "{:04x}:{bus:02x}:{device:02x}.{function:x}", domain.unwrap_or(0))
    }
}

/// Accepts digits only: `from_str_radix` would accept a sign as well.
fn hexadecimal(text: &str, digits: usize) -> Option<u32> {
    let fits = text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|_| fits)
}

fn decimal(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `gpu-` and the five groups of a UUID.
fn is_uuid(text: &str) -> bool {
    let Some(groups) = text.strip_prefix("gpu-") else { return false };
    let is_hex = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    groups.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && groups.split('-').all(is_hex)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_device_has_several_spellings() {
        let address = |domain| GpuName::Pci(PciAddress { domain, bus: 0x65, device: 0, function: 0 });
        assert_eq!(GpuName::parse("65:00.0"), Some(address(None)));
        for text in ["0000:65:00.0", "00000000:65:00.0", "/dev/dri/by-path/pci-0000:65:00.0-render"] {
            assert_eq!(GpuName::parse(text), Some(address(Some(0))), "{text}");
        }
        assert_eq!(PciAddress::parse("00000000:B3:0A.1").unwrap().to_string(), "0000:b3:0a.1");
        for text in ["renderD129", "renderd129", "/dev/dri/renderD129"] {
            assert_eq!(GpuName::parse(text), Some(GpuName::RenderNode(129)), "{text}");
        }
        let uuid = "GPU-01234567-89AB-cdef-0123-456789abcdef";
        assert_eq!(GpuName::parse(uuid), Some(GpuName::Uuid(uuid.to_lowercase())));
    }

    #[test]
    fn a_number_or_an_incomplete_address_is_not_a_name() {
        for text in ["", "0", "1", "card0", "nvidia", "GPU-0123", "65:00", "65:20.0", "65:00.8", "+5:00.0"] {
            assert_eq!(GpuName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn address_without_domain_fits_every_domain() {
        let parse = |text| PciAddress::parse(text).unwrap();
        assert!(parse("65:00.0").fits(parse("0001:65:00.0")));
        assert!(!parse("0000:65:00.0").fits(parse("0001:65:00.0")));
        assert!(!parse("65:00.0").fits(parse("0000:65:00.1")));
    }
}
