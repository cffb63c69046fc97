//! Makes a changed copy of the binary interface, in which one number of the root is twice as wide.

#![allow(clippy::expect_used)] // A build script can only end with a message.

use std::path::Path;
use std::{env, fs};

const ORIGINAL: &str = "../../../sdk/src/abi.rs";

fn main() {
    println!("cargo::rerun-if-changed={ORIGINAL}");
    // The copy passes for the SDK, so that the change is the only difference.
    println!("cargo::rustc-env=CARGO_PKG_NAME=deskreel-sdk");

    let original = fs::read_to_string(ORIGINAL).expect("sdk/src/abi.rs exists");
    let changed = original.replace("pub contract_minor: u32", "pub contract_minor: u64");
    assert_ne!(original, changed, "the field is still called contract_minor");
    // Inner attributes and doc comments cannot be included: they are allowed only at the top of a file.
    let lines = changed.lines().filter(|line| !line.starts_with("//!") && !line.starts_with("#!["));
    let text: Vec<&str> = lines.collect();
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("abi.rs"), text.join("\n")).expect("the build folder can be written");
}
