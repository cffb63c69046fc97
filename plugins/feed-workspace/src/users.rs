//! The file with the agents to listen to.

use std::fmt;
use std::path::Path;

#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// `None` for a user with a token.
    pub password: Option<String>,
}

/// Leaves the password out, which would end up in logs.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({})", self.name)
    }
}

/// The error is a sentence for people. `may_lack_password`: there is a folder with tokens.
pub fn read(file: &Path, may_lack_password: bool) -> Result<Vec<User>, String> {
    let named = |error: &dyn fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    parse(&text, may_lack_password).map_err(|error| named(&error))
}

/// Skips empty lines and lines that begin with `#`. A password may contain colons, a name may not.
fn parse(text: &str, may_lack_password: bool) -> Result<Vec<User>, String> {
    let mut users: Vec<User> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let user = match line.split_once(':') {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                User { name: name.to_owned(), password: Some(password.to_owned()) }
            }
            None if may_lack_password => User { name: line.trim().to_owned(), password: None },
            None => {
                return Err(format!(
                    "line {number} is not `name:password`; without a password, set `tokens_folder`"
                ));
            }
            Some(_) => return Err(format!("line {number} is not `name:password`")),
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
        let users = parse("# of the day shift\nann:a:b\n\nbob:c\r\n", false).unwrap();
        let names: Vec<_> = users.iter().map(|user| (&*user.name, user.password.as_deref())).collect();
        assert_eq!(names, [("ann", Some("a:b")), ("bob", Some("c"))]);
        assert_eq!(format!("{users:?}"), "[User(ann), User(bob)]");
        for (text, error) in [
            ("ann", "line 1 is not `name:password`; without a password, set `tokens_folder`"),
            ("ann:x\n:y", "line 2 is not `name:password`"),
            ("ann:x\nann:y", "line 2: `ann` is already in the file"),
            ("#\n", "the file names no user"),
        ] {
            assert_eq!(parse(text, false).unwrap_err(), error);
        }
    }

    #[test]
    fn a_user_with_a_token_has_no_password() {
        let users = parse("ann\nbob:c\n", true).unwrap();
        let names: Vec<_> = users.iter().map(|user| (&*user.name, user.password.as_deref())).collect();
        assert_eq!(names, [("ann", None), ("bob", Some("c"))]);
        assert_eq!(parse("ann:", true).unwrap_err(), "line 1 is not `name:password`");
    }
}
