//! Queries to the X server.

use deskreel_sdk::prelude::*;
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::randr::ConnectionExt as _;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, MapState, Window};
use x11rb::rust_connection::RustConnection;

pub struct Display {
    pub connection: RustConnection,
    pub root: Window,
}

pub struct Monitor {
    pub name: String,
    pub x: i16,
    pub y: i16,
    pub width: u16,
    pub height: u16,
}

pub struct TopLevel {
    pub id: Window,
    pub title: String,
}

impl Display {
    pub fn open(name: &str) -> Result<Display> {
        let (connection, screen) = x11rb::connect(Some(name)).map_err(|error| {
            PluginError::unavailable(format!("could not open the X display `{name}`: {error}"))
        })?;
        let found = connection.setup().roots.get(screen).map(|screen| (screen.root, screen.root_depth));
        let (root, depth) =
            found.ok_or_else(|| PluginError::unavailable(format!("`{name}` has no screen {screen}")))?;
        check_depth(name, depth)?;
        Ok(Display { connection, root })
    }

    /// Current width and height of a window; `None` if it is gone.
    pub fn size(&self, window: Window) -> Result<Option<(u16, u16)>> {
        match self.connection.get_geometry(window).map_err(lost)?.reply() {
            Ok(geometry) => Ok(Some((geometry.width, geometry.height))),
            Err(ReplyError::X11Error(_)) => Ok(None),
            Err(ReplyError::ConnectionError(error)) => Err(lost(error)),
        }
    }

    pub fn monitors(&self) -> Result<Vec<Monitor>> {
        let reply = self.connection.randr_get_monitors(self.root, true).map_err(lost)?.reply();
        let reply = reply.map_err(|error| {
            PluginError::unavailable(format!("the X server does not list its monitors (RandR 1.5): {error}"))
        })?;
        let monitor = |info: x11rb::protocol::randr::MonitorInfo| -> Result<Monitor> {
            let name = self.connection.get_atom_name(info.name).map_err(lost)?.reply().map_err(failed)?;
            let name = String::from_utf8_lossy(&name.name).into_owned();
            Ok(Monitor { name, x: info.x, y: info.y, width: info.width, height: info.height })
        };
        reply.monitors.into_iter().map(monitor).collect()
    }

    /// The windows that a window manager lists, or without one the root's visible children. Windows without a
    /// title are left out.
    pub fn windows(&self) -> Result<Vec<TopLevel>> {
        let managed = self.property(self.root, b"_NET_CLIENT_LIST")?;
        let mut windows: Vec<Window> =
            managed.chunks_exact(4).map(|id| u32::from_ne_bytes([id[0], id[1], id[2], id[3]])).collect();
        if windows.is_empty() {
            let tree = self.connection.query_tree(self.root).map_err(lost)?.reply().map_err(failed)?;
            windows = tree.children;
            windows.retain(|&window| self.is_visible(window));
        }
        let titled = |id| Ok(self.title(id)?.map(|title| TopLevel { id, title }));
        windows.into_iter().filter_map(|id| titled(id).transpose()).collect()
    }

    pub fn title(&self, window: Window) -> Result<Option<String>> {
        let mut title = self.property(window, b"_NET_WM_NAME")?;
        if title.is_empty() {
            title = self.property_of(window, AtomEnum::WM_NAME.into())?;
        }
        Ok((!title.is_empty()).then(|| String::from_utf8_lossy(&title).into_owned()))
    }

    fn is_visible(&self, window: Window) -> bool {
        let attributes =
            self.connection.get_window_attributes(window).ok().and_then(|cookie| cookie.reply().ok());
        attributes.is_some_and(|attributes| attributes.map_state == MapState::VIEWABLE)
    }

    fn property(&self, window: Window, name: &[u8]) -> Result<Vec<u8>> {
        let atom = self.connection.intern_atom(true, name).map_err(lost)?.reply().map_err(failed)?.atom;
        if atom == x11rb::NONE { Ok(Vec::new()) } else { self.property_of(window, atom) }
    }

    /// The value of a property; empty if the property or the window does not exist.
    fn property_of(&self, window: Window, atom: u32) -> Result<Vec<u8>> {
        /// Limit in units of four bytes: enough for 16384 windows, or a very long title.
        const MOST: u32 = 16_384;
        let cookie =
            self.connection.get_property(false, window, atom, AtomEnum::ANY, 0, MOST).map_err(lost)?;
        match cookie.reply() {
            Ok(reply) => Ok(reply.value),
            Err(ReplyError::X11Error(_)) => Ok(Vec::new()),
            Err(ReplyError::ConnectionError(error)) => Err(lost(error)),
        }
    }
}

/// Colors of fewer bits are indexes into a map, which `ximagesrc` does not read.
fn check_depth(name: &str, depth: u8) -> Result<()> {
    if depth >= 15 {
        return Ok(());
    }
    let text =
        format!("the X display `{name}` has depth {depth}, which cannot be captured; start it with depth 24");
    Err(PluginError::unavailable(text))
}

pub fn lost(error: ConnectionError) -> PluginError {
    PluginError::unavailable(format!("the X server does not answer: {error}"))
}

pub fn failed(error: impl Into<ReplyOrIdError>) -> PluginError {
    PluginError::failed(format!("the X server refused a request: {}", error.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::xvfb::Xvfb;

    #[test]
    fn a_display_of_indexed_colors_is_refused_with_the_cure() {
        let (mut server, name) = Xvfb::spawn("320x240x8");
        let refused = Display::open(&name).err().map(|error| (error.kind, error.message));
        server.kill().unwrap();
        server.wait().unwrap();
        let text =
            format!("the X display `{name}` has depth 8, which cannot be captured; start it with depth 24");
        assert_eq!(refused, Some((ErrorKind::Unavailable, text)));
    }
}
