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

pub fn give_to_folder_owner_command(file: &Path) -> io::Result<Option<String>> {
    let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(None) };
    let (own, above) = (file.metadata()?.uid(), folder.metadata()?.uid());
    let (folder, file) = (folder.display(), file.display());
    Ok((own != above).then(|| format!("chown --reference={folder} {file}*")))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_file_of_another_owner_than_its_folder_has_a_cure() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("index.db");
        create_private_file(&file).unwrap();
        assert_eq!(give_to_folder_owner_command(&file).unwrap(), None);
        // Only root may give files away.
        if std::os::unix::fs::chown(&file, Some(12_345), None).is_ok() {
            let command = give_to_folder_owner_command(&file).unwrap().unwrap();
            assert_eq!(command, format!("chown --reference={} {}*", folder.path().display(), file.display()));
        }
    }
}
