//! Types of values, and the names that a plugin's schema lists.
//!
//! | in `x-names` | meaning |
//! |---|---|
//! | `"string"`, `"bool"`, `"int"`, `"number"`, `"any"`, `"list(string)"`, `"map(any)"` | a value of this type |
//! | `{ id = "string" }` | an object with these fields |
//! | `{ "*" = { state = "string" } }` | a map from any text to such values |
//! | `[{ media = "string" }]` | a list of such objects |
//! | `["id", "place"]` | an object with these fields, each of any type |
//! | `true` | any value |
//! | `{ function = ["number"], returns = "bool" }` | a function |
//! | `"function"` | a function that takes and returns anything |

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

/// A type of CEL. An unknown type is `Any`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    /// One of the three above.
    Number,
    Text,
    Bytes,
    List(Box<Type>),
    /// From texts.
    Map(Box<Type>),
    Record(BTreeMap<String, Type>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Name {
    Variable(Type),
    /// Without a signature, it takes and returns anything.
    Function(Option<Signature>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Signature {
    pub arguments: Vec<Type>,
    pub result: Type,
}

/// The names that a schema lists.
pub(super) struct Names(BTreeMap<String, Name>);

impl Names {
    pub fn read(listed: &Map<String, Json>) -> Names {
        Names(listed.iter().map(|(name, what)| (name.clone(), Name::read(what))).collect())
    }

    pub fn get(&self, name: &str) -> Option<&Name> {
        self.0.get(name)
    }

    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, what)| matches!(what, Name::Function(_))).map(|(name, _)| name.as_str())
    }

    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, what)| matches!(what, Name::Variable(_))).map(|(name, _)| name.as_str())
    }
}

impl Name {
    fn read(what: &Json) -> Name {
        if what == "function" {
            return Name::Function(None);
        }
        match what.get("function").and_then(Json::as_array) {
            Some(arguments) => Name::Function(Some(Signature {
                arguments: arguments.iter().map(Type::of).collect(),
                result: what.get("returns").map_or(Type::Any, Type::of),
            })),
            None => Name::Variable(Type::of(what)),
        }
    }
}

impl Type {
    /// `list(string)`
    pub fn read(text: &str) -> Type {
        let inner =
            |word: &str| Some(Type::read(text.strip_prefix(word)?.strip_prefix('(')?.strip_suffix(')')?));
        match text {
            "null" => Type::Null,
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "number" => Type::Number,
            "string" => Type::Text,
            "bytes" => Type::Bytes,
            _ => inner("list")
                .map(|of| Type::List(of.into()))
                .or_else(|| inner("map").map(|of| Type::Map(of.into())))
                .unwrap_or(Type::Any),
        }
    }

    fn of(what: &Json) -> Type {
        match what {
            Json::String(text) => Type::read(text),
            Json::Array(list) => match &list[..] {
                [of @ Json::Object(_)] => Type::List(Type::of(of).into()),
                fields => {
                    let fields = fields.iter().filter_map(Json::as_str);
                    Type::Record(fields.map(|field| (field.to_owned(), Type::Any)).collect())
                }
            },
            Json::Object(fields) => match fields.get("*") {
                Some(of) => Type::Map(Type::of(of).into()),
                None => {
                    Type::Record(fields.iter().map(|(field, what)| (field.clone(), Type::of(what))).collect())
                }
            },
            _ => Type::Any,
        }
    }

    pub fn is_number(&self) -> bool {
        matches!(self, Type::Int | Type::Uint | Type::Double | Type::Number | Type::Any)
    }

    /// Returns whether a value of the other type may be one of this type.
    pub fn takes(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Any, _) | (_, Type::Any) => true,
            (Type::Number, other) => other.is_number(),
            (one, Type::Number) => one.is_number(),
            (Type::List(one), Type::List(other)) | (Type::Map(one), Type::Map(other)) => one.takes(other),
            (Type::Map(one), Type::Record(fields)) => fields.values().all(|field| one.takes(field)),
            (Type::Record(_), Type::Map(_)) => true,
            (one, other) => one == other,
        }
    }

    /// Returns whether values of the two types can be equal. Numbers of all types can.
    pub fn may_equal(&self, other: &Type) -> bool {
        (self.is_number() && other.is_number()) || self.takes(other) || other.takes(self)
    }

    /// The type of a value that is of one of the two types.
    pub fn or(self, other: Type) -> Type {
        match (self, other) {
            (one, other) if one == other => one,
            (Type::List(one), Type::List(other)) => Type::List(one.or(*other).into()),
            (one, other)
                if one != Type::Any && other != Type::Any && one.is_number() && other.is_number() =>
            {
                Type::Number
            }
            _ => Type::Any,
        }
    }

    /// The type in a message.
    pub fn word(&self) -> String {
        let word = match self {
            Type::Any => "any value",
            Type::Null => "null",
            Type::Bool => "a boolean",
            Type::Int | Type::Uint => "a whole number",
            Type::Double | Type::Number => "a number",
            Type::Text => "a text",
            Type::Bytes => "bytes",
            Type::List(_) => "a list",
            Type::Map(_) | Type::Record(_) => "a map",
        };
        word.to_owned()
    }

    /// The type of a list's elements in a message, or none if they may have any.
    pub fn plural(&self) -> Option<&'static str> {
        match self {
            Type::Bool => Some("booleans"),
            Type::Int | Type::Uint => Some("whole numbers"),
            Type::Double | Type::Number => Some("numbers"),
            Type::Text => Some("texts"),
            _ => None,
        }
    }
}
