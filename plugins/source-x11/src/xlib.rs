//! Keeps Xlib from ending the process.
//!
//! `ximagesrc` talks to the X server through Xlib, which calls `exit(1)` when a request is refused. Closing
//! or minimizing a captured window, or shrinking the screen, causes such requests. With our own handler the
//! element continues with its last picture, and the watch reports the change to the host.
//!
//! Xlib also calls `exit(1)` when the X server has ended, which would cost the frames that are in the
//! encoder, and look like a death of the encoder. Its thread is stopped instead, and the watch reports that
//! the source has failed. The worker writes what it has, and ends without waiting for the source.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use deskreel_sdk::prelude::tracing;

type Handler = extern "C" fn(display: *mut c_void, event: *mut c_void) -> c_int;
type IoHandler = extern "C" fn(display: *mut c_void) -> c_int;
type SetIoErrorHandler = unsafe extern "C" fn(handler: IoHandler) -> *mut c_void;
type SetErrorHandler = unsafe extern "C" fn(handler: Handler) -> *mut c_void;

/// Sets the error handler of the whole process. Without Xlib there is no `ximagesrc` either.
pub fn outlive_errors() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        // SAFETY: Xlib's initializers have no conditions. The library is not unloaded: ximagesrc uses it too.
        let Ok(xlib) = (unsafe { libloading::Library::new("libX11.so.6") }) else { return };
        // SAFETY: XSetErrorHandler(3) has this type.
        if let Ok(set) = unsafe { xlib.get::<SetErrorHandler>(b"XSetErrorHandler\0") } {
            // SAFETY: the handler lives as long as the process, since plugins are never unloaded.
            unsafe { set(log_first) };
        }
        // SAFETY: XSetIOErrorHandler(3) has this type.
        if let Ok(set) = unsafe { xlib.get::<SetIoErrorHandler>(b"XSetIOErrorHandler\0") } {
            // SAFETY: as above.
            unsafe { set(stop_thread) };
        }
        std::mem::forget(xlib);
    });
}

/// Never returns: Xlib would end the process. It holds no lock while it calls this.
extern "C" fn stop_thread(_display: *mut c_void) -> c_int {
    loop {
        std::thread::park();
    }
}

/// Logs only once: further errors would come with every frame.
extern "C" fn log_first(_display: *mut c_void, _event: *mut c_void) -> c_int {
    static LOGGED: AtomicBool = AtomicBool::new(false);
    if !LOGGED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "the X server refused a capture; the last picture stays until the source is set up again"
        );
    }
    0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::ffi::{CString, c_char, c_ulong};

    use super::*;
    use crate::xvfb::Xvfb;

    type Open = unsafe extern "C" fn(*const c_char) -> *mut c_void;
    type Map = unsafe extern "C" fn(*mut c_void, c_ulong) -> c_int;
    type Sync = unsafe extern "C" fn(*mut c_void, c_int) -> c_int;

    /// Without the handler the whole test program would end here.
    #[test]
    fn refused_request_does_not_end_the_process() {
        let xvfb = Xvfb::start(320, 240);
        outlive_errors();
        let name = CString::new(xvfb.name.as_str()).unwrap();
        // SAFETY: the types are those of Xlib's manual pages, and the display is the one that was opened.
        let answer = unsafe {
            let xlib = libloading::Library::new("libX11.so.6").unwrap();
            let open = xlib.get::<Open>(b"XOpenDisplay\0").unwrap();
            let map = xlib.get::<Map>(b"XMapWindow\0").unwrap();
            let sync = xlib.get::<Sync>(b"XSync\0").unwrap();
            let display = open(name.as_ptr());
            assert!(!display.is_null());
            map(display, 0x00de_adde);
            let answer = sync(display, 0);
            std::mem::forget(xlib);
            answer
        };
        assert_eq!(answer, 1);
    }
}
