//! Storing and combining parts: RFC 9111 sections 3.3 and 3.4, RFC 9110 sections 14.4 and 15.3.7.

use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::partial::content_range;
use sandbar_http::semantics::{
    ByteRange, Combined, FwdReason, Reuse, combine, lacks_what_is_asked, may_serve_on_error, outgrows, part_answers,
    reuse, taken_in,
};

use super::support::{Asked, at, fields, stored_with_body, text};

#[test]
fn content_range_field() {
    for (section, value, expected) in [
        ("9110 14.4", "bytes 0-4/10", Some((0, 4, Some(10)))),
        ("9110 14.4", "bytes 4-4/5", Some((4, 4, Some(5)))),
        ("9110 14.4: unknown length", "bytes 0-4/*", Some((0, 4, None))),
        ("9110 14.1: any case", "BYTES 0-4/10", Some((0, 4, Some(10)))),
        ("9110 14.4: unsatisfied", "bytes */10", None),
        ("9110 14.4: backwards", "bytes 5-4/10", None),
        ("9110 14.4: beyond", "bytes 0-10/10", None),
        ("9110 14.4: another unit", "lines 0-4/10", None),
        ("9110 14.4: no unit", "0-4/10", None),
        ("9110 14.4: no length", "bytes 0-4", None),
        ("9110 14.4: open", "bytes 0-/10", None),
        ("9110 14.4: suffix", "bytes -4/10", None),
        ("9110 14.4: garbage", "bytes a-b/c", None),
        ("9110 14.4: overflow", "bytes 0-18446744073709551615/*", None),
        ("9110 14.4: overflow", "bytes 0-99999999999999999999999/*", None),
        ("9110 14.4: = for a space", "bytes=0-4/10", None),
    ] {
        let found = content_range(&fields(&format!("Content-Range: {value}")));
        let found = found.map(|found| (found.range.first, found.range.last, found.complete));
        assert_eq!(found, expected, "{section}: {value:?}");
    }
}

fn part(label: &str, extra: &str, body: &str) -> StoredResponse {
    let response = format!("Date: @0\nCache-Control: max-age=60\nContent-Range: bytes {label}\n{extra}");
    stored_with_body(206, &response, body)
}

#[test]
fn a_part_answers_what_lies_within_it() {
    for (section, label, body, request, expected) in [
        ("9111 3.3", "2-6/10", "23456", "Range: bytes=2-6", Some(("23456", "bytes 2-6/10"))),
        ("9111 3.3", "2-6/10", "23456", "Range: bytes=3-4", Some(("34", "bytes 3-4/10"))),
        ("9111 3.3: sticks out", "2-6/10", "23456", "Range: bytes=3-7", None),
        ("9111 3.3: sticks out", "2-6/10", "23456", "Range: bytes=0-3", None),
        ("9111 3.3: sticks out", "2-6/10", "23456", "Range: bytes=3-", None),
        ("9111 3.3: sticks out", "2-6/10", "23456", "Range: bytes=-3", None),
        ("9111 3.3: beside", "2-6/10", "23456", "Range: bytes=8-9", None),
        ("9111 3.3: all", "2-6/10", "23456", "", None),
        ("9111 3.3: several", "2-6/10", "23456", "Range: bytes=2-3,5-6", None),
        ("9111 3.3: to the end", "5-9/10", "56789", "Range: bytes=6-", Some(("6789", "bytes 6-9/10"))),
        ("9111 3.3: to the end", "5-9/10", "56789", "Range: bytes=6-99", Some(("6789", "bytes 6-9/10"))),
        ("9111 3.3: suffix", "5-9/10", "56789", "Range: bytes=-5", Some(("56789", "bytes 5-9/10"))),
        ("9111 3.3: suffix", "5-9/10", "56789", "Range: bytes=-1", Some(("9", "bytes 9-9/10"))),
        ("9111 3.3: a longer suffix", "5-9/10", "56789", "Range: bytes=-6", None),
        ("9111 3.3: no suffix", "5-9/10", "56789", "Range: bytes=-0", None),
        ("9111 3.3: length unknown", "5-9/*", "56789", "Range: bytes=6-8", Some(("678", "bytes 6-8/*"))),
        ("9111 3.3: length unknown", "5-9/*", "56789", "Range: bytes=6-", None),
        ("9111 3.3: length unknown", "5-9/*", "56789", "Range: bytes=-1", None),
        ("9111 3.3: length unknown", "5-9/*", "56789", "Range: bytes=6-99", None),
        ("shorter, from its beginning", "4-9/10", "01234", "Range: bytes=6-8", Some(("234", "bytes 6-8/10"))),
        ("shorter, from its beginning", "4-9/10", "01234", "Range: bytes=6-", Some(("234", "bytes 6-8/10"))),
        ("shorter, from its end", "4-9/10", "01234", "Range: bytes=-5", Some(("01234", "bytes 5-9/10"))),
        ("shorter, from its end", "4-9/10", "01234", "Range: bytes=-1", Some(("4", "bytes 9-9/10"))),
        ("shorter, beyond what there is", "4-9/10", "01234", "Range: bytes=8-9", None),
        ("shorter by two", "3-9/10", "01234", "Range: bytes=-1", None),
        ("shorter, and not to the end", "4-9/11", "01234", "Range: bytes=4-5", None),
        ("longer than it says", "4-9/10", "0123456", "Range: bytes=4-5", None),
        ("empty", "4-9/10", "", "Range: bytes=4-5", None),
    ] {
        let (held, asked) = (part(label, "", body), Asked::get(request));
        let found = part_answers(&held, &asked.head());
        assert_eq!(lacks_what_is_asked(&held, &asked.head()), found.is_none(), "{section}: {label} for {request:?}");
        let found = found.map(|found| (String::from_utf8(found.chunks.concat()).unwrap(), found.content_range));
        let expected = expected.map(|(content, label)| (content.to_owned(), label.parse().unwrap()));
        assert_eq!(found, expected, "{section}: {label} for {request:?}");
    }
    let held = part("2-6/10", "ETag: \"a\"", "23456");
    for (request, answers) in [
        ("Range: bytes=2-3\nIf-Range: \"a\"", true),
        ("Range: bytes=2-3\nIf-Range: \"b\"", false),
        ("Range: bytes=2-3\nIf-Range: W/\"a\"", false),
    ] {
        assert_eq!(part_answers(&held, &Asked::get(request).head()).is_some(), answers, "9110 13.1.5: {request:?}");
    }
    let head = Asked::new("HEAD", "Range: bytes=2-3");
    assert_eq!(part_answers(&held, &head.head()), None, "9110 14.2: only GET");
}

