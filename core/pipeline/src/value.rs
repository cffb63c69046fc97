//! One value, read as the type that its key takes.

use std::time::Duration;

use deskreel_model::gpu::GpuName;

use crate::choice::{self, Choice, Words};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::document::{Data, Span, Table, Value};
use crate::keys::{FORMAT_VERSION, Key, Section, Takes};
use crate::quantity;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TypedValue<'d> {
    Text(Word<'d>),
    /// A word and its value.
    Choice(Word<'d>, Choice),
    /// Key and value around a `=`.
    Pair(&'d str, &'d str),
    Words(Vec<Word<'d>>),
    Integer(u32),
    Boolean(bool),
    Duration(Duration),
    /// Bits per second.
    BitRate(u64),
    Size(u64),
    Table(&'d Table),
}

/// A string of the file with its span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Word<'d> {
    pub text: &'d str,
    pub span: &'d Span,
}

pub(crate) fn read<'d>(
    key: &Key,
    value: &'d Value,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<TypedValue<'d>> {
    let typed = match key.takes {
        Takes::Version => version(key, value),
        Takes::Name => text(key, value).and_then(|word| name(word).map(TypedValue::Text)),
        Takes::Text | Takes::Source | Takes::Plugin => text(key, value).map(TypedValue::Text),
        Takes::Texts => words(key, value, diagnostics).map(TypedValue::Words),
        Takes::Encoders => words(key, value, diagnostics).and_then(|words| distinct(key, value, words)),
        Takes::Plugins => match text(key, value) {
            Ok(word) => Ok(TypedValue::Words(vec![word])),
            Err(_) => words(key, value, diagnostics).and_then(|words| distinct(key, value, words)),
        },
        Takes::Boolean => match value.data {
            Data::Boolean(yes) => Ok(TypedValue::Boolean(yes)),
            _ => Err(wrong_type(key, value)),
        },
        Takes::Integer(min, max) => match value.data {
            Data::Integer(number) => match u32::try_from(number) {
                Ok(number) if (min..=max).contains(&number) => Ok(TypedValue::Integer(number)),
                _ => Err(out_of_range(key, value)),
            },
            _ => Err(wrong_type(key, value)),
        },
        Takes::Duration(min, max) => {
            quantity(key, value, quantity::parse_duration, min, max).map(TypedValue::Duration)
        }
        Takes::BitRate(min, max) => {
            quantity(key, value, quantity::parse_bit_rate, min, max).map(TypedValue::BitRate)
        }
        Takes::Size(min, max) => quantity(key, value, quantity::parse_size, min, max).map(TypedValue::Size),
        Takes::Choice(words) => text(key, value).and_then(|word| choice(key, word, words)),
        Takes::Pair => text(key, value).and_then(pair),
        Takes::Gpu => text(key, value).and_then(gpu),
        Takes::Table(_) => match &value.data {
            Data::Table(table) => Ok(TypedValue::Table(table)),
            _ => Err(wrong_type(key, value)),
        },
    };
    typed.map_err(|diagnostic| diagnostics.push(diagnostic)).ok()
}

/// Names become names of folders and files on every system, hence the narrow alphabet.
pub(crate) fn name(word: Word<'_>) -> Result<Word<'_>, Diagnostic> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let begins = word.text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if begins && word.text.chars().all(letters) && word.text.len() <= 64 {
        return Ok(word);
    }
    let problem = Diagnostic::error(Code::BadName, word.span, format!("`{}` is not a valid name", word.text));
    Err(problem.help(
        "a name has lower-case letters, digits, `-` and `_`, begins with a letter or digit, and is at most 64 long",
    ))
}

fn version<'d>(key: &Key, value: &'d Value) -> Result<TypedValue<'d>, Diagnostic> {
    match value.data {
        Data::Integer(FORMAT_VERSION) => Ok(TypedValue::Integer(FORMAT_VERSION as u32)),
        Data::Integer(other) => {
            let message = format!("this program reads version {FORMAT_VERSION} of the format, not {other}");
            let problem = Diagnostic::error(Code::UnsupportedVersion, &value.span, message);
            Err(problem.help(if other > FORMAT_VERSION {
                "update Deskreel on this machine, or write the file in the older version"
            } else {
                "versions begin with 1"
            }))
        }
        _ => Err(wrong_type(key, value)),
    }
}

fn text<'d>(key: &Key, value: &'d Value) -> Result<Word<'d>, Diagnostic> {
    match &value.data {
        Data::Text(text) => Ok(Word { text, span: &value.span }),
        _ => Err(wrong_type(key, value)),
    }
}

fn words<'d>(
    key: &Key,
    value: &'d Value,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Vec<Word<'d>>, Diagnostic> {
    let Data::List(list) = &value.data else { return Err(wrong_type(key, value)) };
    let mut words = Vec::new();
    for element in list {
        match text(key, element) {
            Ok(word) => words.push(word),
            Err(_) => {
                let is = element.type_name();
                let message = format!("`{}` takes {}, but this element is {is}", key.name, key.takes);
                diagnostics.push(Diagnostic::error(Code::WrongType, &element.span, message));
            }
        }
    }
    Ok(words)
}

