//! `Cache-Control` (RFC 9111 section 5.2), read strictly: names in any case, quoted and unquoted arguments, repeated
//! lines; what is malformed never makes a response more reusable.

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName, HeaderValue};

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
    /// So many seconds.
    Seconds(u32),
    /// It is there, and it makes no sense.
    Invalid,
}

impl Delta {
    /// The seconds, where they were given and make sense.
    pub const fn seconds(self) -> Option<u32> {
        match self {
            Self::Seconds(seconds) => Some(seconds),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// Whether the directive is there, sensible or not.
    pub const fn is_present(self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// Takes in one more occurrence: the smaller value wins, nonsense wins over any value.
    ///
    /// RFC 9111 section 4.2.1: "When there is more than one value present for a given directive [...] either the first
    /// occurrence should be used or the response should be considered stale." The smallest is as fresh as neither
    /// reading exceeds.
    pub(super) fn join(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::Absent, other) => other,
            (Self::Seconds(one), Self::Seconds(two)) => Self::Seconds(one.min(two)),
            _ => Self::Invalid,
        };
    }

    fn parse(argument: Option<&[u8]>) -> Self {
        argument.and_then(delta_seconds).map_or(Self::Invalid, Self::Seconds)
    }
}

/// Seconds of `1*DIGIT`, at most [`DELTA_SECONDS_MAX`]; none where it is anything else.
pub fn delta_seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = text.iter().fold(0_u64, |sum, digit| (sum * 10 + u64::from(digit - b'0')).min(1 << 32));
    Some(u32::try_from(value).unwrap_or(u32::MAX).min(DELTA_SECONDS_MAX))
}

/// What a response says to caches (RFC 9111 section 5.2.2).
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
    /// The fields of `no-cache="..."` and `private="..."`: they are left out of what is stored.
    pub withheld: Vec<HeaderName>,
}

impl ResponseDirectives {
    /// The directives in all lines of field `name`.
    pub fn of(fields: &HeaderMap, name: &HeaderName) -> Self {
        let mut directives = Self::default();
        for line in fields.get_all(name) {
            let sound = each_directive(line.as_bytes(), |name, argument| directives.take(name, argument));
            if !sound {
                directives.distrust();
            }
        }
        directives
    }

    /// Takes in one directive; an unknown one is ignored (RFC 9111 section 5.2: "A cache MUST ignore unrecognized cache
    /// directives").
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

    /// Notes the field names of a qualified directive; false where there are none that make sense, and the directive
    /// holds for the whole response.
    fn withhold(&mut self, argument: Option<&[u8]>) -> bool {
        let names: Option<Vec<HeaderName>> = argument
            .unwrap_or_default()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty())
            .map(|name| HeaderName::from_bytes(name).ok())
            .collect();
        match names {
            Some(names) if !names.is_empty() => {
                self.withheld.extend(names);
                true
            }
            _ => false,
        }
    }

    /// RFC 9111 section 4.2.1: "Caches are encouraged to consider responses that have invalid freshness information [...]
    /// to be stale."
    fn distrust(&mut self) {
        for delta in [&mut self.max_age, &mut self.s_maxage] {
            if delta.is_present() {
                *delta = Delta::Invalid;
            }
        }
        self.stale_while_revalidate = Delta::Absent;
        self.stale_if_error = Delta::Absent;
    }
}

/// What a client says to caches (RFC 9111 section 5.2.1).
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
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
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
        for line in lines {
            each_directive(line.as_bytes(), |name, argument| directives.take(name, argument));
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

/// RFC 9111 section 5.4: "When the Cache-Control header field is also present and understood in a request, Pragma is
/// ignored"; of a response it says nothing.
fn pragma_no_cache(line: &HeaderValue) -> bool {
    let mut found = false;
    each_directive(line.as_bytes(), |name, _| found |= name.eq_ignore_ascii_case(b"no-cache"));
    found
}

/// Calls `take` with the name and the unquoted argument of each element of a line; false where a quoted string never ends
/// (what follows it is then read as if the quote were not there, so that no restriction is lost).
pub fn each_directive(line: &[u8], mut take: impl FnMut(&[u8], Option<&[u8]>)) -> bool {
    let mut sound = true;
    let mut rest = line;
    while !rest.is_empty() {
        let end = element_end(rest).unwrap_or_else(|| {
            sound = false;
            rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len())
        });
        one_directive(rest[..end].trim_ascii(), &mut take);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    sound
}

/// Where the element at the beginning of `rest` ends: at a comma outside quotes, or at the end of the line; none where a
/// quoted string never ends.
fn element_end(rest: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some(index),
            _ => {}
        }
    }
    (!quoted).then_some(rest.len())
}

fn one_directive(element: &[u8], take: &mut impl FnMut(&[u8], Option<&[u8]>)) {
    let Some(equals) = element.iter().position(|byte| *byte == b'=') else {
        return take(element, None);
    };
    let (name, argument) = (&element[..equals], &element[equals + 1..]);
    // RFC 9111 section 5.2 allows no space around "=": the name is recognised all the same, its argument is not.
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
