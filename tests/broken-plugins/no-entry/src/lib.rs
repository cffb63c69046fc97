//! Has a descriptor, but neither of the two entries.

#![allow(unsafe_code)]

const TEXT: &[u8] = include_bytes!("../plugin.toml");

#[used]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".deskreelmeta")]
pub static DESKREEL_DESCRIPTOR: [u8; TEXT.len()] = {
    let mut text = [0; TEXT.len()];
    text.copy_from_slice(TEXT);
    text
};
