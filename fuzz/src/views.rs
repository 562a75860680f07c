//! A request of any bytes as the origin sees it: whatever it holds, what is forwarded makes the same key and selects the
//! same variants as what the cache has looked up. The fuzz target runs it on what the fuzzer makes up, an ordinary test on
//! the saved corpus.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use sandbar::http::key::{KeyRules, Target};
use sandbar::http::origin_view::{ForwardRules, OriginView, ViewRules, origin_view};
use sandbar::http::semantics::{selecting_values, twin};

/// Fields whose value no client may decide.
const OWN: [&str; 4] = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded"];

/// Fields that make some origins answer another request, if they reach them; only some of all that there are.
const OVERRIDES: [&str; 6] =
    ["x-original-url", "x-rewrite-url", "x-http-method-override", "x-method-override", "x-host", "front-end-https"];

/// Checks a request: a line with method and target, then its fields, a line each.
///
/// # Panics
/// When what is forwarded and what is looked up differ.
pub(crate) fn look(bytes: &[u8]) {
    let Some(request) = request(bytes) else { return };
    let key = KeyRules {
        sort_query: true,
        ignore_params: vec!["utm_*".into()],
        fields: vec!["x-device".into(), "Accept-Language".into()],
        cookies: vec!["lang".into()],
        ..KeyRules::default()
    };
    let forward = ForwardRules { pass: vec!["x_device".into(), "x_foo".into()], ..ForwardRules::default() };
    let rules = ViewRules { tenant: "t", key: &key, forward: &forward, pseudonym: "sandbar" };
    let Ok(view) = origin_view(rules, request, true) else { return };
    check_fields(&view);
    let again = origin_view(rules, forwarded(&view), true).expect("what is forwarded is a request");
    if view.is_answerable {
        assert_eq!(again.keyed.key, view.keyed.key, "the key of what is forwarded");
        let names: Vec<String> =
            view.fields.keys().map(|name| name.as_str().to_owned()).filter(|name| name != "via").collect();
        let selected = |view: &OriginView| selecting_values(&names, view.selecting());
        assert_eq!(selected(&again), selected(&view), "the variant of what is forwarded");
    }
    if view.keyed.target == "*" {
        return;
    }
    let sent = Target::of_url(&key, &view.uri.to_string()).expect("the URL of a request");
    let kept = Target::on_site(&key, &view.keyed.site, &view.keyed.target).expect("the URL of a key");
    assert_eq!(sent, kept, "who purges the URL that was sent reaches what is stored");
}

fn check_fields(view: &OriginView) {
    for name in view.fields.keys() {
        let plain = twin::twin(name.as_str());
        assert!(!OWN.contains(&&*plain) || view.fields.get_all(name).iter().count() == 1, "{name} is the gateway's");
        assert!(plain == name.as_str() || !OWN.contains(&&*plain), "{name} would arrive as the gateway's");
        assert!(!view.is_answerable || !OVERRIDES.contains(&&*plain), "{name} is not in the key");
        assert!(
            !["connection", "keep-alive", "te", "transfer-encoding", "upgrade", "proxy-connection"].contains(&&*plain)
        );
    }
    assert!(view.fields.get_all("cookie").iter().count() <= 1, "one line of cookies");
    assert_eq!(view.fields["host"].as_bytes(), view.uri.authority().expect("an absolute URI").as_str().as_bytes());
}

/// The head that a fill would send.
fn forwarded(view: &OriginView) -> http::request::Parts {
    let mut request = Request::new(());
    *request.method_mut() = view.method.clone();
    let target = if view.is_answerable {
        view.keyed.target.as_str()
    } else {
        view.uri.path_and_query().map_or("/", |it| it.as_str())
    };
    let (scheme, authority) = view.keyed.site.split_once("://").expect("a site");
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(target);
    *request.uri_mut() = uri.build().expect("what is forwarded has a URI");
    *request.headers_mut() = view.fields.clone();
    request.into_parts().0
}

fn request(bytes: &[u8]) -> Option<http::request::Parts> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = target.parse().ok()?;
    *request.headers_mut() = fields(lines);
    Some(request.into_parts().0)
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines.take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    fields
}
