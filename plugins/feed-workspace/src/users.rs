//! The file with the agents to listen to.

use std::fmt;
use std::path::Path;

#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub password: String,
}

/// Leaves the password out, which would end up in logs.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({})", self.name)
    }
}

/// The error is a sentence for people.
pub fn read(file: &Path) -> Result<Vec<User>, String> {
    let named = |error: &dyn fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    parse(&text).map_err(|error| named(&error))
}

/// Skips empty lines and lines that begin with `#`. A password may contain colons, a name may not.
fn parse(text: &str) -> Result<Vec<User>, String> {
    let mut users: Vec<User> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let user = match line.split_once(':') {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                User { name: name.to_owned(), password: password.to_owned() }
            }
            _ => return Err(format!("line {number} is not `name:password`")),
        };
        if users.iter().any(|other| other.name == user.name) {
            return Err(format!("line {number}: `{}` is already in the file", user.name));
        }
        users.push(user);
    }
    if users.is_empty() { Err("the file names no user".to_owned()) } else { Ok(users) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_user_and_mistakes_have_a_line() {
        let users = parse("# of the day shift\nann:a:b\n\nbob:c\r\n").unwrap();
        let names: Vec<_> = users.iter().map(|user| (&*user.name, &*user.password)).collect();
        assert_eq!(names, [("ann", "a:b"), ("bob", "c")]);
        assert_eq!(format!("{users:?}"), "[User(ann), User(bob)]");
        for (text, error) in [
            ("ann", "line 1 is not `name:password`"),
            ("ann:x\n:y", "line 2 is not `name:password`"),
            ("ann:x\nann:y", "line 2: `ann` is already in the file"),
            ("#\n", "the file names no user"),
        ] {
            assert_eq!(parse(text).unwrap_err(), error);
        }
    }
}
