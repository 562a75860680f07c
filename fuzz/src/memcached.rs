//! Any bytes as lines of what a memcached answers: reading them neither panics nor lets anything through that could change a
//! terminal or fill a log. The fuzz target runs it on what the fuzzer makes up, an ordinary test on the saved corpus.

use sandbar::tier::memcached::wire::{Head, VALUE_BYTES_MAX, item_bytes_max, version};

/// The longest that is said of a line, in bytes.
const SAID_BYTES_MAX: usize = 1000;

/// Reads each line as the beginning of a reply, as a version and as a setting.
///
/// # Panics
/// When what was read, or what is said of it, is out of bounds.
pub(crate) fn look(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match Head::parse(line) {
            Ok(Head::Value { bytes, .. }) => assert!(bytes <= VALUE_BYTES_MAX, "larger than any value"),
            Ok(Head::Refused(said)) => is_safe(&said),
            Ok(head) => assert!(head.number().is_none() || line.len() > 3, "a number comes from nowhere"),
            Err(unfit) => is_safe(&unfit.to_string()),
        }
        if let Err(unfit) = version(line) {
            is_safe(&unfit.to_string());
        }
        let _ = item_bytes_max(line);
    }
}

fn is_safe(said: &str) {
    assert!(said.len() <= SAID_BYTES_MAX && !said.chars().any(char::is_control), "{said:?}");
}
