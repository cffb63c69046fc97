//! An X server for one test.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, ConfigureWindowAux, ConnectionExt as _, CreateWindowAux, PropMode, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use crate::display::Display;

pub struct Xvfb {
    /// `:7`
    pub name: String,
    server: Child,
    client: Display,
}

impl Xvfb {
    pub fn start(width: u32, height: u32) -> Xvfb {
        let (server, name) = Xvfb::spawn(&format!("{width}x{height}x24"));
        let client = Display::open(&name).unwrap();
        Xvfb { name, server, client }
    }

    /// Starts a server with this `<width>x<height>x<depth>`. Returns its process and its name.
    pub fn spawn(screen: &str) -> (Child, String) {
        // Without -noreset the server resets whenever its last client disconnects.
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", screen, "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("Xvfb does not run ({error}); script/test installs it"));
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        (server, format!(":{}", number.trim()))
    }

    /// Ends the server while it is in use.
    pub fn end(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Resizes the screen, at most to the size with which it was started.
    pub fn resize(&self, width: u32, height: u32) {
        let mode = format!("{width}x{height}");
        let [w, h] = [width, height].map(|length| length.to_string());
        // Fails if the mode already exists.
        let _ = self.xrandr(&["--newmode", &mode, "60", &w, &w, &w, &w, &h, &h, &h, &h]);
        let _ = self.xrandr(&["--addmode", "screen", &mode]);
        assert!(self.xrandr(&["--output", "screen", "--mode", &mode]), "xrandr to {mode}");
    }

    fn xrandr(&self, arguments: &[&str]) -> bool {
        let output = Command::new("xrandr").args(["--display", &self.name]).args(arguments).output();
        output
            .unwrap_or_else(|error| panic!("xrandr does not run ({error}); script/test installs it"))
            .status
            .success()
    }

    pub fn window(&self, title: &str, width: u16, height: u16) -> Window {
        let Display { connection, root } = &self.client;
        let id = connection.generate_id().unwrap();
        let (class, aux) = (WindowClass::INPUT_OUTPUT, CreateWindowAux::new().background_pixel(0x0033_66cc));
        connection
            .create_window(24, id, *root, 0, 0, width, height, 0, class, 0, &aux)
            .unwrap()
            .check()
            .unwrap();
        let (property, kind) = (AtomEnum::WM_NAME, AtomEnum::STRING);
        connection
            .change_property8(PropMode::REPLACE, id, property, kind, title.as_bytes())
            .unwrap()
            .check()
            .unwrap();
        connection.map_window(id).unwrap().check().unwrap();
        id
    }

    pub fn move_window(&self, window: Window, x: i32, y: i32) {
        self.configure(window, &ConfigureWindowAux::new().x(x).y(y));
    }

    pub fn resize_window(&self, window: Window, width: u32, height: u32) {
        self.configure(window, &ConfigureWindowAux::new().width(width).height(height));
    }

    pub fn close_window(&self, window: Window) {
        self.client.connection.destroy_window(window).unwrap().check().unwrap();
    }

    fn configure(&self, window: Window, change: &ConfigureWindowAux) {
        self.client.connection.configure_window(window, change).unwrap().check().unwrap();
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
