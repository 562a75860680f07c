//! Where in a guest a call failed: the function, by the name that its author gave it.

use wasmtime::{FrameInfo, WasmBacktrace};

use crate::GuestText;

/// Bytes of a function's name that are shown.
const NAME_BYTES_MAX: usize = 256;

/// The innermost function that has a name and is not part of the panic itself, which says less than the function that
/// led to it; else the innermost function's number. None where the guest was not running.
pub(super) fn place(error: &wasmtime::Error) -> Option<GuestText> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    let telling = frames.iter().filter_map(named).find(|name| !is_of_a_panic(name));
    telling.or_else(|| frames.first().map(numbered)).map(|name| GuestText::within(&name, NAME_BYTES_MAX))
}

fn named(frame: &FrameInfo) -> Option<String> {
    frame.func_name().map(|name| format!("{:#}", rustc_demangle::demangle(name)))
}

/// What stands for a function without a name: its number and offset, as tools that read the component count them.
fn numbered(frame: &FrameInfo) -> String {
    match frame.module_offset() {
        Some(offset) => format!("function {} at offset {offset:#x} of its module", frame.func_index()),
        None => format!("function {}", frame.func_index()),
    }
}

fn is_of_a_panic(name: &str) -> bool {
    const MACHINERY: [&str; 10] = [
        "panic",
        "rust_",
        "__rust",
        "abort",
        "core::option",
        "core::result",
        "core::slice::index",
        "alloc::raw_vec",
        "alloc::alloc",
        "sandbar_guest::bindings",
    ];
    MACHINERY.iter().any(|it| name.contains(it))
}
