//! An X server for one test, with a plain color on its screen.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

pub struct Xvfb {
    /// The display, such as `:7`.
    pub name: String,
    server: Child,
}

impl Xvfb {
    /// Starts on a free display.
    pub fn start(width: u32, height: u32) -> Xvfb {
        Xvfb::with(&[], width, height)
    }

    /// Starts on the display of a server that is gone.
    pub fn restart(name: &str, width: u32, height: u32) -> Xvfb {
        Xvfb::with(&[name], width, height)
    }

    fn with(name: &[&str], width: u32, height: u32) -> Xvfb {
        let screen = format!("{width}x{height}x24");
        let mut server = Command::new("Xvfb")
            .args(name)
            // Without -noreset the server resets itself when its last client leaves.
            .args(["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb runs (script/setup installs it)");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Xvfb { name: format!(":{}", number.trim()), server }
    }

    /// Fills the screen.
    pub fn show(&self, color: &str) {
        assert!(self.run("xsetroot", &["-solid", color]));
    }

    /// Sets a size of at most the one that it was started with.
    pub fn resize(&self, width: u32, height: u32) {
        let mode = format!("{width}x{height}");
        let [w, h] = [width, height].map(|length| length.to_string());
        self.run("xrandr", &["--newmode", &mode, "60", &w, &w, &w, &w, &h, &h, &h, &h]);
        self.run("xrandr", &["--addmode", "screen", &mode]);
        assert!(self.run("xrandr", &["--output", "screen", "--mode", &mode]));
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let output = Command::new(program).env("DISPLAY", &self.name).args(arguments).output();
        output
            .unwrap_or_else(|error| panic!("{program} does not run ({error}); script/setup installs it"))
            .status
            .success()
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
