//! Two requests, one after the other: the second must be answered with what the origin says to it, as far as the
//! response depends on fields that its `Vary` names, and on fields that make some origins answer another request. That
//! holds where the key, the variant and the request that is forwarded are made of the same fields. The fuzz target runs
//! this on what the fuzzer makes up, an ordinary test on the saved corpus.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use http::header::VARY;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use sandbar::body::{self, Body};
use sandbar::http::key::KeyRules;
use sandbar::tenant::config::TenantConfig;
use sandbar::{CacheService, Sandbar};
use tower::{Layer, Service, service_fn};

/// Lines of a head at most.
const LINES_MAX: usize = 16;

/// Takes the value of `Vary` and two requests from bytes, separated by NUL: a request is a target on the first line,
/// and fields.
///
/// # Panics
/// When the second request is given what the origin has said to the first, and would not have said to it.
pub(crate) fn answers_belong_to_their_requests(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let (Some(vary), Some(first), Some(second)) = (parts.next(), parts.next(), parts.next()) else { return };
    let Ok(vary) = HeaderValue::from_bytes(vary) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        for key in [KeyRules::default(), rules()] {
            let shared = cache(&key, &vary);
            ask(&shared, first).await;
            let (found, alone) = (ask(&shared, second).await, ask(&cache(&key, &vary), second).await);
            assert_eq!(found, alone, "with {key:?} after {:?}", String::from_utf8_lossy(first));
        }
    });
}

/// Rules by which more than the target is part of the key.
fn rules() -> KeyRules {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    KeyRules {
        sort_query: true,
        ignore_params: names(&["utm_*"]),
        fields: names(&["x-device", "x-forwarded-host"]),
        cookies: names(&["lang"]),
        ..KeyRules::default()
    }
}

/// A cache in front of an origin that answers with what it has seen of the request.
fn cache(key: &KeyRules, vary: &HeaderValue) -> CacheService {
    let config = TenantConfig { key: key.clone(), ..TenantConfig::default() };
    let vary = Arc::new(vary.clone());
    let sandbar = Sandbar::builder().native_only().tenant(config).build().expect("the settings are right");
    sandbar.layer().layer(service_fn(move |request: Request<Body>| {
        let mut response = Response::new(body::full(seen(&request, &vary)));
        response.headers_mut().insert(VARY, (*vary).clone());
        response.headers_mut().insert("cache-control", HeaderValue::from_static("public, max-age=60"));
        async { Ok::<_, Infallible>(response) }
    }))
}

/// What a program behind CGI, WSGI, Rack or PHP makes of a request: it is handed each field as `HTTP_` and its name, in
/// which every character but letters and digits is a `_` (RFC 3875 section 4.1.18).
fn seen(request: &Request<Body>, vary: &HeaderValue) -> String {
    let mut variables: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, value) in request.headers() {
        let lines = variables.entry(variable(name.as_str())).or_default();
        lines.extend_from_slice(value.as_bytes());
        lines.push(b',');
    }
    let names = String::from_utf8_lossy(vary.as_bytes()).into_owned();
    let names = names.split(',').map(str::trim).chain(BELIEVED).chain(["host"]);
    let said = names.map(|name| {
        let lines = variables.get(&variable(name)).map(Vec::as_slice);
        format!("{name}: {}\n", plain(lines.unwrap_or_default()))
    });
    format!("{} {}\n{}", request.method(), request.uri(), said.collect::<String>())
}

fn variable(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_ascii_uppercase()
}

/// The members of a value in lower case and in order, without white space: a cache may take values for the same that
/// differ in no more than that (RFC 9111 section 4.1).
fn plain(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value).to_lowercase();
    let mut members: Vec<String> = text.split([',', ';']).map(|member| member.replace([' ', '\t'], "")).collect();
    members.retain(|member| !member.is_empty());
    members.sort_unstable();
    members.join(",")
}

async fn ask(service: &CacheService, head: &[u8]) -> (StatusCode, String) {
    let mut lines = head.split(|byte| *byte == b'\n');
    let target = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut request = Request::new(body::empty());
    *request.uri_mut() = format!("http://h/{target}").parse().unwrap_or_default();
    *request.headers_mut() = fields(lines);
    let Ok(response) = service.clone().call(request).await;
    let (head, body) = response.into_parts();
    let received = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
    (head.status, String::from_utf8_lossy(&received).into_owned())
}

/// Fields, a line each, without those that have a request answered in another way than with what the origin says.
fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines.take(LINES_MAX) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value)
            && !PASSED_OVER.contains(&name.as_str())
            && !name.as_str().starts_with("if-")
        {
            fields.append(name, value);
        }
    }
    fields
}

const PASSED_OVER: [&str; 7] =
    ["cache-control", "content-length", "expect", "max-forwards", "pragma", "range", "transfer-encoding"];

/// Fields that some origins act on, and that no response names in `Vary`.
const BELIEVED: [&str; 40] = [
    "base-url",
    "cf-visitor",
    "cloudfront-forwarded-proto",
    "forwarded",
    "front-end-https",
    "x-arr-ssl",
    "x-backend-host",
    "x-envoy-original-path",
    "x-forwarded-context",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-host",
    "x-hostname",
    "x-http-destinationurl",
    "x-http-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method",
    "x-method-override",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-real-host",
    "x-request-uri",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-url-scheme",
];
