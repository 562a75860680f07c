use http::{HeaderMap, Request};

use super::*;
use crate::semantics::selecting_values;

const GET: &str = "GET http://h/";

/// The view of a request: method and target, then its fields, one to a line.
fn view(key: &KeyRules, forward: &ForwardRules, head: &str, fields: &str) -> Result<OriginView, NoKey> {
    let (method, target) = head.split_once(' ').expect("method and target");
    let mut request = Request::builder().method(method).uri(target);
    for line in fields.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').expect("a field");
        request = request.header(name, value.trim());
    }
    let mut head = request.body(()).expect("a request").into_parts().0;
    head.extensions.insert(Client::new(1, "192.0.2.7".parse().expect("an address")));
    origin_view(ViewRules { tenant: "t", key, forward, pseudonym: "sandbar" }, head, true)
}

fn seen(head: &str, fields: &str) -> OriginView {
    view(&KeyRules::default(), &ForwardRules::default(), head, fields).expect("a view")
}

/// All lines apart from those that the gateway adds to every request, sorted.
fn shown(fields: &HeaderMap) -> Vec<String> {
    let own = ["host", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    let lines = fields.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let mut shown: Vec<_> =
        lines.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    shown.sort();
    shown
}

#[test]
fn what_belongs_to_the_connection_is_seen_by_nobody() {
    for (section, sent, expected) in [
        ("9110 7.6.1", "Connection: keep-alive, a, B\nA: 1\nb: 2\nc: 3", &["c: 3"][..]),
        ("9110 7.6.1: lines", "Connection: a\nConnection: b\nA: 1\nb: 2\nc: 3", &["c: 3"]),
        ("9110 7.6.1: selecting fields", "Connection: Cookie, Accept-Language\nCookie: a=1\nAccept-Language: de", &[]),
        ("9110 7.6.1: credentials", "Connection: authorization\nAuthorization: Basic x\na: 1", &["a: 1"]),
        (
            "9110 7.6.1: well-known",
            "Keep-Alive: 1\nProxy-Connection: x\nTE: trailers\nTrailer: a\nUpgrade: h2c\nHTTP2-Settings: x\n\
             Proxy-Authorization: x\na: 1",
            &["a: 1"],
        ),
        ("9110 10.1.1: answered here", "Expect: 100-continue\na: 1", &["a: 1"]),
        (
            "9110 7.6.1: what is for all recipients stays",
            "Connection: if-range, range, If-None-Match, Cache-Control, content-type\nIf-Range: \"1\"\nRange: bytes=0-1\n\
             If-None-Match: \"1\"\nCache-Control: no-cache\nContent-Type: a/b",
            &[
                "cache-control: no-cache",
                "content-type: a/b",
                "if-none-match: \"1\"",
                "if-range: \"1\"",
                "range: bytes=0-1",
            ],
        ),
        ("9110 8.6: lengths by other names", "Content.Length: 5\nTransfer.Encoding: x\na: 1", &["a: 1"]),
        ("not a name", "Connection: , (bad), a\na: 1\nb: 2", &["b: 2"]),
    ] {
        assert_eq!(shown(&seen(GET, sent).fields), expected, "{section}: {sent:?}");
    }
    let nominated = seen(GET, "Connection: Host, X-Forwarded-For, X-Forwarded-Host, Via\nHost: H:80\nVia: 1.1 a");
    let field = |name: &str| nominated.fields.get_all(name).iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        (field("host"), field("x-forwarded-for"), field("x-forwarded-host")),
        (vec!["h"], vec!["192.0.2.7"], vec!["h"])
    );
    assert_eq!(field("via"), ["1.1 a", "1.1 sandbar"]);
}

