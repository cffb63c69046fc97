//! The file as written: every key and value with its span in the text.

use std::ops::Range;
use std::path::PathBuf;

use serde_json::Value as Json;

/// A range of bytes in the text of the file.
pub type Span = Range<usize>;

/// A whole file, without the parts that are not TOML.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    pub root: Table,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The header, as in `[source.screen]`, or the braces and everything between them.
    pub span: Span,
    /// The entries, in file order.
    pub entries: Vec<KeyValue>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct KeyValue {
    pub key: String,
    pub key_span: Span,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    pub span: Span,
    pub data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A date or time, as written: no key takes one.
    Date(String),
    List(Vec<Value>),
    Table(Table),
}

/// Where to search for a file's plugins: needed before the file can be resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginSearch {
    pub paths: Vec<PathBuf>,
    pub allow: Option<PathBuf>,
}

impl Document {
    /// Reads `[plugins]` as far as it makes sense; `resolve` reports its mistakes.
    pub fn plugin_search(&self) -> PluginSearch {
        let Some(plugins) = self.root.get("plugins").and_then(KeyValue::table) else {
            return PluginSearch::default();
        };
        let text = |value: &Value| value.text().map(PathBuf::from);
        let paths = match plugins.get("paths").map(|entry| &entry.value.data) {
            Some(Data::List(list)) => list.iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        PluginSearch { paths, allow: plugins.get("allow").and_then(|entry| text(&entry.value)) }
    }
}

impl Table {
    pub fn get(&self, key: &str) -> Option<&KeyValue> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl KeyValue {
    pub fn table(&self) -> Option<&Table> {
        match &self.value.data {
            Data::Table(table) => Some(table),
            _ => None,
        }
    }
}

impl Value {
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value's type, for a message: `a list`.
    pub fn type_name(&self) -> &'static str {
        match self.data {
            Data::Text(_) => "a string",
            Data::Integer(_) => "an integer",
            Data::Float(_) => "a number",
            Data::Boolean(_) => "a boolean",
            Data::Date(_) => "a date",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
        }
    }

    /// The value as a plugin receives it.
    pub fn to_json(&self) -> Json {
        match &self.data {
            Data::Text(text) | Data::Date(text) => Json::from(text.as_str()),
            Data::Integer(number) => Json::from(*number),
            Data::Float(number) => Json::from(*number),
            Data::Boolean(yes) => Json::from(*yes),
            Data::List(list) => list.iter().map(Value::to_json).collect(),
            Data::Table(table) => to_json(&table.entries),
        }
    }
}

pub(crate) fn to_json<'a>(entries: impl IntoIterator<Item = &'a KeyValue>) -> Json {
    entries.into_iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
}
