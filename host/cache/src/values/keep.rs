//! How a value is kept: for how long, and by what it is purged. It is said as an origin says it, in header fields, so that the
//! tenant's freshness policy can amend it, as far as the tenant has the grants.

use std::fmt::Write as _;
use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use sandbar_http::semantics::surrogate::{KEY_BYTES_MAX, KEYS_MAX, SURROGATE_KEY};

/// How values are kept. All times are in whole seconds: what is beyond is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    fresh_for: Duration,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    absent_for: Duration,
    surrogate_keys: Vec<String>,
}

impl Keep {
    /// The longest surrogate key, in bytes.
    pub const SURROGATE_KEY_BYTES_MAX: usize = KEY_BYTES_MAX;

    /// How many surrogate keys a value may have.
    pub const SURROGATE_KEYS_MAX: usize = KEYS_MAX;

    /// Values are fresh for so long. A class's `lifetime_jitter_percent` shortens it.
    pub const fn fresh_for(lifetime: Duration) -> Self {
        Self {
            fresh_for: lifetime,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            absent_for: Duration::ZERO,
            surrogate_keys: Vec::new(),
        }
    }

    /// For so long after that they are given as they are, while they are loaded anew behind the answer.
    #[must_use]
    pub const fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = window;
        self
    }

    /// For so long after their lifetime they are given where the loader fails, or takes long (`fetch_soft_deadline`).
    #[must_use]
    pub const fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = window;
        self
    }

    /// That there is no value is remembered for so long; by default it is not, and the next caller asks again.
    #[must_use]
    pub const fn absent_for(mut self, lifetime: Duration) -> Self {
        self.absent_for = lifetime;
        self
    }

    /// Adds a surrogate key, by which the value can be purged, together with whatever else of the tenant has it. It takes
    /// visible characters, no spaces and no commas.
    #[must_use]
    pub fn surrogate_key(mut self, key: impl Into<String>) -> Self {
        self.surrogate_keys.push(key.into());
        self
    }

    /// Whether it is kept that there is no value.
    pub(super) const fn keeps_absent(&self) -> bool {
        !self.absent_for.is_zero()
    }

    /// The fields that say so, for a value or for its absence.
    pub(super) fn fields(&self, is_absent: bool) -> Result<HeaderMap, String> {
        let lifetime = if is_absent { self.absent_for } else { self.fresh_for };
        let mut fields = HeaderMap::new();
        let mut control = match seconds(lifetime) {
            0 if is_absent => "no-store".to_owned(),
            seconds => format!("max-age={seconds}"),
        };
        for (name, window) in
            [("stale-while-revalidate", self.stale_while_revalidate), ("stale-if-error", self.stale_if_error)]
        {
            if seconds(window) > 0 {
                let _ = write!(control, ", {name}={}", seconds(window));
            }
        }
        fields.insert(CACHE_CONTROL, HeaderValue::from_str(&control).expect("words and digits"));
        if let Some(keys) = self.surrogate_keys()? {
            fields.insert(SURROGATE_KEY, keys);
        }
        Ok(fields)
    }

    /// The surrogate keys as one field.
    fn surrogate_keys(&self) -> Result<Option<HeaderValue>, String> {
        if self.surrogate_keys.len() > Self::SURROGATE_KEYS_MAX {
            let (there, most) = (self.surrogate_keys.len(), Self::SURROGATE_KEYS_MAX);
            return Err(format!("the value has {there} surrogate keys, at most {most} may be"));
        }
        for key in &self.surrogate_keys {
            let is_fine = |byte: u8| byte.is_ascii_graphic() && byte != b',' || byte >= 0x80;
            if key.is_empty() || key.len() > Self::SURROGATE_KEY_BYTES_MAX || !key.bytes().all(is_fine) {
                let (shown, most): (String, _) = (key.chars().take(64).collect(), Self::SURROGATE_KEY_BYTES_MAX);
                return Err(format!(
                    "the surrogate key {shown:?} can't be used: it takes 1 to {most} bytes, without spaces and commas"
                ));
            }
        }
        let joined = self.surrogate_keys.join(" ");
        let value =
            HeaderValue::from_bytes(joined.as_bytes()).map_err(|_| "the surrogate keys are no field".to_owned());
        (!joined.is_empty()).then_some(value).transpose()
    }
}

/// Whole seconds, as many as a cache has to understand at most (RFC 9111 section 1.2.2).
fn seconds(time: Duration) -> u64 {
    time.as_secs().min(1 << 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_as_an_origin_says_it() {
        let keep = Keep::fresh_for(Duration::from_millis(60_900))
            .stale_while_revalidate(Duration::from_secs(5))
            .surrogate_key("a")
            .surrogate_key("b:c");
        let fields = keep.fields(false).unwrap();
        assert_eq!(fields["cache-control"], "max-age=60, stale-while-revalidate=5");
        assert_eq!(fields["surrogate-key"], "a b:c");
        assert!(keep.fields(true).unwrap()["cache-control"].to_str().unwrap().starts_with("no-store"));
        let absent = keep.absent_for(Duration::from_secs(7)).stale_if_error(Duration::from_secs(9));
        assert_eq!(
            absent.fields(true).unwrap()["cache-control"],
            "max-age=7, stale-while-revalidate=5, stale-if-error=9"
        );
    }

    #[test]
    fn surrogate_keys_that_no_purge_could_name_are_refused() {
        let keep = || Keep::fresh_for(Duration::from_secs(1));
        for key in ["", "a b", "a,b", "a\n", "\u{7f}", &"a".repeat(1025)] {
            assert!(keep().surrogate_key(key).fields(false).is_err(), "{key:?}");
        }
        let many = (0..513).fold(keep(), |keep, n| keep.surrogate_key(n.to_string()));
        assert!(many.fields(false).unwrap_err().contains("512"));
        assert!(keep().surrogate_key("k\u{e9}y").fields(false).is_ok());
    }
}
