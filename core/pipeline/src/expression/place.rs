//! The places of an expression's parts in its text. The parser notes one place for each part: mostly that of
//! its sign (`==`, `.`, `(`).

use cel::common::ast::{EntryExpr, Expr, IdedExpr, SourceInfo};

use crate::document::Span;

pub(super) struct SourceText<'a> {
    text: &'a str,
    info: &'a SourceInfo,
}

impl<'a> SourceText<'a> {
    pub fn new(text: &'a str, info: &'a SourceInfo) -> SourceText<'a> {
        SourceText { text, info }
    }

    /// The part as it is written.
    pub fn written(&self, part: &IdedExpr) -> &'a str {
        &self.text[self.span(part)]
    }

    /// The part with everything in it.
    pub fn span(&self, part: &IdedExpr) -> Span {
        let mut span = self.sign(part);
        let mut join = |other: Span| {
            span = if span.is_empty() { other } else { span.start.min(other.start)..span.end.max(other.end) };
        };
        match &part.expr {
            Expr::Select(select) => {
                join(self.span(&select.operand));
                join(self.field(&select.operand, &select.field));
            }
            Expr::Call(call) => {
                if self.is_written_as_call(part) {
                    join(self.function(part, &call.func_name));
                }
                call.target.iter().for_each(|target| join(self.span(target)));
                call.args.iter().for_each(|argument| join(self.span(argument)));
            }
            Expr::List(list) => list.elements.iter().for_each(|element| join(self.span(element))),
            Expr::Map(map) => map.entries.iter().for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => join(self.span(&entry.value)),
                EntryExpr::StructField(field) => join(self.span(&field.value)),
            }),
            Expr::Comprehension(all) => {
                join(self.span(&all.iter_range));
                join(self.span(&all.loop_step));
            }
            _ => {}
        }
        // A part whose sign opens a bracket ends with that bracket's other half.
        let rest = &self.text[span.end..];
        let close = rest.trim_start().chars().next();
        let opened = self.text[self.sign(part)].chars().next();
        if matches!((opened, close), (Some('('), Some(')')) | (Some('['), Some(']')) | (Some('{'), Some('}')))
        {
            span.end += rest.len() - rest.trim_start().len() + 1;
        }
        span
    }

    /// The name of a function that is called.
    pub fn function(&self, call: &IdedExpr, name: &str) -> Span {
        let before = self.text[..self.sign(call).start].trim_end();
        before.strip_suffix(name).map_or(self.sign(call), |rest| rest.len()..before.len())
    }

    /// The name of a field after its owner.
    pub fn field(&self, owner: &IdedExpr, field: &str) -> Span {
        let end = self.span(owner).end;
        let found = self.text[end..].find(field).map(|start| end + start);
        found.map_or_else(|| self.span(owner), |start| start..start + field.len())
    }

    fn is_written_as_call(&self, part: &IdedExpr) -> bool {
        self.text[self.sign(part)].starts_with('(')
    }

    /// The place that the parser noted; empty if the part is not in the text.
    fn sign(&self, part: &IdedExpr) -> Span {
        let Some((start, end)) = self.info.offset_for(part.id) else { return 0..0 };
        // Bytes; the end is the last one.
        let boundary = |byte: u32| {
            let byte = usize::try_from(byte).unwrap_or(usize::MAX).min(self.text.len());
            (byte..=self.text.len()).find(|byte| self.text.is_char_boundary(*byte)).unwrap_or(self.text.len())
        };
        let start = boundary(start);
        start..boundary(end.saturating_add(1)).max(start)
    }
}
