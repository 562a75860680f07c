//! Invalidation by unsafe methods: RFC 9111 section 4.4.

use http::{Method, StatusCode, Uri};
use sandbar_http::semantics::{RequestHead, ResponseHead, invalidated};

use super::support::fields;

fn check(section: &str, site: &str, request: (&str, &str), status: u16, response: &str, expected: &[&str]) {
    let method = Method::from_bytes(request.0.as_bytes()).unwrap();
    let uri: Uri = request.1.parse().unwrap();
    let asked = fields("");
    let head = RequestHead::new(&method, &uri, &asked);
    let answer = fields(response);
    let status = StatusCode::from_u16(status).unwrap();
    let found = invalidated(&head, site, &ResponseHead { status, fields: &answer });
    let expected: Vec<_> = expected.iter().map(|target| (site.to_owned(), (*target).to_owned())).collect();
    assert_eq!(found, expected, "{section}: {request:?} -> {status} {response:?}");
}

const SITE: &str = "http://a.example";

#[test]
fn methods_and_status() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "PROPPATCH", "get", "QUERYX"] {
        check("9111 4.4: unsafe or unknown", SITE, (method, "/x?y"), 200, "", &["/x?y"]);
        for status in [200, 201, 204, 205, 206, 299, 301, 302, 303, 307, 399] {
            check("9111 4.4: non-error", SITE, (method, "/x"), status, "", &["/x"]);
        }
        for status in [100, 103, 400, 404, 409, 412, 500, 503, 599, 999] {
            check("9111 4.4: an error", SITE, (method, "/x"), status, "Location: /y", &[]);
        }
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"] {
        check("9110 9.2.1: safe", SITE, (method, "/x"), 200, "Location: /y\nContent-Location: /z", &[]);
    }
}

#[test]
fn location_and_content_location_of_the_same_origin() {
    for (section, reference, expected) in [
        ("9111 4.4: absolute path", "/y", &["/a/b?q", "/y"][..]),
        ("3986 5.2: relative", "y", &["/a/b?q", "/a/y"]),
        ("3986 5.2: relative with dots", "../y/./z", &["/a/b?q", "/y/z"]),
        ("3986 5.2.4: more dots than segments", "../../../y", &["/a/b?q", "/y"]),
        ("3986 5.2: query only", "?z", &["/a/b?q", "/a/b?z"]),
        ("3986 5.2: empty is the target itself", "", &["/a/b?q"]),
        ("3986 5.2: fragment only", "#f", &["/a/b?q"]),
        ("3986 5.2: the fragment goes", "/y?z#f", &["/a/b?q", "/y?z"]),
        ("3986 5.2: a trailing slash", "y/", &["/a/b?q", "/a/y/"]),
        ("3986 5.2.4: the parent", "..", &["/a/b?q", "/"]),
        ("3986 5.2.4: here", ".", &["/a/b?q", "/a/"]),
        ("9111 4.4: same origin", "http://a.example/y?z", &["/a/b?q", "/y?z"]),
        ("6454 4: host in any case", "HTTP://A.Example/y", &["/a/b?q", "/y"]),
        ("6454 4: the port implied", "http://a.example:80/y", &["/a/b?q", "/y"]),
        ("3986 6.2.3: the port implied", "http://a.example:080/y", &["/a/b?q", "/y"]),
        ("3986 6.2.3: an empty port", "http://a.example:/y", &["/a/b?q", "/y"]),
        ("a name that ends in a dot", "//a.example./y", &["/a/b?q", "/y"]),
        ("9111 4.4: no port", "http://a.example:80a/y", &["/a/b?q"]),
        ("9111 4.4: no port", "http://a.example:+80/y", &["/a/b?q"]),
        ("3986 5.2: same scheme", "//a.example/y", &["/a/b?q", "/y"]),
        ("3986 6.2.3: no path", "http://a.example", &["/a/b?q", "/"]),
        ("3986 6.2.3: no path", "http://a.example?z", &["/a/b?q", "/?z"]),
        ("3986 3.2.1: user information", "http://u:p@a.example/y", &["/a/b?q", "/y"]),
        ("9111 4.4: another host", "http://b.example/y", &["/a/b?q"]),
        ("9111 4.4: another host", "//b.example/y", &["/a/b?q"]),
        ("9111 4.4: another host that looks like it", "http://a.example.b.example/y", &["/a/b?q"]),
        ("9111 4.4: another host behind a name", "http://a.example@b.example/y", &["/a/b?q"]),
        ("9111 4.4: another scheme", "https://a.example/y", &["/a/b?q"]),
        ("9111 4.4: another port", "http://a.example:81/y", &["/a/b?q"]),
        ("9111 4.4: no authority", "urn:x:y", &["/a/b?q"]),
        ("9111 4.4: no authority", "mailto:a@a.example", &["/a/b?q"]),
        ("9110 8.7: the same", "/a/b?q", &["/a/b?q"]),
        ("3987 3.1: as it is shown to people", "/\u{e9}", &["/a/b?q", "/\u{e9}"]),
    ] {
        for name in ["Location", "Content-Location"] {
            check(section, SITE, ("POST", "/a/b?q"), 200, &format!("{name}: {reference}"), expected);
        }
    }
    let both = "Location: /l\nContent-Location: /c";
    check("9111 4.4: both", SITE, ("PUT", "/x"), 201, both, &["/x", "/l", "/c"]);
    check("9111 4.4: twice the same", SITE, ("PUT", "/x"), 201, "Location: /l\nContent-Location: l", &["/x", "/l"]);
}

#[test]
fn sites_with_ports_and_tls() {
    for (site, reference, expected) in [
        ("https://a.example", "https://a.example:443/y", &["/x", "/y"][..]),
        ("https://a.example", "//a.example/y", &["/x", "/y"]),
        ("https://a.example", "http://a.example/y", &["/x"]),
        ("http://a.example:8080", "http://a.example:8080/y", &["/x", "/y"]),
        ("http://a.example:8080", "http://a.example/y", &["/x"]),
        ("http://a.example:8080", "/y", &["/x", "/y"]),
        ("http://[::1]:8080", "http://[::1]:8080/y", &["/x", "/y"]),
        ("http://[::1]:8080", "http://[0::0001]:08080/y", &["/x", "/y"]),
    ] {
        check("6454 4", site, ("POST", "/x"), 200, &format!("Location: {reference}"), expected);
    }
}