fn distinct<'d>(key: &Key, value: &Value, words: Vec<Word<'d>>) -> Result<TypedValue<'d>, Diagnostic> {
    if matches!(&value.data, Data::List(list) if list.is_empty()) {
        let message = format!("`{}` needs at least one element", key.name);
        return Err(Diagnostic::error(Code::EmptyList, &value.span, message));
    }
    for (index, word) in words.iter().enumerate() {
        if let Some(first) = words[..index].iter().find(|earlier| earlier.text == word.text) {
            let message = format!("`{}` is listed twice", word.text);
            let problem = Diagnostic::error(Code::ListedTwice, word.span, message);
            return Err(problem.label(first.span, "first here"));
        }
    }
    Ok(TypedValue::Words(words))
}

fn quantity<'d, T: PartialOrd>(
    key: &Key,
    value: &'d Value,
    parse: fn(&str) -> Option<T>,
    min: &str,
    max: &str,
) -> Result<T, Diagnostic> {
    let word = text(key, value)?;
    let Some(quantity) = parse(word.text) else {
        let (what, how) = match key.takes {
            Takes::BitRate(..) => ("bit rate", "k or M bits per second, as in \"800k\" or \"2M\""),
            Takes::Size(..) => ("size", "B, kB, MB, GB, KiB, MiB or GiB, as in \"20GB\""),
            _ => ("duration", "ms, s, m or h, as in \"500ms\" or \"4s\""),
        };
        let message = format!("`{}` is not a {what}", word.text);
        let help = format!("write a whole number and a unit: {how}");
        return Err(Diagnostic::error(Code::BadUnit, word.span, message).help(help));
    };
    let inside = parse(min).is_none_or(|min| min <= quantity) && parse(max).is_none_or(|max| quantity <= max);
    if inside { Ok(quantity) } else { Err(out_of_range(key, value)) }
}

fn choice<'d>(key: &Key, word: Word<'d>, words: Words) -> Result<TypedValue<'d>, Diagnostic> {
    if let Some(value) = choice::value_of(words, word.text) {
        return Ok(TypedValue::Choice(word, value));
    }
    let message = format!("`{}` takes {}, not \"{}\"", key.name, key.takes, word.text);
    let help = did_you_mean(word.text, words.iter().map(|(word, _)| *word));
    Err(Diagnostic::error(Code::NotAChoice, word.span, message).maybe_help(help))
}

fn pair(word: Word<'_>) -> Result<TypedValue<'_>, Diagnostic> {
    match word.text.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok(TypedValue::Pair(key, value)),
        _ => {
            let problem = Diagnostic::error(Code::BadPair, word.span, "this is not a key and a value");
            Err(problem.help("write the key, `=`, and the value, as in \"card=entry\""))
        }
    }
}

fn gpu(word: Word<'_>) -> Result<TypedValue<'_>, Diagnostic> {
    if GpuName::parse(word.text).is_some() {
        return Ok(TypedValue::Text(word));
    }
    let message = format!("`{}` does not name a GPU", word.text);
    let is_number = !word.text.is_empty() && word.text.bytes().all(|byte| byte.is_ascii_digit());
    let help = if is_number { format!("{GPU_NUMBERS}; {GPU_NAMES}") } else { GPU_NAMES.to_owned() };
    Err(Diagnostic::error(Code::BadGpu, word.span, message).help(help))
}

const GPU_NUMBERS: &str = "GPU numbers change at a reboot and mean another GPU on another PC";
const GPU_NAMES: &str = "write a PCI address as in \"0000:65:00.0\", a whole UUID as in \"GPU-01234567-89ab-...\", \
                         or a render node as in \"renderD128\"";

fn wrong_type(key: &Key, value: &Value) -> Diagnostic {
    let message = format!("`{}` takes {}, not {}", key.name, key.takes, value.type_name());
    let help = match (key.takes, &value.data) {
        (Takes::Integer(..) | Takes::Version, Data::Text(text)) if text.parse::<u32>().is_ok() => {
            Some("write the number without quotes".to_owned())
        }
        (Takes::Boolean, Data::Text(text)) if text == "true" || text == "false" => {
            Some(format!("write {text} without quotes"))
        }
        (Takes::Duration(..), Data::Integer(number)) => {
            Some(format!("write a string with a unit (ms, s, m or h): \"{number}s\""))
        }
        (Takes::BitRate(..), Data::Integer(_)) => {
            Some("write a string with a unit (k or M bits per second): \"800k\"".to_owned())
        }
        (Takes::Size(..), Data::Integer(_)) => {
            Some("write a string with a unit (B, kB, MB, GB, KiB, MiB or GiB): \"20GB\"".to_owned())
        }
        (Takes::Plugin, Data::List(_)) => {
            Some("name one plugin: only encoders and policies take several".to_owned())
        }
        (Takes::Table(Section::Rate), Data::Integer(number)) => {
            Some(format!("write {{ mode = \"quality\", quality = {number} }}"))
        }
        (Takes::Gpu, Data::Integer(_)) => Some(format!("{GPU_NUMBERS}; {GPU_NAMES}")),
        (Takes::Texts | Takes::Encoders, Data::Text(text)) => Some(format!("write a list: [\"{text}\"]")),
        _ => None,
    };
    Diagnostic::error(Code::WrongType, &value.span, message).maybe_help(help)
}

fn out_of_range(key: &Key, value: &Value) -> Diagnostic {
    Diagnostic::error(Code::OutOfRange, &value.span, format!("`{}` takes {}", key.name, key.takes))
}
