//! Settings that are lengths of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BadValue, OutOfRange, from_text};

/// A millisecond, as the bounds of a [`Span`] are written: in microseconds.
pub const MS: u64 = 1000;
/// A second, in microseconds.
pub const SECOND: u64 = 1000 * MS;
/// A minute, in microseconds.
pub const MINUTE: u64 = 60 * SECOND;
/// An hour, in microseconds.
pub const HOUR: u64 = 60 * MINUTE;
/// A day, in microseconds.
pub const DAY: u64 = 24 * HOUR;

/// A length of time between two bounds in microseconds, both included; in text `"2s"`, `"250ms"`, `"1h 30m"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span<const LEAST_US: u64, const MOST_US: u64>(Duration);

impl<const LEAST_US: u64, const MOST_US: u64> Span<LEAST_US, MOST_US> {
    const LEAST: Duration = Duration::from_micros(LEAST_US);
    const MOST: Duration = Duration::from_micros(MOST_US);

    /// A length that is written in code.
    ///
    /// # Panics
    /// When it is out of bounds.
    pub const fn of(length: Duration) -> Self {
        let nanos = length.as_nanos();
        assert!(nanos >= Self::LEAST.as_nanos() && nanos <= Self::MOST.as_nanos(), "out of the bounds of this setting");
        Self(length)
    }

    /// A length that comes from outside.
    ///
    /// # Errors
    /// When it is out of bounds.
    pub fn new(length: Duration) -> Result<Self, OutOfRange> {
        OutOfRange::unless(&length, (&Self::LEAST, &Self::MOST), |length| shown(*length))?;
        Ok(Self(length))
    }

    /// The length.
    pub const fn get(self) -> Duration {
        self.0
    }
}

/// A length as it may be written in the settings.
fn shown(length: Duration) -> String {
    humantime::format_duration(length).to_string()
}

impl<const LEAST_US: u64, const MOST_US: u64> FromStr for Span<LEAST_US, MOST_US> {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let length = humantime::parse_duration(text).map_err(|error| {
            let error = error.to_string().replace(", for example 5sec or 5ms", "");
            BadValue(format!("{text:?} is no duration: {error}; write one such as \"2s\", \"250ms\" or \"1h 30m\""))
        })?;
        Ok(Self::new(length)?)
    }
}

impl<const LEAST_US: u64, const MOST_US: u64> fmt::Debug for Span<LEAST_US, MOST_US> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const LEAST_US: u64, const MOST_US: u64> fmt::Display for Span<LEAST_US, MOST_US> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.0))
    }
}

impl<const LEAST_US: u64, const MOST_US: u64> Serialize for Span<LEAST_US, MOST_US> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const LEAST_US: u64, const MOST_US: u64> Deserialize<'de> for Span<LEAST_US, MOST_US> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a duration such as \"2s\", \"250ms\" or \"1h 30m\"")
    }
}
