//! Copies one recording, file by file. The manifest comes last: if it is there, everything is.

use std::collections::BTreeMap;
use std::path::Path;

use deskreel_http::Trouble;

use crate::Verify;
use crate::answer::SOON;
use crate::client::Client;
use crate::footage::{self, File};

/// Suffix of a file that is not complete yet.
const UNFINISHED: &str = ".part";

pub fn copy(client: &mut Client, folder: &[String], from: &Path, verify: Verify) -> Result<(), Trouble> {
    let mut folders = Folders::default();
    for depth in 1..=folder.len() {
        folders.make(client, folder.get(..depth).unwrap_or_default())?;
    }
    for file in footage::files(from)? {
        let mut place = folder.to_vec();
        let names = file.name.split('/').map(str::to_owned).collect::<Vec<_>>();
        let (name, folders_of_file) =
            names.split_last().ok_or_else(|| Trouble::never("a file has no name"))?;
        for own in folders_of_file {
            place.push(own.clone());
            folders.make(client, &place)?;
        }
        let is_new = folders.is_new(&place);
        place.push(name.clone());
        // A folder that was just made is empty.
        if is_new || !is_there(client, &place, &file, verify)? {
            send(client, &place, from, &file, verify)?;
        }
    }
    Ok(())
}

/// A file gets its own name only once it is complete.
fn send(
    client: &mut Client,
    place: &[String],
    from: &Path,
    file: &File,
    verify: Verify,
) -> Result<(), Trouble> {
    let mut unfinished = place.to_vec();
    if let Some(name) = unfinished.last_mut() {
        name.push_str(UNFINISHED);
    }
    client.put(&unfinished, file.read(from)?)?;
    client.rename(&unfinished, place)?;
    match is_there(client, place, file, verify)? {
        true => Ok(()),
        false => Err(Trouble::later(SOON, format!("{}: the server has stored something else", file.name))),
    }
}

fn is_there(client: &mut Client, place: &[String], file: &File, verify: Verify) -> Result<bool, Trouble> {
    match client.size(place)? == Some(file.size) {
        true if verify == Verify::Hash => Ok(client.sha256(place, file.size)? == file.sha256),
        has_size => Ok(has_size),
    }
}

/// Folders that are known to exist, and whether we made them.
#[derive(Default)]
struct Folders(BTreeMap<Vec<String>, bool>);

impl Folders {
    fn make(&mut self, client: &mut Client, folder: &[String]) -> Result<(), Trouble> {
        if !self.0.contains_key(folder) {
            let is_new = client.make_folder(folder)?;
            self.0.insert(folder.to_vec(), is_new);
        }
        Ok(())
    }

    fn is_new(&self, folder: &[String]) -> bool {
        self.0.get(folder).copied().unwrap_or_default()
    }
}
