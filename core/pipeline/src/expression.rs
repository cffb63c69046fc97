//! Settings that are expressions in CEL (`format = "cel"` in a plugin's schema), checked without running the
//! plugin.
//!
//! The schema may list in `x-names` the names that the plugin provides to the expression: each with a list of
//! its fields, with `true` if any field may exist, or with `"function"`. CEL's standard functions always
//! exist.

use cel::{Env, ParseErrors};
use serde_json::{Map, Value as Json};

use crate::diagnostic::{did_you_mean, quoted};
use crate::document::Span;

/// A mistake in an expression, and its place in the text.
#[derive(Debug, PartialEq)]
pub(crate) struct Mistake {
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
}

/// CEL's standard functions, which every expression may call.
const STANDARD: [&str; 22] = [
    "all",
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "has",
    "int",
    "map",
    "matches",
    "max",
    "min",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "uint",
];

/// Functions whose first argument defines a name.
const BINDING: [&str; 5] = ["all", "exists", "exists_one", "filter", "map"];

const WORDS: [&str; 4] = ["true", "false", "null", "in"];

/// Returns the first mistake; further errors of the parser are mostly its consequences.
pub(crate) fn check(text: &str, names: Option<&Map<String, Json>>) -> Option<Mistake> {
    if let Err(errors) = Env::stdlib().compile(text) {
        return Some(syntax(text, &errors));
    }
    let names = names?;
    let tokens = tokens(text);
    let bound: Vec<&str> = tokens.windows(3).filter_map(|window| bound(text, window)).collect();
    tokens.iter().enumerate().find_map(|(index, token)| {
        let Token::Name(span) = token else { return None };
        let name = &text[span.clone()];
        let after_dot = index > 0 && tokens[index - 1] == Token::Sign('.');
        let is_called = tokens.get(index + 1) == Some(&Token::Sign('('));
        if after_dot {
            return unknown_field(text, &tokens, index, names);
        }
        let is_known = names.contains_key(name)
            || bound.contains(&name)
            || WORDS.contains(&name)
            || (is_called && STANDARD.contains(&name));
        (!is_known).then(|| unknown_name(name, span, is_called, names))
    })
}

fn syntax(text: &str, errors: &ParseErrors) -> Mistake {
    let first = errors.errors.iter().min_by_key(|error| error.pos);
    let (line, column) = first.map_or((1, 1), |error| error.pos);
    let message = first.map_or("it cannot be parsed", |error| error.msg.as_str());
    // After "expecting" the parser lists every token that exists.
    let message = message.split(" expecting ").next().unwrap_or(message);
    let message = message.trim_start_matches("Syntax error: ");
    let start = offset(text, line, column);
    let end = text[start..].chars().next().map_or(start, |letter| start + letter.len_utf8());
    let is_assigned = text[start..].starts_with('=') && !text[start..].starts_with("==");
    let help = is_assigned.then(|| "compare with `==`".to_owned());
    Mistake { span: start..end, message: format!("invalid expression: {message}"), help }
}

/// The byte at a line and a column, which count from 1; columns are in characters.
fn offset(text: &str, line: isize, column: isize) -> usize {
    let lines = usize::try_from(line - 1).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(lines).map(str::len).sum();
    let columns = usize::try_from(column - 1).unwrap_or(0);
    text[start..].char_indices().nth(columns).map_or(text.len(), |(index, _)| start + index)
}

fn unknown_name(name: &str, span: &Span, is_called: bool, names: &Map<String, Json>) -> Mistake {
    let known =
        names.iter().filter(|(_, what)| (**what == "function") == is_called).map(|(name, _)| name.as_str());
    let known: Vec<_> = known.collect();
    let thing = if is_called { "function" } else { "name" };
    let help = did_you_mean(name, known.iter().copied());
    let help = help.unwrap_or_else(|| format!("the {thing}s are {}", quoted(known)));
    Mistake { span: span.clone(), message: format!("there is no {thing} `{name}`"), help: Some(help) }
}

