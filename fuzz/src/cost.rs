//! Patterns, repeated until they fill every field that is parsed and the target: the cost of answering a request with
//! them must grow in proportion to their length. The fuzz target runs this on what the fuzzer makes up, an ordinary
//! test on the saved corpus.

use std::convert::Infallible;

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use sandbar::body::{self, Body};
use sandbar::http::key::KeyRules;
use sandbar::tenant::config::{ClassConfig, TenantConfig};
use sandbar::{CacheLayer, CacheService, Sandbar};
use tower::{Layer, Service, service_fn};

use super::fields::{PARSED, ask_everything};
use super::proportion;

/// Length of the shorter input in bytes. The longer one is path and query of one target, which have 65,534 bytes at most.
const LENGTH: usize = 480;

/// Lines of each field in the shorter input, where each repetition is a line.
const LINES: usize = 16;

/// Fields that have these lines at the same time: with more of them the processor's caches would be measured.
const NAMES: usize = 4;

/// Takes bytes, separated by NUL, as texts that are there once and patterns that are repeated, in turn, and checks what
/// it costs to have these in every field at once, and to have each repetition of a pattern on a line of its own. In a
/// pattern `#` stands for the number of the repetition. Without any bytes the number of fields grows instead.
///
/// # Panics
/// When 64 times the length costs more than 128 times the processor time.
pub(crate) fn grows_with_length(bytes: &[u8]) {
    if bytes.is_empty() {
        return grows_with_fields();
    }
    let Some(shape) = Shape::read(bytes) else { return };
    let about = String::from_utf8_lossy(bytes).into_owned();
    let path = Path::new();
    proportion::check(
        &about,
        LENGTH,
        |length| shape.of_length(length),
        |value| {
            ask_everything(&everywhere(value), value);
            path.exchange(value);
        },
    );
    for names in PARSED.chunks(NAMES) {
        let about = format!("{names:?} on lines: {about}");
        let lines = |count: usize| shape.lines(count);
        proportion::check(&about, LINES, lines, |lines| ask_everything(&on_lines(names, lines), b"sandbar"));
    }
}

/// Checks what it costs to have many fields, each of which other fields name.
///
/// # Panics
/// When 64 times as many cost more than 128 times the processor time.
fn grows_with_fields() {
    let path = Path::new();
    let fields = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("x{}{number:04x}", ["-", "_"][number % 2])).collect();
        let all = HeaderValue::from_str(&names.join(", ")).expect("a value");
        let named =
            ["connection", "trailer", "vary", "cache-tag"].map(|name| (HeaderName::from_static(name), all.clone()));
        let fields = names
            .iter()
            .map(|name| (HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from_static("1")));
        fields.chain(named).collect::<HeaderMap>()
    };
    proportion::check("fields that Connection names", 24, fields, |fields| {
        ask_everything(fields, b"sandbar");
        path.converse(&Uri::from_static("http://h/"), fields);
    });
}

/// What an input is made of.
struct Shape<'a> {
    /// Texts that are there once, each with the pattern that is repeated behind it.
    parts: Vec<(&'a [u8], &'a [u8])>,
    end: &'a [u8],
}

impl<'a> Shape<'a> {
    /// Reads a shape; none where a pattern would not be repeated often enough to tell how the cost grows.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
        let (pairs, end) = parts.as_chunks::<2>();
        let parts: Vec<_> = pairs.iter().map(|[once, repeated]| (*once, *repeated)).collect();
        let once = parts.iter().map(|(once, _)| once.len()).sum::<usize>();
        let sound = parts.iter().all(|(_, repeated)| (1..=LENGTH / 32).contains(&repeated.len()));
        let shape = Self { parts, end: end.first().copied().unwrap_or_default() };
        (sound && (1..=2).contains(&shape.parts.len()) && once + shape.end.len() <= LENGTH / 4).then_some(shape)
    }

    fn of_length(&self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        let room = length / self.parts.len();
        for (once, repeated) in &self.parts {
            let end = bytes.len() + room;
            bytes.extend_from_slice(once);
            let each = numbered(repeated, 0).len();
            let times = end.saturating_sub(bytes.len()) / each;
            (0..times).for_each(|number| bytes.extend(numbered(repeated, number)));
        }
        bytes.extend_from_slice(self.end);
        bytes
    }

    fn lines(&self, count: usize) -> Vec<HeaderValue> {
        let repeated = self.parts.first().map_or(&b""[..], |(_, repeated)| repeated);
        (0..count).filter_map(|number| HeaderValue::from_bytes(&numbered(repeated, number)).ok()).collect()
    }
}