#[test]
fn what_only_the_gateway_knows_is_the_gateways_word() {
    let lies = "X-Forwarded-For: 1.1.1.1\nX-Forwarded-Host: evil.test\nX-Forwarded-Proto: gopher\nForwarded: host=evil.test\n\
                X-Forwarded-Ssl: on\nX-Forwarded-Protocol: x\nFront-End-Https: on\nX-Url-Scheme: x\nX-Original-Host: evil.test\n\
                X-Real-IP: 1.1.1.1\nTrue-Client-IP: 1.1.1.1\nX-Forwarded-Port: 1\nX-Host: evil.test\nX-Forwarded-Server: x\n\
                X_Forwarded_Host: evil.test\nX.Forwarded.Host: evil.test\nx_real-ip: 1.1.1.1\nX-Forwarded-For: 2.2.2.2";
    for head in [GET, "POST http://h:81/a", "OPTIONS https://h:443/"] {
        let seen = seen(head, lies);
        assert_eq!(shown(&seen.fields), [""; 0], "{head}");
        let field =
            |name: &str| seen.fields.get_all(name).iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>().join("|");
        let host = if head.contains(":81") { "h:81" } else { "h" };
        let scheme = if head.contains("https") { "https" } else { "http" };
        assert_eq!(field("x-forwarded-for"), "192.0.2.7");
        assert_eq!((field("x-forwarded-host"), field("host")), (host.to_owned(), host.to_owned()));
        assert_eq!(field("x-forwarded-proto"), scheme);
    }
    for (told_by, name, expected) in [
        (ToldBy::Forwarded, "forwarded", "for=192.0.2.7;host=\"h:81\";proto=http"),
        (ToldBy::Forwarded, "x-forwarded-for", ""),
        (ToldBy::Nothing, "x-forwarded-for", ""),
        (ToldBy::Nothing, "forwarded", ""),
    ] {
        let forward = ForwardRules { told_by, ..ForwardRules::default() };
        let seen = view(&KeyRules::default(), &forward, "GET http://h:81/", lies).expect("a view");
        let value = seen.fields.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(value, expected, "{told_by:?} {name}");
    }
}

#[test]
fn another_method_or_target_is_asked_for_only_where_nothing_is_stored() {
    let sent =
        "X-HTTP-Method-Override: DELETE\nX-Original-URL: /admin\nX-Rewrite-URL: /admin\nX-Forwarded-Prefix: /x\na: 1";
    for head in [GET, "HEAD http://h/"] {
        let seen = seen(head, sent);
        assert_eq!(
            (shown(&seen.fields), seen.is_answerable, seen.is_overridden),
            (vec!["a: 1".to_owned()], true, false)
        );
    }
    for (head, more) in [("POST http://h/", ""), ("DELETE http://h/", ""), ("GET http://h/", "\nIf-Match: \"1\"")] {
        let seen = seen(head, &format!("{sent}{more}"));
        assert_eq!((seen.is_answerable, seen.is_overridden), (false, true), "{head}");
        assert_eq!(seen.fields["x-http-method-override"], "DELETE");
        assert_eq!(seen.fields["x-original-url"], "/admin");
    }
    let key = KeyRules { fields: vec!["X-Original-URL".into()], ..KeyRules::default() };
    let seen = view(&key, &ForwardRules::default(), GET, sent).expect("a view");
    assert_eq!(shown(&seen.fields), ["a: 1", "x-original-url: /admin"], "the operator has it join the key");
    assert!(seen.keyed.key.text().ends_with("\nx-original-url: /admin"));
}

#[test]
fn a_name_with_an_underscore_passes_where_it_is_listed_and_counts_as_its_twin() {
    let sent = "X_Device: phone\nX-Device: tv\nX_Other: 1";
    assert_eq!(shown(&seen(GET, sent).fields), ["x-device: tv"]);
    let key = KeyRules { fields: vec!["x-device".into()], ..KeyRules::default() };
    let forward = ForwardRules { pass: vec!["X_Device".into()], ..ForwardRules::default() };
    let with = |fields: &str| view(&key, &forward, GET, fields).expect("a view");
    let both = with(sent);
    assert_eq!(shown(&both.fields), ["x-device: tv", "x_device: phone"]);
    assert!(both.keyed.key.text().ends_with("\nx-device: tv, phone"), "{:?}", both.keyed.key);
    let values = |name: &str, view: &OriginView| selecting_values(&[name.to_owned()], view.selecting()).remove(0).1;
    for name in ["x-device", "x_device"] {
        assert_eq!(values(name, &both), "tv,phone", "Vary: {name}");
        assert_eq!(values(name, &with("X_Device: phone")), values(name, &with("X-Device: phone")), "Vary: {name}");
    }
    assert_eq!(shown(&with("Connection: X-Device\nX_Device: phone").fields), [""; 0], "9110 7.6.1");
    for (name, part) in [
        ("x_forwarded_for", "gateway's own"),
        ("x_original_url", "only key.fields"),
        ("keep_alive", "frames messages"),
        ("content_length", "frames messages"),
        ("x-device", "in any case"),
        ("a b", "no field name"),
    ] {
        let forward = ForwardRules { pass: vec![name.into()], ..ForwardRules::default() };
        assert!(forward.wrong_name().is_some_and(|(_, reason)| reason.contains(part)), "{name}");
    }
    let forward = ForwardRules { pass: vec!["x_a".into(), "CF-Connecting-IP".into()], ..ForwardRules::default() };
    assert_eq!(forward.wrong_name(), None);
}

