//! Bytes of clients as text in a line: whatever they are, they neither end the line nor the text that they are in.

use std::fmt::Write as _;
use std::io;

use serde_json::ser::{CompactFormatter, Formatter};

/// Ends a text that was cut.
const CUT: &[u8] = b"...";

/// The beginning of a text of a client, `bytes_max` at most, so that a line is bounded.
pub(super) fn beginning(text: &[u8], bytes_max: usize) -> Box<[u8]> {
    match text.get(..bytes_max) {
        Some(beginning) if text.len() > bytes_max => [beginning, CUT].concat().into(),
        _ => text.into(),
    }
}

/// Appends a text as Apache does within quotes: `"` and `\` with a backslash, what is no printable ASCII as `\xNN` or
/// as one of C's letters (`\n`).
pub(super) fn push_escaped(line: &mut String, text: &[u8]) {
    for byte in text {
        match byte {
            b'"' => line.push_str("\\\""),
            b'\\' => line.push_str("\\\\"),
            b' '..=b'~' => line.push(char::from(*byte)),
            0x08 => line.push_str("\\b"),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x0b => line.push_str("\\v"),
            _ => _ = write!(line, "\\x{byte:02x}"),
        }
    }
}

/// Writes JSON in ASCII alone: everything else is escaped, so that no terminal takes it for a command.
pub(super) struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !c.is_ascii() || c.is_ascii_control()) {
            CompactFormatter.write_string_fragment(writer, &rest[..at])?;
            let mut after = rest[at..].chars();
            let mut units = [0; 2];
            for unit in after.next().unwrap_or_default().encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_stay_in_their_quotes() {
        let mut line = String::new();
        push_escaped(&mut line, b"a\" 200 1\n\r\t\x08\x0b\\ \x1b[2J\x00\x7f\xc3\xa9\xff");
        assert_eq!(line, r#"a\" 200 1\n\r\t\b\v\\ \x1b[2J\x00\x7f\xc3\xa9\xff"#);
    }

    #[test]
    fn json_is_ascii_and_reads_as_it_was() {
        let text = "a\"b\\ \n\u{1b}[2J\u{7f}\u{9b}é\u{202e}\u{1F600}\u{0}";
        let mut json = Vec::new();
        serde::Serialize::serialize(text, &mut serde_json::Serializer::with_formatter(&mut json, Ascii)).expect("JSON");
        assert!(json.iter().all(|byte| (b' '..=b'~').contains(byte)), "{}", String::from_utf8_lossy(&json));
        assert_eq!(serde_json::from_slice::<String>(&json).expect("JSON"), text);
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        assert_eq!(&*beginning(b"abcd", 4), b"abcd");
        assert_eq!(&*beginning(b"abcde", 4), b"abcd...");
    }

    #[test]
    fn a_text_costs_what_it_is_long() {
        for piece in ["a", "\"", "\u{0}", "é"] {
            let text = |length: usize| piece.repeat(length / piece.len());
            crate::proportion::check(piece, 4096, text, |text| {
                push_escaped(&mut String::new(), text.as_bytes());
                let mut json = Vec::new();
                let mut writer = serde_json::Serializer::with_formatter(&mut json, Ascii);
                let _ = serde::Serialize::serialize(text, &mut writer);
            });
        }
    }
}
