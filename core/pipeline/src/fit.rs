//! Fits an element as a plugin wants it to the element that this machine has.
//!
//! GStreamer's encoders change from version to version, and with the driver: properties are renamed, enums
//! gain and lose nicks, ranges depend on the device. So a plugin expresses each wish in several ways, and the
//! first way that the element takes is chosen by looking at the element, never by its version. Pure: the
//! caller has looked already.

use std::collections::BTreeMap;
use std::fmt;

use deskreel_contract::{Element, Meaning, Property, Wish};
use serde_json::Value;

/// The properties that an element of this machine has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ElementSpec {
    pub factory: String,
    pub properties: BTreeMap<String, PropertySpec>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PropertySpec {
    pub kind: PropertyKind,
    pub writable: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PropertyKind {
    Boolean,
    Integer {
        min: i128,
        max: i128,
    },
    Float {
        min: f64,
        max: f64,
    },
    Enum {
        nicks: Vec<String>,
    },
    /// A value with several flags is written `a+b`.
    Flags {
        nicks: Vec<String>,
    },
    Text,
    /// A type of this name that GStreamer parses from a string: caps, a fraction.
    Other(String),
}

/// The element with its wishes turned into properties that it takes, `if_present` and `at_most` applied. A
/// property that is wanted twice has the later value, and a wish counts as later than any plain property.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedElement {
    pub element: Element,
    /// Wishes that are not required and for which this element takes none of the ways.
    pub cannot: Vec<Meaning>,
}

/// Why the element cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct Misfit {
    pub factory: String,
    /// The wish that failed; `None` if it is a property that the plugin always sets.
    pub meaning: Option<Meaning>,
    /// The first obstacle of each way that came closest, that is, has the fewest obstacles.
    pub obstacles: Vec<Obstacle>,
}

/// A property that is missing or does not take the value.
#[derive(Debug, Clone, PartialEq)]
pub struct Obstacle {
    pub property: String,
    pub reason: Reason,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    Missing,
    ReadOnly,
    NotTaken { value: Value, takes: PropertyKind },
}

pub fn fit(wanted: &Element, spec: &ElementSpec) -> Result<FittedElement, Misfit> {
    let misfit = |meaning, obstacles| Misfit { factory: wanted.factory.clone(), meaning, obstacles };
    let mut element = Element::new(&*wanted.factory);
    let plain = apply_way(&wanted.properties, spec).map_err(|obstacles| misfit(None, obstacles))?;
    plain.into_iter().for_each(|property| put(&mut element.properties, property));

    let mut cannot = Vec::new();
    for wish in &wanted.wishes {
        match first_way(wish, spec) {
            Ok(way) => way.into_iter().for_each(|property| put(&mut element.properties, property)),
            Err(obstacles) if wish.means.is_required() => return Err(misfit(Some(wish.means), obstacles)),
            Err(_) => cannot.push(wish.means),
        }
    }
    Ok(FittedElement { element, cannot })
}

fn first_way(wish: &Wish, spec: &ElementSpec) -> Result<Vec<Property>, Vec<Obstacle>> {
    let mut failed = Vec::new();
    for way in &wish.ways {
        match apply_way(way, spec) {
            Ok(properties) => return Ok(properties),
            Err(obstacles) => failed.push(obstacles),
        }
    }
    let fewest = failed.iter().map(Vec::len).min();
    let closest = failed.into_iter().filter(|obstacles| Some(obstacles.len()) == fewest);
    let mut firsts: Vec<Obstacle> = Vec::new();
    for first in closest.filter_map(|obstacles| obstacles.into_iter().next()) {
        if !firsts.contains(&first) {
            firsts.push(first);
        }
    }
    Err(firsts)
}

/// The properties as they will be set, or the obstacles.
fn apply_way(properties: &[Property], spec: &ElementSpec) -> Result<Vec<Property>, Vec<Obstacle>> {
    let mut settled = Vec::new();
    let mut obstacles = Vec::new();
    for property in properties {
        let Some(PropertySpec { kind, writable }) = spec.properties.get(&property.name) else {
            if !property.if_present {
                obstacles.push(Obstacle { property: property.name.clone(), reason: Reason::Missing });
            }
            continue;
        };
        let value = if property.at_most { kind.lower(&property.value) } else { property.value.clone() };
        let reason = match (writable, kind.takes(&value)) {
            (true, true) => {
                settled.push(Property::new(&*property.name, value));
                continue;
            }
            (false, _) => Reason::ReadOnly,
            (true, false) => Reason::NotTaken { value, takes: kind.clone() },
        };
        obstacles.push(Obstacle { property: property.name.clone(), reason });
    }
    if obstacles.is_empty() { Ok(settled) } else { Err(obstacles) }
}

fn put(properties: &mut Vec<Property>, property: Property) {
    properties.retain(|earlier| earlier.name != property.name);
    properties.push(property);
}

impl PropertyKind {
    fn takes(&self, value: &Value) -> bool {
        match (self, value) {
            (PropertyKind::Boolean, Value::Bool(_)) => true,
            (PropertyKind::Integer { min, max }, value) => {
                integer(value).is_some_and(|number| (*min..=*max).contains(&number))
            }
            (PropertyKind::Float { min, max }, value) => {
                value.as_f64().is_some_and(|number| (*min..=*max).contains(&number))
            }
            (PropertyKind::Enum { nicks }, Value::String(nick)) => nicks.contains(nick),
            (PropertyKind::Flags { nicks }, Value::String(flags)) => {
                flags.split('+').all(|flag| nicks.iter().any(|nick| nick == flag))
            }
            (PropertyKind::Text | PropertyKind::Other(_), Value::String(_)) => true,
            _ => false,
        }
    }

    /// Lowers a number above the range to its upper end.
    fn lower(&self, value: &Value) -> Value {
        match self {
            PropertyKind::Integer { max, .. } if integer(value).is_some_and(|number| number > *max) => {
                i64::try_from(*max).map_or_else(|_| value.clone(), Value::from)
            }
            PropertyKind::Float { max, .. } if value.as_f64().is_some_and(|number| number > *max) => {
                Value::from(*max)
            }
            _ => value.clone(),
        }
    }
}

fn integer(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the element `{}` ", self.factory)?;
        match (self.obstacles.as_slice(), self.meaning) {
            ([], None) => write!(f, "cannot be used"),
            ([], Some(meaning)) => write!(f, "cannot do the requested {meaning}"),
            ([first, rest @ ..], meaning) => {
                write!(f, "{first}")?;
                rest.iter().try_for_each(|obstacle| write!(f, ", and {obstacle}"))?;
                meaning.map_or(Ok(()), |meaning| write!(f, ", which sets the {meaning}"))
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let property = &self.property;
        match &self.reason {
            Reason::Missing => write!(f, "has no property `{property}`"),
            Reason::ReadOnly => write!(f, "does not allow its property `{property}` to be set"),
            Reason::NotTaken { value, takes } => {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                write!(f, "does not take `{value}` for its property `{property}` ({takes})")
            }
        }
    }
}

impl fmt::Display for PropertyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PropertyKind::Boolean => f.write_str("true or false"),
            PropertyKind::Integer { min, max } => write!(f, "{min} to {max}"),
            PropertyKind::Float { min, max } => write!(f, "{min} to {max}"),
            PropertyKind::Enum { nicks } => f.write_str(&nicks.join(", ")),
            PropertyKind::Flags { nicks } => f.write_str(&nicks.join("+")),
            PropertyKind::Text => f.write_str("a string"),
            PropertyKind::Other(name) => write!(f, "a {name}"),
        }
    }
}

#[cfg(test)]
mod tests;
