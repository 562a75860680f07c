//! Surrogate keys of a response: RFC 9875, and the fields that operators use.

use sandbar_http::semantics::surrogate::{KEY_BYTES_MAX, KEYS_MAX, group_key};
use sandbar_http::semantics::{ResponseHead, group_invalidations, surrogate_keys};

use super::support::{Asked, fields};

#[test]
fn keys() {
    for (section, response, expected) in [
        ("none", "", &[][..]),
        ("Surrogate-Key: spaces", "Surrogate-Key: b a", &["a", "b"]),
        ("Surrogate-Key: tabs, several spaces", "Surrogate-Key:  a\t b   c ", &["a", "b", "c"]),
        ("Surrogate-Key: lines", "Surrogate-Key: a\nSurrogate-Key: b a", &["a", "b"]),
        ("Surrogate-Key: commas are part of a key", "Surrogate-Key: a,b c", &["a,b", "c"]),
        ("Cache-Tag: commas", "Cache-Tag: a, b c ,,d", &["a", "b c", "d"]),
        ("Cache-Tag: case matters", "Cache-Tag: A,a", &["A", "a"]),
        ("both", "Surrogate-Key: a\nCache-Tag: b", &["a", "b"]),
        ("not ASCII", "Surrogate-Key: \u{e9} a", &["a", "\u{e9}"]),
        ("9875 2", "Cache-Groups: \"scripts\", \"a b\"", &["group:a.example:a b", "group:a.example:scripts"]),
        (
            "9875 2: lines combine",
            "Cache-Groups: \"a\"\nCache-Groups: \"b\"",
            &["group:a.example:a", "group:a.example:b"],
        ),
        ("9875 2: parameters are ignored", "Cache-Groups: \"a\";x=1", &["group:a.example:a"]),
        ("9875 2: case matters", "Cache-Groups: \"A\"", &["group:a.example:A"]),
        ("9875 2: not strings", "Cache-Groups: a, b", &[]),
        ("9875 2: one no string", "Cache-Groups: \"a\", 1", &[]),
        ("9875 2: an inner list", "Cache-Groups: (\"a\" \"b\")", &[]),
        ("9875 2: no list", "Cache-Groups: \"a", &[]),
        ("9875 2: on reuse it means nothing", "Cache-Group-Invalidation: \"a\"", &[]),
    ] {
        let found = surrogate_keys(&Asked::get("Host: A.example").head(), &fields(response));
        assert_eq!(found, expected, "{section}: {response:?}");
    }
}

#[test]
fn keys_are_bounded() {
    let asked = Asked::get("");
    let many: Vec<String> = (0..2 * KEYS_MAX).map(|index| format!("k{index:05}")).collect();
    let found = surrogate_keys(&asked.head(), &fields(&format!("Surrogate-Key: {}", many.join(" "))));
    assert_eq!(found, many[..KEYS_MAX]);
    let (fits, long) = ("x".repeat(KEY_BYTES_MAX), "y".repeat(KEY_BYTES_MAX + 1));
    let found = surrogate_keys(&asked.head(), &fields(&format!("Cache-Tag: {long}, {fits}")));
    assert_eq!(found, [fits]);
}

#[test]
fn group_invalidation() {
    for (section, method, response, expected) in [
        ("9875 3", "POST", "Cache-Group-Invalidation: \"a\", \"b\"", &["group:a.example:a", "group:a.example:b"][..]),
        ("9875 3: any unsafe method", "M-SEARCH", "Cache-Group-Invalidation: \"a\"", &["group:a.example:a"]),
        ("9875 3: safe methods", "GET", "Cache-Group-Invalidation: \"a\"", &[]),
        ("9875 3: safe methods", "HEAD", "Cache-Group-Invalidation: \"a\"", &[]),
        ("9875 3: safe methods", "OPTIONS", "Cache-Group-Invalidation: \"a\"", &[]),
        ("9875 3: no strings", "POST", "Cache-Group-Invalidation: a", &[]),
        ("9875 3: garbage", "POST", "Cache-Group-Invalidation: \"a\", &", &[]),
        ("9875 3: missing", "POST", "Cache-Groups: \"a\"", &[]),
        (
            "longer than a key may be",
            "POST",
            &format!("Cache-Group-Invalidation: \"a\", \"{}\"", "b".repeat(KEY_BYTES_MAX)),
            &["group:a.example:a"],
        ),
    ] {
        let asked = Asked::new(method, "Host: a.example");
        let response = fields(response);
        let head = ResponseHead { status: http::StatusCode::OK, fields: &response };
        assert_eq!(group_invalidations(&asked.head(), &head), expected, "{section}: {method} {response:?}");
    }
}

#[test]
fn a_group_belongs_to_its_origin() {
    assert_ne!(group_key("a.example", "g"), group_key("b.example", "g"), "9875 2.1: same origin");
    assert_eq!(group_key("A.Example", "g"), group_key("a.example", "g"), "9110 4.2.3");
}
