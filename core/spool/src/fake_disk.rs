//! A file system in memory. At a crash it forgets unsynced data and tears the write in progress, and it can
//! fail at every step. Changes of names survive in the order in which they were made, as on a journaling file
//! system. An unsynced file survives up to a random byte, with zeros or nothing after it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::Error;
use crate::files::{Durability, Files};

#[derive(Clone, Default)]
pub struct FakeDisk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    contents: Vec<Content>,
    /// The names that the process sees.
    names: Names,
    /// The names that are certain to survive a crash.
    synced: Names,
    /// Changes that are not in `synced` yet.
    unsynced: Vec<NameChange>,
    fault: Option<Fault>,
    is_down: bool,
    chance: u64,
}

/// Files only: a folder exists when there is a file in it.
type Names = BTreeMap<PathBuf, usize>;

struct Content {
    bytes: Vec<u8>,
    synced: usize,
}

#[derive(Clone)]
enum NameChange {
    Made(PathBuf, usize),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

/// A failure after this many steps.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The machine goes down.
    Crash(u32),
    /// One step fails, as on a full disk.
    Error(u32),
}

impl FakeDisk {
    /// Sets the seed that decides which data survives a crash.
    pub fn seed(&self, seed: u64) {
        self.inner().chance = seed;
    }

    pub fn set_fault(&self, fault: Option<Fault>) {
        self.inner().fault = fault;
    }

    pub fn is_down(&self) -> bool {
        self.inner().is_down
    }

    /// Starts again after a power loss.
    pub fn reboot(&self) {
        let mut inner = self.inner();
        let inner = &mut *inner;
        let changes = inner.unsynced.len();
        let kept = inner.below(changes + 1);
        let changes: Vec<NameChange> = inner.unsynced.drain(..).take(kept).collect();
        changes.iter().for_each(|change| change.apply(&mut inner.synced));
        inner.names = inner.synced.clone();
        for at in 0..inner.contents.len() {
            let (length, synced) = (inner.contents[at].bytes.len(), inner.contents[at].synced);
            let kept = synced + inner.below(length - synced + 1);
            let has_zeros = inner.below(2) == 0;
            let content = &mut inner.contents[at];
            content.bytes.truncate(kept);
            content.bytes.resize(if has_zeros { length } else { kept }, 0);
            content.synced = content.bytes.len();
        }
        (inner.is_down, inner.fault) = (false, None);
    }

    /// Puts a synced file there that another program has written.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut inner = self.inner();
        let inner = &mut *inner;
        let content = Content { bytes: bytes.to_vec(), synced: bytes.len() };
        inner.contents.push(content);
        let made = NameChange::Made(path.to_owned(), inner.contents.len() - 1);
        inner.change(made);
        inner.sync_names();
    }

    pub fn has_folder(&self, folder: &Path) -> bool {
        self.inner().names.keys().any(|path| path.starts_with(folder))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Inner {
    fn step(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |why| Err(Error::io("go on at", path)(std::io::Error::other(why)));
        if self.is_down {
            return failed("down");
        }
        match self.fault {
            Some(Fault::Crash(0)) => {
                self.is_down = true;
                failed("crash")
            }
            Some(Fault::Error(0)) => {
                self.fault = None;
                failed("error")
            }
            Some(Fault::Crash(left)) => {
                self.fault = Some(Fault::Crash(left - 1));
                Ok(())
            }
            Some(Fault::Error(left)) => {
                self.fault = Some(Fault::Error(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) as usize % limit
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced.push(change);
    }

    fn sync_names(&mut self) {
        self.unsynced.drain(..).for_each(|change| change.apply(&mut self.synced));
    }

    /// A write that fails may have written some of it.
    fn write(&mut self, path: &Path, at: usize, bytes: &[u8]) -> Result<(), Error> {
        let written = self.step(path);
        let count = if written.is_ok() { bytes.len() } else { self.below(bytes.len() + 1) };
        self.contents[at].bytes.extend(&bytes[..count]);
        written
    }

    fn sync(&mut self, path: &Path, at: usize) -> Result<(), Error> {
        self.step(path)?;
        self.contents[at].synced = self.contents[at].bytes.len();
        Ok(())
    }

    fn make(&mut self, path: &Path) -> Result<usize, Error> {
        self.step(path)?;
        self.contents.push(Content { bytes: Vec::new(), synced: 0 });
        let at = self.contents.len() - 1;
        self.change(NameChange::Made(path.to_owned(), at));
        Ok(at)
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Made(path, at) => drop(names.insert(path.clone(), *at)),
            NameChange::Removed(path) => drop(names.remove(path)),
            NameChange::Renamed(from, to) => {
                let moved: Vec<PathBuf> =
                    names.keys().filter(|path| path.starts_with(from)).cloned().collect();
                for path in moved {
                    let Some(at) = names.remove(&path) else { continue };
                    let rest = path.strip_prefix(from).unwrap();
                    let to = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                    names.insert(to, at);
                }
            }
        }
    }
}

impl Files for FakeDisk {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let inner = self.inner();
        Ok(inner.names.get(path).map(|at| inner.contents[*at].bytes.clone()))
    }

    fn names(&self, folder: &Path) -> Result<Vec<String>, Error> {
        let inner = self.inner();
        let inside =
            inner.names.keys().filter_map(|path| path.strip_prefix(folder).ok()?.components().next());
        let mut names: Vec<String> =
            inside.map(|name| name.as_os_str().to_str().unwrap().to_owned()).collect();
        names.dedup();
        Ok(names)
    }

    fn is_owned(&self, _folder: &Path) -> bool {
        false
    }

    fn append(&self, path: &Path, bytes: &[u8], durable: Durability) -> Result<(), Error> {
        let mut inner = self.inner();
        let inner = &mut *inner;
        let known = inner.names.get(path).copied();
        let at = known.map_or_else(|| inner.make(path), Ok)?;
        inner.write(path, at, bytes)?;
        if durable == Durability::Now {
            inner.sync(path, at)?;
        }
        if known.is_none() {
            inner.step(path)?;
            inner.sync_names();
        }
        Ok(())
    }

    fn cut(&self, path: &Path, length: u64) -> Result<(), Error> {
        let mut inner = self.inner();
        inner.step(path)?;
        if let Some(at) = inner.names.get(path).copied() {
            let content = &mut inner.contents[at];
            content.bytes.truncate(length as usize);
            content.synced = content.bytes.len();
        }
        Ok(())
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let temp = path.with_added_extension("tmp");
        let mut inner = self.inner();
        let at = inner.make(&temp)?;
        inner.write(path, at, bytes)?;
        inner.sync(path, at)?;
        drop(inner);
        self.rename(&temp, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        if !self.has_folder(from) {
            return Err(Error::io("rename", from)(ErrorKind::NotFound.into()));
        }
        let mut inner = self.inner();
        inner.step(from)?;
        inner.change(NameChange::Renamed(from.to_owned(), to.to_owned()));
        inner.step(from)?;
        inner.sync_names();
        Ok(())
    }

    fn remove_tree(&self, folder: &Path) -> Result<(), Error> {
        let mut inner = self.inner();
        let inside: Vec<PathBuf> =
            inner.names.keys().filter(|path| path.starts_with(folder)).cloned().collect();
        for path in inside {
            inner.step(&path)?;
            inner.change(NameChange::Removed(path));
        }
        Ok(())
    }
}
