//! Makes a C plugin look like a Rust one, so that the rest of the host has one type.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;

use deskreel_sdk::abi::{
    FrameStatus, HostArc, InstanceBox, RErr, ROk, RResult, RSliceMut, RStr, RString, RawError, RawInstance,
    RawInstance_TO, TD_Opaque,
};
use deskreel_sdk::c::{END, Entry, Host, Out, Provides, Status, Str};
use deskreel_sdk::{ErrorKind, PluginError};

use crate::error::Refusal;

/// A C library whose table has been checked.
#[derive(Clone, Copy)]
pub struct CLibrary {
    entry: &'static Entry,
}

impl CLibrary {
    /// # Safety
    ///
    /// `entry` is the address of a `deskreel_entry` of a library that is never unloaded.
    pub unsafe fn new(entry: *const Entry) -> Result<Self, Refusal> {
        // SAFETY: the size comes first in every version of the table.
        let size = unsafe { ptr::read(entry.cast::<u32>()) } as usize;
        if size < size_of::<Entry>() {
            let ours = size_of::<Entry>();
            let summary = format!("deskreel_entry has {size} bytes, expected {ours}");
            return Err(Refusal::Layout { summary, report: None });
        }
        // SAFETY: it has at least the size of our struct, and lives as long as the process.
        let entry = unsafe { &*entry };
        if entry.create.is_none() || entry.call.is_none() || entry.destroy.is_none() {
            let summary = "deskreel_entry lacks create, call or destroy".into();
            return Err(Refusal::Layout { summary, report: None });
        }
        Ok(CLibrary { entry })
    }

    pub fn contract_major(&self) -> u32 {
        self.entry.contract_major
    }

    /// Kind and id of each plugin.
    pub fn provides(&self) -> Vec<(String, String)> {
        if self.entry.provides.is_null() {
            return Vec::new();
        }
        // SAFETY: the table says that there are this many.
        let list: &[Provides] =
            unsafe { std::slice::from_raw_parts(self.entry.provides, self.entry.provides_len as usize) };
        list.iter().map(|plugin| (text(plugin.kind), text(plugin.id))).collect()
    }

    pub fn init(&self, host: HostArc) -> Result<(), PluginError> {
        let Some(init) = self.entry.init else { return Ok(()) };
        // The library may keep the host forever.
        let host = CHost::new(host);
        std::mem::forget(host.clone());
        let mut message = OutputBuffer::default();
        let status = init(&host.table, &message.out());
        message.result(status)
    }

    pub fn create(&self, id: &str, settings_json: &str, host: HostArc) -> Result<InstanceBox, PluginError> {
        let create = self.entry.create.ok_or_else(|| PluginError::unsupported("create"))?;
        let host = CHost::new(host);
        let mut state = ptr::null_mut();
        let mut message = OutputBuffer::default();
        let status = create(borrowed(id), borrowed(settings_json), &host.table, &mut state, &message.out());
        message.result(status)?;
        let instance = CInstance { entry: self.entry, state, _host: host };
        Ok(RawInstance_TO::from_value(instance, TD_Opaque))
    }
}

// SAFETY: the table is constant, and its functions may be called from any thread.
unsafe impl Send for CLibrary {}
// SAFETY: as above.
unsafe impl Sync for CLibrary {}

struct CInstance {
    entry: &'static Entry,
    state: *mut c_void,
    /// The plugin has its address until `destroy` returns.
    _host: Rc<CHost>,
}

// SAFETY: the contract allows calls from any thread, one at a time; nothing else shares `_host`.
unsafe impl Send for CInstance {}

impl RawInstance for CInstance {
    fn call(&mut self, method: RStr<'_>, json: RStr<'_>) -> RResult<RString, RawError> {
        let Some(call) = self.entry.call else { return RErr(PluginError::unsupported("call").into()) };
        let mut answer = OutputBuffer::default();
        let status = call(self.state, borrowed(method.as_str()), borrowed(json.as_str()), &answer.out());
        match answer.result(status) {
            Ok(()) => ROk(answer.text().into()),
            Err(error) => RErr(error.into()),
        }
    }

