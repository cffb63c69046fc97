//! `include/deskreel.h` and `src/c.rs` agree: a C compiler compares sizes, offsets and numbers.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::fs;
use std::mem::offset_of;
use std::process::Command;

use deskreel_sdk::ErrorKind;
use deskreel_sdk::c::{END, Entry, Host, Out, Provides, Str};

#[test]
fn header_and_rust_agree() {
    let mut facts = vec![
        ("sizeof(deskreel_str)", size_of::<Str>()),
        ("sizeof(deskreel_out)", size_of::<Out>()),
        ("sizeof(deskreel_provides)", size_of::<Provides>()),
        ("sizeof(deskreel_host)", size_of::<Host>()),
        ("sizeof(deskreel_entry_table)", size_of::<Entry>()),
        ("sizeof(deskreel_status)", size_of::<i32>()),
        ("offsetof(deskreel_str, len)", offset_of!(Str, len)),
        ("offsetof(deskreel_out, put)", offset_of!(Out, put)),
        ("offsetof(deskreel_provides, id)", offset_of!(Provides, id)),
        ("offsetof(deskreel_host, ctx)", offset_of!(Host, ctx)),
        ("offsetof(deskreel_host, log)", offset_of!(Host, log)),
        ("offsetof(deskreel_host, max_level)", offset_of!(Host, max_level)),
        ("offsetof(deskreel_host, emit)", offset_of!(Host, emit)),
        ("offsetof(deskreel_entry_table, contract_major)", offset_of!(Entry, contract_major)),
        ("offsetof(deskreel_entry_table, contract_minor)", offset_of!(Entry, contract_minor)),
        ("offsetof(deskreel_entry_table, provides_len)", offset_of!(Entry, provides_len)),
        ("offsetof(deskreel_entry_table, provides)", offset_of!(Entry, provides)),
        ("offsetof(deskreel_entry_table, init)", offset_of!(Entry, init)),
        ("offsetof(deskreel_entry_table, create)", offset_of!(Entry, create)),
        ("offsetof(deskreel_entry_table, call)", offset_of!(Entry, call)),
        ("offsetof(deskreel_entry_table, frame)", offset_of!(Entry, frame)),
        ("offsetof(deskreel_entry_table, destroy)", offset_of!(Entry, destroy)),
        ("DESKREEL_CONTRACT_MAJOR", deskreel_sdk::contract::CONTRACT_MAJOR as usize),
        ("DESKREEL_CONTRACT_MINOR", deskreel_sdk::contract::CONTRACT_MINOR as usize),
        ("DESKREEL_END", END as usize),
    ];
    for (name, kind) in [
        ("-DESKREEL_ERROR_SETTINGS", ErrorKind::Settings),
        ("-DESKREEL_ERROR_UNAVAILABLE", ErrorKind::Unavailable),
        ("-DESKREEL_ERROR_FAILED", ErrorKind::Failed),
        ("-DESKREEL_ERROR_UNSUPPORTED", ErrorKind::Unsupported),
    ] {
        facts.push((name, kind as usize));
    }
    for field in ["size", "contract_major", "contract_minor", "provides_len"] {
        facts.push((Box::leak(format!("sizeof(((deskreel_entry_table *)0)->{field})").into_boxed_str()), 4));
    }
    facts.push(("sizeof(((deskreel_host *)0)->size)", 4));
    let mut program = String::from("#include \"deskreel.h\"\n");
    for (fact, value) in facts {
        writeln!(program, "_Static_assert({fact} == {value}, \"{fact} is {value} in Rust\");").unwrap();
    }
    let file = std::env::temp_dir().join(format!("deskreel-header-{}.c", std::process::id()));
    fs::write(&file, program).unwrap();
    let checked =
        Command::new("cc").args(["-std=c11", "-fsyntax-only", "-I", "include"]).arg(&file).output().unwrap();
    fs::remove_file(&file).unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn the_contract_version_is_the_crates() {
    let (major, minor) = (deskreel_sdk::contract::CONTRACT_MAJOR, deskreel_sdk::contract::CONTRACT_MINOR);
    assert_eq!(deskreel_sdk::contract::CONTRACT_VERSION, format!("{major}.{minor}"));
    assert!(env!("CARGO_PKG_VERSION").starts_with(&format!("{major}.{minor}.")));
}
