//! The elements of a `Cache-Control` line (RFC 9111 section 5.2) and the seconds they may carry (section 1.2.2): names
//! in any case, quoted and unquoted arguments.

use super::list::{Members, Quotes};

/// The largest delta-seconds: RFC 9111 section 1.2.2, "If a cache receives a delta-seconds value greater than the
/// greatest integer it can represent, or if any of its subsequent calculations overflows, the cache MUST consider the
/// value to be 2147483648 (2^31)".
pub const DELTA_SECONDS_MAX: u32 = 1 << 31;

/// The argument of a directive that takes delta-seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delta {
    /// The directive is not there.
    #[default]
    Absent,
    /// The argument, at most [`DELTA_SECONDS_MAX`].
    Seconds(u32),
    /// The directive is there, but its argument is missing or no number.
    Invalid,
}

impl Delta {
    /// The seconds; none where the directive is absent or invalid.
    pub const fn seconds(self) -> Option<u32> {
        match self {
            Self::Seconds(seconds) => Some(seconds),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// Whether the directive is there, valid or not.
    pub const fn is_present(self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// Takes in one more occurrence of the directive: the smaller value wins, and an invalid one wins over any value.
    ///
    /// RFC 9111 section 4.2.1: "When there is more than one value present for a given directive [...] either the first
    /// occurrence should be used or the response should be considered stale." The smallest value is never longer than
    /// the first.
    pub(super) fn join(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::Absent, other) => other,
            (Self::Seconds(one), Self::Seconds(two)) => Self::Seconds(one.min(two)),
            _ => Self::Invalid,
        };
    }

    /// Reads the argument of a directive; a missing one is invalid.
    pub(super) fn parse(argument: Option<&[u8]>) -> Self {
        argument.and_then(delta_seconds).map_or(Self::Invalid, Self::Seconds)
    }
}

/// Reads delta-seconds (`1*DIGIT`), at most [`DELTA_SECONDS_MAX`]; none where `text` is anything else.
pub fn delta_seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = text.iter().fold(0_u64, |sum, digit| (sum * 10 + u64::from(digit - b'0')).min(1 << 32));
    Some(u32::try_from(value).unwrap_or(u32::MAX).min(DELTA_SECONDS_MAX))
}

/// Calls `take` with the name and the unquoted argument of each element of a line; false where a quoted string never
/// ends (the rest of the line is then read as if it were not quoted, so that no restriction is lost).
pub fn each_directive(line: &[u8], mut take: impl FnMut(&[u8], Option<&[u8]>)) -> bool {
    let mut members = Members::of(line, Quotes::Strings);
    members.by_ref().filter(|member| !member.is_empty()).for_each(|member| one_directive(member, &mut take));
    members.is_sound()
}

fn one_directive(element: &[u8], take: &mut impl FnMut(&[u8], Option<&[u8]>)) {
    let Some(equals) = element.iter().position(|byte| *byte == b'=') else {
        return take(element, None);
    };
    let (name, argument) = (&element[..equals], &element[equals + 1..]);
    // RFC 9111 section 5.2 allows no space around "=": the name is recognised all the same, the argument is made
    // invalid.
    let spaced =
        name.ends_with(b" ") || name.ends_with(b"\t") || argument.starts_with(b" ") || argument.starts_with(b"\t");
    let unquoted = argument.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\""));
    match unquoted {
        _ if spaced => take(name.trim_ascii(), Some(b" ")),
        Some(inner) if inner.contains(&b'\\') => take(name, Some(&unescaped(inner))),
        Some(inner) => take(name, Some(inner)),
        None => take(name, Some(argument)),
    }
}

/// The content of a quoted string (RFC 9110 section 5.6.4).
fn unescaped(inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        out.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
    }
    out
}