/// The pattern with the number of a repetition for `#`; it is as long with each number.
fn numbered(repeated: &[u8], number: usize) -> Vec<u8> {
    let number = format!("{number:04x}");
    repeated
        .iter()
        .flat_map(|byte| if *byte == b'#' { number.as_bytes() } else { std::slice::from_ref(byte) })
        .copied()
        .collect()
}

/// These bytes in each of the fields that are parsed.
fn everywhere(value: &[u8]) -> HeaderMap {
    let Ok(value) = HeaderValue::from_bytes(value) else { return HeaderMap::new() };
    PARSED.iter().map(|name| (HeaderName::from_static(name), value.clone())).collect()
}

/// These lines in each of the fields.
fn on_lines(names: &[&'static str], lines: &[HeaderValue]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for name in names {
        lines.iter().for_each(|line| drop(fields.try_append(HeaderName::from_static(name), line.clone())));
    }
    fields
}

/// The whole request path of a tenant whose settings make it look at every part of a request.
struct Path {
    runtime: tokio::runtime::Runtime,
}

impl Path {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Self { runtime }
    }

    /// A client sends these bytes in its target and in each field, and the origin answers with them in each field.
    fn exchange(&self, value: &[u8]) {
        let mut fields = everywhere(value);
        // A request for no host, or with a body of another length, would be refused before anything is looked at.
        fields.remove(HOST);
        fields.remove(CONTENT_LENGTH);
        self.converse(&target(value), &fields);
    }

    /// Requests with these fields, answered with the same fields: twice with a method whose responses are stored, with
    /// HEAD, and with a method that invalidates.
    fn converse(&self, target: &Uri, fields: &HeaderMap) {
        let said = fields.clone();
        self.runtime.block_on(async move {
            let service = layer().layer(service_fn(move |_request: Request<Body>| {
                let mut response = Response::new(body::full("0123456789"));
                *response.headers_mut() = said.clone();
                async { Ok::<_, Infallible>(response) }
            }));
            for method in [Method::GET, Method::GET, Method::HEAD, Method::POST] {
                ask(service.clone(), method, target, fields).await;
            }
        });
    }
}

async fn ask(mut service: CacheService, method: Method, target: &Uri, fields: &HeaderMap) {
    let mut request = Request::new(body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = target.clone();
    *request.headers_mut() = fields.clone();
    let Ok(response) = service.call(request).await;
    let _ = response.into_body().collect().await;
}

/// The bytes as path and query, without those that no target can hold.
fn target(value: &[u8]) -> Uri {
    let held = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(byte);
    let text: String = value.iter().filter(|byte| held(byte)).map(|byte| char::from(*byte)).collect();
    let path = text.replace('?', "");
    format!("http://h/{path}?{text}").parse().unwrap_or_else(|_| Uri::from_static("http://h/"))
}

fn layer() -> CacheLayer {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let class = |name: &str, path: &str| ClassConfig { name: name.into(), path: path.into(), ..ClassConfig::default() };
    let key = KeyRules {
        sort_query: true,
        ignore_params: names(&["utm_*", "fbclid"]),
        fields: names(&["accept-language", "x-device"]),
        cookies: names(&["lang", "theme"]),
        ..KeyRules::default()
    };
    let classes = vec![class("thumbs", "/**/thumb/*"), class("images", "/img/**/*.{png,jpg}"), class("rest", "/**")];
    let config = TenantConfig { key, classes, show_key: true, ..TenantConfig::default() };
    Sandbar::builder().native_only().tenant(config).build().expect("the settings are right").layer()
}
