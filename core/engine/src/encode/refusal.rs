//! Why an encoder is not used, in sentences that a deployer can act on. Pure: facts in, sentences out.

use deskreel_contract::Need;
use deskreel_machine::{Gpu, Vendor, find};
use deskreel_model::worker::{GpuChoice, MissingGpu};

/// The state of the GStreamer plugin that would provide an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GstPluginState {
    /// Installed; which elements it has depends on the drivers.
    Here,
    /// GStreamer once failed to load this file and does not try again.
    Blacklisted(String),
    Missing,
}

/// GStreamer plugins of hardware encoders: the prefix of their elements, the plugin's name, and its GPU
/// vendor if it supports only one.
const MODULES: [(&str, &str, Option<Vendor>); 7] = [
    ("nv", "nvcodec", Some(Vendor::Nvidia)),
    ("qsv", "qsv", Some(Vendor::Intel)),
    ("msdk", "msdk", Some(Vendor::Intel)),
    ("va", "va", None),
    ("amf", "amfcodec", Some(Vendor::Amd)),
    ("mf", "mediafoundation", None),
    ("vt", "applemedia", None),
];

/// The GStreamer plugin that would provide a hardware encoder, by the name of its element.
pub fn module(factory: &str) -> Option<&'static str> {
    family(factory).map(|(module, _)| module)
}

fn family(factory: &str) -> Option<(&'static str, Option<Vendor>)> {
    let family = MODULES.iter().find(|(begin, ..)| factory.starts_with(begin));
    family.map(|(_, module, vendor)| (*module, *vendor))
}

/// Why an element is missing. `unmet` is the first need of its candidate that the machine does not meet;
/// `not_installed` is the sentence to use if nothing else explains it.
pub fn no_element(
    factory: &str,
    unmet: Option<&Need>,
    module: &GstPluginState,
    gpus: &[Gpu],
    not_installed: String,
) -> String {
    if let Some(need) = unmet {
        return unmet_need(need);
    }
    let vendor = family(factory).map(|(_, vendor)| vendor);
    match (module, vendor) {
        (GstPluginState::Blacklisted(file), _) => format!(
            "GStreamer once failed to load {file} and does not try it again; `gst-inspect-1.0 -b` lists such files"
        ),
        (GstPluginState::Here, Some(vendor)) => {
            let fits = |gpu: &&Gpu| vendor.is_none_or(|vendor| gpu.vendor == vendor);
            let names: Vec<&str> = gpus.iter().filter(fits).map(|gpu| gpu.name.as_str()).collect();
            match (names.as_slice(), vendor) {
                ([], Some(vendor)) => format!("no {vendor} GPU in this machine"),
                ([], None) => "no GPU in this machine".to_owned(),
                (names, _) => format!(
                    "{} is present, and its driver offers no such encoder on it (no element `{factory}`)",
                    names.join(" and ")
                ),
            }
        }
        _ => not_installed,
    }
}

fn unmet_need(need: &Need) -> String {
    match (&need.library, &need.path) {
        (Some(library), _) => format!("{}: {library} not found", need.otherwise),
        (None, Some(path)) => format!("{}: {path} not found", need.otherwise),
        (None, None) => need.otherwise.clone(),
    }
}

/// Why a hardware encoder is not used if the pipeline file names a GPU. `on` is the PCI address of the GPU
/// that it would use, if that is known.
pub fn other_gpu(choice: Option<&GpuChoice>, on: Option<&str>, gpus: &[Gpu]) -> Option<String> {
    let choice = choice?;
    let Some(wanted) = find(gpus, &choice.gpu) else {
        let none = choice.if_missing == MissingGpu::None;
        return none.then(|| format!("GPU {} is missing, and no other may be used", choice.gpu));
    };
    match on {
        Some(on) if on == wanted.pci => None,
        Some(on) => Some(format!("on GPU {on}, not on the one asked for ({})", wanted.pci)),
        None => Some(format!("it is unknown whether it would use the GPU asked for ({})", wanted.pci)),
    }
}

/// NVENC has a limited number of sessions and reports that in several ways.
pub fn is_out_of_sessions(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    // NV_ENC_ERR_OUT_OF_MEMORY is 10, which consumer cards answer to one session too many; newer drivers
    // answer NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY, 21.
    let codes = ["(10)", "error 10", "code 10", "(21)", "incompatible_client_key", "out_of_memory"];
    let nvenc = text.contains("nvenc") || text.contains("nv_enc") || text.contains("nvh26");
    let session =
        text.contains("session") && ["open", "too many", "limit", "max"].iter().any(|w| text.contains(w));
    session || (nvenc && codes.iter().any(|code| text.contains(code)))
}

