//! Completing stored parts: RFC 9111 section 3.4.

use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::{Combined, Completion, combine, completion, completion_fields, lacking};

use super::support::{Asked, date_from_now, fields, stored_with_body, text};

fn part(label: &str, extra: &str, body: &str) -> StoredResponse {
    stored_with_body(206, &format!("Date: @0\nContent-Range: bytes {label}\n{extra}"), body)
}

/// A stored 206 with bytes 2 to 4 and 10 to 14 of twenty.
fn two_parts() -> StoredResponse {
    let tag = "ETag: \"a\"";
    match combine(&part("2-4/20", tag, "234"), &part("10-14/20", tag, "abcde")) {
        Combined::Part(parts) => parts,
        other => panic!("they are of one representation: {other:?}"),
    }
}

/// `Range` and `If-Range` of the request that completes `stored`; none where it can't be completed.
fn asked_for(stored: &StoredResponse, request: Option<&Asked>) -> Option<(String, String)> {
    let mut sent = fields("If-None-Match: \"client\"\nRange: bytes=1-2");
    let head = request.map(Asked::head);
    let lacking = lacking(stored, head.as_ref())?;
    assert!(completion_fields(stored, &lacking, &mut sent));
    assert!(!sent.contains_key("if-none-match"), "the client's conditions make way");
    Some((text(&sent, "range").to_owned(), text(&sent, "if-range").to_owned()))
}

#[test]
fn what_is_lacking_is_asked_for() {
    for (section, label, extra, expected) in [
        ("9111 3.3", "0-4/10", "ETag: \"a\"", Some(("bytes=5-", "\"a\"".to_owned()))),
        ("9111 3.3: length unknown", "0-4/*", "ETag: \"a\"", Some(("bytes=5-", "\"a\"".to_owned()))),
        ("9110 13.1.5: by date", "0-4/10", "Last-Modified: @-9", {
            Some(("bytes=5-", date_from_now(-9).to_str().unwrap().to_owned()))
        }),
        ("9111 3.3: the beginning", "5-9/10", "ETag: \"a\"", Some(("bytes=0-4", "\"a\"".to_owned()))),
        ("9110 13.1.5: weak", "0-4/10", "ETag: W/\"a\"\nLast-Modified: @-9", None),
        ("9111 3.4: no validator", "0-4/10", "", None),
        ("beginning and end are lacking", "1-5/10", "ETag: \"a\"", None),
        ("the beginning, and perhaps more", "5-9/*", "ETag: \"a\"", None),
    ] {
        let found = asked_for(&part(label, extra, "01234"), None);
        let expected = expected.map(|(range, validator)| (range.to_owned(), validator));
        assert_eq!(found, expected, "{section}: {label} {extra:?}");
    }
    let whole = stored_with_body(200, "ETag: \"a\"", "0123456789");
    assert_eq!(lacking(&whole, None), None, "nothing is lacking");
}

#[test]
fn so_is_what_a_range_lacks() {
    for (section, request, expected) in [
        ("a gap behind a part", "Range: bytes=3-7", Some("bytes=5-7")),
        ("a gap before it", "Range: bytes=7-11", Some("bytes=7-9")),
        ("a gap between two", "Range: bytes=2-14", Some("bytes=5-9")),
        ("to the end", "Range: bytes=12-", Some("bytes=15-19")),
        ("a suffix", "Range: bytes=-8", Some("bytes=15-19")),
        ("9110 13.1.5: of this one", "Range: bytes=3-7\nIf-Range: \"a\"", Some("bytes=5-7")),
        ("9110 13.1.5: of another", "Range: bytes=3-7\nIf-Range: \"b\"", None),
        ("two gaps", "Range: bytes=0-7", None),
        ("nothing is there", "Range: bytes=5-9", None),
        ("all is there", "Range: bytes=10-11", None),
        ("9110 14.2: several", "Range: bytes=3-7,9-10", None),
        ("beyond the end", "Range: bytes=20-", None),
        ("no range", "", None),
    ] {
        let found = asked_for(&two_parts(), Some(&Asked::get(request))).map(|(range, _)| range);
        assert_eq!(found.as_deref(), expected, "{section}: {request:?}");
    }
    assert_eq!(asked_for(&two_parts(), None), None, "the whole has three gaps");
    let unknown = part("0-4/*", "ETag: \"a\"", "01234");
    assert_eq!(asked_for(&unknown, Some(&Asked::get("Range: bytes=3-7"))), None, "perhaps there is no more");
}

fn shown(completion: &Completion) -> String {
    let joined = |chunks: &[bytes::Bytes]| String::from_utf8(chunks.concat()).unwrap();
    let label = text(&completion.fields, "content-range");
    assert_eq!(text(&completion.fields, "content-length"), completion.bytes.to_string());
    format!("{} {label} {}..{}", completion.status.as_u16(), joined(&completion.before), joined(&completion.after))
}

#[test]
fn what_fills_the_gap_is_put_between_what_is_there() {
    for (request, label, expected) in [
        ("Range: bytes=3-7", "5-7/20", Some("206 bytes 3-7/20 34..")),
        ("Range: bytes=7-11", "7-9/20", Some("206 bytes 7-11/20 ..ab")),
        ("Range: bytes=3-12", "5-9/20", Some("206 bytes 3-12/20 34..abc")),
        ("Range: bytes=-8", "15-19/20", Some("206 bytes 12-19/20 cde..")),
        ("Range: bytes=3-12", "5-8/20", None),
        ("Range: bytes=3-12", "4-9/20", None),
        ("Range: bytes=3-12", "5-9/21", None),
        ("Range: bytes=3-12", "5-9/*", None),
    ] {
        let (asked, stored) = (Asked::get(request), two_parts());
        let lacking = lacking(&stored, Some(&asked.head())).unwrap();
        let found = completion(&stored, &lacking, &fields(&format!("Content-Range: bytes {label}\nETag: \"a\"")));
        assert_eq!(found.as_ref().map(shown).as_deref(), expected, "{request} {label}");
    }
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
        ("the beginning", "5-9/10", tag, "Content-Range: bytes 0-4/10\nETag: \"a\"", Some(10)),
        ("not all of the beginning", "5-9/10", tag, "Content-Range: bytes 1-4/10\nETag: \"a\"", None),
    ] {
        let stored = part(held, stored, "01234");
        let lacking = lacking(&stored, None).unwrap();
        let found = completion(&stored, &lacking, &fields(received)).map(|whole| whole.bytes);
        assert_eq!(found, expected, "{section}: {held} {received:?}");
    }
    let received = "Content-Range: bytes 5-9/10\nETag: \"a\"\nX: new\nConnection: y\nY: 1\nContent-Length: 5";
    let stored = part("0-4/10", "ETag: \"a\"\nX: old\nKept: 1", "01234");
    let whole = completion(&stored, &lacking(&stored, None).unwrap(), &fields(received)).unwrap();
    let shown = ["x", "kept", "content-length", "content-range", "y"].map(|name| text(&whole.fields, name));
    assert_eq!(shown, ["new", "1", "10", "", ""], "9111 3.2: the newer fields, and none of the connection");
}
