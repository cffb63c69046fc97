//! Checks a plugin's settings against the plugin's own JSON Schema, and maps each error to the key or value
//! in the file that caused it.
//!
//! Beyond JSON Schema: the formats `duration`, `size` and `rate` are strings with units (quantity.rs), the
//! format `cel` is an expression (expression.rs), `time-zone` the name of a time zone, `x-form` says in words
//! what a `pattern` means, and a property with `"x-secret": true` must not be in the file.

use std::sync::LazyLock;

use jiff::tz::TimeZoneDatabase;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value as Json;

use crate::catalog::ListedPlugin;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, did_you_mean, quoted};
use crate::document::{Data, KeyValue, Span, Value, to_json};
use crate::{expression, quantity};

/// Checks the entries for this plugin, and returns them as it will receive them.
pub(crate) fn check(
    plugin: &ListedPlugin,
    id_span: &Span,
    header: &Span,
    entries: &[&KeyValue],
    diagnostics: &mut Vec<Diagnostic>,
) -> Json {
    let settings = to_json(entries.iter().copied());
    let Some(schema) = &plugin.settings else { return settings };
    let secrets = plugin.properties().filter(|(_, schema)| schema.get("x-secret") == Some(&Json::Bool(true)));
    let secrets: Vec<_> = secrets.map(|(name, _)| name).collect();
    let (open, hidden): (Vec<&KeyValue>, Vec<&KeyValue>) =
        entries.iter().partition(|entry| !secrets.contains(&entry.key.as_str()));
    diagnostics.extend(hidden.into_iter().map(|entry| secret(plugin, entry)));
    match validator(schema) {
        Ok(validator) => {
            // No message may repeat a secret, so the validator never sees one.
            let table = PluginTable { plugin, schema, header, entries: &open };
            let visible = to_json(open.iter().copied());
            diagnostics.extend(validator.iter_errors(&visible).flat_map(|error| table.explain(&error)));
            diagnostics.extend(open.iter().filter_map(|entry| expression(plugin, entry)));
        }
        Err(error) => {
            let message = format!("the settings schema of `{}` is broken: {error}", plugin.id);
            let help = format!("this is a fault of {} {}: update it", plugin.package, plugin.version);
            diagnostics.push(Diagnostic::error(Code::BrokenSchema, id_span, message).help(help));
        }
    }
    settings
}

pub(crate) fn validator(schema: &Json) -> Result<Validator, ValidationError<'static>> {
    jsonschema::draft202012::options()
        .with_format("duration", |text: &str| quantity::parse_duration(text).is_some())
        .with_format("size", |text: &str| quantity::parse_size(text).is_some())
        .with_format("rate", |text: &str| quantity::parse_bit_rate(text).is_some())
        .with_format("time-zone", |text: &str| time_zones().get(text).is_ok())
        .should_validate_formats(true)
        .build(schema)
}

/// Those of the program itself, so that a file is right or wrong on every machine.
fn time_zones() -> &'static TimeZoneDatabase {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    &ZONES
}

/// The mistake in a setting that is an expression, if it has one.
fn expression(plugin: &ListedPlugin, entry: &KeyValue) -> Option<Diagnostic> {
    let (_, schema) = plugin.properties().find(|(name, _)| *name == entry.key)?;
    schema.get("format").filter(|format| *format == "cel")?;
    let text = entry.value.text()?;
    let names = schema.get("x-names").and_then(Json::as_object);
    let result = schema.get("x-result").and_then(Json::as_str);
    let mistake = expression::check(text, names, result)?;
    // The span includes the quotes: one, three, or three and a line break. With escapes, offsets do not
    // match.
    let whole = &entry.value.span;
    let before = match whole.len() - text.len().min(whole.len()) {
        2 => Some(1),
        6 => Some(3),
        7 => Some(4),
        _ => None,
    };
    let span = before.map(|before| {
        let start = whole.start + before;
        start + mistake.span.start..start + mistake.span.end.max(mistake.span.start)
    });
    let message = format!("in `{}`: {}", entry.key, mistake.message);
    let problem = Diagnostic::error(Code::BadExpression, &span.unwrap_or_else(|| whole.clone()), message);
    Some(problem.maybe_help(mistake.help))
}

