//! Types of settings that hold only values that make sense: a deadline that is not zero, a share of at most 100 per
//! cent, a size that is not two bytes because its unit was left out. A value from a file, from the command line or from
//! code is checked against the same bounds, so that no setting has to be checked again where it is used.
//!
//! ```
//! use std::time::Duration;
//!
//! use sandbar::setting::{Count, MS, SECOND, Span};
//!
//! type Deadline = Span<MS, { 60 * SECOND }>;
//! assert_eq!(Deadline::of(Duration::from_secs(2)).get(), Duration::from_secs(2));
//! let refused = Deadline::new(Duration::ZERO).unwrap_err();
//! assert_eq!(refused.to_string(), "0s is too little; set 1ms to 1m");
//! assert!("5".parse::<Deadline>().unwrap_err().to_string().contains("time unit"));
//! assert!(Count::<1, 100>::new(101).is_err());
//! ```

mod count;
mod key;
mod size;
mod span;

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserializer, de};

pub use self::count::{Count, Percent};
pub use self::key::Key;
pub use self::key::Step;
pub use self::size::{GIB, KIB, MIB, Size, size_text};
pub use self::span::{DAY, HOUR, MINUTE, MS, SECOND, Span};

/// A value that is out of bounds, with the bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is too {}; set {least} to {most}", if *.is_less { "little" } else { "much" })]
pub struct OutOfRange {
    value: String,
    least: String,
    most: String,
    is_less: bool,
}

impl OutOfRange {
    fn unless<T: PartialOrd>(value: &T, (least, most): (&T, &T), shown: impl Fn(&T) -> String) -> Result<(), Self> {
        if *least <= *value && *value <= *most {
            return Ok(());
        }
        Err(Self { value: shown(value), least: shown(least), most: shown(most), is_less: *value < *least })
    }
}

/// Why a text is no setting of its type: one sentence that says what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue(String);

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadValue {}

/// Reads a setting that is written as text; `expected` says in an error what the text should be.
fn from_text<'de, T: FromStr<Err = BadValue>, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<T, D::Error> {
    struct Text<T>(&'static str, PhantomData<T>);

    impl<T: FromStr<Err = BadValue>> de::Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(expected, PhantomData))
}

impl From<String> for BadValue {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<OutOfRange> for BadValue {
    fn from(error: OutOfRange) -> Self {
        Self(error.to_string())
    }
}