#[test]
fn cookies_are_one_line() {
    let seen = seen(GET, "Cookie: a=1\nCookie: b=2; c=3\nCookie: d=4");
    assert_eq!(shown(&seen.fields), ["cookie: a=1; b=2; c=3; d=4"], "9113 8.2.3");
}

#[test]
fn lines_of_one_name_are_one_where_the_cache_may_answer() {
    let sent = "a: 1\na:\na: 2\nContent-Length: 0\nContent-Length: 0";
    assert_eq!(shown(&seen(GET, sent).fields), ["a: 1, , 2", "content-length: 0"], "9110 5.3");
    let posted = seen("POST http://h/", sent);
    assert_eq!(posted.fields.get_all("a").iter().count(), 3);
}

#[test]
fn conditions_and_ranges_select_nothing() {
    let with = seen(GET, "Range: bytes=0-1\nIf-None-Match: \"1\"");
    let names = ["if-none-match".to_owned(), "range".to_owned()];
    assert_eq!(selecting_values(&names, with.selecting()), selecting_values(&names, seen(GET, "").selecting()));
}

#[test]
fn the_target_is_the_one_of_the_key() {
    for (head, uri, target) in [
        ("GET http://h", "http://h/", "/"),
        ("GET http://H:080?x", "http://h/?x", "/?x"),
        ("GET http://h//x", "http://h//x", "//x"),
        ("OPTIONS http://h/", "http://h/", "/"),
    ] {
        let seen = seen(head, "");
        assert_eq!((seen.uri.to_string().as_str(), seen.keyed.target.as_str()), (uri, target), "{head}");
    }
    let asterisk = seen("OPTIONS *", "Host: H:80");
    assert_eq!((asterisk.uri.authority().map(|it| it.as_str()), asterisk.uri.path()), (Some("h"), "*"), "9112 3.2.4");
    for (head, host, reason) in [
        ("GET *", "h", NoKey::BadTarget),
        ("POST *", "h", NoKey::BadTarget),
        ("GET h:80", "h", NoKey::BadTarget),
        ("GET http://u@h/", "h", NoKey::BadHost),
        ("GET /", "h:80a", NoKey::BadHost),
        ("GET /", "h:+80", NoKey::BadHost),
        ("GET /", "h:99999", NoKey::BadHost),
        ("GET http://a/", "b", NoKey::HostMismatch),
    ] {
        let refused = view(&KeyRules::default(), &ForwardRules::default(), head, &format!("Host: {host}"));
        assert_eq!(refused.map(|_| ()), Err(reason), "{head} {host}");
    }
}

#[test]
fn a_site_that_is_known_already_is_taken_where_the_target_is_on_it() {
    let of = |target: &str, known: &str| {
        let mut head = Request::get(target).header("host", "h").body(()).expect("a request").into_parts().0;
        let known = known.parse().expect("a URI");
        head.extensions.insert(Site::of(&known, &HeaderMap::new(), "http").expect("a site"));
        let rules = ViewRules {
            tenant: "t",
            key: &KeyRules::default(),
            forward: &ForwardRules::default(),
            pseudonym: "sandbar",
        };
        origin_view(rules, head, true).map(|view| view.keyed.site)
    };
    assert_eq!(of("http://h/a", "http://H:80/"), Ok("http://h".to_owned()));
    for elsewhere in ["http://other/", "https://h/", "http://h:81/"] {
        assert_eq!(of("http://h/a", elsewhere), Ok("http://h".to_owned()), "{elsewhere} is another's");
        assert_eq!(of("/a", elsewhere), Ok("http://h".to_owned()), "{elsewhere} is not what Host says");
    }
    assert_eq!(of("http://x/a", "http://h/"), Err(NoKey::HostMismatch));
}