#[test]
fn a_part_is_reused_for_nothing_else() {
    let held = part("0-4/10", "Cache-Control: stale-if-error=60", "01234");
    for (section, method, request, expected) in [
        ("9111 3.3: within it", "GET", "Range: bytes=0-3", Reuse::Fresh),
        ("9111 3.3: the whole", "GET", "", Reuse::Validate(FwdReason::Partial)),
        ("9111 3.3: beyond it", "GET", "Range: bytes=0-5", Reuse::Validate(FwdReason::Partial)),
        ("9111 3.3: several", "GET", "Range: bytes=0-0,2-2", Reuse::Validate(FwdReason::Partial)),
        ("9110 13.1.5: of another", "GET", "Range: bytes=0-3\nIf-Range: \"x\"", Reuse::Validate(FwdReason::Partial)),
        ("9110 14.2: HEAD asks for the whole", "HEAD", "Range: bytes=0-3", Reuse::Validate(FwdReason::Partial)),
        ("9111 3.3: whatever else is asked", "GET", "Cache-Control: max-stale", Reuse::Validate(FwdReason::Partial)),
    ] {
        let asked = Asked::new(method, request);
        assert_eq!(reuse(&held, &asked.head(), at(0), false), expected, "{section}: {method} {request:?}");
        let on_error = may_serve_on_error(&held, &asked.head(), at(61_000), false);
        assert_eq!(on_error, expected == Reuse::Fresh, "{section}: on error: {method} {request:?}");
    }
}

