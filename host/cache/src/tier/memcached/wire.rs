//! The part of memcached's meta protocol that the tier speaks, as functions of bytes without I/O.
//!
//! ```text
//! mg <key> v O<n>                 VA <bytes> O<n> + content, or EN
//! ms <key> <bytes> T<s> O<n>      HD O<n>, or NS
//! md <key> O<n>                   HD O<n>, or NF
//! ```
//! Each request carries a number that the reply repeats, so that a reply to another request is never taken for this one's.

use std::fmt::Write as _;

/// The longest line that a server may send, in bytes.
pub const LINE_BYTES_MAX: usize = 2048;
/// The largest value that any memcached stores, in bytes: its `-I` takes no more than a gibibyte.
pub const VALUE_BYTES_MAX: usize = 1 << 30;
/// The oldest version that knows the protocol. Older servers take content for commands.
pub const VERSION_MIN: (u32, u32) = (1, 6);

/// How much of a line is shown in errors, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// The first line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// `VA`: so many bytes of content follow, and a line's end.
    Value {
        /// Bytes of content.
        bytes: usize,
        /// The request's number.
        number: Option<u32>,
    },
    /// `EN`: there is no such key.
    Missing(Option<u32>),
    /// `HD`: done.
    Done(Option<u32>),
    /// `NS`: not stored.
    NotStored(Option<u32>),
    /// `NF`: there was nothing to remove.
    NotFound(Option<u32>),
    /// `MN`: the end of what was asked before.
    Noop,
    /// `SERVER_ERROR`, `CLIENT_ERROR` or `ERROR`, with what the server says.
    Refused(String),
}

/// Bytes that are no reply of the protocol; what was sent, made safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

impl Head {
    /// Reads the first line of a reply, without its end.
    ///
    /// # Errors
    /// Where it is none of the protocol.
    pub fn parse(line: &[u8]) -> Result<Self, Unfit> {
        let unfit = || Unfit(format!("{} is no reply of the meta protocol", shown(line)));
        let text = std::str::from_utf8(line).map_err(|_| unfit())?;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "SERVER_ERROR" | "CLIENT_ERROR" | "ERROR" => return Ok(Self::Refused(shown(line))),
            "MN" if rest.is_empty() => return Ok(Self::Noop),
            _ => {}
        }
        if word == "VA" {
            let (bytes, flags) = rest.split_once(' ').unwrap_or((rest, ""));
            let bytes = decimal(bytes).and_then(|bytes| usize::try_from(bytes).ok());
            let bytes = bytes.filter(|bytes| *bytes <= VALUE_BYTES_MAX).ok_or_else(unfit)?;
            return Ok(Self::Value { bytes, number: number(flags).ok_or_else(unfit)? });
        }
        let number = number(rest).ok_or_else(unfit)?;
        match word {
            "EN" => Ok(Self::Missing(number)),
            "HD" => Ok(Self::Done(number)),
            "NS" => Ok(Self::NotStored(number)),
            "NF" => Ok(Self::NotFound(number)),
            _ => Err(unfit()),
        }
    }

    /// The number of the request that this answers, where the reply has one.
    pub const fn number(&self) -> Option<u32> {
        match self {
            Self::Value { number, .. }
            | Self::Missing(number)
            | Self::Done(number)
            | Self::NotStored(number)
            | Self::NotFound(number) => *number,
            Self::Noop | Self::Refused(_) => None,
        }
    }
}

/// The number among a reply's flags; the outer `None` where the flags make no sense.
fn number(flags: &str) -> Option<Option<u32>> {
    let mut found = None;
    for flag in flags.split(' ').filter(|flag| !flag.is_empty()) {
        if let Some(digits) = flag.strip_prefix('O') {
            found = Some(u32::try_from(decimal(digits)?).ok()?);
        }
    }
    Some(found)
}