/// The reason for people. `used` is the driver's count of the GPU's sessions, over all programs.
pub fn out_of_sessions(used: Option<u32>, text: &str) -> String {
    match used.filter(|used| *used > 0) {
        Some(used) => format!("all {used} encoder sessions of the GPU are in use ({text})"),
        None => format!("the GPU has no free encoder session ({text})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(pci: &str, vendor: Vendor, name: &str) -> Gpu {
        Gpu {
            pci: pci.into(),
            vendor,
            name: name.into(),
            uuid: None,
            render_node: None,
            driver: None,
            cuda_index: None,
        }
    }

    fn need(library: Option<&str>, path: Option<&str>, otherwise: &str) -> Need {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Need { library: text(library), path: text(path), otherwise: otherwise.into() }
    }

    fn why(factory: &str, unmet: Option<&Need>, module: GstPluginState, gpus: &[Gpu]) -> String {
        no_element(factory, unmet, &module, gpus, "not installed".into())
    }

    #[test]
    fn an_unmet_need_of_an_element_is_reported_first() {
        let cuda = need(Some("libcuda.so.1"), None, "no NVIDIA driver");
        let node = need(None, Some("/dev/dri/renderD*"), "no Intel or AMD GPU");
        assert_eq!(
            why("nvh264enc", Some(&cuda), GstPluginState::Here, &[]),
            "no NVIDIA driver: libcuda.so.1 not found"
        );
        assert_eq!(
            why("vah264enc", Some(&node), GstPluginState::Here, &[]),
            "no Intel or AMD GPU: /dev/dri/renderD* not found"
        );
    }

    #[test]
    fn a_gpu_without_an_encoder_is_named() {
        let cards = [gpu("0000:65:00.0", Vendor::Nvidia, "NVIDIA H100 PCIe")];
        assert_eq!(
            why("nvh264enc", None, GstPluginState::Here, &cards),
            "NVIDIA H100 PCIe is present, and its driver offers no such encoder on it (no element `nvh264enc`)"
        );
        assert_eq!(why("qsvh264enc", None, GstPluginState::Here, &cards), "no Intel GPU in this machine");
    }

    #[test]
    fn missing_and_blacklisted_plugins_are_distinguished() {
        assert_eq!(why("nvh264enc", None, GstPluginState::Missing, &[]), "not installed");
        assert_eq!(why("x264enc", None, GstPluginState::Missing, &[]), "not installed");
        let file = "/usr/lib/gstreamer-1.0/libgstva.so";
        let text = why("vah264enc", None, GstPluginState::Blacklisted(file.into()), &[]);
        assert!(
            text.starts_with("GStreamer once failed to load /usr/lib/gstreamer-1.0/libgstva.so"),
            "{text}"
        );
    }

    #[test]
    fn a_candidate_on_another_gpu_than_asked_for_is_refused() {
        let gpus = [gpu("0000:17:00.0", Vendor::Amd, "one"), gpu("0000:65:00.0", Vendor::Amd, "other")];
        let choice = |name: &str, if_missing| GpuChoice { gpu: name.into(), if_missing };
        let second = choice("65:00.0", MissingGpu::None);
        assert_eq!(other_gpu(None, Some("0000:17:00.0"), &gpus), None);
        assert_eq!(other_gpu(Some(&second), Some("0000:65:00.0"), &gpus), None);
        assert_eq!(
            other_gpu(Some(&second), Some("0000:17:00.0"), &gpus).as_deref(),
            Some("on GPU 0000:17:00.0, not on the one asked for (0000:65:00.0)")
        );
        assert!(other_gpu(Some(&second), None, &gpus).is_some());
        let gone = |gone| other_gpu(Some(&choice("99:00.0", gone)), Some("0000:17:00.0"), &gpus);
        assert_eq!(gone(MissingGpu::Any), None);
        assert_eq!(
            gone(MissingGpu::None).as_deref(),
            Some("GPU 99:00.0 is missing, and no other may be used")
        );
    }

    #[test]
    fn out_of_sessions_is_recognized_in_the_words_of_every_version() {
        for text in [
            "nvh264enc: Failed to open session, NvEncOpenEncodeSessionEx failed: 10",
            "nvh264enc: Could not initialize supporting library. NVENC error (10)",
            "NvEncOpenEncodeSessionEx: NV_ENC_ERR_OUT_OF_MEMORY",
            "NvEncOpenEncodeSessionEx: NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY (21)",
            "labh264enc: too many sessions",
        ] {
            assert!(is_out_of_sessions(text), "{text}");
        }
        for text in ["x264enc: Can not initialize x264 encoder.", "out of memory", "error 10"] {
            assert!(!is_out_of_sessions(text), "{text}");
        }
    }

    #[test]
    fn sessions_are_counted_if_the_driver_counts_them() {
        assert_eq!(out_of_sessions(Some(8), "x"), "all 8 encoder sessions of the GPU are in use (x)");
        assert_eq!(out_of_sessions(None, "x"), "the GPU has no free encoder session (x)");
        assert_eq!(out_of_sessions(Some(0), "x"), "the GPU has no free encoder session (x)");
    }
}