/// Status and `Content-Range` of what is to be stored, and each run with its content; `-` where nothing is to be
/// stored.
fn runs(stored: Option<&StoredResponse>) -> String {
    let Some(stored) = stored else { return "-".to_owned() };
    let (status, label) = (stored.status.as_u16(), text(&stored.fields, "content-range"));
    let text = |content: Vec<u8>| String::from_utf8(content).unwrap();
    let Some(parts) = &stored.parts else {
        return format!("{status} {label} {}", text(stored.body.to_vec()));
    };
    assert!(stored.body.is_empty() && stored.body_bytes() == parts.bytes());
    let run = |range: ByteRange| format!("{}:{}", range.first, text(parts.slice(range).unwrap().concat()));
    format!("{status} {label} {}", parts.ranges().map(run).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_part_is_taken_in_beside_what_is_stored() {
    let tag = "ETag: \"a\"";
    let held = part("2-6/20", tag, "23456");
    for (section, label, body, bytes_max, expected) in [
        ("9111 3.4: they touch", "7-9/20", "789", 8, "206 bytes 2-9/20 2:23456789"),
        ("9111 3.4: they overlap", "5-9/20", "56789", 8, "206 bytes 2-9/20 2:23456789"),
        ("past the bound, as it was", "7-9/20", "789", 7, "-"),
        ("past the bound, as it was", "5-9/20", "56789", 7, "-"),
        ("past the bound, as it was", "10-11/20", "ab", 6, "-"),
        ("9110 15.3.7.3: apart", "10-11/20", "ab", 7, "206 bytes 10-11/20 2:23456 10:ab"),
        ("9111 3.4: of another length", "7-9/21", "789", 7, "206 bytes 7-9/21 789"),
        ("9110 15.3.7: all bytes are the whole", "0-4/5", "abcde", 5, "200  abcde"),
        ("9110 14.4: all but the length", "0-1/*", "01", 100, "206 bytes 0-6/20 0:0123456"),
        ("9110 14.4: shorter than it says", "7-9/20", "78", 100, "-"),
        ("9110 14.4: longer than it says", "7-9/20", "789a", 100, "-"),
    ] {
        let part = part(label, tag, body);
        assert!(!outgrows(&held, &part, bytes_max) || expected == "-", "{section}: known by its head");
        assert_eq!(runs(taken_in(Some(&held), part, bytes_max).as_ref()), expected, "{section}");
    }
    let replaced = |extra| runs(taken_in(Some(&held), part("10-11/20", extra, "ab"), 5).as_ref());
    for other in ["ETag: \"b\"", "ETag: W/\"a\"", ""] {
        assert_eq!(replaced(other), "206 bytes 10-11/20 ab", "9111 3.4: the newer one alone: {other:?}");
    }
    assert_eq!(runs(taken_in(None, part("5-6/20", tag, "56"), 1).as_ref()), "206 bytes 5-6/20 56");
    let short = part("4-9/10", "", "01234");
    assert_eq!(runs(taken_in(Some(&held), short.clone(), 100).as_ref()), "-", "it takes the place of nothing");
    assert_eq!(runs(taken_in(None, short, 100).as_ref()), "206 bytes 4-9/10 01234", "one byte less than its label");
}

#[test]
fn parts_answer_what_lies_within_one_of_them() {
    let tag = "ETag: \"a\"";
    let Combined::Part(held) = combine(&part("2-4/20", tag, "234"), &part("10-19/20", tag, "abcdefghij")) else {
        panic!("they are of one representation")
    };
    for (section, request, expected) in [
        ("9111 3.3", "Range: bytes=2-4", Some("234 bytes 2-4/20")),
        ("9111 3.3", "Range: bytes=11-12", Some("bc bytes 11-12/20")),
        ("9111 3.3: to the end", "Range: bytes=17-", Some("hij bytes 17-19/20")),
        ("9111 3.3: suffix", "Range: bytes=-1", Some("j bytes 19-19/20")),
        ("9111 3.3: sticks out", "Range: bytes=4-5", None),
        ("9111 3.3: over a gap", "Range: bytes=4-10", None),
        ("9111 3.3: in a gap", "Range: bytes=6-7", None),
        ("9111 3.3: several", "Range: bytes=2-3,10-11", None),
        ("9111 3.3: all", "", None),
        ("9110 13.1.5: of another", "Range: bytes=2-4\nIf-Range: \"b\"", None),
    ] {
        let asked = Asked::get(request);
        let found = part_answers(&held, &asked.head());
        assert_eq!(lacks_what_is_asked(&held, &asked.head()), found.is_none(), "{section}: {request:?}");
        let found = found.map(|found| {
            let content = String::from_utf8(found.chunks.concat()).unwrap();
            format!("{content} {}", found.content_range.to_str().unwrap())
        });
        assert_eq!(found.as_deref(), expected, "{section}: {request:?}");
    }
}

/// The combined response as text, like [`runs`]; `-` where nothing was combined.
fn shown(combined: &Combined) -> String {
    match combined {
        Combined::Complete(whole) => {
            assert_eq!((whole.status.as_u16(), text(&whole.fields, "content-range")), (200, ""));
            assert_eq!(text(&whole.fields, "content-length"), whole.body.len().to_string());
            assert_eq!(whole.parts, None);
            runs(Some(whole))
        }
        Combined::Part(part) => {
            assert_eq!(part.status.as_u16(), 206);
            runs(Some(part))
        }
        Combined::Apart => "-".to_owned(),
    }
}

#[test]
fn parts_of_one_representation_combine() {
    let tag = "ETag: \"a\"";
    for (section, (old, old_extra, old_body), (new, new_extra, new_body), expected) in [
        ("9111 3.4: adjacent", ("0-4/10", tag, "01234"), ("5-9/10", tag, "56789"), "200  0123456789"),
        ("9111 3.4: adjacent, reversed", ("5-9/10", tag, "56789"), ("0-4/10", tag, "01234"), "200  0123456789"),
        ("9111 3.4: overlapping", ("0-6/10", tag, "0123456"), ("4-9/10", tag, "456789"), "200  0123456789"),
        ("9111 3.4: a longer part", ("2-4/10", tag, "234"), ("5-6/10", tag, "56"), "206 bytes 2-6/10 2:23456"),
        ("9111 3.4: one within the other", ("2-6/10", tag, "23456"), ("3-4/10", tag, "34"), "206 bytes 2-6/10 2:23456"),
        ("9111 3.4: one around the other", ("3-4/10", tag, "34"), ("2-6/10", tag, "23456"), "206 bytes 2-6/10 2:23456"),
        ("9111 3.4: the length is learnt", ("0-4/*", tag, "01234"), ("5-9/10", tag, "56789"), "200  0123456789"),
        (
            "9111 3.4: the length is unknown",
            ("0-4/*", tag, "01234"),
            ("5-9/*", tag, "56789"),
            "206 bytes 0-9/* 0:0123456789",
        ),
        ("9110 15.3.7.3: a gap", ("0-3/10", tag, "0123"), ("5-9/10", tag, "56789"), "206 bytes 5-9/10 0:0123 5:56789"),
        ("9110 14.4: there is more than that", ("0-4/*", tag, "01234"), ("1-2/3", tag, "12"), "-"),
        ("9111 3.4: another length", ("0-4/10", tag, "01234"), ("5-9/11", tag, "56789"), "-"),
        ("9111 3.4: another tag", ("0-4/10", tag, "01234"), ("5-9/10", "ETag: \"b\"", "56789"), "-"),
        ("9111 3.4: weak tags", ("0-4/10", "ETag: W/\"a\"", "01234"), ("5-9/10", "ETag: W/\"a\"", "56789"), "-"),
        ("9111 3.4: no validator", ("0-4/10", "", "01234"), ("5-9/10", "", "56789"), "-"),
        ("9111 3.4: only one tag", ("0-4/10", tag, "01234"), ("5-9/10", "", "56789"), "-"),
        (
            "9110 8.8.2.2: a strong date",
            ("0-4/10", "Last-Modified: @-9", "01234"),
            ("5-9/10", "Last-Modified: @-9", "56789"),
            "200  0123456789",
        ),
        (
            "9110 8.8.2.2: a weak date",
            ("0-4/10", "Last-Modified: @0", "01234"),
            ("5-9/10", "Last-Modified: @0", "56789"),
            "-",
        ),
        (
            "9111 3.4: another date",
            ("0-4/10", "Last-Modified: @-9", "01234"),
            ("5-9/10", "Last-Modified: @-8", "56789"),
            "-",
        ),
        ("shorter than it says", ("0-4/10", tag, "0123"), ("5-9/10", tag, "56789"), "-"),
        ("longer than it says", ("0-4/10", tag, "01234"), ("5-9/10", tag, "567890"), "-"),
    ] {
        let found = combine(&part(old, old_extra, old_body), &part(new, new_extra, new_body));
        assert_eq!(shown(&found), expected, "{section}: {old} and {new}");
    }
}

#[test]
fn newer_fields_win() {
    let old = part("0-4/10", "ETag: \"a\"\nX-A: 1\nX-B: 1\nX-C: 1\nX-C: 2", "01234");
    let new = part("5-9/10", "ETag: \"a\"\nX-A: 2\nX-C: 3", "56789");
    let Combined::Complete(whole) = combine(&old, &new) else { panic!("they fit") };
    assert_eq!((text(&whole.fields, "x-a"), text(&whole.fields, "x-b")), ("2", "1"), "9111 3.4");
    assert_eq!(whole.fields.get_all("x-c").iter().count(), 1, "9111 3.4: all instances are replaced");
}

#[test]
fn a_part_joins_the_whole() {
    let whole = stored_with_body(200, "Date: @0\nETag: \"a\"", "0123456789");
    let found = combine(&whole, &part("2-3/10", "ETag: \"a\"\nX: 1", "23"));
    assert_eq!(shown(&found), "200  0123456789", "9111 3.4");
    assert_eq!(combine(&whole, &part("2-3/11", "ETag: \"a\"", "23")), Combined::Apart);
    assert_eq!(combine(&whole, &whole), Combined::Apart, "the new one is no part");
    let not_found = stored_with_body(404, "Date: @0\nETag: \"a\"", "0123456789");
    assert_eq!(combine(&not_found, &part("2-3/10", "ETag: \"a\"", "23")), Combined::Apart);
}
