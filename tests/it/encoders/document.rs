//! docs/encoders.md shows the properties of each neutral setting. This test generates everything below its
//! mark.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use deskreel_contract::{Candidate, Element, Memory, Property};
use deskreel_pipeline::fit::fit;
use serde_json::{Value, to_value};

use super::elements::{self, Described, VERSIONS};
use super::*;

const MARK: &str = "<!-- What follows is written by `UPDATE=1 cargo test --test it encoders`. -->\n";

#[test]
fn the_document_shows_every_settings_properties() {
    let path = root().join("docs/encoders.md");
    let text = fs::read_to_string(&path).unwrap();
    let (written, generated) = text.split_once(MARK).expect("the mark above the tables");
    let expected = format!("\n{}", tables().trim_end().to_owned() + "\n");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{written}{MARK}{expected}")).unwrap();
    } else {
        assert!(generated == expected, "docs/encoders.md is out of date (UPDATE=1 rewrites it)");
    }
}

fn tables() -> String {
    let elements = elements::all();
    let mut text = String::new();
    for plugin in PLUGINS {
        let descriptor = library(plugin).descriptor().clone();
        let _ = writeln!(text, "## encoder.{plugin}\n\n{}\n", descriptor.provides[0].about);
        let needs = needs(plugin);
        for need in &needs {
            let what = need.library.as_deref().or(need.path.as_deref()).unwrap_or_default();
            let _ = writeln!(text, "- Needs `{what}`. Without it: {}.", need.otherwise);
        }
        text += if needs.is_empty() { "" } else { "\n" };
        for codec in CODECS {
            for candidate in candidates(plugin, &EncodeRequest::new(codec)) {
                if candidate.memory == Memory::System {
                    let factory = &candidate.elements.last().unwrap().factory;
                    text += &section(plugin, codec, &candidate, &elements[factory]);
                }
            }
        }
    }
    text
}

fn needs(plugin: &str) -> Vec<deskreel_contract::Need> {
    let first =
        CODECS.iter().find_map(|codec| candidates(plugin, &EncodeRequest::new(*codec)).into_iter().next());
    first.map(|candidate| candidate.needs).unwrap_or_default()
}

fn section(plugin: &str, codec: Codec, candidate: &Candidate, versions: &[Described]) -> String {
    let factory = &candidate.elements.last().unwrap().factory;
    let request = EncodeRequest::new(codec);
    let offered = candidates(plugin, &request);
    let paths = offered.iter().filter(|other| other.elements.last().unwrap().factory == *factory);
    let paths: Vec<_> = paths.map(|path| text(&to_value(path.memory).unwrap())).collect();
    let full_color = candidates(plugin, &EncodeRequest { chroma: Chroma::Yuv444, ..request });
    let full_color = full_color.iter().find(|other| other.id == candidate.id).unwrap();
    let full_color =
        if full_color.formats.is_empty() { "no".to_owned() } else { full_color.formats.join(", ") };
    let platforms = &versions[0].platforms;
    let platforms: Vec<_> = platforms.iter().filter_map(|platform| platform.split(' ').next()).collect();

    let mut section = format!("### {factory}\n\n{codec}, GStreamer {}", span(versions.iter()));
    if !platforms.is_empty() {
        let _ = write!(section, ", {}", platforms.join(" and "));
    }
    let _ = write!(section, ".\nTakes pictures in {} memory; full color: {full_color}.", paths.join(" or "));
    if let Some(siblings) = &candidate.siblings {
        let _ = write!(section, "\nOn other GPUs: `{siblings}`.");
    }
    section += "\n\n| setting | properties |\n|---|---|\n";

    let mut row = |name: &str, means: Option<Meaning>, request: EncodeRequest| {
        let candidate =
            candidates(plugin, &request).into_iter().find(|other| other.id == candidate.id).unwrap();
        let mut element = candidate.elements.into_iter().next_back().unwrap();
        element.wishes.retain(|wish| Some(wish.means) == means);
        if means.is_some() {
            element.properties.clear();
        }
        let _ = writeln!(section, "| {name} | {} |", in_versions(&element, versions));
    };
    row("always", None, request.clone());
    let names = ["quality 23", "bitrate 800k", "bitrate 800k, max 1.2M", "constrained: quality 23, max 1.2M"];
    for (name, rate) in names.into_iter().zip(RATES) {
        row(name, Some(Meaning::Rate), EncodeRequest { rate, ..request.clone() });
    }
    row("keyframe_interval 4s", Some(Meaning::KeyframeInterval), request.clone());
    for (name, speed) in [("fast", Speed::Fast), ("balanced", Speed::Balanced), ("small", Speed::Small)] {
        row(&format!("speed {name}"), Some(Meaning::Speed), EncodeRequest { speed, ..request.clone() });
    }
    for (name, latency) in [("low", Latency::Low), ("normal", Latency::Normal)] {
        row(&format!("latency {name}"), Some(Meaning::Latency), EncodeRequest { latency, ..request.clone() });
    }
    for (name, content) in [("screen", Content::Screen), ("camera", Content::Camera)] {
        row(&format!("content {name}"), Some(Meaning::Content), EncodeRequest { content, ..request.clone() });
    }
    section + "\n"
}

/// The properties that each version sets. Versions that set the same ones are listed together.
fn in_versions(element: &Element, versions: &[Described]) -> String {
    let mut said: BTreeMap<usize, (String, Vec<&Described>)> = BTreeMap::new();
    for (number, described) in versions.iter().enumerate() {
        let what = outcome(element, described);
        match said.values_mut().find(|(other, _)| *other == what) {
            Some((_, versions)) => versions.push(described),
            None => drop(said.insert(number, (what, vec![described]))),
        }
    }
    let is_one = said.len() == 1;
    let parts = said.into_values().map(|(what, versions)| match is_one {
        true => what,
        false => format!("{}: {what}", span(versions.into_iter())),
    });
    parts.collect::<Vec<_>>().join("<br>")
}

fn outcome(element: &Element, described: &Described) -> String {
    match fit(element, &described.spec) {
        Err(misfit) if misfit.obstacles.is_empty() => "**refused**".to_owned(),
        Err(misfit) => {
            let properties = misfit.obstacles.iter().map(|obstacle| format!("`{}`", obstacle.property));
            format!("**refused**, lacks {}", properties.collect::<Vec<_>>().join(" and "))
        }
        Ok(fitted) if !fitted.cannot.is_empty() => "cannot".to_owned(),
        Ok(fitted) if fitted.element.properties.is_empty() => "nothing needed".to_owned(),
        Ok(fitted) => {
            let said = |property: &Property| {
                let mark = if described.conditional.contains(&property.name) { "\\*" } else { "" };
                format!("`{}={}`{mark}", property.name, text(&property.value))
            };
            fitted.element.properties.iter().map(said).collect::<Vec<_>>().join(" ")
        }
    }
}

fn span<'a>(versions: impl Iterator<Item = &'a Described>) -> String {
    let numbers: Vec<usize> = versions
        .filter_map(|described| VERSIONS.iter().position(|version| *version == described.version))
        .collect();
    match (numbers.first(), numbers.last()) {
        (Some(first), Some(last)) if first == last => VERSIONS[*first].to_owned(),
        (Some(first), Some(last)) if last - first + 1 == numbers.len() => {
            format!("{} to {}", VERSIONS[*first], VERSIONS[*last])
        }
        _ => numbers.iter().map(|number| VERSIONS[*number]).collect::<Vec<_>>().join(", "),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
