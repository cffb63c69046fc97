use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

pub fn others_can_read(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.mode() & 0o077 != 0)
}

pub fn make_private_command(path: &Path) -> String {
    format!("chmod 600 {}", path.display())
}

pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

pub fn create_public_file(path: &Path) -> io::Result<File> {
    create_file(path, 0o644)
}

pub fn create_private_file(path: &Path) -> io::Result<File> {
    create_file(path, 0o600)
}

fn create_file(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}