/// A number in decimal digits, and nothing else.
fn decimal(digits: &str) -> Option<u64> {
    let is_plain = (1..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { digits.parse().ok() } else { None }
}

/// The version in the reply to `version`, if the server is new enough to be sent anything else.
///
/// # Errors
/// In words for an operator: where it is older, or no memcached.
pub fn version(line: &[u8]) -> Result<String, Unfit> {
    let none = || Unfit(format!("no memcached answers there: it says {}", shown(line)));
    let text = std::str::from_utf8(line).ok().and_then(|text| text.strip_prefix("VERSION ")).ok_or_else(none)?;
    let mut parts = text.split(['.', '-', ' ']);
    let mut part = || parts.next().and_then(decimal).and_then(|part| u32::try_from(part).ok());
    let (major, minor) = part().zip(part()).ok_or_else(none)?;
    if (major, minor) < VERSION_MIN {
        let (least_major, least_minor) = VERSION_MIN;
        let text = shown(text.as_bytes());
        return Err(Unfit(format!(
            "it is memcached {text}, which does not know the meta protocol: {least_major}.{least_minor} is the least"
        )));
    }
    Ok(text.to_owned())
}

/// The largest item in bytes, if a line of `stats settings` says so.
pub fn item_bytes_max(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).ok()?;
    let bytes = decimal(text.strip_prefix("STAT item_size_max ")?)?;
    usize::try_from(bytes).ok()
}

/// Adds the request for the value of a key.
pub fn get(into: &mut String, key: &str, number: u32) {
    let _ = write!(into, "mg {key} v O{number}\r\n");
}

/// Adds what comes before the content that is to be stored. Behind the content comes `\r\n`.
pub fn set(into: &mut String, key: &str, bytes: usize, lifetime_s: u32, number: u32) {
    let _ = write!(into, "ms {key} {bytes} T{lifetime_s} O{number}\r\n");
}

/// Adds the request to remove a key.
pub fn remove(into: &mut String, key: &str, number: u32) {
    let _ = write!(into, "md {key} O{number}\r\n");
}

/// A line as it may stand in a log: one line of visible characters, not too long.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_default).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_the_protocol_are_read() {
        let table: [(&[u8], Head); 9] = [
            (b"VA 3 O9", Head::Value { bytes: 3, number: Some(9) }),
            (b"VA 0", Head::Value { bytes: 0, number: None }),
            (b"VA 5 s5 O4294967295 t-1", Head::Value { bytes: 5, number: Some(u32::MAX) }),
            (b"EN", Head::Missing(None)),
            (b"EN O1", Head::Missing(Some(1))),
            (b"HD O1", Head::Done(Some(1))),
            (b"NS O1", Head::NotStored(Some(1))),
            (b"NF", Head::NotFound(None)),
            (b"MN", Head::Noop),
        ];
        for (line, expected) in table {
            assert_eq!(Head::parse(line).as_ref(), Ok(&expected), "{}", shown(line));
        }
        let refused = Head::parse(b"SERVER_ERROR out of memory storing object");
        assert!(matches!(refused, Ok(Head::Refused(said)) if said.contains("out of memory")));
    }

    #[test]
    fn anything_else_is_unfit() {
        let table: [&[u8]; 13] = [
            b"",
            b"VA",
            b"VA -1",
            b"VA +1 O1",
            b"VA 1073741825",
            b"VA 99999999999999999999",
            b"VA 3x O1",
            b"HD O",
            b"HD O99999999999",
            b"va 3",
            b"VALUE k 0 3",
            b"\xff\xfe",
            b"MN O1",
        ];
        for line in table {
            assert!(Head::parse(line).is_err(), "{}", shown(line));
        }
        assert!(shown(&[b'x'; 4000]).len() < 80, "what is shown is bounded");
        assert!(!shown(b"\x1b[31m\n").contains(['\n', '\x1b']), "and can't change a terminal");
    }

    #[test]
    fn old_servers_and_other_programs_are_told_apart() {
        assert_eq!(version(b"VERSION 1.6.18").as_deref(), Ok("1.6.18"));
        assert_eq!(version(b"VERSION 2.0-beta").as_deref(), Ok("2.0-beta"));
        assert!(version(b"VERSION 1.5.22").is_err_and(|why| why.0.contains("1.6 is the least")));
        for line in [&b"VERSION "[..], b"VERSION x", b"-ERR unknown command", b"HTTP/1.1 400 Bad Request"] {
            assert!(version(line).is_err_and(|why| why.0.contains("no memcached")), "{}", shown(line));
        }
        assert_eq!(item_bytes_max(b"STAT item_size_max 1048576"), Some(1 << 20));
        assert_eq!(item_bytes_max(b"STAT item_size_max huge"), None);
    }
}
