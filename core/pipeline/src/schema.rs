//! The JSON Schema of pipeline files, for editors: the key table and the settings of the catalog's plugins.
//!
//! Looser than [`check`](crate::check) if JSON Schema cannot express a rule: names that must exist elsewhere
//! in the file, ranges of durations, values that clash.

use serde_json::{Map, Value as Json, json};

use crate::catalog::{Catalog, ListedPlugin};
use crate::keys::{FORMAT_VERSION, Key, Need, SECTIONS, Section, Takes};
use crate::settings;

pub fn json_schema(catalog: &Catalog) -> Json {
    let mut root = table(Section::Root, catalog);
    let sections = SECTIONS.iter().map(|(name, section)| {
        let table = table(*section, catalog);
        let schema = match section.is_named() {
            true => {
                json!({ "type": "object", "propertyNames": name_schema(), "additionalProperties": table })
            }
            false => table,
        };
        (name.to_string(), schema)
    });
    extend(&mut root, "properties", Json::Object(sections.collect()));
    extend(&mut root, "anyOf", json!([{ "required": ["recording"] }, { "required": ["server"] }]));
    extend(&mut root, "$schema", json!("https://json-schema.org/draft/2020-12/schema"));
    extend(&mut root, "title", json!("Deskreel pipeline file"));
    root
}

fn table(section: Section, catalog: &Catalog) -> Json {
    let properties: Map<_, _> =
        section.keys().map(|key| (key.name.to_owned(), key_schema(key, catalog))).collect();
    let required: Vec<_> =
        section.keys().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "unevaluatedProperties": false,
    });
    if let Some(kind) = section.kind() {
        let settings: Vec<_> = catalog.of_kind(kind).filter_map(when_used).collect();
        if !settings.is_empty() {
            extend(&mut schema, "allOf", Json::Array(settings));
        }
    }
    schema
}

/// The schema of a plugin's settings, for tables that name it.
fn when_used(plugin: &ListedPlugin) -> Option<Json> {
    let mut schema = plugin.settings.clone()?;
    let then = match settings::validator(&schema) {
        // One broken schema must not break the whole: editors accept any settings for this plugin.
        Err(_) => json!({ "additionalProperties": true }),
        Ok(_) => {
            let object = schema.as_object_mut()?;
            // The host's own keys are in the same table, so `unevaluatedProperties` of the whole table
            // replaces `additionalProperties`. A schema that forbids nothing takes every key, and must say
            // so.
            if object.remove("additionalProperties").is_none_or(|more| more != Json::Bool(false)) {
                object.insert("additionalProperties".to_owned(), Json::Bool(true));
            }
            // Its own resource, so that references within it still work.
            object.insert("$id".to_owned(), json!(format!("urn:deskreel:plugin:{}", plugin.id)));
            schema
        }
    };
    let id = &plugin.id;
    let named = json!({ "anyOf": [{ "const": id }, { "type": "array", "contains": { "const": id } }] });
    Some(json!({ "if": { "properties": { "plugin": named }, "required": ["plugin"] }, "then": then }))
}

fn key_schema(key: &Key, catalog: &Catalog) -> Json {
    let mut schema = match key.takes {
        Takes::Version => json!({ "const": FORMAT_VERSION }),
        Takes::Name => name_schema(),
        Takes::Text | Takes::Source => json!({ "type": "string" }),
        Takes::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Takes::Encoders => several(json!({ "type": "string" })),
        Takes::Plugin => ids(key.section, catalog),
        Takes::Plugins => {
            let ids = ids(key.section, catalog);
            json!({ "anyOf": [ids, several(ids.clone())] })
        }
        Takes::Boolean => json!({ "type": "boolean" }),
        Takes::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Takes::Duration(..) => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" }),
        Takes::BitRate(..) => json!({ "type": "string", "pattern": "^[0-9]+[kM]$" }),
        Takes::Size(..) => json!({ "type": "string", "pattern": "^[0-9]+([KMG]i|[kMG])?B$" }),
        Takes::Choice(words) => {
            json!({ "enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>() })
        }
        // Looser than the check, but rejects a bare number.
        Takes::Pair => json!({ "type": "string", "pattern": "^[^=]+=[^=]+$" }),
        Takes::Gpu => json!({ "type": "string", "pattern": "[:-]|renderD" }),
        Takes::Table(section) => table(section, catalog),
    };
    extend(&mut schema, "description", json!(format!("{} Takes {}.", key.about, key.takes)));
    if let Need::Default(text) = key.need {
        let default = text.parse::<u32>().map_or_else(|_| json!(text), |number| json!(number));
        extend(&mut schema, "default", default);
    }
    schema
}

fn several(items: Json) -> Json {
    json!({ "type": "array", "items": items, "minItems": 1, "uniqueItems": true })
}

/// The ids of the plugins of the section's kind. Without any, every string is valid: an empty `enum` would
/// forbid all.
fn ids(section: Section, catalog: &Catalog) -> Json {
    let listed = section.kind().into_iter().flat_map(|kind| catalog.of_kind(kind));
    let ids: Vec<_> = listed.map(|plugin| plugin.id.as_str()).collect();
    if ids.is_empty() { json!({ "type": "string" }) } else { json!({ "enum": ids }) }
}

fn name_schema() -> Json {
    json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$", "maxLength": 64 })
}

/// Sets a key of an object; a list or object that is there already is extended.
fn extend(schema: &mut Json, key: &str, value: Json) {
    match (schema.get_mut(key), value) {
        (Some(Json::Object(old)), Json::Object(new)) => old.extend(new),
        (Some(Json::Array(old)), Json::Array(new)) => old.extend(new),
        (_, value) => schema[key] = value,
    }
}
