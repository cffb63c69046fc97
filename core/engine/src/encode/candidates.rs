//! The candidates that encoder plugins offer, compared with the elements of this machine.
//!
//! Survey, probe and recording all use this module, so that a candidate's name means the same in all three.

use std::path::{Path, PathBuf};

use deskreel_contract::{Candidate, EncodeRequest, Meaning, Need, Tier};
use deskreel_machine::{Gpu, find};
use deskreel_model::manifest::PluginUse;
use deskreel_model::worker::{PluginSettings, TrackJob};
use deskreel_pipeline::fit::fit;
use gstreamer as gst;
use gstreamer::prelude::*;

use crate::build;
use crate::encode::inspect;
use crate::encode::refusal::{self, GstPluginState};
use crate::error::Error;
use crate::plugins::Plugins;

/// A candidate whose elements exist here and accept the requested settings.
pub struct FittedCandidate {
    /// Its elements have only concrete properties, which they support.
    pub candidate: Candidate,
    /// Requested settings that its element cannot do.
    pub cannot: Vec<Meaning>,
    /// The instance of the encoding element that was inspected.
    pub encoder: gst::Element,
}

/// The request to an encoder plugin.
pub fn request(job: &TrackJob, fps: u32) -> EncodeRequest {
    EncodeRequest { max_fps: fps, ..job.encode.clone() }
}

/// A plugin's candidates, best first, each followed by its siblings for the machine's other GPUs.
pub fn offered(
    plugin: &PluginSettings,
    request: &EncodeRequest,
    plugins: &Plugins,
) -> Result<(PluginUse, Vec<Candidate>), Error> {
    let (used, candidates) = plugins.candidates(plugin, request)?;
    Ok((used, candidates.into_iter().flat_map(with_siblings).collect()))
}

/// The plugin's candidate of this name.
pub fn named(
    plugin: &PluginSettings,
    candidate: &str,
    request: &EncodeRequest,
    plugins: &Plugins,
) -> Result<(PluginUse, Candidate), Error> {
    let (used, candidates) = offered(plugin, request, plugins)?;
    let found = candidates.into_iter().find(|offered| offered.id == candidate);
    let gone = || Error::NoCandidate { plugin: plugin.plugin.clone(), candidate: candidate.to_owned() };
    Ok((used, found.ok_or_else(gone)?))
}

/// A sibling's name has both elements: `vah264enc@varenderD129h264enc`.
fn with_siblings(candidate: Candidate) -> Vec<Candidate> {
    let mut siblings: Vec<Candidate> = Vec::new();
    if let (Some(pattern), Some(encoder)) = (&candidate.siblings, candidate.elements.last()) {
        let factories = gst::Registry::get().features(gst::ElementFactory::static_type());
        let mut names: Vec<String> = factories.iter().map(|factory| factory.name().to_string()).collect();
        names.retain(|name| matches(pattern, name) && *name != encoder.factory);
        names.sort();
        siblings.extend(names.into_iter().map(|name| {
            let mut sibling = candidate.clone();
            sibling.id = format!("{}@{name}", candidate.id);
            if let Some(encoder) = sibling.elements.last_mut() {
                encoder.factory = name;
            }
            sibling
        }));
    }
    std::iter::once(candidate).chain(siblings).collect()
}

/// Makes each element once and inspects it. Opens no device.
pub fn fitted(candidate: &Candidate) -> Result<FittedCandidate, Error> {
    let mut cannot = Vec::new();
    let mut elements = Vec::with_capacity(candidate.elements.len());
    let mut encoder = None;
    for wanted in &candidate.elements {
        let made = build::make(&wanted.factory, "trial")?;
        let fitted = fit(wanted, &inspect::spec(&made))?;
        cannot.extend(fitted.cannot);
        elements.push(fitted.element);
        encoder = Some(made);
    }
    let encoder = encoder.ok_or_else(|| Error::NoElements(candidate.id.clone()))?;
    Ok(FittedCandidate { candidate: Candidate { elements, ..candidate.clone() }, cannot, encoder })
}

