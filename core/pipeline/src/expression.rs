//! Settings that are expressions in CEL (`format = "cel"` in a plugin's schema), checked without running the
//! plugin.
//!
//! The schema lists in `x-names` the names that the plugin provides to the expression, with their types
//! (`shape.rs`), and in `x-result` the type that the expression must have. Names and types are checked as far
//! as they are known: a value whose type is not listed may have any. CEL's standard functions always exist.

mod functions;
mod place;
mod shape;
mod typing;

use cel::{Env, ParseErrors};
use serde_json::{Map, Value as Json};

use crate::document::Span;
use place::SourceText;
use shape::{Names, Type};
use typing::Typing;

/// A mistake in an expression, and its place in the text.
#[derive(Debug, PartialEq)]
pub(crate) struct Mistake {
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
}

/// Returns the first mistake; further errors of the parser are mostly its consequences.
pub(crate) fn check(text: &str, names: Option<&Map<String, Json>>, result: Option<&str>) -> Option<Mistake> {
    let program = match Env::stdlib().compile(text) {
        Ok(program) => program,
        Err(errors) => return Some(syntax(text, &errors)),
    };
    let source = SourceText::new(text, program.source_info());
    let names = names.map(Names::read);
    let whole = program.expression();
    let found = match Typing::new(&source, names.as_ref()).infer(whole) {
        Ok(found) => found,
        Err(mistake) => return Some(mistake),
    };
    let wanted = Type::read(result?);
    (!wanted.takes(&found)).then(|| Mistake {
        span: source.span(whole),
        message: format!("the rule results in {}, not in {}", found.word(), wanted.word()),
        help: (wanted == Type::Bool).then(|| typing::comparison(&found)),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn mistake(text: &str) -> Option<(String, String)> {
        let names = json!({
            "call": { "queue": "string", "attached": "map(any)" },
            "agent": ["id", "skills"],
            "skills": "list(string)",
            "media": { "*": { "state": "string" } },
            "interactions": [{ "media": "string" }],
            "time": { "hour": "int" },
            "share": "number",
            "loose": true,
            "sample": { "function": ["number"], "returns": "bool" },
            "odd": "function",
        });
        let found = check(text, names.as_object(), Some("bool"))?;
        Some((text[found.span].to_owned(), found.message))
    }

    #[test]
    fn right_rules_are_accepted() {
        for right in [
            "call.queue == 'call.foo' && sample(37) && sample(2.5)",
            "call.attached.consent == \"yes\" || call.attached.age > 17 || call.attached.vip",
            "media.exists(m, m == 'chat' && media[m].state == 'ready')",
            "call.queue in ['a', 'b'] || !has(call.attached.x) || 'a' in skills || 'chat' in media",
            "size(call.queue) > 1 && call.queue.startsWith(r'x') && call.queue.size() < 9",
            "has(media.chat) && media.chat.state == 'ready'",
            "interactions.all(i, i.media != 'mail') && interactions.size() < 3",
            "skills.map(s, s + 'x').filter(s, s != 'x').exists_one(s, s == 'yx')",
            "time.hour < 18 && time.hour <= 17.5 && time.hour + 1 > 2u && (time.hour - 1) % 2 == 0",
            "loose.any.thing || loose[3] == null || agent.id == 'x' || agent.skills[0] == 'y'",
            "odd() && odd('x', 2) == 3",
            "call.queue.matches('^[a-z]+$') ? true : sample(share)",
            "{'a': 1}['a'] == 1 && int('3') == 3 && string(3) == '3' && dyn('x') == 3 && bool('true')",
            "'öäü' == call.queue && .call.queue == '' && [1, 2u, 2.5].exists(n, n > 1)",
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
        wrong("has(call.queeu)", "queeu", "`call` has no field `queeu`");
        wrong("agent.name == 'x'", "name", "`agent` has no field `name`");
        wrong("media['x'].stat == 'x'", "stat", "`media['x']` has no field `stat`");
        wrong("interactions.all(i, i.call == '')", "call", "`i` has no field `call`");
        wrong("'ö' == 'ö' && call.queue.x == 1", "x", "`call.queue` is a text and has no fields");
        wrong("smaple(5)", "smaple", "there is no function `smaple`");
        wrong("sample == 3", "sample", "there is no name `sample`");
        wrong("call.queue.lower() == 'x'", "lower", "there is no function `lower`");
        // Without the crate's clock, they do not exist.
        wrong("duration('5s') == duration('5s')", "duration", "there is no function `duration`");
        let (place, message) = mistake("call.queue == == 'x'").unwrap();
        assert_eq!(place, "=");
        assert!(message.starts_with("invalid expression: "), "{message}");
    }

    #[test]
    fn wrong_types_are_marked_in_the_expression() {
        let wrong = |text: &str, place: &str, message: &str| {
            assert_eq!(mistake(text), Some((place.to_owned(), message.to_owned())), "{text}");
        };
        wrong("sample(\"37\")", "\"37\"", "`sample` takes a number, not a text");
        wrong("sample()", "sample", "`sample` takes 1 value, not 0");
        wrong("true && sample(37, 1)", "sample", "`sample` takes 1 value, not 2");
        wrong("time.hour < \"18\"", "\"18\"", "a whole number cannot be compared with a text");
        wrong("'18' > time.hour", "'18'", "a text cannot be compared with a whole number");
        wrong("time.hour == '18'", "'18'", "a whole number never equals a text");
        wrong("call.queue != null", "null", "a text never equals null");
        wrong("time.hour in ['8', '9']", "time.hour", "a list of texts never has a whole number in it");
        wrong("call.queue in 'sales'", "'sales'", "`in` searches a list or a map, not a text");
        wrong("call.queue", "call.queue", "the rule results in a text, not in a boolean");
        wrong("time.hour + 1", "time.hour + 1", "the rule results in a whole number, not in a boolean");
        wrong("time.hour + 1.5 > 2", "time.hour + 1.5", "`+` does not combine a whole number and a number");
        wrong("call.queue - 'x' == ''", "call.queue - 'x'", "`-` does not combine a text and a text");
        wrong("true && call.queue", "call.queue", "`&&` takes a boolean, not a text");
        wrong("!time.hour", "time.hour", "`!` takes a boolean, not a whole number");
        wrong("time.hour ? true : false", "time.hour", "`?` takes a boolean, not a whole number");
        wrong("true ? 'a' : 'b'", "true ? 'a' : 'b'", "the rule results in a text, not in a boolean");
        wrong("skills.exists(s, s)", "s", "`||` takes a boolean, not a text");
        wrong("call.queue.exists(s, s == 'x')", "call.queue", "a text has no elements");
        wrong("size(3) == 1", "3", "`size` takes a text, a list or a map, not a whole number");
        wrong("call.queue.contains(3)", "3", "`contains` takes a text, not a whole number");
        wrong("time.hour.startsWith('1')", "time.hour", "`startsWith` takes a text, not a whole number");
        wrong("skills['x'] == 'y'", "'x'", "a list is indexed with a whole number, not with a text");
        wrong("media[3].state == 'y'", "3", "a map is indexed with a text, not with a whole number");
        wrong("call['queeu'] == 'x'", "'queeu'", "`call` has no field `queeu`");
        wrong("exists(skills, s == 'x')", "exists", "there is no function `exists`");
    }

    #[test]
    fn bad_regular_expressions_are_marked() {
        for text in ["call.queue.matches('[')", "matches(call.queue, '[')"] {
            let (place, message) = mistake(text).unwrap();
            assert_eq!(place, "'['");
            assert_eq!(message, "this is not a regular expression: unclosed character class");
        }
    }

    #[test]
    fn without_names_only_types_are_checked() {
        assert_eq!(check("any.thing(3) || other", None, Some("bool")), None);
        assert!(check("1 < 'x'", None, None).is_some());
        assert_eq!(check("1 + 1", None, None), None);
    }

    #[test]
    fn odd_texts_do_not_panic() {
        for odd in [
            "",
            "'",
            "((((",
            "ä.ö",
            "1.2.3",
            "a.b.c.d(",
            "\u{1F600}",
            "x\n.y",
            "r'",
            "/**/",
            "//",
            "a.?b",
            "a[?1]",
            "Foo{a: 1}",
            "-'x'",
            "[][0]",
            "{}",
            "has(a.b)",
            "a.b.c()",
            "[1].map(x, x, x)",
            "{1: 2, 'a': []}.x",
        ] {
            let _ = mistake(odd);
        }
    }
}
