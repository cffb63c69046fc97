//! The names that a rule uses. A replay evaluates a rule for hundreds of thousands of calls a second, so it
//! gets only these.

use cel::Program;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};

#[derive(Default)]
pub struct Names {
    /// Variables, each with the field that is used; `None` if all of it may matter.
    variables: Vec<(String, Option<String>)>,
    functions: Vec<String>,
}

impl Names {
    pub fn of(rule: &Program) -> Names {
        let mut names = Names::default();
        names.read(rule.expression());
        names
    }

    pub fn has_function(&self, name: &str) -> bool {
        self.functions.iter().any(|known| known == name)
    }

    pub fn has_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|(known, _)| known == name)
    }

    pub fn has_field(&self, name: &str, field: &str) -> bool {
        let matches = |known: &Option<String>| known.as_ref().is_none_or(|known| known == field);
        self.variables.iter().any(|(known, known_field)| known == name && matches(known_field))
    }

    fn read(&mut self, part: &IdedExpr) {
        match &part.expr {
            Expr::Ident(name) => self.variable(name, None),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) => self.variable(name, Some(&select.field)),
                _ => self.read(&select.operand),
            },
            Expr::Call(call) => {
                self.functions.push(call.func_name.clone());
                call.target.iter().for_each(|target| self.read(target));
                call.args.iter().for_each(|argument| self.read(argument));
            }
            Expr::Comprehension(all) => {
                let parts = [&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result];
                parts.into_iter().for_each(|part| self.read(part));
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.read(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(made) => made.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.read(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.read(&entry.key);
                self.read(&entry.value);
            }
        }
    }

    fn variable(&mut self, name: &str, field: Option<&String>) {
        // An absolute name begins with a dot.
        self.variables.push((name.trim_start_matches('.').to_owned(), field.cloned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rule: &str) -> Names {
        Names::of(&Program::compile(rule).unwrap_or_else(|errors| panic!("{rule}: {errors:?}")))
    }

    #[test]
    fn a_field_is_found_anywhere_in_a_rule() {
        for rule in [
            "call.queue == 'a'",
            ".call.queue == 'a'",
            "!(sample(3) && call.queue.startsWith('x'))",
            "['a', call.queue].exists(q, q == 'b')",
            "{'a': call.queue}.a == 'b' || {call.queue: 1}.b == 1",
            "has(call.queue) ? 1 < 2 : false",
            "media.exists(m, media[m].state == call.queue)",
            "call.queue.first.letter == 'a'",
        ] {
            let names = names(rule);
            assert!(names.has_field("call", "queue") && names.has_variable("call"), "{rule}");
            assert!(!names.has_field("call", "attached") && !names.has_variable("time"), "{rule}");
        }
    }

    #[test]
    fn a_variable_as_a_whole_names_all_its_fields() {
        for rule in ["size(call) > 2", "call['queue'] == 'a'", "call.exists(f, f == 'a')", "'queue' in call"]
        {
            assert!(names(rule).has_field("call", "attached"), "{rule}");
        }
    }

    #[test]
    fn only_called_functions_are_named() {
        let names = names("call.queue == 'sample' && sample_day(5)");
        assert!(names.has_function("sample_day") && !names.has_function("sample"));
    }
}
