//! An encoder plugin as data: its elements, and how a family of elements expresses a deployer's settings.
//!
//! A *map* has, for each neutral setting, the ways to express it in properties; elements of one family share
//! it. The values are fixed or filled in by name ([`values`]). A *path* brings the pictures into the
//! encoder's memory. A setting without ways in the map becomes a wish without ways: the host then knows that
//! the element cannot do it. Which way fits is decided later, in the worker that has the element.
//! docs/encoders.md is the manual.

use std::collections::BTreeMap;

use deskreel_contract::{
    Candidate, Chroma, Codec, Content, Element, EncodeRequest, Latency, Meaning, Memory, Need, Property,
    Rate, Speed, Tier, Wish,
};
use serde::Deserialize;
use serde_json::Value;

mod values;

use values::Values;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderRecipe {
    tier: Tier,
    /// The needs of every candidate.
    #[serde(default)]
    needs: Vec<Need>,
    maps: BTreeMap<String, SettingMap>,
    #[serde(default)]
    paths: BTreeMap<String, MemoryPath>,
    /// Best first.
    candidates: Vec<ElementRecipe>,
}

/// One element: a candidate for each of its paths.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ElementRecipe {
    element: String,
    codec: Codec,
    /// Names of maps; a later one overrides an earlier one.
    map: Vec<String>,
    /// Formats with color at half resolution, and in full below, as in [`Candidate::formats`]; empty if it
    /// cannot do that.
    formats: Vec<String>,
    #[serde(default)]
    formats_444: Vec<String>,
    /// `system`, or names of the recipe's paths.
    #[serde(default = "system_only")]
    paths: Vec<String>,
    siblings: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryPath {
    memory: Memory,
    /// The formats that the first element before the encoder takes.
    formats: Vec<String>,
    /// The elements that bring pictures there. In their properties, `{format}` is the encoder's first format.
    before: Vec<UpstreamElement>,
    /// The elements before the encoder use the machine's first GPU, so the siblings on others cannot be fed.
    #[serde(default)]
    first_gpu_only: bool,
}

/// An element by name, or with properties.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum UpstreamElement {
    Name(String),
    WithProperties {
        element: String,
        #[serde(flatten)]
        properties: BTreeMap<String, Value>,
    },
}

/// Ways to express each setting, in the order in which they are tried.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SettingMap {
    /// Always set, if the element has it.
    always: Way,
    rate: RateWays,
    keyframe_interval: Option<Vec<Way>>,
    speed: SpeedWays,
    latency: LatencyWays,
    content: ContentWays,
}