/// `call.queeu`: a field of a name that lists its fields.
fn unknown_field(text: &str, tokens: &[Token], index: usize, names: &Map<String, Json>) -> Option<Mistake> {
    let (Token::Name(owner), Token::Name(span)) = (tokens.get(index.checked_sub(2)?)?, &tokens[index]) else {
        return None;
    };
    // The fields of a field are not listed.
    if index >= 3 && tokens[index - 3] == Token::Sign('.') {
        return None;
    }
    let (owner, field) = (&text[owner.clone()], &text[span.clone()]);
    let fields: Vec<&str> = names.get(owner)?.as_array()?.iter().filter_map(Json::as_str).collect();
    if fields.contains(&field) {
        return None;
    }
    let help = did_you_mean(field, fields.iter().copied());
    let help = help.unwrap_or_else(|| format!("its fields are {}", quoted(fields)));
    Some(Mistake {
        span: span.clone(),
        message: format!("`{owner}` has no field `{field}`"),
        help: Some(help),
    })
}

/// The name that a function defines: `x` in `exists(x`.
fn bound<'t>(text: &'t str, window: &[Token]) -> Option<&'t str> {
    let [Token::Name(function), Token::Sign('('), Token::Name(name)] = window else { return None };
    BINDING.contains(&&text[function.clone()]).then(|| &text[name.clone()])
}

#[derive(Debug, PartialEq)]
enum Token {
    Name(Span),
    Sign(char),
}

/// Names and signs, without quoted texts and comments. The text is known to be an expression.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut letters = text.char_indices().peekable();
    while let Some((start, letter)) = letters.next() {
        match letter {
            '\'' | '"' => {
                while let Some((_, inner)) = letters.next() {
                    match inner {
                        '\\' => drop(letters.next()),
                        inner if inner == letter => break,
                        _ => {}
                    }
                }
            }
            '/' if text[start..].starts_with("//") => {
                while letters.next_if(|(_, inner)| *inner != '\n').is_some() {}
            }
            // A number, with letters that may follow its digits.
            '0'..='9' => while letters.next_if(|(_, inner)| inner.is_ascii_alphanumeric()).is_some() {},
            letter if letter.is_ascii_alphabetic() || letter == '_' => {
                let mut end = start + 1;
                while let Some((index, _)) = letters.next_if(|(_, c)| c.is_ascii_alphanumeric() || *c == '_')
                {
                    end = index + 1;
                }
                // r'raw' and b'bytes'.
                if !matches!(letters.peek(), Some((_, '\'' | '"'))) {
                    tokens.push(Token::Name(start..end));
                }
            }
            letter if letter.is_whitespace() => {}
            letter => tokens.push(Token::Sign(letter)),
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn mistake(text: &str) -> Option<(String, String)> {
        let names = json!({ "call": ["queue", "attached"], "media": true, "sample": "function" });
        let found = check(text, names.as_object())?;
        Some((text[found.span].to_owned(), found.message))
    }

    #[test]
    fn known_names_are_accepted() {
        for right in [
            "call.queue == 'call.foo' && sample(37)",
            "call.attached.consent == \"yes\"",
            "media.exists(m, m == 'chat' && media[m].state == 'ready')",
            "call.queue in ['a', 'b'] || !has(call.attached.x)",
            "size(call.queue) > 1u && call.queue.startsWith(r'x')",
        ] {
            assert_eq!(mistake(right), None, "{right}");
        }
    }

    #[test]
    fn mistakes_are_marked_in_the_expression() {
        let wrong = |text: &str, place: &str, message: &str| {
            assert_eq!(mistake(text), Some((place.to_owned(), message.to_owned())), "{text}");
        };
        wrong("cal.queue == 'x'", "cal", "there is no name `cal`");
        wrong("true && call.queeu == 'x'", "queeu", "`call` has no field `queeu`");
        wrong("smaple(5)", "smaple", "there is no function `smaple`");
        let (place, message) = mistake("call.queue == == 'x'").unwrap();
        assert_eq!(place, "=");
        assert!(message.starts_with("invalid expression: "), "{message}");
    }

    #[test]
    fn odd_texts_do_not_panic() {
        for odd in ["", "'", "((((", "ä.ö", "1.2.3", "a.b.c.d(", "\u{1F600}", "x\n.y", "r'", "/**/", "//"] {
            let _ = mistake(odd);
        }
    }
}
