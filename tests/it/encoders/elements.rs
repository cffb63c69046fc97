//! Elements from the descriptions in `tests/data/gst-elements`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use deskreel_pipeline::fit::{ElementSpec, PropertyKind, PropertySpec};
use serde_json::Value;

use super::data;

pub const VERSIONS: [&str; 5] = ["1.20", "1.22", "1.24", "1.26", "1.28"];

/// One element of one version.
#[derive(Debug, Clone)]
pub struct Described {
    pub version: &'static str,
    pub spec: ElementSpec,
    /// `None` if a library supplies the list.
    pub formats: Option<Vec<String>>,
    pub platforms: Vec<String>,
    /// Default and unit of each property that has them.
    pub defaults: BTreeMap<String, Value>,
    pub units: BTreeMap<String, String>,
    /// Properties that exist on some devices only.
    pub conditional: BTreeSet<String>,
}

impl Described {
    /// The same element on a device that lacks these.
    pub fn without<'a>(&self, properties: impl IntoIterator<Item = &'a String>) -> Described {
        let mut lacking = self.clone();
        properties.into_iter().for_each(|name| drop(lacking.spec.properties.remove(name)));
        lacking
    }
}

/// All elements by name, for every version that has any.
pub fn all() -> BTreeMap<String, Vec<Described>> {
    let mut all: BTreeMap<String, Vec<Described>> = BTreeMap::new();
    for version in VERSIONS {
        let text = fs::read_to_string(data(&format!("{version}.json"))).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        for (factory, element) in file["elements"].as_object().unwrap() {
            all.entry(factory.clone()).or_default().push(described(version, factory, element));
        }
    }
    all
}

fn described(version: &'static str, factory: &str, element: &Value) -> Described {
    let properties = element["properties"].as_object().unwrap();
    let texts = |value: &Value| -> Option<Vec<String>> { serde_json::from_value(value.clone()).ok() };
    let spec = |property: &Value| PropertySpec {
        kind: kind(property),
        writable: property["writable"].as_bool().unwrap(),
    };
    let of = |field: &'static str| properties.iter().map(move |(name, property)| (name, &property[field]));
    Described {
        version,
        spec: ElementSpec {
            factory: factory.to_owned(),
            properties: properties.iter().map(|(name, property)| (name.clone(), spec(property))).collect(),
        },
        formats: texts(&element["sink_formats"]),
        platforms: texts(&element["platforms"]).unwrap_or_default(),
        defaults: of("default").map(|(name, default)| (name.clone(), default.clone())).collect(),
        units: of("unit")
            .filter_map(|(name, unit)| Some((name.clone(), unit.as_str()?.to_owned())))
            .collect(),
        conditional: of("conditional")
            .filter(|(_, when)| when.is_string())
            .map(|(name, _)| name.clone())
            .collect(),
    }
}

/// A limit that only the device knows counts as none.
fn kind(property: &Value) -> PropertyKind {
    let nicks = || serde_json::from_value(property["nicks"].clone()).unwrap();
    match property["type"].as_str().unwrap() {
        "gboolean" => PropertyKind::Boolean,
        "gint" | "guint" | "gint64" | "guint64" => PropertyKind::Integer {
            min: whole(&property["min"]).unwrap_or(i128::MIN),
            max: whole(&property["max"]).unwrap_or(i128::MAX),
        },
        "gfloat" | "gdouble" => PropertyKind::Float {
            min: property["min"].as_f64().unwrap_or(f64::MIN),
            max: property["max"].as_f64().unwrap_or(f64::MAX),
        },
        "enum" => PropertyKind::Enum { nicks: nicks() },
        "flags" => PropertyKind::Flags { nicks: nicks() },
        "gchararray" => PropertyKind::Text,
        other => PropertyKind::Other(other.to_owned()),
    }
}

fn whole(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}