type Way = BTreeMap<String, PropertyValue>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RateWays {
    quality: Option<Vec<Way>>,
    /// An average without a ceiling.
    bitrate: Option<Vec<Way>>,
    /// An average with a ceiling.
    capped: Option<Vec<Way>>,
    constrained: Option<Vec<Way>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SpeedWays {
    fast: Option<Vec<Way>>,
    balanced: Option<Vec<Way>>,
    small: Option<Vec<Way>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LatencyWays {
    low: Option<Vec<Way>>,
    normal: Option<Vec<Way>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ContentWays {
    screen: Option<Vec<Way>>,
    camera: Option<Vec<Way>>,
}

/// A property's value: plain, or with permission to adapt it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum PropertyValue {
    Bounded(BoundedValue),
    Plain(Value),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundedValue {
    value: Value,
    /// A number below this is raised to it.
    at_least: Option<i64>,
    #[serde(default)]
    at_most: bool,
    #[serde(default)]
    if_present: bool,
}

const SYSTEM: &str = "system";

fn system_only() -> Vec<String> {
    vec![SYSTEM.to_owned()]
}

impl EncoderRecipe {
    /// Reads the recipe in a descriptor, and checks every name in it.
    pub fn read(recipe: &Value, schema: &Option<Value>) -> Result<Self, String> {
        let recipe: EncoderRecipe =
            serde_json::from_value(recipe.clone()).map_err(|error| error.to_string())?;
        for entry in &recipe.candidates {
            let element = &entry.element;
            let map = entry.map.iter().find(|map| !recipe.maps.contains_key(*map));
            map.map_or(Ok(()), |map| {
                Err(format!("`{element}` names the map `{map}`, which does not exist"))
            })?;
            let path = entry.paths.iter().find(|path| *path != SYSTEM && !recipe.paths.contains_key(*path));
            path.map_or(Ok(()), |path| {
                Err(format!("`{element}` names the path `{path}`, which does not exist"))
            })?;
        }
        for (name, map) in &recipe.maps {
            for said in map.ways().flatten().flat_map(|way| way.values()).chain(map.always.values()) {
                let unknown = values::first_unknown(said.value(), schema);
                unknown.map_or(Ok(()), |unknown| {
                    Err(format!("the map `{name}` uses `{{{unknown}}}`, which has no value"))
                })?;
            }
        }
        Ok(recipe)
    }

    /// The candidates for a request, best first.
    pub fn candidates(
        &self,
        request: &EncodeRequest,
        settings: &Value,
        schema: &Option<Value>,
    ) -> Vec<Candidate> {
        let values = Values { request, settings, schema };
        let entries = self.candidates.iter().filter(|entry| entry.codec == request.codec);
        entries
            .flat_map(|entry| entry.paths.iter().map(|path| self.candidate(entry, path, &values)))
            .collect()
    }

    fn candidate(&self, entry: &ElementRecipe, path: &str, values: &Values) -> Candidate {
        let maps: Vec<&SettingMap> = entry.map.iter().filter_map(|name| self.maps.get(name)).collect();
        let mut encoder = Element::new(&*entry.element);
        for (name, said) in maps.iter().flat_map(|map| &map.always) {
            encoder
                .properties
                .extend(said.property(name, values).map(|p| Property { if_present: true, ..p }));
        }
        for means in MEANINGS {
            let ways = maps.iter().rev().find_map(|map| map.ways_for(means, values.request));
            let ways = ways.into_iter().flatten().filter_map(|way| fill(way, values)).collect();
            encoder.wishes.push(Wish { means, ways });
        }
        let formats = match values.request.chroma {
            Chroma::Yuv420 => &entry.formats,
            Chroma::Yuv444 => &entry.formats_444,
        };
        if formats.is_empty() {
            encoder.wishes.push(Wish { means: Meaning::Chroma, ways: Vec::new() });
        }

        let memory_path = self.paths.get(path);
        let format = formats.first().map_or("", String::as_str);
        let before =
            memory_path.into_iter().flat_map(|path| &path.before).map(|before| before.element(format));
        let first_gpu_only = memory_path.is_some_and(|path| path.first_gpu_only);
        Candidate {
            id: match memory_path {
                Some(_) => format!("{}.{path}", entry.element),
                None => entry.element.clone(),
            },
            tier: self.tier,
            memory: memory_path.map_or(Memory::System, |path| path.memory),
            formats: memory_path.map_or(formats, |path| &path.formats).clone(),
            elements: before.chain([encoder]).collect(),
            needs: self.needs.clone(),
            siblings: entry.siblings.clone().filter(|_| !first_gpu_only),
        }
    }
}

/// The order in which settings are applied: if two set the same property the later wins, and the rate must
/// win.
const MEANINGS: [Meaning; 5] =
    [Meaning::Latency, Meaning::Speed, Meaning::Content, Meaning::KeyframeInterval, Meaning::Rate];

impl SettingMap {
    /// `None` if the map does not have the setting.
    fn ways_for(&self, means: Meaning, request: &EncodeRequest) -> Option<&Vec<Way>> {
        let ways = match means {
            Meaning::Rate => match request.rate {
                Rate::Quality { .. } => &self.rate.quality,
                Rate::Bitrate { max: None, .. } => &self.rate.bitrate,
                Rate::Bitrate { max: Some(_), .. } => &self.rate.capped,
                Rate::Constrained { .. } => &self.rate.constrained,
            },
            Meaning::KeyframeInterval => &self.keyframe_interval,
            Meaning::Speed => match request.speed {
                Speed::Fast => &self.speed.fast,
                Speed::Balanced => &self.speed.balanced,
                Speed::Small => &self.speed.small,
            },
            Meaning::Latency => match request.latency {
                Latency::Low => &self.latency.low,
                Latency::Normal => &self.latency.normal,
            },
            Meaning::Content => match request.content {
                Content::Screen => &self.content.screen,
                Content::Camera => &self.content.camera,
            },
            Meaning::Chroma => &None,
        };
        ways.as_ref()
    }

    fn ways(&self) -> impl Iterator<Item = &Vec<Way>> {
        let SettingMap { rate, speed, latency, content, .. } = self;
        let rate = [&rate.quality, &rate.bitrate, &rate.capped, &rate.constrained];
        let speed = [&speed.fast, &speed.balanced, &speed.small];
        let others =
            [&latency.low, &latency.normal, &content.screen, &content.camera, &self.keyframe_interval];
        rate.into_iter().chain(speed).chain(others).flatten()
    }
}

/// Returns `None` if a value is missing: then this way was not asked for.
fn fill(way: &Way, values: &Values) -> Option<Vec<Property>> {
    way.iter().map(|(name, said)| said.property(name, values)).collect()
}

impl PropertyValue {
    fn value(&self) -> &Value {
        match self {
            PropertyValue::Bounded(bounded) => &bounded.value,
            PropertyValue::Plain(value) => value,
        }
    }

    fn property(&self, name: &str, values: &Values) -> Option<Property> {
        let value = values.fill(self.value())?;
        Some(match self {
            PropertyValue::Plain(_) => Property::new(name, value),
            PropertyValue::Bounded(BoundedValue { at_least, at_most, if_present, .. }) => {
                let floor =
                    at_least.filter(|floor| value.as_f64().is_some_and(|value| value < *floor as f64));
                Property {
                    name: name.to_owned(),
                    value: floor.map_or(value, Value::from),
                    if_present: *if_present,
                    at_most: *at_most,
                }
            }
        })
    }
}

impl UpstreamElement {
    fn element(&self, format: &str) -> Element {
        match self {
            UpstreamElement::Name(name) => Element::new(&**name),
            UpstreamElement::WithProperties { element, properties } => {
                let set = |element: Element, (name, value): (&String, &Value)| match value {
                    Value::String(text) => element.set(name, text.replace("{format}", format)),
                    other => element.set(name, other.clone()),
                };
                properties.iter().fold(Element::new(&**element), set)
            }
        }
    }
}

#[cfg(test)]
mod tests;
