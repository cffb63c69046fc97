//! Each defect is refused with a message of its own, and the others still load.

use super::*;

#[test]
fn each_defect_has_a_message_of_its_own() {
    let folder = TempDir::new().unwrap();
    let empty = write(&folder, "empty.c", "int nothing;");
    let undefined =
        write(&folder, "undefined.c", &c_plugin("extern int acme_driver(void);", "return acme_driver();"));
    let short = write(&folder, "short.c", &c_plugin("", "return 0;").replace("sizeof deskreel_entry", "16"));
    let mut other_machine = fs::read(built("example_source_minimal")).unwrap();
    other_machine[18] = 183; // e_machine: AArch64
    let other_machine_file = folder.path().join("libother.so");
    fs::write(&other_machine_file, other_machine).unwrap();

    let refused = [
        (
            write(&folder, "libtext.so", "I am a text."),
            "not a plugin library: not an ELF file; remove it from the plugin folder",
        ),
        (other_machine_file, "built for aarch64, this machine is x86_64; get the build for x86_64"),
        (
            compile(&folder, "libempty.so", empty),
            "has no descriptor (section .deskreelmeta), so it is not a Deskreel plugin; remove it from the plugin folder, or link it without --gc-sections if it is yours",
        ),
        (
            built("broken_wrong_contract"),
            "broken-wrong-contract is built for plugin contract 2.0, this Deskreel has 1.0; update Deskreel",
        ),
        (
            built("broken_no_entry"),
            "exports neither the Rust nor the C entry of a plugin; build it with export_plugin! or deskreel.h",
        ),
        (
            compile(&folder, "libundefined.so", undefined),
            "cannot be opened: undefined symbol: acme_driver; install the missing libraries, or get another build",
        ),
        (
            compile(&folder, "libshort.so", short),
            "was built with a changed plugin interface: deskreel_entry has 16 bytes, expected 64; rebuild it with deskreel-sdk 1.0",
        ),
        (
            built("broken_lying_descriptor"),
            "its descriptor promises source `broken.source.lying-descriptor`, its code has source `broken.source.something-else`; ask its vendor for a fixed build",
        ),
        (
            built("broken_panics_at_load"),
            "panicked while it was loaded: no license dongle; report it to its vendor",
        ),
        (
            built("broken_never_returns"),
            "did not return from loading within 5000 ms; remove it from the plugin folder and tell its vendor",
        ),
    ];
    for (file, message) in refused {
        assert_eq!(refusal(&file), message, "{}", file.display());
    }
}

#[test]
fn a_changed_layout_is_refused_in_one_line_and_explained_in_a_file() {
    let message = refusal(&built("broken_changed_layout"));
    let (line, file) = message.split_once(" (details in ").unwrap();
    let field = "contract_minor: mismatched type, expected u32, found u64";
    assert_eq!(line, format!("was built with a changed plugin interface: {field}"));
    let (file, cure) = file.split_once(')').unwrap();
    assert_eq!(cure, "; rebuild it with deskreel-sdk 1.0");
    assert!(fs::read_to_string(file).unwrap().contains("contract_minor"));
}

#[test]
fn bad_plugins_do_not_keep_good_ones_from_loading() {
    let folder = TempDir::new().unwrap();
    let names = [
        "broken_changed_layout",
        "broken_lying_descriptor",
        "broken_never_returns",
        "broken_no_entry",
        "broken_panics_at_load",
        "broken_wrong_contract",
        "example_feed_minimal",
        "example_source_minimal",
    ];
    for name in names {
        fs::copy(built(name), folder.path().join(format!("lib{name}.so"))).unwrap();
    }
    write(&folder, "libtext.so", "I am a text.");
    let found = search(&[folder.path().to_owned()]);
    assert_eq!(found.len(), names.len() + 1);
    let loaded = found.iter().filter_map(|found| load_with_deadline(found, LOAD_LIMIT).ok());
    let ids: Vec<_> = loaded.map(|library| library.descriptor().provides[0].id.clone()).collect();
    assert_eq!(ids, ["example.feed.minimal", "example.source.minimal"]);
}

