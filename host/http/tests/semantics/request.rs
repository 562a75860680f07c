//! Framing and method of a request: RFC 9110 sections 8.6 and 9.2, RFC 9112 sections 3.2 and 6.

use http::{Method, Version};
use sandbar_http::semantics::request::Ambiguous::{BothLengths, ContentLength, Host, TransferEncoding};
use sandbar_http::semantics::request::{Ambiguous, check_framing, host, is_cacheable, is_safe};

use super::support::{Asked, fields};

#[test]
fn framing() {
    let (one, two, zero) = (Version::HTTP_11, Version::HTTP_2, Version::HTTP_10);
    for (section, version, request, expected) in [
        ("9112 6.3", one, "Host: a", Ok(())),
        ("9112 6.3", one, "Host: a\nContent-Length: 5", Ok(())),
        ("9112 6.1", one, "Host: a\nTransfer-Encoding: chunked", Ok(())),
        ("9112 6.1: any case", one, "Host: a\nTransfer-Encoding:  Chunked ", Ok(())),
        ("9112 6.3: both", one, "Host: a\nContent-Length: 5\nTransfer-Encoding: chunked", Err(BothLengths)),
        ("9112 6.3: both", one, "Host: a\nContent-Length: 0\nTransfer-Encoding: identity", Err(BothLengths)),
        ("9110 8.6: repeated, the same", one, "Host: a\nContent-Length: 5\nContent-Length: 5", Ok(())),
        ("9110 8.6: repeated, different", one, "Host: a\nContent-Length: 5\nContent-Length: 6", Err(ContentLength)),
        ("9110 8.6: a list", one, "Host: a\nContent-Length: 5, 5", Err(ContentLength)),
        ("9110 8.6: signed", one, "Host: a\nContent-Length: +5", Err(ContentLength)),
        ("9110 8.6: negative", one, "Host: a\nContent-Length: -5", Err(ContentLength)),
        ("9110 8.6: hexadecimal", one, "Host: a\nContent-Length: 0x5", Err(ContentLength)),
        ("9110 8.6: empty", one, "Host: a\nContent-Length:", Err(ContentLength)),
        ("9110 8.6: fraction", one, "Host: a\nContent-Length: 5.0", Err(ContentLength)),
        ("9110 8.6: overflow", one, "Host: a\nContent-Length: 99999999999999999999", Err(ContentLength)),
        ("9112 6.1: not chunked at the end", one, "Host: a\nTransfer-Encoding: chunked, gzip", Err(TransferEncoding)),
        ("9112 6.1: another coding", one, "Host: a\nTransfer-Encoding: gzip, chunked", Err(TransferEncoding)),
        (
            "9112 6.1: twice",
            one,
            "Host: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
            Err(TransferEncoding),
        ),
        ("9112 6.1: twice", one, "Host: a\nTransfer-Encoding: chunked, chunked", Err(TransferEncoding)),
        ("9112 6.1: disguised", one, "Host: a\nTransfer-Encoding: xchunked", Err(TransferEncoding)),
        ("9112 6.1: disguised", one, "Host: a\nTransfer-Encoding: \"chunked\"", Err(TransferEncoding)),
        ("9112 6.1: empty", one, "Host: a\nTransfer-Encoding:", Err(TransferEncoding)),
        ("9112 6.1: HTTP/1.0 has none", zero, "Transfer-Encoding: chunked", Err(TransferEncoding)),
        ("9113 8.2.2: HTTP/2 has none", two, "Transfer-Encoding: chunked", Err(TransferEncoding)),
        ("9113 8.1.1", two, "Content-Length: 5", Ok(())),
        ("9112 3.2: none", one, "", Err(Host)),
        ("9112 3.2: two", one, "Host: a\nHost: b", Err(Host)),
        ("9112 3.2: two of the same", one, "Host: a\nHost: a", Err(Host)),
        ("9112 3.2: HTTP/1.0 needs none", zero, "", Ok(())),
        ("9113 8.3.1: HTTP/2 needs none", two, "", Ok(())),
        ("9112 3.2: but never two", two, "Host: a\nHost: b", Err(Host)),
    ] {
        assert_eq!(check_framing(version, &fields(request)), expected, "{section}: {version:?} {request:?}");
    }
}

#[test]
fn reasons_are_stable_words() {
    let words: Vec<_> = [BothLengths, ContentLength, TransferEncoding, Host].map(Ambiguous::as_str).into();
    assert_eq!(words, ["both-lengths", "bad-content-length", "bad-transfer-encoding", "bad-host"]);
}

#[test]
fn methods() {
    for (method, safe, cacheable) in [
        ("GET", true, true),
        ("HEAD", true, true),
        ("OPTIONS", true, false),
        ("TRACE", true, false),
        ("POST", false, false),
        ("PUT", false, false),
        ("DELETE", false, false),
        ("CONNECT", false, false),
        ("PROPFIND", true, false),
        ("QUERY", true, false),
        ("PATCH", false, false),
        ("M-SEARCH", false, false),
        ("get", false, false),
        ("Head", false, false),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!((is_safe(&method), is_cacheable(&method)), (safe, cacheable), "9110 9.2: {method}");
    }
}

#[test]
fn authority() {
    assert_eq!(host(&Asked::get("Host: A.Example:8080").head()), "a.example:8080", "9110 4.2.3");
    assert_eq!(host(&Asked::get("").head()), "");
    let mut asked = Asked::get("Host: b.example");
    asked.uri = "http://A.example/x".parse().unwrap();
    assert_eq!(host(&asked.head()), "a.example", "9112 3.2.2: the target's own comes first");
}