fn secret(plugin: &ListedPlugin, entry: &KeyValue) -> Diagnostic {
    let name = &entry.key;
    let message = format!("`{name}` is a secret and must not be written into the file");
    let has = |suffix: &str| plugin.properties().any(|(other, _)| other == format!("{name}{suffix}"));
    let help = if has("_file") {
        format!(
            "put it into a file that only the recorder can read: `{name}_file = \"/etc/deskreel/{name}\"`"
        )
    } else if has("_env") {
        format!(
            "put it into an environment variable and name that: `{name}_env = \"{}\"`",
            name.to_uppercase()
        )
    } else {
        "the plugin's documentation says how it takes secrets".to_owned()
    };
    Diagnostic::error(Code::SecretLiteral, &entry.value.span, message).help(help)
}

/// A plugin's settings in the file, and its schema.
struct PluginTable<'a> {
    plugin: &'a ListedPlugin,
    schema: &'a Json,
    header: &'a Span,
    entries: &'a [&'a KeyValue],
}

impl PluginTable<'_> {
    fn explain(&self, error: &ValidationError<'_>) -> Vec<Diagnostic> {
        let error = innermost(error);
        let path = error.instance_path().as_str();
        let name = readable_path(path);
        let (key_span, value) = self.find(path);
        let span = value.map_or(key_span, |value| &value.span);
        // The schema's value at the keyword that failed.
        let keyword = self.schema.pointer(error.schema_path().as_str()).unwrap_or(&Json::Null);
        let id = &self.plugin.id;
        let of = if name.is_empty() { format!("`{id}`") } else { format!("`{name}` of `{id}`") };
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.siblings(error.schema_path().as_str());
                let problem = |key: &String| {
                    let (span, _) = self.find(&format!("{path}/{}", escaped(key)));
                    let message = format!("{of} has no key `{key}`");
                    let known = known.iter().map(String::as_str);
                    let help = did_you_mean(key, known.clone())
                        .unwrap_or_else(|| format!("its keys are {}", quoted(known)));
                    Diagnostic::error(Code::UnknownSetting, span, message).help(help)
                };
                unexpected.iter().map(problem).collect()
            }
            ValidationErrorKind::Required { property } => {
                let property = property.as_str().unwrap_or_default();
                let message = format!("{of} needs the setting `{property}`");
                let about = self.description(error.schema_path().as_str(), property);
                let help = about.map(|about| format!("add `{property} = ...`: {about}"));
                vec![Diagnostic::error(Code::MissingSetting, span, message).maybe_help(help)]
            }
            ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. }
                if !alternatives(keyword).is_empty() =>
            {
                let message = format!("{of} needs one of the settings {}", quoted(alternatives(keyword)));
                vec![Diagnostic::error(Code::MissingSetting, span, message)]
            }
            ValidationErrorKind::OneOfMultipleValid { .. } if !alternatives(keyword).is_empty() => {
                let both = alternatives(keyword);
                let message = format!("{of} takes only one of the settings {}", quoted(both.iter().copied()));
                let written = both.iter().map(|key| self.find(&format!("{path}/{}", escaped(key))));
                let last = written.filter(|(_, value)| value.is_some()).max_by_key(|(key, _)| key.start);
                vec![Diagnostic::error(Code::SettingValue, last.map_or(span, |(key, _)| key), message)]
            }
            ValidationErrorKind::Type { .. } => {
                let is = value.map_or("something else", Value::type_name);
                let message = format!("{of} takes {}, not {is}", type_words(keyword));
                let help = unquoted(keyword, value);
                vec![Diagnostic::error(Code::SettingType, span, message).maybe_help(help)]
            }
            ValidationErrorKind::Enum { .. } => {
                let options: Vec<_> = keyword.as_array().into_iter().flatten().map(Json::to_string).collect();
                let message =
                    format!("`{name}` of `{id}` takes {}, not {}", options.join(", "), error.instance());
                let bare = options.iter().map(|option| option.trim_matches('"'));
                let help = error.instance().as_str().and_then(|written| did_you_mean(written, bare));
                vec![Diagnostic::error(Code::SettingValue, span, message).maybe_help(help)]
            }
            ValidationErrorKind::Pattern { .. } if self.form(error.schema_path().as_str()).is_some() => {
                let form = self.form(error.schema_path().as_str()).unwrap_or_default();
                vec![Diagnostic::error(Code::SettingValue, span, format!("{of} must be {form}"))]
            }
            kind => {
                let message = format!("{of} {}", bound(kind, keyword, error));
                let about = || Some(format!("{name}: {}", self.about(error.schema_path().as_str())?));
                vec![
                    Diagnostic::error(Code::SettingValue, span, message)
                        .maybe_help(format_help(kind, error.instance()).or_else(about)),
                ]
            }
        }
    }

    /// The key and value at a JSON Pointer; the header of the table if nothing is written there.
    fn find(&self, path: &str) -> (&Span, Option<&Value>) {
        let mut segments = path.split('/').skip(1).map(unescaped);
        let first = segments.next().and_then(|name| self.entries.iter().find(|entry| entry.key == name));
        let Some(first) = first else { return (self.header, None) };
        let (mut key_span, mut value) = (&first.key_span, &first.value);
        for segment in segments {
            let next = match &value.data {
                Data::Table(table) => table.get(&segment).map(|entry| (&entry.key_span, &entry.value)),
                Data::List(list) => {
                    let index = segment.parse::<usize>().ok();
                    index.and_then(|index| list.get(index)).map(|value| (&value.span, value))
                }
                _ => None,
            };
            let Some(next) = next else { break };
            (key_span, value) = next;
        }
        (key_span, Some(value))
    }

    /// The properties of the schema object that contains the keyword at this path.
    fn siblings(&self, keyword: &str) -> Vec<String> {
        let properties = self.properties(keyword).into_iter().flatten();
        properties.map(|(name, _)| name.clone()).collect()
    }

    fn description(&self, keyword: &str, property: &str) -> Option<&str> {
        self.properties(keyword)?.get(property)?.get("description")?.as_str()
    }

    /// The form of a value in words, if the schema has it beside a pattern.
    fn form(&self, keyword: &str) -> Option<&str> {
        let (object, _) = keyword.rsplit_once('/')?;
        self.schema.pointer(object)?.get("x-form")?.as_str()
    }

    /// The schema's description of the value that the keyword at this path applies to.
    fn about(&self, keyword: &str) -> Option<&str> {
        let (object, _) = keyword.rsplit_once('/')?;
        self.schema.pointer(object)?.get("description")?.as_str()
    }

    fn properties(&self, keyword: &str) -> Option<&serde_json::Map<String, Json>> {
        let (object, _) = keyword.rsplit_once('/')?;
        self.schema.pointer(object)?.get("properties")?.as_object()
    }
}

