//! Files that are either complete or absent, and the tail, which may be torn.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use deskreel_fmp4::{Sample, still_record, tail_head, tail_record};
use deskreel_model::layout;
use deskreel_model::manifest::FileRef;
use deskreel_platform::files::sync_folder;
use deskreel_platform::locks::{FolderLock, try_lock_folder};
use sha2::{Digest, Sha256};

use crate::write::fragments::CodedFrame;

/// Makes a part's folder in the recording's folder, synced, and locks it until the returned lock is
/// dropped: a recovery waits for a worker that outlived its supervisor.
pub fn own_folder(recording: &Path, part: &Path) -> io::Result<FolderLock> {
    let path = recording.join(part);
    std::fs::create_dir_all(&path)?;
    for folder in path.ancestors().skip(1).take(part.components().count()) {
        sync_folder(folder)?;
    }
    try_lock_folder(&path)
}

/// Writes a file under a temporary name, syncs it, renames it and syncs the folder. On return the file is on
/// disk.
pub fn write(folder: &Path, name: &str, slices: &[&[u8]]) -> io::Result<FileRef> {
    let file = write_unnamed(folder, name, slices)?;
    sync_folder(folder)?;
    Ok(file)
}

/// The same, but the name is on disk only after the next sync of the folder.
pub fn write_unnamed(folder: &Path, name: &str, slices: &[&[u8]]) -> io::Result<FileRef> {
    let path = folder.join(name);
    let unfinished = path.with_added_extension(layout::UNFINISHED);
    match fill(&unfinished, slices) {
        Ok((size, sha256)) => {
            std::fs::rename(&unfinished, &path)?;
            Ok(FileRef { file: name.to_owned(), size, sha256 })
        }
        Err(error) => {
            // It takes up disk space that others may need; if this fails too, recovery removes the file.
            let _ = std::fs::remove_file(&unfinished);
            Err(error)
        }
    }
}

fn fill(path: &Path, slices: &[&[u8]]) -> io::Result<(u64, String)> {
    let mut file = File::create(path)?;
    let mut hash = Sha256::new();
    let mut size = 0;
    for slice in slices {
        hash.update(slice);
        file.write_all(slice)?;
        size += slice.len() as u64;
    }
    file.sync_data()?;
    Ok((size, HEXLOWER.encode(&hash.finalize())))
}

/// Returns whether the error means that there is no room: the disk or the quota is full, or the file too
/// large.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// The samples that are in no fragment yet (`deskreel_fmp4::tail`). It is a second chance: if it cannot be
/// written, the recording continues without it.
pub struct Tail {
    path: PathBuf,
    /// How long a frame lasts if the worker dies before the next one arrives.
    period_ns: u64,
    file: Option<File>,
    synced: bool,
}

impl Tail {
    pub fn new(path: PathBuf, period_ns: u64) -> Self {
        Tail { path, period_ns, file: None, synced: true }
    }

    /// Starts over for the fragment of this number, of which these frames have arrived already.
    pub fn begin<D: AsRef<[u8]>>(&mut self, number: u32, frames: &[CodedFrame<D>]) {
        self.file =
            self.create(number).inspect_err(|error| tracing::debug!(%error, "cannot write the tail")).ok();
        frames.iter().for_each(|frame| self.append(frame));
    }

    /// Appends a frame with one `write`, which stays with the kernel if the process is killed.
    pub fn append<D: AsRef<[u8]>>(&mut self, frame: &CodedFrame<D>) {
        let Some(file) = &mut self.file else { return };
        let data = frame.data.as_ref();
        let sample = Sample {
            pts_ns: frame.pts_ns,
            dts_ns: frame.dts_ns,
            duration_ns: self.period_ns,
            keyframe: frame.keyframe,
            data,
        };
        let record = tail_record(&sample);
        let slices = [IoSlice::new(&record), IoSlice::new(data)];
        let wanted = slices.iter().map(|slice| slice.len()).sum::<usize>();
        self.synced = false;
        // A short write leaves a torn record, and nothing after that counts.
        if !file.write_vectored(&slices).is_ok_and(|written| written == wanted) {
            self.remove();
        }
    }

    /// Appends that the last frame's picture is still shown at this time.
    pub fn append_still(&mut self, until_ns: u64) {
        let Some(file) = &mut self.file else { return };
        self.synced = false;
        if file.write_all(&still_record(until_ns)).is_err() {
            self.remove();
        }
    }

    /// Syncs the tail to disk if it grew since the last sync.
    pub fn sync(&mut self) {
        if let Some(file) = &self.file
            && !self.synced
        {
            self.synced = file.sync_data().is_ok();
        }
    }

    pub fn remove(&mut self) {
        self.file = None;
        let _ = std::fs::remove_file(&self.path);
    }

    /// Truncates the old tail, which loses nothing: its samples are in a fragment by now.
    fn create(&self, number: u32) -> io::Result<File> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&self.path)?;
        file.write_all(&tail_head(number))?;
        Ok(file)
    }
}