/// The dynamic loader holds its lock while a library's constructors run, so this one needs a process of its
/// own: the test runs itself again.
#[test]
fn a_library_that_hangs_in_the_loader_is_named_in_later_refusals() {
    const CHILD: &str = "DESKREEL_TEST_HANGING_LIBRARY";
    if let Some(hanging) = std::env::var_os(CHILD) {
        println!("first: {}", refusal(Path::new(&hanging)));
        println!("second: {}", refusal(&built("example_source_minimal")));
        // An ordinary exit would wait for the loader's lock, too.
        std::process::abort();
    }
    let folder = TempDir::new().unwrap();
    let hang =
        "#include <unistd.h>\n__attribute__((constructor)) static void hang(void) { for (;;) pause(); }";
    let source = write(&folder, "hang.c", &c_plugin(hang, "return 0;"));
    let hanging = compile(&folder, "libhang.so", source);
    let name = "plugins::refusals::a_library_that_hangs_in_the_loader_is_named_in_later_refusals";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, &hanging).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.contains("first: did not return from loading within 5000 ms"), "{output}");
    let second = format!("second: cannot be loaded in this process, because {} hangs", hanging.display());
    assert!(output.contains(&second), "{output}");
}

#[test]
fn only_listed_and_unchanged_libraries_load() {
    let folder = TempDir::new().unwrap();
    let plugin = folder.path().join("libgrabber.so");
    fs::copy(built("example_source_minimal"), &plugin).unwrap();
    let found = examine(&plugin);
    let line = format!("\"{}\" = {{ sha256 = \"{}\" }}", plugin.display(), found.sha256);

    let refusal = AllowList::shipped().check(&found).unwrap_err();
    let list = "the file that `allow` in the pipeline file names";
    assert_eq!(
        refusal.to_string(),
        format!("not on the allow-list; if you trust it, add to [plugins] in {list}: {line}")
    );
    let lock = write(&folder, "plugins.lock", "[plugins]\n");
    let refusal = AllowList::read(&lock).unwrap().check(&found).unwrap_err();
    assert!(refusal.to_string().ends_with(&format!("add to [plugins] in {}: {line}", lock.display())));

    write(&folder, "plugins.lock", &format!("[plugins]\n{line}\n"));
    let allow = AllowList::read(&lock).unwrap();
    allow.check(&found).unwrap();
    load_with_deadline(&found, LOAD_LIMIT).unwrap();

    fs::copy(built("example_feed_minimal"), &plugin).unwrap();
    let changed = examine(&plugin);
    let message = format!(
        "changed: its sha256 is {}, expected {}; restore the file, or allow the new one",
        changed.sha256, found.sha256
    );
    assert_eq!(allow.check(&changed).unwrap_err().to_string(), message);
    let loaded = load_with_deadline(&found, LOAD_LIMIT);
    assert_eq!(loaded.err().unwrap().to_string(), message, "also between the check and the loading");
}

#[test]
fn a_mistake_in_a_list_or_a_descriptor_has_its_line() {
    let folder = TempDir::new().unwrap();
    let lock = write(&folder, "plugins.lock", "[plugins]\n\n\"/opt/libgood.so\" = { sha = \"00\" }\n");
    let refused = AllowList::read(&lock).err().unwrap().to_string();
    let reason = "line 3: unknown field `sha`, expected `sha256` or `signature`";
    assert_eq!(refused, format!("the allow-list {} cannot be used: {reason}", lock.display()));

    let mistaken = RECIPES.replacen("interface = \"source/1\"", "interface = \"screen/1\"", 1);
    let message = examine(&write(&folder, "plugin.toml", &mistaken)).descriptor.unwrap_err().to_string();
    assert!(
        message.starts_with("its descriptor cannot be read: line 11: `screen/1` is not an interface"),
        "{message}"
    );
    let table = fs::read_to_string("plugins/encoder-x264/plugin.toml").unwrap();
    let table = table.replacen("map = [\"x264\"]", "map = [\"x265\"]", 1);
    let message = examine(&write(&folder, "plugin.toml", &table)).descriptor.unwrap_err().to_string();
    let reason = "the recipe of `encoder.x264`: `x264enc` names the map `x265`, which does not exist";
    assert!(message.contains(reason), "{message}");
    let broken = RECIPES.replacen("license = \"MIT\"", "license = MIT", 1);
    let message = examine(&write(&folder, "plugin.toml", &broken)).descriptor.unwrap_err().to_string();
    assert!(message.starts_with("its descriptor cannot be read: line 5: "), "{message}");
}