/// For a value that fits no branch of `anyOf` or `oneOf`, the error of the branch that got furthest: the
/// other branches are forms that were not meant.
fn innermost<'e, 'i>(error: &'e ValidationError<'i>) -> &'e ValidationError<'i> {
    let context = match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => context,
        _ => return error,
    };
    let depth = |error: &ValidationError<'_>| error.instance_path().as_str().matches('/').count();
    let deeper = |inner: &&ValidationError<'_>| match inner.kind() {
        ValidationErrorKind::Type { .. } => false,
        ValidationErrorKind::Required { .. } => depth(inner) > depth(error),
        _ => true,
    };
    let branches = context.iter().filter_map(|branch| branch.first());
    match branches.filter(deeper).max_by_key(|error| depth(error)) {
        Some(branch) => innermost(branch),
        None => error,
    }
}

/// The keys of `oneOf = [{ required = ["path"] }, { required = ["directory"] }]`, which is how a schema says
/// "either this or that".
fn alternatives(keyword: &Json) -> Vec<&str> {
    let forms = keyword.as_array().into_iter().flatten().filter_map(|form| form.get("required")?.as_array());
    forms.flatten().filter_map(Json::as_str).collect()
}

/// The condition on a value, for the keywords that express it in one value.
fn bound(kind: &ValidationErrorKind, keyword: &Json, error: &ValidationError<'_>) -> String {
    use ValidationErrorKind as K;
    match kind {
        K::Minimum { .. } => format!("must be at least {keyword}, not {}", error.instance()),
        K::Maximum { .. } => format!("must be at most {keyword}, not {}", error.instance()),
        K::ExclusiveMinimum { .. } => format!("must be more than {keyword}, not {}", error.instance()),
        K::ExclusiveMaximum { .. } => format!("must be less than {keyword}, not {}", error.instance()),
        K::MultipleOf { .. } => format!("must be a multiple of {keyword}, not {}", error.instance()),
        K::MinLength { .. } => format!("must have at least {}", count(keyword, "character")),
        K::MaxLength { .. } => format!("must have at most {}", count(keyword, "character")),
        K::MinItems { .. } => format!("must have at least {}", count(keyword, "element")),
        K::MaxItems { .. } => format!("must have at most {}", count(keyword, "element")),
        K::MinProperties { .. } => format!("must have at least {}", count(keyword, "key")),
        K::MaxProperties { .. } => format!("must have at most {}", count(keyword, "key")),
        K::UniqueItems => "must not have the same element twice".to_owned(),
        K::Pattern { pattern } => format!("must match `{pattern}`"),
        K::Constant { .. } => format!("must be {keyword}"),
        K::Format { format } => format!("must be a {}, not {}", format.replace('-', " "), error.instance()),
        K::AnyOf { .. } | K::OneOfNotValid { .. } => {
            let types: Vec<_> =
                keyword.as_array().into_iter().flatten().filter_map(|form| form.get("type")).collect();
            let types = Json::from_iter(types.into_iter().cloned());
            format!("takes {}, not {}", type_words(&types), error.instance())
        }
        _ => format!("is invalid: {error}"),
    }
}

