//! Versions: which of two responses for the same key is the newer one, where their class keeps versions.

use http::{HeaderMap, HeaderName, header};
use sandbar_base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::date;

/// A response's version. Only versions of the same kind are compared: a class has one [`VersionKind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The origin's number: that of the field, or the second of `Last-Modified`; 0, older than any other, where the
    /// origin gave none.
    pub number: u64,
    /// When the fill began, in microseconds of a hybrid logical clock (Kulkarni et al. 2014): it orders versions with
    /// the same number.
    pub clock_us: u64,
}

/// Where a class takes its versions from. Entity tags are opaque (RFC 9110 section 8.8.3): they say whether two responses are
/// the same, never which one is newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionKind {
    /// When the fill began, alone.
    Clock,
    /// `Last-Modified`, and within the same second when the fill began.
    LastModified,
    /// A field whose number never falls, and for the same number when the fill began.
    Field(HeaderName),
}

impl VersionKind {
    /// The kind that a class's setting names: a field, or the clock where it names none.
    ///
    /// # Errors
    /// When `field` is no field name.
    pub fn parse(field: Option<&str>) -> Result<Self, String> {
        let Some(field) = field else { return Ok(Self::Clock) };
        let name =
            HeaderName::from_bytes(field.as_bytes()).map_err(|_| format!("{field:?} is not a header field name"))?;
        Ok(if name == header::LAST_MODIFIED { Self::LastModified } else { Self::Field(name) })
    }

    /// The version of a response whose fill began at `clock_us`.
    pub fn of(&self, fields: &HeaderMap, clock_us: u64) -> Version {
        let number = match self {
            Self::Clock => None,
            Self::LastModified => {
                let now = Timestamp::from_millis(clock_us / 1000);
                fields.get(header::LAST_MODIFIED).and_then(|value| date::parse(value, now)).map(Timestamp::as_secs)
            }
            Self::Field(name) => {
                fields.get(name).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok())
            }
        };
        Version { number: number.unwrap_or(0), clock_us }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn version(kind: Option<&str>, fields: &[(&'static str, &'static str)], clock_us: u64) -> Version {
        let fields = fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        VersionKind::parse(kind).unwrap().of(&fields.collect(), clock_us)
    }

    #[test]
    fn what_the_origin_says_comes_before_the_clock() {
        let field = |value, clock_us| version(Some("X-Version"), &[("x-version", value)], clock_us);
        assert!(field("10", 1) > field("9", 2), "numbers, not text");
        assert!(field("9", 2) > field("9", 1));
        assert!(field("1", 1) > version(Some("x-version"), &[], 9), "without the field it is older than anything");
        assert_eq!(field("v7", 1).number, 0);
        let modified = |value, clock_us| version(Some("last-modified"), &[("last-modified", value)], clock_us);
        assert!(modified("Tue, 15 Nov 1994 12:45:26 GMT", 9) < modified("Tue, 15 Nov 1994 12:45:27 GMT", 1));
        assert!(modified("Tue, 15 Nov 1994 12:45:26 GMT", 1) < modified("Tue, 15 Nov 1994 12:45:26 GMT", 2));
        assert!(version(None, &[("etag", "\"z\"")], 1) < version(None, &[("etag", "\"a\"")], 2), "tags have no order");
        assert!(VersionKind::parse(Some("no field")).is_err());
    }
}
