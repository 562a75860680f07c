//! Requests and responses that policies are asked about: ordinary ones, and what a hostile client or origin may send.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// A request and the response to it.
pub(super) struct Exchange {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) request: HeaderMap,
    pub(super) status: StatusCode,
    pub(super) response: HeaderMap,
}

const TARGETS: [&str; 10] = [
    "/",
    "/products/7",
    "/products/7?page=2&sort=price",
    "/a//b/../c",
    "/%2e%2e/%00/%ff",
    "/search?q=%F0%9F%8F%96",
    "/?",
    "/*",
    "/users/7/orders/9/lines/3",
    "/;jsessionid=1?x=%",
];

const RESPONSES: [&[(&str, &[u8])]; 10] = [
    &[],
    &[("cache-control", b"max-age=60"), ("content-type", b"text/html")],
    &[("cache-control", b"max-age=18446744073709551615, stale-while-revalidate=99999999999")],
    &[("cache-control", b"no-store")],
    &[("cache-control", b"private, max-age=60"), ("set-cookie", b"a=b")],
    &[("cdn-cache-control", b"max-age=3600"), ("surrogate-key", b"product-7 catalogue")],
    &[("expires", b"Thu, 01 Jan 1970 00:00:00 GMT"), ("etag", b"\"v\"")],
    &[("cache-control", b"\xff\xfe=\x80"), ("x-binary", b"\x80\x81")],
    &[("vary", b"*"), ("location", b"/elsewhere"), ("content-location", b"//[::1]:0/x")],
    &[("surrogate-key", b"a a a , ,, \x09"), ("content-length", b"9")],
];

const STATUSES: [u16; 7] = [200, 201, 204, 206, 301, 404, 599];

/// The exchanges with methods of `methods`; the same each time.
pub(super) fn exchanges(methods: &[Method]) -> Vec<Exchange> {
    let long = format!("/long?{}", "x".repeat(8000));
    let wide = "k".repeat(8000);
    let mut exchanges = Vec::new();
    for (nth, target) in TARGETS.into_iter().map(str::to_owned).chain([long]).enumerate() {
        for (of, fields) in RESPONSES.iter().enumerate() {
            let mut response: HeaderMap = fields.iter().filter_map(|(name, value)| field(name, value)).collect();
            if (nth + of).is_multiple_of(7) {
                response.extend(field("surrogate-key", wide.as_bytes()));
            }
            let request = field("accept-language", b"de, en;q=0.5").into_iter().chain(field("cookie", b"session=1"));
            exchanges.push(Exchange {
                method: methods[(nth + of) % methods.len()].clone(),
                target: target.clone(),
                request: request.take((nth + of) % 3).collect(),
                status: StatusCode::from_u16(STATUSES[(nth * 3 + of) % STATUSES.len()]).unwrap_or_default(),
                response,
            });
        }
    }
    exchanges
}

fn field(name: &str, value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, HeaderValue::from_bytes(value).ok()?))
}
