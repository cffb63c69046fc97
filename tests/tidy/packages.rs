//! script/packages.txt has what the code needs on a fresh machine: the programs and the GStreamer elements
//! that it uses.

use std::collections::BTreeSet;
use std::fs;

use super::{File, assert_none, files, literals, read, root, words};

/// Programs that tests, scripts and the command start, and the Debian package of each. `None` if Debian
/// itself or every machine with cargo has it, or if the test can do without.
const PROGRAMS: [(&str, Option<&str>); 27] = [
    ("/usr/sbin/apache2", Some("apache2-bin")),
    ("nginx", Some("nginx-light")),
    ("cc", Some("gcc")),
    ("chromium", Some("chromium")),
    ("dbus-daemon", Some("dbus-daemon")),
    ("curl", Some("curl")),
    ("dot", Some("graphviz")),
    ("ffmpeg", Some("ffmpeg")),
    ("ffprobe", Some("ffmpeg")),
    ("gst-launch-1.0", Some("gstreamer1.0-tools")),
    ("mediainfo", Some("mediainfo")),
    ("node", Some("nodejs")),
    ("npm", Some("npm")),
    ("psql", Some("postgresql")),
    ("python3", Some("python3")),
    ("xdpyinfo", Some("x11-utils")),
    ("xrandr", Some("x11-xserver-utils")),
    ("xsetroot", Some("x11-xserver-utils")),
    ("Xvfb", Some("xvfb")),
    ("bash", None),
    ("cargo", None),
    ("cp", None),
    ("gzip", None),
    ("rustc", None),
    ("rustup", None),
    ("setpriv", None),
    ("sudo", None),
];

/// GStreamer elements that the code names, and the Debian package of each. `None` for GStreamer's core, which
/// comes with the headers.
const ELEMENTS: [(&str, Option<&str>); 26] = [
    ("appsink", Some("gstreamer1.0-plugins-base")),
    ("appsrc", Some("gstreamer1.0-plugins-base")),
    ("avdec_h264", Some("gstreamer1.0-libav")),
    ("capsfilter", None),
    ("fakesink", None),
    ("fakesrc", None),
    ("fdsink", None),
    ("filesink", None),
    ("h264parse", Some("gstreamer1.0-plugins-bad")),
    ("identity", None),
    ("matroskamux", Some("gstreamer1.0-plugins-good")),
    ("mp4mux", Some("gstreamer1.0-plugins-good")),
    ("openh264dec", Some("gstreamer1.0-plugins-bad")),
    ("openh264enc", Some("gstreamer1.0-plugins-bad")),
    ("qtdemux", Some("gstreamer1.0-plugins-good")),
    ("queue", None),
    ("rawvideoparse", Some("gstreamer1.0-plugins-base")),
    ("v4l2src", Some("gstreamer1.0-plugins-good")),
    ("videobalance", Some("gstreamer1.0-plugins-good")),
    ("videobox", Some("gstreamer1.0-plugins-good")),
    ("videoconvert", Some("gstreamer1.0-plugins-base")),
    ("videorate", Some("gstreamer1.0-plugins-base")),
    ("videoscale", Some("gstreamer1.0-plugins-base")),
    ("videotestsrc", Some("gstreamer1.0-plugins-base")),
    ("x264enc", Some("gstreamer1.0-plugins-ugly")),
    ("ximagesrc", Some("gstreamer1.0-plugins-good")),
];

/// Other needs: a linker, what the bindings' crates look for, `python3 -m venv` for script/pip-packages.txt,
/// and the library that gives a test's recorder another clock.
const BUILD: [&str; 7] = [
    "gcc",
    "libc6-dev",
    "libfaketime",
    "libgstreamer-plugins-base1.0-dev",
    "libgstreamer1.0-dev",
    "pkg-config",
    "python3-venv",
];

