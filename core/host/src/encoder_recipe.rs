//! An encoder plugin as data: which elements there are, and how a family of elements says what a deployer means.
//!
//! A *map* has, for each neutral setting, the ways to say it in properties; elements of one family share it. The
//! values are fixed or are put in by name ([`values`]). A *path* is what brings the pictures into the encoder's
//! memory. What a map has no ways for becomes a wish without ways: the host then knows that the element cannot do
//! it. Which way fits is decided later, by who has the element at hand. docs/encoders.md is the manual.

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
    /// What every candidate needs.
    #[serde(default)]
    needs: Vec<Need>,
    maps: BTreeMap<String, Map>,
    #[serde(default)]
    paths: BTreeMap<String, MemoryPath>,
    /// Best first.
    candidates: Vec<Entry>,
}

/// One element: a candidate for each of its paths.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    element: String,
    codec: Codec,
    /// What a later one says replaces what an earlier one says.
    map: Vec<String>,
    /// As [`Candidate::formats`], without reduced color and with full color; none: it cannot do that.
    formats: Vec<String>,
    #[serde(default)]
    formats_444: Vec<String>,
    /// `system`, or one of the recipe's.
    #[serde(default = "system_only")]
    paths: Vec<String>,
    siblings: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryPath {
    memory: Memory,
    /// What the first element before the encoder takes.
    formats: Vec<String>,
    /// `{format}` is the encoder's first.
    before: Vec<Before>,
    /// The elements before the encoder use the machine's first GPU, so the siblings on others cannot be fed.
    #[serde(default)]
    first_gpu_only: bool,
}

/// An element by name, or with properties.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Before {
    Name(String),
    WithProperties {
        element: String,
        #[serde(flatten)]
        properties: BTreeMap<String, Value>,
    },
}

/// How to say each setting: ways in the order in which they are tried.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Map {
    /// Set in any case, if the element has it.
    always: Way,
    rate: RateWays,
    keyframe_interval: Option<Vec<Way>>,
    speed: SpeedWays,
    latency: LatencyWays,
    content: ContentWays,
}

type Way = BTreeMap<String, Said>;

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

/// A property's value: as it is, or with what is allowed to be done to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Said {
    Bounded(Bounded),
    Plain(Value),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounded {
    value: Value,
    /// A number below this is taken up to it.
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
    /// The recipe in a descriptor, with every name in it looked up.
    pub fn read(recipe: &Value, schema: &Option<Value>) -> Result<Self, String> {
        let recipe: EncoderRecipe =
            serde_json::from_value(recipe.clone()).map_err(|error| error.to_string())?;
        for entry in &recipe.candidates {
            let element = &entry.element;
            let map = entry.map.iter().find(|map| !recipe.maps.contains_key(*map));
            map.map_or(Ok(()), |map| Err(format!("`{element}` names the map `{map}`, which is not there")))?;
            let path = entry.paths.iter().find(|path| *path != SYSTEM && !recipe.paths.contains_key(*path));
            path.map_or(Ok(()), |path| {
                Err(format!("`{element}` names the path `{path}`, which is not there"))
            })?;
        }
        for (name, map) in &recipe.maps {
            for said in map.ways().flatten().flat_map(|way| way.values()).chain(map.always.values()) {
                let unknown = values::unknown(said.value(), schema);
                unknown.map_or(Ok(()), |unknown| {
                    Err(format!("the map `{name}` puts in `{{{unknown}}}`, which stands for nothing"))
                })?;
            }
        }
        Ok(recipe)
    }

    /// What could encode this, best first.
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

    fn candidate(&self, entry: &Entry, path: &str, values: &Values) -> Candidate {
        let maps: Vec<&Map> = entry.map.iter().filter_map(|name| self.maps.get(name)).collect();
        let mut encoder = Element::new(&*entry.element);
        for (name, said) in maps.iter().flat_map(|map| &map.always) {
            encoder
                .properties
                .extend(said.property(name, values).map(|p| Property { if_present: true, ..p }));
        }
        for means in MEANINGS {
            let ways = maps.iter().rev().find_map(|map| map.say(means, values.request));
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

/// In this order they are said: of two that set one property the later counts, and the rate must hold.
const MEANINGS: [Meaning; 5] =
    [Meaning::Latency, Meaning::Speed, Meaning::Content, Meaning::KeyframeInterval, Meaning::Rate];

impl Map {
    /// None where the map does not speak of it.
    fn say(&self, means: Meaning, request: &EncodeRequest) -> Option<&Vec<Way>> {
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
        let Map { rate, speed, latency, content, .. } = self;
        let rate = [&rate.quality, &rate.bitrate, &rate.capped, &rate.constrained];
        let speed = [&speed.fast, &speed.balanced, &speed.small];
        let others =
            [&latency.low, &latency.normal, &content.screen, &content.camera, &self.keyframe_interval];
        rate.into_iter().chain(speed).chain(others).flatten()
    }
}

/// None where a value is not given: then nobody asked for this way.
fn fill(way: &Way, values: &Values) -> Option<Vec<Property>> {
    way.iter().map(|(name, said)| said.property(name, values)).collect()
}

impl Said {
    fn value(&self) -> &Value {
        match self {
            Said::Bounded(bounded) => &bounded.value,
            Said::Plain(value) => value,
        }
    }

    fn property(&self, name: &str, values: &Values) -> Option<Property> {
        let value = values.fill(self.value())?;
        Some(match self {
            Said::Plain(_) => Property::new(name, value),
            Said::Bounded(Bounded { at_least, at_most, if_present, .. }) => {
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

impl Before {
    fn element(&self, format: &str) -> Element {
        match self {
            Before::Name(name) => Element::new(&**name),
            Before::WithProperties { element, properties } => {
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
