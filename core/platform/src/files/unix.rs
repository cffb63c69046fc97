use std::fs::File;
use std::io;
use std::path::Path;

pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
