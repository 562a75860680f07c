//! Which fields are passed on: to the origin, into storage, to the client (RFC 9110 section 7.6, RFC 9111 section 3.1).

use std::time::Duration;

use http::header::{
    AGE, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    LAST_MODIFIED, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use sandbar_base::Timestamp;

use super::directive::DELTA_SECONDS_MAX;
use super::for_all::is_for_all;
use super::list::{Members, Quotes};
use super::targeted::effective;
use super::{StoreRules, date};

/// Fields that belong to one connection even where `Connection` does not name them (RFC 9110 section 7.6.1), and those
/// of proxies that RFC 9111 section 3.1 forbids to store.
const HOP_BY_HOP: [HeaderName; 11] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("http2-settings"),
];

/// Removes the fields of one connection: the well-known ones, and those that `Connection` names.
pub fn strip_hop_by_hop(fields: &mut HeaderMap) {
    for name in connection_named(fields) {
        fields.remove(name);
    }
    for name in &HOP_BY_HOP {
        fields.remove(name);
    }
}

/// Whether a field belongs to one connection even where `Connection` does not name it.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
}

/// The fields that `Connection` names, apart from those that are for all recipients whatever it says.
pub(crate) fn connection_named(fields: &HeaderMap) -> Vec<HeaderName> {
    let lines = fields.get_all(CONNECTION).iter();
    let members = lines.flat_map(|line| Members::of(line.as_bytes(), Quotes::None));
    let names = members.filter_map(|name| HeaderName::from_bytes(name).ok());
    names.filter(|name| !is_for_all(name.as_str())).collect()
}

/// The fields of a response as they are stored: without those of the connection, without `Age` (the entry has its own
/// age) and without those that `no-cache="..."` or `private="..."` names; always with a `Date`.
pub fn stored_fields(fields: &HeaderMap, received: Timestamp, rules: &StoreRules) -> HeaderMap {
    let mut stored = fields.clone();
    strip_hop_by_hop(&mut stored);
    stored.remove(AGE);
    for name in effective(fields, &rules.targets).directives.withheld {
        stored.remove(name);
    }
    // RFC 9110 section 6.6.1: "A recipient with a clock that receives a response message without a Date header field
    // MUST record the time it was received and append a corresponding Date header field"; one that is invalid "MAY" be
    // replaced.
    if date::field(&stored, &DATE, received).is_none() {
        stored.insert(DATE, date::format(received));
    }
    stored
}

/// The fields of a response as they are sent to the client, those of `withheld` (surrogate keys, for instance) left
/// out.
///
/// `age` is the age of a stored response, whose connection fields were removed when it was stored: by RFC 9111 section
/// 4 `Age` is generated whenever one "is used to satisfy a request without validation". Without `age` the response
/// comes straight from the origin, and an `Age` that the origin sent stays.
pub fn downstream_fields(fields: &HeaderMap, age: Option<Duration>, withheld: &[HeaderName]) -> HeaderMap {
    let mut sent = fields.clone();
    for name in withheld {
        sent.remove(name);
    }
    match age {
        // RFC 9111 section 1.2.2: 2^31 stands for anything larger.
        Some(age) => drop(sent.insert(AGE, HeaderValue::from(age.as_secs().min(DELTA_SECONDS_MAX.into())))),
        None => strip_hop_by_hop(&mut sent),
    }
    sent
}

/// Makes the fields of a 304 from those of the response that the client has: removes the ones that describe its
/// content.
///
/// RFC 9110 section 15.4.5: "The server generating a 304 response MUST generate any of the following header fields that
/// would have been sent in a 200 (OK) response to the same request: Content-Location, Date, ETag, and Vary;
/// Cache-Control and Expires"; and "a sender SHOULD NOT generate representation metadata other than the above listed
/// fields unless said metadata exists for the purpose of guiding cache updates (e.g., Last-Modified might be useful if
/// the response does not have an ETag field)".
pub fn retain_for_not_modified(fields: &mut HeaderMap) {
    for name in [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE] {
        fields.remove(name);
    }
    if fields.contains_key(ETAG) {
        fields.remove(LAST_MODIFIED);
    }
}

/// Appends this hop to `Via` (RFC 9110 section 7.6.3): the version that the message was received in, and the pseudonym.
pub fn append_via(fields: &mut HeaderMap, version: Version, pseudonym: &str) {
    let version = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    };
    if let Ok(hop) = HeaderValue::from_str(&format!("{version} {pseudonym}")) {
        fields.append(VIA, hop);
    }
}

/// How often `Via` says that a request has come through `pseudonym` before. The caches of one fleet have the same
/// pseudonym: only a request that comes through many times is in a loop.
pub fn times_through(fields: &HeaderMap, pseudonym: &str) -> usize {
    let hops = fields.get_all(VIA).iter().flat_map(|line| Members::of(line.as_bytes(), Quotes::None));
    hops.filter(|hop| {
        let mut words = hop.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        words.nth(1) == Some(pseudonym.as_bytes())
    })
    .count()
}