/// Why the element is missing, judged by what the candidate needs.
pub fn why_missing(candidate: &Candidate, factory: &str, gpus: &[Gpu]) -> String {
    let unmet = candidate.needs.iter().find(|need| !is_met(need));
    let not_installed = build::not_installed(factory).to_string();
    refusal::no_element(factory, unmet, &module(factory), gpus, not_installed)
}

fn module(factory: &str) -> GstPluginState {
    let Some(name) = refusal::module(factory) else { return GstPluginState::Missing };
    let plugins = gst::Registry::get().plugins();
    // A plugin that could not be loaded has only the name of its file.
    let is_it = |plugin: &&gst::Plugin| {
        plugin.plugin_name() == name
            || plugin
                .filename()
                .is_some_and(|file| file.file_stem() == Some(format!("libgst{name}").as_ref()))
    };
    match plugins.iter().find(is_it) {
        Some(plugin) if plugin.plugin_flags().contains(gst::PluginFlags::BLACKLISTED) => {
            let file = plugin.filename().unwrap_or_default();
            GstPluginState::Blacklisted(file.display().to_string())
        }
        Some(_) => GstPluginState::Here,
        None => GstPluginState::Missing,
    }
}

/// PCI address of the GPU that a hardware encoder would use: the one its element names, or the machine's only
/// one.
pub fn gpu(candidate: &Candidate, encoder: &gst::Element, gpus: &[Gpu]) -> Option<String> {
    let factory = encoder.factory()?.name();
    if candidate.tier != Tier::Hardware || refusal::module(&factory).is_none() {
        return None;
    }
    let value = |name| encoder.find_property(name).map(|_| encoder.property_value(name));
    let by_path = || find(gpus, &value("device-path")?.get::<Option<String>>().ok()??);
    let by_number = || {
        let value = value("cuda-device-id")?;
        let number = value.get::<u32>().ok().or_else(|| value.get::<i32>().ok()?.try_into().ok())?;
        gpus.iter().find(|gpu| gpu.cuda_index == Some(number))
    };
    let only = || if let [gpu] = gpus { Some(gpu) } else { None };
    by_path().or_else(by_number).or_else(only).map(|gpu| gpu.pci.clone())
}

fn is_met(need: &Need) -> bool {
    need.library.as_deref().is_none_or(has_library) && need.path.as_deref().is_none_or(has_path)
}

/// Searches where the loader does, without loading: a driver's library runs code when it is loaded.
fn has_library(name: &str) -> bool {
    const FOLDERS: [&str; 6] = [
        "/lib64",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
        "/lib/x86_64-linux-gnu",
        "/lib/aarch64-linux-gnu",
    ];
    let variable = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&variable).collect();
    folders.extend(FOLDERS.map(PathBuf::from));
    if folders.iter().any(|folder| folder.join(name).exists()) {
        return true;
    }
    // The loader's cache has every path as zero-terminated text.
    let cache = std::fs::read("/etc/ld.so.cache").unwrap_or_default();
    let in_cache = cache.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
    in_cache.map(Path::new).any(|path| path.file_name() == Some(name.as_ref()) && path.exists())
}

/// The path's last component may have one `*`.
fn has_path(pattern: &str) -> bool {
    let path = Path::new(pattern);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return path.exists();
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.any(|entry| matches(name, &entry))
}

/// Returns whether a name matches a pattern with at most one `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((begin, end)) => {
            name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        }
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_the_part_that_differs_between_gpus() {
        let fits = |name| matches("varender*h264enc", name);
        assert_eq!(["varenderD129h264enc", "varenderh264enc"].map(fits), [true, true]);
        assert_eq!(["vah264enc", "varenderD129h264dec", "varenderh264en"].map(fits), [false; 3]);
        assert!(matches("nvh264enc", "nvh264enc") && !matches("nvh264enc", "nvh264enc2"));
    }

    #[test]
    fn libraries_and_paths_are_found_where_they_are() {
        assert!(has_library("libc.so.6") && !has_library("libnosuchthing.so.9"));
        assert!(has_path("/dev/nul*") && has_path("/dev/null") && !has_path("/dev/nosuch*"));
    }
}
