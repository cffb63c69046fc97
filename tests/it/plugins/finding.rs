//! Plugins are found and described without running any code of theirs.

use super::*;

#[test]
fn the_first_library_with_an_id_wins_and_the_others_are_listed() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let nested = second.path().join("acme");
    fs::create_dir(&nested).unwrap();
    let used = first.path().join("libours.so");
    let ignored = nested.join("libtheirs.so");
    let mut lock = String::from("[plugins]\n");
    for path in [&used, &ignored] {
        fs::copy(built("example_source_minimal"), path).unwrap();
        lock += &format!("\"{}\" = {{ sha256 = \"{}\" }}\n", path.display(), examine(path).sha256);
    }
    let allow = AllowList::read(&write(&first, "plugins.lock", &lock)).unwrap();
    let catalog = Catalog::new(search(&[first.path().into(), second.path().into()]), &allow);
    assert_eq!(catalog.find("example.source.minimal").unwrap().0.path, used);
    assert_eq!(catalog.plugins().count(), 1);
    assert_eq!(catalog.duplicates.len(), 1);
    assert_eq!((&catalog.duplicates[0].used, &catalog.duplicates[0].ignored), (&used, &ignored));
}

#[test]
fn in_a_development_tree_only_our_own_plugins_are_found() {
    let found = search(&[build_folder()]);
    let names: Vec<_> = found.iter().map(|found| found.path.file_name().unwrap().to_str().unwrap()).collect();
    assert!(names.contains(&"libdeskreel_source_synthetic.so"), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("libdeskreel_")), "{names:?}");
}

#[test]
fn a_plugin_without_code_is_found_in_the_tree_and_a_librarys_descriptor_is_not() {
    let found = search(&["plugins".into()]);
    let folders: Vec<_> = found.iter().map(|found| found.path.parent().unwrap()).collect();
    for wanted in ["plugins/encoder-x264", "plugins/feed-desktop"] {
        let wanted = Path::new(wanted).canonicalize().unwrap();
        assert!(folders.contains(&&*wanted), "{folders:?}");
    }
    let is_library = |folder: &&Path| folder.join("Cargo.toml").exists();
    assert!(!folders.iter().any(is_library), "{folders:?}");
}

#[test]
fn a_description_is_read_without_running_code() {
    let found = examine(&built("broken_never_returns"));
    assert_eq!(found.entry, EntryPoint::Rust);
    assert_eq!(found.descriptor.unwrap().about, "Does not return from loading.");
}

#[test]
fn the_smallest_source_fits_in_forty_lines() {
    let text = fs::read_to_string("examples/source-minimal-rust/src/lib.rs").unwrap();
    assert!(text.lines().count() <= 40, "{} lines", text.lines().count());
}
