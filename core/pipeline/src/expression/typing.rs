//! The type of an expression, and the first part of it that no value can make right.
//!
//! A part of an unknown type is taken for right: attached data may be anything.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators,
};

use super::Mistake;
use super::functions::{NAMES, OVER_ELEMENTS, Standard, TYPES, regex_error};
use super::place::SourceText;
use super::shape::{Name, Names, Type};
use crate::diagnostic::{did_you_mean, quoted};
use crate::document::Span;

type Found = Result<Type, Mistake>;

pub(super) struct Typing<'a> {
    source: &'a SourceText<'a>,
    /// Without them, any name may exist.
    names: Option<&'a Names>,
    /// Names that the expression defines, as `s` in `exists(s, s == 'x')`; the innermost is last.
    scope: Vec<(String, Type)>,
}

impl<'a> Typing<'a> {
    pub fn new(source: &'a SourceText<'a>, names: Option<&'a Names>) -> Typing<'a> {
        Typing { source, names, scope: Vec::new() }
    }

    pub fn infer(&mut self, part: &IdedExpr) -> Found {
        match &part.expr {
            Expr::Literal(literal) => Ok(literal_type(literal)),
            Expr::Ident(name) => self.variable(part, name.trim_start_matches('.')),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => match self.operator(part, call) {
                Some(found) => found,
                None => self.call(part, call),
            },
            Expr::Comprehension(all) => self.comprehension(all),
            Expr::List(list) => Ok(Type::List(self.join(list.elements.iter())?.into())),
            Expr::Map(map) => {
                let entries = map.entries.iter().filter_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => Some(entry),
                    EntryExpr::StructField(_) => None,
                });
                let entries: Vec<_> = entries.collect();
                self.join(entries.iter().map(|entry| &entry.key))?;
                Ok(Type::Map(self.join(entries.iter().map(|entry| &entry.value))?.into()))
            }
            Expr::Struct(_) | Expr::Unspecified => Ok(Type::Any),
        }
    }

    /// The type that all of the parts have in common.
    fn join<'e>(&mut self, parts: impl Iterator<Item = &'e IdedExpr>) -> Found {
        let mut joined: Option<Type> = None;
        for part in parts {
            let found = self.infer(part)?;
            joined = Some(match joined {
                Some(joined) => joined.or(found),
                None => found,
            });
        }
        Ok(joined.unwrap_or(Type::Any))
    }

    fn variable(&self, part: &IdedExpr, name: &str) -> Found {
        if let Some((_, found)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(found.clone());
        }
        let Some(names) = self.names else { return Ok(Type::Any) };
        match names.get(name) {
            Some(Name::Variable(found)) => Ok(found.clone()),
            _ if TYPES.contains(&name) => Ok(Type::Any),
            _ => {
                let known: Vec<_> = names.variables().collect();
                Err(unknown("name", name, self.source.span(part), &known))
            }
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Found {
        let owner = self.infer(&select.operand)?;
        let place = self.source.field(&select.operand, &select.field);
        let found = self.field(&select.operand, &owner, &select.field, place)?;
        Ok(if select.test { Type::Bool } else { found })
    }

    /// The type of `owner.field`.
    fn field(&self, operand: &IdedExpr, owner: &Type, field: &str, place: Span) -> Found {
        let written = self.source.written(operand).trim_start_matches('.');
        match owner {
            Type::Any => Ok(Type::Any),
            Type::Map(of) => Ok((**of).clone()),
            Type::Record(fields) => fields.get(field).cloned().ok_or_else(|| {
                let known = fields.keys().map(String::as_str);
                let help = did_you_mean(field, known.clone());
                let help = help.unwrap_or_else(|| format!("its fields are {}", quoted(known)));
                mistake(place, format!("`{written}` has no field `{field}`"), Some(help))
            }),
            other => Err(mistake(place, format!("`{written}` is {} and has no fields", other.word()), None)),
        }
    }

    /// `None` if the call is not an operator.
    fn operator(&mut self, part: &IdedExpr, call: &CallExpr) -> Option<Found> {
        use operators as op;
        let sign = call.func_name.trim_matches(['_', '@']);
        Some(match (call.func_name.as_str(), &call.args[..]) {
            (op::LOGICAL_AND | op::LOGICAL_OR, [one, other]) => {
                self.boolean(sign, one).and_then(|_| self.boolean(sign, other))
            }
            (op::LOGICAL_NOT, [one]) => self.boolean("!", one),
            (op::NOT_STRICTLY_FALSE, [one]) => self.infer(one).map(|_| Type::Bool),
            (op::CONDITIONAL, [condition, one, other]) => {
                self.boolean("?", condition).and_then(|_| self.join([one, other].into_iter()))
            }
            (op::EQUALS | op::NOT_EQUALS, [one, other]) => self.equality(one, other),
            (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [one, other]) => {
                self.order(one, other)
            }
            (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, [one, other]) => {
                self.arithmetic(part, sign, one, other)
            }
            (op::NEGATE, [one]) => self.takes("-", one, &[Type::Number]),
            (op::IN, [one, all]) => self.membership(one, all),
            (op::INDEX, [owner, index]) => self.index(owner, index),
            (op::OPT_SELECT | op::OPT_INDEX, [owner, _]) => self.infer(owner).map(|_| Type::Any),
            _ => return None,
        })
    }

    fn boolean(&mut self, sign: &str, part: &IdedExpr) -> Found {
        self.takes(sign, part, &[Type::Bool]).map(|_| Type::Bool)
    }

    /// The part's type, which must be one of these.
    fn takes(&mut self, name: &str, part: &IdedExpr, types: &[Type]) -> Found {
        let found = self.infer(part)?;
        if types.iter().any(|one| one.takes(&found)) {
            return Ok(found);
        }
        let help = match types {
            [Type::Bool] => Some(comparison(&found)),
            [Type::Number] => self.unquoted(part),
            _ => None,
        };
        let words: Vec<_> = types.iter().map(Type::word).filter(|word| word != "bytes").collect();
        let wanted = match &words[..] {
            [words @ .., last] if !words.is_empty() => format!("{} or {last}", words.join(", ")),
            words => words.concat(),
        };
        let message = format!("`{name}` takes {wanted}, not {}", found.word());
        Err(mistake(self.source.span(part), message, help))
    }

    fn equality(&mut self, one: &IdedExpr, other: &IdedExpr) -> Found {
        let (left, right) = (self.infer(one)?, self.infer(other)?);
        if left.may_equal(&right) {
            return Ok(Type::Bool);
        }
        let (part, found, rest) =
            if is_literal(one) && !is_literal(other) { (one, left, right) } else { (other, right, left) };
        let help = match (&found, &rest) {
            (Type::Null, Type::Text) => Some("an unknown text is empty: compare with \"\"".to_owned()),
            _ => self.unquoted(part).filter(|_| rest.is_number()),
        };
        let message = format!("{} never equals {}", rest.word(), found.word());
        Err(mistake(self.source.span(part), message, help))
    }

    fn order(&mut self, one: &IdedExpr, other: &IdedExpr) -> Found {
        let (left, right) = (self.infer(one)?, self.infer(other)?);
        let is_ordered = |found: &Type| matches!(found, Type::Bool | Type::Text | Type::Bytes | Type::Any);
        let fits = (left.is_number() && right.is_number())
            || ((is_ordered(&left) || is_ordered(&right)) && left.takes(&right));
        if fits {
            return Ok(Type::Bool);
        }
        let (part, rest) = if is_literal(one) && !is_literal(other) { (one, &right) } else { (other, &left) };
        let help = self.unquoted(part).filter(|_| rest.is_number());
        let message = format!("{} cannot be compared with {}", left.word(), right.word());
        Err(mistake(self.source.span(part), message, help))
    }

    fn arithmetic(&mut self, whole: &IdedExpr, sign: &str, one: &IdedExpr, other: &IdedExpr) -> Found {
        let (left, right) = (self.infer(one)?, self.infer(other)?);
        match (&left, &right) {
            (Type::Any, _) | (_, Type::Any) => return Ok(Type::Any),
            (Type::Text, Type::Text) | (Type::Bytes, Type::Bytes) | (Type::List(_), Type::List(_))
                if sign == "+" =>
            {
                return Ok(left.or(right));
            }
            // The interpreter converts no number by itself.
            (one, other) if one.is_number() && one.takes(other) => return Ok(left.or(right)),
            _ => {}
        }
        let message = format!("`{sign}` does not combine {} and {}", left.word(), right.word());
        let help = (left.is_number() && right.is_number())
            .then(|| "convert one of them, as in `double(time.hour) + 0.5`".to_owned());
        Err(mistake(self.source.span(whole), message, help))
    }

    fn membership(&mut self, one: &IdedExpr, all: &IdedExpr) -> Found {
        let (found, container) = (self.infer(one)?, self.infer(all)?);
        let span = self.source.span(one);
        match container {
            Type::Any => Ok(Type::Bool),
            Type::List(of) if of.may_equal(&found) => Ok(Type::Bool),
            Type::List(of) => {
                let list = of.plural().map_or("this list".to_owned(), |of| format!("a list of {of}"));
                Err(mistake(span, format!("{list} never has {} in it", found.word()), None))
            }
            Type::Map(_) | Type::Record(_) if Type::Text.takes(&found) => Ok(Type::Bool),
            Type::Map(_) | Type::Record(_) => {
                Err(mistake(span, format!("a map has texts as its keys, not {}", found.word()), None))
            }
            other => {
                let span = self.source.span(all);
                let (one, all) = (self.source.written(one), self.source.written(all));
                let help = (other == Type::Text)
                    .then(|| format!("write `{one} == {all}`, or a list as in `{one} in [{all}]`"));
                Err(mistake(span, format!("`in` searches a list or a map, not {}", other.word()), help))
            }
        }
    }

    fn index(&mut self, owner: &IdedExpr, index: &IdedExpr) -> Found {
        let (found, at) = (self.infer(owner)?, self.infer(index)?);
        let span = self.source.span(index);
        let wrong = |of: &str, by: &str| {
            Err(mistake(span.clone(), format!("{of} is indexed with {by}, not with {}", at.word()), None))
        };
        match &found {
            Type::Any => Ok(Type::Any),
            Type::List(of) if at.is_number() => Ok((**of).clone()),
            Type::List(_) => wrong("a list", "a whole number"),
            Type::Map(_) | Type::Record(_) if !Type::Text.takes(&at) => wrong("a map", "a text"),
            Type::Map(of) => Ok((**of).clone()),
            Type::Record(_) => match &index.expr {
                Expr::Literal(LiteralValue::String(field)) => self.field(owner, &found, field.inner(), span),
                _ => Ok(Type::Any),
            },
            other => Err(mistake(self.source.span(owner), format!("{} has no elements", other.word()), None)),
        }
    }

    fn comprehension(&mut self, all: &ComprehensionExpr) -> Found {
        let element = match self.infer(&all.iter_range)? {
            Type::List(of) => *of,
            Type::Map(_) | Type::Record(_) => Type::Text,
            Type::Any => Type::Any,
            other => {
                let message = format!("{} has no elements", other.word());
                return Err(mistake(self.source.span(&all.iter_range), message, None));
            }
        };
        let depth = self.scope.len();
        let start = self.infer(&all.accu_init)?;
        self.scope.push((all.accu_var.clone(), start.clone()));
        self.scope.push((all.iter_var.clone(), element));
        let step = self.infer(&all.loop_step);
        self.scope.truncate(depth);
        // An empty list begins `map` and `filter`, and says nothing of their elements.
        let found = match (start, step?) {
            (Type::List(_), found @ Type::List(_)) => found,
            (start, found) => start.or(found),
        };
        self.scope.push((all.accu_var.clone(), found));
        let result = self.infer(&all.result);
        self.scope.truncate(depth);
        result
    }

    fn call(&mut self, part: &IdedExpr, call: &CallExpr) -> Found {
        let name = call.func_name.trim_start_matches('.');
        let place = self.source.function(part, name);
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        if let Some(standard) = Standard::get(name)
            && (if call.target.is_some() { standard.is_method } else { standard.is_function })
        {
            self.count(name, place, call.target.is_some(), arguments.len(), standard.arguments.len())?;
            for (argument, types) in arguments.iter().zip(&standard.arguments) {
                self.takes(name, argument, types)?;
            }
            return match (name, &arguments[..]) {
                ("matches", [_, pattern]) => self.pattern(pattern).map(|()| Type::Bool),
                _ => Ok(standard.result),
            };
        }
        let known = self.names.and_then(|names| names.get(name)).filter(|_| call.target.is_none());
        match (known, self.names) {
            (Some(Name::Function(Some(signature))), _) => {
                self.count(name, place, false, arguments.len(), signature.arguments.len())?;
                for (argument, one) in arguments.iter().zip(&signature.arguments) {
                    self.takes(name, argument, std::slice::from_ref(one))?;
                }
                Ok(signature.result.clone())
            }
            (Some(Name::Function(None)), _) | (None, None) => {
                arguments.iter().try_for_each(|argument| self.infer(argument).map(drop))?;
                Ok(Type::Any)
            }
            (_, names) => Err(self.no_function(name, place, call.target.is_some(), names)),
        }
    }

    fn no_function(&self, name: &str, place: Span, is_method: bool, names: Option<&Names>) -> Mistake {
        if OVER_ELEMENTS.contains(&name) {
            let help = format!("write it as in `agent.groups.{name}(group, group == \"sales\")`");
            return mistake(place, format!("there is no function `{name}`"), Some(help));
        }
        let standard = NAMES.into_iter().filter(|name| {
            Standard::get(name).is_some_and(|one| if is_method { one.is_method } else { one.is_function })
        });
        let own = names.into_iter().flat_map(Names::functions).filter(|_| !is_method);
        let known: Vec<_> =
            own.chain(standard).chain(OVER_ELEMENTS.into_iter().filter(|_| is_method)).collect();
        unknown("function", name, place, &known)
    }

    /// Checks the number of values that a function gets; a method's owner is not one of them.
    fn count(
        &self,
        name: &str,
        place: Span,
        is_method: bool,
        given: usize,
        wanted: usize,
    ) -> Result<(), Mistake> {
        if given == wanted {
            return Ok(());
        }
        let (given, wanted) = (given - usize::from(is_method), wanted - usize::from(is_method));
        let values = if wanted == 1 { "value" } else { "values" };
        Err(mistake(place, format!("`{name}` takes {wanted} {values}, not {given}"), None))
    }

    fn pattern(&self, part: &IdedExpr) -> Result<(), Mistake> {
        let Expr::Literal(LiteralValue::String(pattern)) = &part.expr else { return Ok(()) };
        match regex_error(pattern.inner()) {
            None => Ok(()),
            Some(reason) => {
                let help = "a backslash before `[`, `(`, `*`, `+`, `?` or `.` takes it literally".to_owned();
                let message = format!("this is not a regular expression: {reason}");
                Err(mistake(self.source.span(part), message, Some(help)))
            }
        }
    }

    /// ``write 37 without quotes``, if the part is a number in quotes.
    fn unquoted(&self, part: &IdedExpr) -> Option<String> {
        let Expr::Literal(LiteralValue::String(text)) = &part.expr else { return None };
        let number: f64 = text.inner().parse().ok()?;
        Some(format!("write {number} without quotes"))
    }
}

/// How to make a condition of a value of this type.
pub(super) fn comparison(found: &Type) -> String {
    match found {
        Type::Int | Type::Uint | Type::Double | Type::Number => "compare it, as in `... < 18`",
        Type::List(_) => "search it, as in `\"sales\" in ...`",
        Type::Map(_) | Type::Record(_) => "compare one of its values, as in `....queue == \"sales\"`",
        _ => "compare it, as in `... == \"sales\"`",
    }
    .to_owned()
}

fn mistake(span: Span, message: String, help: Option<String>) -> Mistake {
    Mistake { span, message, help }
}

fn unknown(thing: &str, name: &str, span: Span, known: &[&str]) -> Mistake {
    let help = did_you_mean(name, known.iter().copied());
    let help = help.unwrap_or_else(|| format!("the {thing}s are {}", quoted(known.iter().copied())));
    mistake(span, format!("there is no {thing} `{name}`"), Some(help))
}

fn is_literal(part: &IdedExpr) -> bool {
    matches!(part.expr, Expr::Literal(_))
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::UInt(_) => Type::Uint,
    }
}