    fn frame(
        &mut self,
        number: u64,
        time_ns: u64,
        mut out: RSliceMut<'_, u8>,
    ) -> RResult<FrameStatus, RawError> {
        let Some(frame) = self.entry.frame else { return RErr(PluginError::unsupported("frame").into()) };
        let mut message = OutputBuffer::default();
        let status = frame(self.state, number, time_ns, out.as_mut_ptr(), out.len(), &message.out());
        if status == END {
            return ROk(FrameStatus::End);
        }
        match message.result(status) {
            Ok(()) => ROk(FrameStatus::Painted),
            Err(error) => RErr(error.into()),
        }
    }
}

impl Drop for CInstance {
    fn drop(&mut self) {
        if let Some(destroy) = self.entry.destroy {
            destroy(self.state);
        }
    }
}

/// The host's functions as C sees them. In an `Rc` and not a `Box`, because a box may not be moved while the
/// plugin holds a pointer into it.
struct CHost {
    table: Host,
    /// The table's context points to it.
    _host: Rc<HostArc>,
}

impl CHost {
    fn new(host: HostArc) -> Rc<CHost> {
        let host = Rc::new(host);
        let ctx = Rc::as_ptr(&host).cast_mut().cast();
        let table = Host { size: size_of::<Host>() as u32, ctx, log, max_level, emit };
        Rc::new(CHost { table, _host: host })
    }
}

extern "C" fn log(ctx: *mut c_void, level: i32, target: Str, message: Str) {
    let level = level.clamp(1, 5) as u8;
    host(ctx).log(level, RStr::from_str(&text(target)), RStr::from_str(&text(message)));
}

extern "C" fn max_level(ctx: *mut c_void) -> i32 {
    host(ctx).max_level().into()
}

extern "C" fn emit(ctx: *mut c_void, json: Str) {
    host(ctx).emit(RStr::from_str(&text(json)));
}

fn host<'a>(ctx: *mut c_void) -> &'a HostArc {
    // SAFETY: the context is the host of a `CHost`, which lives as long as the plugin may use it.
    unsafe { &*ctx.cast::<HostArc>() }
}

/// The text that a plugin puts out during one call.
#[derive(Default)]
struct OutputBuffer(Vec<u8>);

impl OutputBuffer {
    fn out(&mut self) -> Out {
        Out { ctx: ptr::from_mut(&mut self.0).cast(), put }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    fn result(&self, status: Status) -> Result<(), PluginError> {
        let message = match (status, self.0.is_empty()) {
            (0, _) => return Ok(()),
            (1.., _) => {
                // It is unclear whether this is meant as a success, so the output is not used.
                let message = format!("returned status {status}, which is not in the contract");
                return Err(PluginError::failed(message));
            }
            (_, true) => format!("no reason given (status {status})"),
            (_, false) => self.text(),
        };
        Err(PluginError::new(ErrorKind::from_number(status.unsigned_abs()), message))
    }
}

extern "C" fn put(ctx: *mut c_void, ptr: *const u8, len: usize) {
    // SAFETY: the context is the buffer of the call that is running, and only this function touches it
    // meanwhile.
    let buffer = unsafe { &mut *ctx.cast::<Vec<u8>>() };
    if !ptr.is_null() {
        // SAFETY: the plugin lends this many bytes for the call.
        buffer.extend_from_slice(unsafe { std::slice::from_raw_parts(ptr, len) });
    }
}

fn borrowed(text: &str) -> Str {
    Str { ptr: text.as_ptr(), len: text.len() }
}

fn text(borrowed: Str) -> String {
    if borrowed.ptr.is_null() {
        return String::new();
    }
    // SAFETY: the plugin lends this many bytes for the call.
    let bytes = unsafe { std::slice::from_raw_parts(borrowed.ptr, borrowed.len) };
    String::from_utf8_lossy(bytes).into_owned()
}
