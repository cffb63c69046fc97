//! CEL's standard functions, as far as this build of the `cel` crate has them: none about time.

use cel::{Context, ExecutionError, Program};

use super::shape::Type;

/// A standard function. One that is called as a method takes its owner as the first argument.
pub(super) struct Standard {
    /// The types that each argument may have.
    pub arguments: Vec<Vec<Type>>,
    pub result: Type,
    /// It can be called as `f(x)`.
    pub is_function: bool,
    /// It can be called as `x.f()`.
    pub is_method: bool,
}

/// Standard functions other than those over elements.
pub(super) const NAMES: [&str; 13] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// Methods that take a name and a condition. The parser replaces those that are written rightly.
pub(super) const OVER_ELEMENTS: [&str; 6] = ["all", "exists", "exists_one", "existsOne", "filter", "map"];

/// Names of types, as in `type(x) == int`.
pub(super) const TYPES: [&str; 8] = ["bool", "bytes", "double", "int", "list", "map", "string", "uint"];

impl Standard {
    pub fn get(name: &str) -> Option<Standard> {
        let method =
            |result| Some(Standard::new(vec![vec![Type::Text], vec![Type::Text]], result, false, true));
        let conversion =
            |from: &[Type], result| Some(Standard::new(vec![from.to_vec()], result, true, false));
        let any_list = || Type::List(Type::Any.into());
        let any_map = || Type::Map(Type::Any.into());
        match name {
            "contains" | "startsWith" | "endsWith" => method(Type::Bool),
            "matches" => method(Type::Bool).map(|method| Standard { is_function: true, ..method }),
            "size" => conversion(&[Type::Text, any_list(), any_map(), Type::Bytes], Type::Int)
                .map(|size| Standard { is_method: true, ..size }),
            "bool" => conversion(&[Type::Bool, Type::Text], Type::Bool),
            "int" => conversion(&[Type::Number, Type::Text], Type::Int),
            "uint" => conversion(&[Type::Number, Type::Text], Type::Uint),
            "double" => conversion(&[Type::Number, Type::Text], Type::Double),
            "string" => conversion(&[Type::Text, Type::Bool, Type::Number, Type::Bytes], Type::Text),
            "bytes" => conversion(&[Type::Text, Type::Bytes], Type::Bytes),
            "dyn" | "type" => conversion(&[Type::Any], Type::Any),
            _ => None,
        }
    }

    fn new(arguments: Vec<Vec<Type>>, result: Type, is_function: bool, is_method: bool) -> Standard {
        Standard { arguments, result, is_function, is_method }
    }
}

/// Why this text is not a regular expression, by the interpreter itself.
pub(super) fn regex_error(pattern: &str) -> Option<String> {
    let program = Program::compile("''.matches(pattern)").ok()?;
    let mut context = Context::default();
    context.add_variable_from_value("pattern", pattern);
    let Err(ExecutionError::FunctionError { message, .. }) = program.execute(&context) else { return None };
    let reason = message.rsplit("error: ").next().unwrap_or(&message);
    Some(reason.trim().to_owned())
}
