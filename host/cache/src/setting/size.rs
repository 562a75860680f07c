//! Settings that are sizes in bytes.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BadValue, OutOfRange, from_text};

/// 2^10 bytes.
pub const KIB: u64 = 1 << 10;
/// 2^20 bytes.
pub const MIB: u64 = 1 << 20;
/// 2^30 bytes.
pub const GIB: u64 = 1 << 30;

/// A size between two bounds in bytes, both included; in text `"64MiB"` (2^20 bytes each) or `"64MB"` (10^6), in upper
/// or lower case. A number without a unit is refused: it would mean bytes, and is hardly ever meant so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size<const LEAST: u64, const MOST: u64>(u64);

impl<const LEAST: u64, const MOST: u64> Size<LEAST, MOST> {
    /// A size in bytes that is written in code.
    ///
    /// # Panics
    /// When it is out of bounds.
    pub const fn of(bytes: u64) -> Self {
        assert!(LEAST <= bytes && bytes <= MOST, "out of the bounds of this setting");
        Self(bytes)
    }

    /// A size in bytes that comes from outside.
    ///
    /// # Errors
    /// When it is out of bounds.
    pub fn new(bytes: u64) -> Result<Self, OutOfRange> {
        OutOfRange::unless(&bytes, (&LEAST, &MOST), |bytes| size_text(*bytes))?;
        Ok(Self(bytes))
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The size in bytes, where a length is wanted.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A number of bytes in the largest unit of which it is a whole number, as it may be written in the settings too.
pub fn size_text(bytes: u64) -> String {
    let units = [(1 << 60, "EiB"), (1 << 50, "PiB"), (1 << 40, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

impl<const LEAST: u64, const MOST: u64> FromStr for Size<LEAST, MOST> {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = |reason: &str| {
            BadValue(format!("{text:?} is no size: {reason}; write one such as \"64MiB\", \"1.5GiB\" or \"500MB\""))
        };
        if text.trim() == "0" {
            // It is the same in any unit.
            return Ok(Self::new(0)?);
        }
        if text.parse::<f64>().is_ok() {
            return Err(bad("the unit is missing"));
        }
        let size: ByteSize = text.trim().parse().map_err(|_| bad("it is not a number and a unit"))?;
        Ok(Self::new(size.as_u64())?)
    }
}

impl<const LEAST: u64, const MOST: u64> fmt::Debug for Size<LEAST, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const LEAST: u64, const MOST: u64> fmt::Display for Size<LEAST, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&size_text(self.0))
    }
}

impl<const LEAST: u64, const MOST: u64> Serialize for Size<LEAST, MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Size<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a size with its unit, such as \"64MiB\" or \"1GiB\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_in_any_case() {
        let read =
            |text: &str| text.parse::<Size<0, { 1 << 50 }>>().map(Size::bytes).map_err(|error| error.to_string());
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("64mib", 64 << 20),
            ("64MB", 64_000_000),
            ("64mb", 64_000_000),
            ("1.5 GiB", 3 << 29),
            ("0B", 0),
            ("0", 0),
        ] {
            assert_eq!(read(text), Ok(bytes), "{text}");
        }
        for (text, part) in [
            ("64", "the unit is missing"),
            ("", "not a number and a unit"),
            ("NaN", "the unit is missing"),
            ("-1MiB", "not a number and a unit"),
            ("1 ZZ", "not a number and a unit"),
            ("99999EiB", "is too much; set 0B to 1PiB"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_shown_can_be_written() {
        for bytes in [0, 1, 1000, 1024, 1536, 3 << 29, 5 << 40, 7] {
            assert_eq!(size_text(bytes).parse::<Size<0, { 1 << 50 }>>().map(Size::bytes), Ok(bytes));
        }
    }
}
