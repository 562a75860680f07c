//! The capacity of the replayed cache, as it is written on the command line.

use std::str::FromStr;

use serde::Serialize;

use super::trace::Trace;

/// What the capacity is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Each entry weighs 1.
    Entries,
    /// Each entry weighs its size; nothing is charged for overhead.
    Bytes,
}

/// A capacity as it is written: `1%`, `500`, `64MiB`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Capacity {
    /// A fraction of the trace's keys, or of its working set in bytes.
    Fraction(f64),
    /// A number of entries or bytes, by the unit.
    Absolute(u64),
}

impl Capacity {
    /// The capacity in units of `unit`; a fraction of the trace is rounded down.
    pub fn resolve(self, trace: &Trace, unit: Unit) -> u64 {
        let all = match unit {
            Unit::Entries => trace.unique_keys(),
            Unit::Bytes => trace.working_set_bytes(),
        };
        match self {
            Self::Fraction(fraction) => (all as f64 * fraction) as u64,
            Self::Absolute(capacity) => capacity,
        }
    }
}

impl FromStr for Capacity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no capacity: say 1%, 500 or 64MiB");
        if let Some(percent) = text.strip_suffix('%') {
            // Divided by 100 in the text, so that 0.1% becomes the same float as 0.001.
            let is_plain = percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let fraction: f64 = format!("{percent}e-2").parse().map_err(|_| wrong())?;
            return if is_plain && fraction > 0.0 { Ok(Self::Fraction(fraction)) } else { Err(wrong()) };
        }
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let factor = match text[digits..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            _ => return Err(wrong()),
        };
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        number.checked_mul(factor).filter(|capacity| *capacity > 0).map(Self::Absolute).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_read() {
        assert_eq!("0.1%".parse(), Ok(Capacity::Fraction(0.001)));
        assert_eq!("10%".parse(), Ok(Capacity::Fraction(0.1)));
        assert_eq!("64MiB".parse(), Ok(Capacity::Absolute(64 << 20)));
        assert_eq!("500".parse(), Ok(Capacity::Absolute(500)));
        for text in ["", "%", "0%", "-1%", "1e9%", "0", "5 apples", "99999999999999999999", "99999999999999TiB"] {
            assert!(text.parse::<Capacity>().is_err(), "{text}");
        }
    }
}
