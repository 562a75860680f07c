//! Completing a stored part: RFC 9111 section 3.4.

use http::HeaderMap;
use sandbar::entry::StoredResponse;
use sandbar::http::semantics::{completion, completion_fields};

use super::support::{date_from_now, fields, stored_with_body, text};

fn part(label: &str, extra: &str, body: &str) -> StoredResponse {
    stored_with_body(206, &format!("Date: @0\nContent-Range: bytes {label}\n{extra}"), body)
}

#[test]
fn what_is_lacking_is_asked_for() {
    for (section, label, extra, expected) in [
        ("9111 3.3", "0-4/10", "ETag: \"a\"", Some(("bytes=5-", "\"a\"".to_owned()))),
        ("9111 3.3: length unknown", "0-4/*", "ETag: \"a\"", Some(("bytes=5-", "\"a\"".to_owned()))),
        ("9110 13.1.5: by date", "0-4/10", "Last-Modified: @-9", {
            Some(("bytes=5-", date_from_now(-9).to_str().unwrap().to_owned()))
        }),
        ("9110 13.1.5: weak", "0-4/10", "ETag: W/\"a\"\nLast-Modified: @-9", None),
        ("9111 3.4: no validator", "0-4/10", "", None),
        ("the beginning is lacking", "1-5/10", "ETag: \"a\"", None),
    ] {
        let mut sent = fields("If-None-Match: \"client\"");
        let asked = completion_fields(&part(label, extra, "01234"), &mut sent);
        let found = asked.then(|| (text(&sent, "range"), text(&sent, "if-range").to_owned()));
        assert_eq!(found, expected, "{section}: {label} {extra:?}");
        assert_eq!(sent.contains_key("if-none-match"), !asked, "{section}: the client's conditions make way");
    }
    let whole = stored_with_body(200, "ETag: \"a\"", "0123456789");
    assert!(!completion_fields(&whole, &mut HeaderMap::new()), "nothing is lacking");
}

#[test]
fn what_comes_makes_it_whole_or_does_not_belong_to_it() {
    let tag = "ETag: \"a\"";
    for (section, held, stored, received, expected) in [
        ("9111 3.4", "0-4/10", tag, "Content-Range: bytes 5-9/10\nETag: \"a\"", Some(10)),
        ("9111 3.4: length unknown so far", "0-4/*", tag, "Content-Range: bytes 5-9/10\nETag: \"a\"", Some(10)),
        (
            "9111 3.4: by date",
            "0-4/10",
            "Last-Modified: @-9",
            "Content-Range: bytes 5-9/10\nLast-Modified: @-9",
            Some(10),
        ),
        (
            "9111 3.4: another date",
            "0-4/10",
            "Last-Modified: @-9",
            "Content-Range: bytes 5-9/10\nLast-Modified: @-8",
            None,
        ),
        ("9111 3.4: another tag", "0-4/10", tag, "Content-Range: bytes 5-9/10\nETag: \"b\"", None),
        ("9111 3.4: weak", "0-4/10", tag, "Content-Range: bytes 5-9/10\nETag: W/\"a\"", None),
        ("9111 3.4: no validator", "0-4/10", tag, "Content-Range: bytes 5-9/10", None),
        ("9110 14.4: another length", "0-4/10", tag, "Content-Range: bytes 5-10/11\nETag: \"a\"", None),
        ("9110 14.4: never known", "0-4/10", tag, "Content-Range: bytes 5-9/*\nETag: \"a\"", None),
        ("9110 14.4: a gap", "0-4/10", tag, "Content-Range: bytes 6-9/10\nETag: \"a\"", None),
        ("9110 14.4: not to the end", "0-4/10", tag, "Content-Range: bytes 5-8/10\nETag: \"a\"", None),
        ("9110 14.4: says nothing", "0-4/10", tag, tag, None),
        ("the beginning is lacking", "1-5/10", tag, "Content-Range: bytes 6-9/10\nETag: \"a\"", None),
    ] {
        let found = completion(&part(held, stored, "01234"), &fields(received)).map(|whole| whole.complete);
        assert_eq!(found, expected, "{section}: {held} {received:?}");
    }
    let received = "Content-Range: bytes 5-9/10\nETag: \"a\"\nX: new\nConnection: y\nY: 1\nContent-Length: 5";
    let whole = completion(&part("0-4/10", "ETag: \"a\"\nX: old\nKept: 1", "01234"), &fields(received)).unwrap();
    let shown = ["x", "kept", "content-length", "content-range", "y"].map(|name| text(&whole.fields, name));
    assert_eq!(shown, ["new", "1", "10", "", ""], "9111 3.2: the newer fields, and none of the connection");
}
