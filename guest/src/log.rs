//! The host's log: the only thing a policy can call.
//!
//! A line appears under the tenant's and the policy's name. The host keeps at most 1,024 bytes of a line and 100 lines
//! a second, and counts what it drops; line breaks and other control characters it writes as escapes. The last line at
//! level `Error` of a call that fails is shown with the fault; the message of a panic is logged as such a line.
//! Natively, in tests, lines go to standard error.
//!
//! ```
//! sandbar_guest::log!(Warn, "no price for {}", "/a/b");
//! ```

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Details, of use only while a mistake is looked for.
    Debug,
    /// What an operator may want to know.
    Info,
    /// Somebody should look at it.
    Warn,
    /// Somebody must look at it.
    Error,
}

/// Hands one line to the host.
pub fn write(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::write(level, message);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}

/// Hands one formatted line to the host: `log!(Info, "{} of {}", 1, 2)`. The first argument is a [`log::Level`](Level).
#[macro_export]
macro_rules! log {
    ($level:ident, $($message:tt)+) => {
        $crate::log::write($crate::log::Level::$level, &::std::format!($($message)+))
    };
}

/// [`log!`](crate::log!) with the level `Info`.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log!(Info, $($message)+) };
}