fn count(number: &Json, thing: &str) -> String {
    let plural = if number == &Json::from(1) { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn format_help(kind: &ValidationErrorKind, value: &Json) -> Option<String> {
    let ValidationErrorKind::Format { format } = kind else { return None };
    if format == "time-zone" {
        let names: Vec<_> = time_zones().available().map(|name| name.to_string()).collect();
        let near = did_you_mean(value.as_str()?, names.iter().map(String::as_str));
        return near
            .or_else(|| Some("write its name in the IANA database, as in \"Europe/Berlin\"".to_owned()));
    }
    let how = match format.as_str() {
        "duration" => "ms, s, m or h, as in \"500ms\" or \"4s\"",
        "rate" => "k or M bits per second, as in \"800k\" or \"2M\"",
        "size" => "B, kB, MB, GB, KiB, MiB or GiB, as in \"10MB\"",
        _ => return None,
    };
    Some(format!("write a whole number and a unit: {how}"))
}

fn unquoted(expected: &Json, value: Option<&Value>) -> Option<String> {
    let text = value?.text()?;
    let helps = match expected.as_str()? {
        "integer" => text.parse::<i64>().is_ok(),
        "number" => text.parse::<f64>().is_ok(),
        "boolean" => text == "true" || text == "false",
        _ => false,
    };
    helps.then(|| format!("write {text} without quotes"))
}

/// JSON Schema's `type` in words.
fn type_words(types: &Json) -> String {
    let word = |name: &Json| match name.as_str() {
        Some("string") => "a string",
        Some("integer") => "an integer",
        Some("number") => "a number",
        Some("boolean") => "a boolean",
        Some("array") => "a list",
        Some("object") => "a table",
        _ => "something else",
    };
    match types.as_array() {
        Some(names) => names.iter().map(word).collect::<Vec<_>>().join(" or "),
        None => word(types).to_owned(),
    }
}

/// A JSON Pointer as people write it: `elements[0].factory` for `/elements/0/factory`.
fn readable_path(path: &str) -> String {
    let mut shown = String::new();
    for segment in path.split('/').skip(1).map(unescaped) {
        if segment.parse::<usize>().is_ok() {
            shown += &format!("[{segment}]");
        } else {
            let dot = if shown.is_empty() { "" } else { "." };
            shown += &format!("{dot}{segment}");
        }
    }
    shown
}

/// Escapes a name for a JSON Pointer, RFC 6901.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}
