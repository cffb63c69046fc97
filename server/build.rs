//! Embeds the player (web/dist, built by `npm run build`) in the program. Without it, the server says so at
//! `/`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let dist = Path::new("../web/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    if dist.is_dir() {
        collect(dist, &mut files)?;
    }
    files.sort();
    // Copies the files: the player may be rebuilt while the server is compiled.
    let out =
        PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?);
    let copies = out.join("player");
    fs::create_dir_all(&copies)?;
    let mut list = String::from("pub const FILES: &[(&str, &[u8])] = &[\n");
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_prefix(dist).map_err(io::Error::other)?.display().to_string();
        let copy = copies.join(number.to_string());
        fs::copy(file, &copy)?;
        list += &format!("    ({name:?}, include_bytes!({copy:?})),\n");
    }
    list += "];\n";
    fs::write(out.join("player.rs"), list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