fn packages() -> BTreeSet<String> {
    let list = read("script/packages.txt");
    let lines = list.lines().map(|line| line.split('#').next().unwrap().trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Everything in `script/`, whatever its language.
fn scripts() -> Vec<String> {
    let mut open = vec![root().join("script")];
    let mut texts = Vec::new();
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => open.push(path),
                Some("txt" | "pyc") => {}
                _ => texts.push(fs::read_to_string(&path).unwrap()),
            }
        }
    }
    texts
}

#[test]
fn programs_that_are_started_are_known() {
    let mut wrong = Vec::new();
    for File { path, text } in files("rs") {
        let started = literals(&text, "Command::new(\"");
        let unknown = started.into_iter().filter(|name| !PROGRAMS.iter().any(|(known, _)| known == name));
        wrong.extend(unknown.map(|name| format!("{path}: {name}")));
    }
    assert_none(&wrong, "a program that tests/tidy/packages.rs does not know");
}

#[test]
fn elements_that_are_named_are_known() {
    let mut wrong = Vec::new();
    let pipelines =
        files("toml").into_iter().filter(|file| file.is_in(&["pipelines/", "plugins/", "examples/"]));
    for File { path, text } in files("rs").into_iter().chain(pipelines) {
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with(['#', '/'])).collect();
        let named = literals(&code, "Element::new(\"").into_iter().chain(literals(&code, "factory = \""));
        let ours = named.filter(|name| !name.starts_with("acme"));
        let unknown = ours.filter(|name| !ELEMENTS.iter().any(|(known, _)| known == name));
        wrong.extend(unknown.map(|name| format!("{path}: {name}")));
    }
    assert_none(&wrong, "an element that tests/tidy/packages.rs does not know");
}

#[test]
fn package_list_is_what_the_code_needs() {
    let sources = files("rs");
    let started: BTreeSet<&str> =
        sources.iter().flat_map(|file| literals(&file.text, "Command::new(\"")).collect();
    let mut scripts = scripts();
    scripts.extend(files("mjs").into_iter().map(|file| file.text));
    let in_scripts = |name: &str| scripts.iter().any(|text| has_word(text, name));
    let programs = PROGRAMS.iter().filter(|(name, _)| started.contains(name) || in_scripts(name));

    let code: Vec<&File> =
        sources.iter().filter(|file| file.is_in(&["core/", "plugins/", "tests/"])).collect();
    let code: Vec<&File> = code.into_iter().filter(|file| !file.path.starts_with("tests/tidy/")).collect();
    let pipelines = files("toml");
    let named = |name: &str| {
        let quoted = format!("\"{name}\"");
        code.iter().any(|file| file.text.contains(&quoted))
            || pipelines.iter().any(|file| file.is_in(&["pipelines/"]) && file.text.contains(&quoted))
            || in_scripts(name)
    };
    let elements = ELEMENTS.iter().filter(|(name, _)| named(name));

    let needed = programs.chain(elements).filter_map(|(_, package)| *package).chain(BUILD);
    let needed: BTreeSet<String> = needed.map(str::to_owned).collect();
    let listed = packages();
    let missing: Vec<String> = needed.difference(&listed).cloned().collect();
    assert_none(&missing, "missing in script/packages.txt");
    let unused: Vec<String> = listed.difference(&needed).cloned().collect();
    assert_none(&unused, "in script/packages.txt, and nothing needs it");
}

/// Packages that messages tell a user to install are those that we install.
#[test]
fn packages_that_messages_name_are_listed() {
    let listed = packages();
    let mut wrong = Vec::new();
    for file in files("rs").iter().filter(|file| !file.path.starts_with("tests/tidy/")) {
        let named = file.text.split(|char: char| !char.is_alphanumeric() && !"-.".contains(char));
        let packages = named.filter(|word| word.starts_with("gstreamer1.0-") && !listed.contains(*word));
        wrong.extend(packages.map(|package| format!("{}: {package}", file.path)));
    }
    assert_none(&wrong, "named in a message, and not in script/packages.txt");
}

/// Whether a text has this word. Names with `-` and `.` are one word.
fn has_word(text: &str, name: &str) -> bool {
    match name.contains(['-', '.']) {
        true => text.contains(name),
        false => words(text).any(|word| word == name),
    }
}
