//! Settings that are whole numbers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::OutOfRange;

/// A whole number from `LEAST` to `MOST`, both included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count<const LEAST: u32, const MOST: u32>(u32);

/// A percentage from `LEAST` to `MOST`, both included; 0 to 100 by default.
pub type Percent<const LEAST: u32 = 0, const MOST: u32 = 100> = Count<LEAST, MOST>;

impl<const LEAST: u32, const MOST: u32> Count<LEAST, MOST> {
    /// A number that is written in code.
    ///
    /// # Panics
    /// When it is out of bounds.
    pub const fn of(number: u32) -> Self {
        assert!(LEAST <= number && number <= MOST, "out of the bounds of this setting");
        Self(number)
    }

    /// A number that comes from outside.
    ///
    /// # Errors
    /// When it is out of bounds.
    pub fn new(number: u64) -> Result<Self, OutOfRange> {
        OutOfRange::unless(&number, (&u64::from(LEAST), &u64::from(MOST)), u64::to_string)?;
        // The bounds have 32 bits, so the number fits.
        Ok(Self(number as u32))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number, where a length is wanted.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl<const LEAST: u32, const MOST: u32> fmt::Debug for Count<LEAST, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<const LEAST: u32, const MOST: u32> fmt::Display for Count<LEAST, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<const LEAST: u32, const MOST: u32> Serialize for Count<LEAST, MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Count<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<const LEAST: u32, const MOST: u32>;

        impl<const LEAST: u32, const MOST: u32> de::Visitor<'_> for Number<LEAST, MOST> {
            type Value = Count<LEAST, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {LEAST} to {MOST}")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                Count::new(number).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                match u64::try_from(number) {
                    Ok(number) => self.visit_u64(number),
                    Err(_) => Err(E::custom(format_args!("{number} is too little; set {LEAST} to {MOST}"))),
                }
            }
        }

        deserializer.deserialize_u64(Number)
    }
}
