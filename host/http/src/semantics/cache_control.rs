//! `Cache-Control` (RFC 9111 section 5.2), read strictly: a malformed directive never makes a response more reusable.

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::directive::{DELTA_SECONDS_MAX, Delta, each_directive};
use super::for_all::is_for_all;
use super::list::{Members, Quotes};

/// The cache directives of a response (RFC 9111 section 5.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `max-age`.
    pub max_age: Delta,
    /// `s-maxage`.
    pub s_maxage: Delta,
    /// `stale-while-revalidate` (RFC 5861 section 3).
    pub stale_while_revalidate: Delta,
    /// `stale-if-error` (RFC 5861 section 4).
    pub stale_if_error: Delta,
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache` for the whole response.
    pub no_cache: bool,
    /// `private` for the whole response.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// The fields that `no-cache="..."` and `private="..."` name: they are not stored.
    pub withheld: Vec<HeaderName>,
}

impl ResponseDirectives {
    /// The directives in all lines of field `name`.
    pub fn of(fields: &HeaderMap, name: &HeaderName) -> Self {
        let mut directives = Self::default();
        let mut is_sound = true;
        for line in fields.get_all(name) {
            is_sound &= each_directive(line.as_bytes(), |name, argument| directives.take(name, argument));
        }
        if !is_sound {
            directives.distrust();
        }
        directives
    }

    /// Takes in one directive; an unknown one is ignored (RFC 9111 section 5.2.3: "A cache MUST ignore unrecognized
    /// cache directives").
    pub(super) fn take(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("max-age") {
            self.max_age.join(Delta::parse(argument));
        } else if is("s-maxage") {
            self.s_maxage.join(Delta::parse(argument));
        } else if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache |= !self.withhold(argument);
        } else if is("private") {
            self.private |= !self.withhold(argument);
        } else if is("public") {
            self.public = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("immutable") {
            self.immutable = true;
        } else if is("stale-while-revalidate") {
            self.stale_while_revalidate.join(Delta::parse(argument));
        } else if is("stale-if-error") {
            self.stale_if_error.join(Delta::parse(argument));
        }
    }

    /// Notes the field names of a qualified directive; false where the directive holds for the whole response: where it
    /// has no valid field names, or names a field without which the stored response would be another one: for other
    /// requests (`Vary`), or with other content (`Content-Encoding`).
    fn withhold(&mut self, argument: Option<&[u8]>) -> bool {
        let names: Option<Vec<HeaderName>> = Members::of(argument.unwrap_or_default(), Quotes::None)
            .filter(|name| !name.is_empty())
            .map(|name| HeaderName::from_bytes(name).ok())
            .collect();
        match names {
            Some(names) if !names.is_empty() && !names.iter().any(|name| is_for_all(name.as_str())) => {
                self.withheld.extend(names);
                true
            }
            _ => false,
        }
    }

    /// Called where a quote never ends, so that the meaning is unknown: directives that permit are dropped, directives
    /// that restrict stay. RFC 9111 section 4.2.1: "Caches are encouraged to consider responses that have invalid
    /// freshness information [...] to be stale."
    fn distrust(&mut self) {
        for delta in [&mut self.max_age, &mut self.s_maxage] {
            if delta.is_present() {
                *delta = Delta::Invalid;
            }
        }
        self.stale_while_revalidate = Delta::Absent;
        self.stale_if_error = Delta::Absent;
        self.public = false;
        self.immutable = false;
        // Section 5.2.2.3: `must-understand` would lift `no-store`.
        self.must_understand &= !self.no_store;
    }
}

/// The cache directives of a request (RFC 9111 section 5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `max-age`.
    pub max_age: Delta,
    /// `min-fresh`.
    pub min_fresh: Delta,
    /// `max-stale`; without an argument it is [`DELTA_SECONDS_MAX`].
    pub max_stale: Delta,
    /// `stale-if-error` (RFC 5861 section 4).
    pub stale_if_error: Delta,
    /// `no-cache`, or `Pragma: no-cache`.
    pub no_cache: bool,
    /// `no-store`: the answer may not be stored (section 5.2.1.5).
    pub no_store: bool,
    /// `only-if-cached`: the client wants a stored response, or 504 where there is none (section 5.2.1.7).
    pub only_if_cached: bool,
}

impl RequestDirectives {
    /// The directives of a request. Without `Cache-Control` and `Pragma` this costs two look-ups.
    pub fn of(fields: &HeaderMap) -> Self {
        let mut directives = Self::default();
        let mut lines = fields.get_all(CACHE_CONTROL).iter().peekable();
        if lines.peek().is_none() {
            directives.no_cache = fields.get_all(PRAGMA).iter().any(pragma_no_cache);
        }
        let mut is_sound = true;
        for line in lines {
            is_sound &= each_directive(line.as_bytes(), |name, argument| directives.take(name, argument));
        }
        if !is_sound {
            // It is unknown whether the client meant to accept stale responses.
            directives.max_stale = Delta::Absent;
            directives.stale_if_error = Delta::Absent;
        }
        directives
    }

    fn take(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            self.max_age.join(Delta::parse(argument));
        } else if is("min-fresh") {
            self.min_fresh.join(Delta::parse(argument));
        } else if is("max-stale") {
            // RFC 9111 section 5.2.1.2: "If no value is assigned to max-stale, then the client will accept a stale
            // response of any age."
            self.max_stale.join(argument.map_or(Delta::Seconds(DELTA_SECONDS_MAX), |text| Delta::parse(Some(text))));
        } else if is("stale-if-error") {
            self.stale_if_error.join(Delta::parse(argument));
        }
    }
}

/// Whether a line of `Pragma` says `no-cache`. RFC 9111 section 5.4 deprecates `Pragma`: it counts only in a request
/// without `Cache-Control`, and never counted in a response.
fn pragma_no_cache(line: &HeaderValue) -> bool {
    let mut found = false;
    each_directive(line.as_bytes(), |name, _| found |= name.eq_ignore_ascii_case(b"no-cache"));
    found
}
