//! Reads a directory from a file: TOML with `[[agents]]`, `[[groups]]` and `[[places]]`, or CSV with agents
//! only.

use std::path::Path;

use crate::db::directory::{Directory, DirectoryAgent};

pub fn read(path: &Path, text: &str) -> Result<Directory, String> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::from_str(text).map_err(|error| error.to_string()),
        Some("csv") => csv(text),
        _ => Err(format!("{} must end in `.toml` or `.csv`", path.display())),
    }
}

const COLUMNS: [&str; 5] = ["agent", "name", "group", "aliases", "devices"];

/// CSV whose first line names the columns, in any order. Aliases and devices are separated by `;`.
fn csv(text: &str) -> Result<Directory, String> {
    let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let (head, _) = lines.next().ok_or("the file is empty")?;
    let columns = fields(head);
    if let Some(unknown) = columns.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        return Err(format!(
            "line 1: unknown column `{unknown}`; use agent, name, group, aliases and devices"
        ));
    }
    let mut directory = Directory::default();
    for (line, number) in lines {
        let values = fields(line);
        if values.len() != columns.len() {
            return Err(format!("line {number} has {} fields instead of {}", values.len(), columns.len()));
        }
        let value = |name: &str| {
            let at = columns.iter().position(|column| column == name)?;
            values.get(at).filter(|value| !value.is_empty()).cloned()
        };
        let agent = value("agent").ok_or_else(|| format!("line {number} names no agent"))?;
        let list = |name: &str| {
            let list = value(name).unwrap_or_default();
            let names = list.split(';').map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        directory.agents.push(DirectoryAgent {
            agent: agent.as_str().into(),
            name: value("name"),
            group: value("group"),
            aliases: list("aliases"),
            devices: list("devices"),
        });
    }
    Ok(directory)
}

/// The fields of a line by RFC 4180, without support for line breaks in quotes, which no name has.
fn fields(line: &str) -> Vec<String> {
    let (mut all, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(std::mem::take(&mut field).trim().to_owned()),
            char => field.push(char),
        }
    }
    all.push(field.trim().to_owned());
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn csv_and_toml_are_read_alike() {
        let csv = "agent,group,name,devices,aliases\nann,sales,\"Ann \"\"A\"\" Lee, Ms\",1001; 1002,a.lee@x\n\nbob,,,,\n";
        let toml = "[[agents]]\nagent = \"ann\"\nname = 'Ann \"A\" Lee, Ms'\ngroup = \"sales\"\ndevices = [\"1001\", \"1002\"]\naliases = [\"a.lee@x\"]\n\
                    [[agents]]\nagent = \"bob\"\n";
        let (one, other) = (read(Path::new("a.csv"), csv), read(Path::new("a.toml"), toml));
        assert_eq!(one.unwrap(), other.unwrap());
    }

    #[test]
    fn a_mistake_is_reported_with_its_line() {
        let wrong = |text: &str| read(Path::new("a.csv"), text).unwrap_err();
        assert!(wrong("agent,color\n").contains("`color`"));
        assert_eq!(wrong("agent,name\nann\n"), "line 2 has 1 fields instead of 2");
        assert_eq!(wrong("agent,name\n\n,Ann\n"), "line 3 names no agent");
        assert!(read(Path::new("a.toml"), "[[agents]]\nagent = \"ann\"\ngroups = \"x\"\n").is_err());
    }
}
