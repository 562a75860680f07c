//! Logs the message of a panic to the host: on `wasm32-unknown-unknown` there is no standard error, and the trap that
//! ends a panic has no message.

use std::panic::PanicHookInfo;
use std::sync::Once;

use crate::log::{Level, write};

/// From now on the message of a panic is logged as an error. The host shows the last error of a failed call.
pub(crate) fn tell_host() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| write(Level::Error, &message(panic)))));
}

fn message(panic: &PanicHookInfo<'_>) -> String {
    let said = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(place) => format!("panicked at {place}: {said}"),
        None => format!("panicked: {said}"),
    }
}
