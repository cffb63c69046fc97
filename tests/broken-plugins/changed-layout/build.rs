//! Makes a changed copy of the binary interface: one number of the root is twice as wide.

#![allow(clippy::expect_used)] // A build that cannot go on says so and ends.

use std::path::Path;
use std::{env, fs};

const ORIGINAL: &str = "../../../sdk/src/abi.rs";

fn main() {
    println!("cargo::rerun-if-changed={ORIGINAL}");
    // As if the copy were the SDK, so that nothing but the change can be noticed.
    println!("cargo::rustc-env=CARGO_PKG_NAME=deskreel-sdk");

    let original = fs::read_to_string(ORIGINAL).expect("sdk/src/abi.rs is where it was");
    let changed = original.replace("pub contract_minor: u32", "pub contract_minor: u64");
    assert_ne!(original, changed, "the field is still called contract_minor");
    // What may stand at the top of a file only cannot be included.
    let lines = changed.lines().filter(|line| !line.starts_with("//!") && !line.starts_with("#!["));
    let text: Vec<&str> = lines.collect();
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("abi.rs"), text.join("\n")).expect("the build folder can be written");
}
