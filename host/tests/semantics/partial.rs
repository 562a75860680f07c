//! Storing and combining parts: RFC 9111 sections 3.3 and 3.4, RFC 9110 sections 14.4 and 15.3.7.

use sandbar::entry::StoredResponse;
use sandbar::http::semantics::partial::content_range;
use sandbar::http::semantics::{
    Combined, FwdReason, Reuse, combine, may_serve_on_error, part_answers, reuse, taken_in,
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
        (
            "shorter than it says, from its beginning",
            "4-9/10",
            "01234",
            "Range: bytes=6-8",
            Some(("234", "bytes 6-8/10")),
        ),
        (
            "shorter than it says, from its beginning",
            "4-9/10",
            "01234",
            "Range: bytes=6-",
            Some(("234", "bytes 6-8/10")),
        ),
        ("shorter than it says, from its end", "4-9/10", "01234", "Range: bytes=-5", Some(("01234", "bytes 5-9/10"))),
        ("shorter than it says, from its end", "4-9/10", "01234", "Range: bytes=-1", Some(("4", "bytes 9-9/10"))),
        ("shorter than it says, beyond what there is", "4-9/10", "01234", "Range: bytes=8-9", None),
        ("shorter by two", "3-9/10", "01234", "Range: bytes=-1", None),
        ("shorter, and not to the end", "4-9/11", "01234", "Range: bytes=4-5", None),
        ("longer than it says", "4-9/10", "0123456", "Range: bytes=4-5", None),
        ("empty", "4-9/10", "", "Range: bytes=4-5", None),
    ] {
        let found = part_answers(&part(label, "", body), &Asked::get(request).head());
        let found = found.map(|(content, label)| (String::from_utf8(content.to_vec()).unwrap(), label));
        let expected = expected.map(|(content, label)| (content.to_owned(), label.parse().unwrap()));
        assert_eq!(found, expected, "{section}: {label} for {request:?}");
    }
    let short = part("4-9/10", "ETag: \"a\"", "01234");
    assert_eq!(part_answers(&short, &Asked::get("Range: bytes=-1").head()), None, "shorter, and has a validator");
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

#[test]
fn a_part_is_taken_in_beside_what_is_stored() {
    let tag = "ETag: \"a\"";
    let held = part("2-6/20", tag, "23456");
    for (section, label, body, bytes_max, expected) in [
        ("9111 3.4: they touch", "7-9/20", "789", 8, "206 bytes 2-9/20 23456789"),
        ("9111 3.4: they overlap", "5-9/20", "56789", 8, "206 bytes 2-9/20 23456789"),
        ("past the bound, the newer", "7-9/20", "789", 7, "206 bytes 7-9/20 789"),
        ("past the bound, the newer", "5-9/20", "56789", 7, "206 bytes 5-9/20 56789"),
        ("9111 3.4: apart", "10-11/20", "01", 100, "206 bytes 10-11/20 01"),
        ("9110 15.3.7: all bytes are the whole", "0-4/5", "abcde", 5, "200  abcde"),
        ("9110 14.4: all but the length", "0-4/*", "abcde", 100, "206 bytes 0-6/20 abcde56"),
    ] {
        let taken = taken_in(Some(&held), part(label, tag, body), bytes_max);
        let (status, label) = (taken.status.as_u16(), text(&taken.fields, "content-range"));
        assert_eq!(format!("{status} {label} {}", String::from_utf8_lossy(&taken.body)), expected, "{section}");
    }
    let none = taken_in(None, part("5-6/20", tag, "56"), 1);
    assert_eq!((none.status.as_u16(), &none.body[..]), (206, &b"56"[..]));
}

/// A file that is read in small pieces is not copied with the square of its length.
#[test]
fn a_piece_is_joined_to_no_more_than_64_times_its_length() {
    let (tag, mut held, mut copied) = ("ETag: \"a\"", None, 0);
    for piece in 0..1000_usize {
        let next = part(&format!("{}-{}/5000", piece * 4, piece * 4 + 3), tag, "abcd");
        let taken = taken_in(held.as_ref(), next, u64::MAX);
        copied += taken.body.len();
        assert!(taken.body.ends_with(b"abcd"), "the newest piece is there");
        held = Some(taken);
    }
    assert!(copied <= 4000 * 65, "{copied} bytes were copied for 4000");
}

/// `C:` and content where the whole is there, `P:`, label and content where a part is, `-` where nothing was combined.
fn shown(combined: &Combined) -> String {
    let content = |one: &StoredResponse| String::from_utf8(one.body.to_vec()).unwrap();
    match combined {
        Combined::Complete(whole) => {
            assert_eq!((whole.status.as_u16(), text(&whole.fields, "content-range")), (200, ""));
            assert_eq!(text(&whole.fields, "content-length"), whole.body.len().to_string());
            format!("C:{}", content(whole))
        }
        Combined::Part(part) => {
            assert_eq!(part.status.as_u16(), 206);
            assert_eq!(text(&part.fields, "content-length"), part.body.len().to_string());
            format!("P:{}:{}", text(&part.fields, "content-range"), content(part))
        }
        Combined::Apart => "-".to_owned(),
    }
}

#[test]
fn parts_of_one_representation_combine() {
    let tag = "ETag: \"a\"";
    for (section, (old, old_extra, old_body), (new, new_extra, new_body), expected) in [
        ("9111 3.4: adjacent", ("0-4/10", tag, "01234"), ("5-9/10", tag, "56789"), "C:0123456789"),
        ("9111 3.4: adjacent, reversed", ("5-9/10", tag, "56789"), ("0-4/10", tag, "01234"), "C:0123456789"),
        ("9111 3.4: overlapping", ("0-6/10", tag, "0123456"), ("4-9/10", tag, "456789"), "C:0123456789"),
        ("9111 3.4: a longer part", ("2-4/10", tag, "234"), ("5-6/10", tag, "56"), "P:bytes 2-6/10:23456"),
        ("9111 3.4: one within the other", ("2-6/10", tag, "23456"), ("3-4/10", tag, "34"), "P:bytes 2-6/10:23456"),
        ("9111 3.4: one around the other", ("3-4/10", tag, "34"), ("2-6/10", tag, "23456"), "P:bytes 2-6/10:23456"),
        ("9111 3.4: the length is learnt", ("0-4/*", tag, "01234"), ("5-9/10", tag, "56789"), "C:0123456789"),
        (
            "9111 3.4: the length is unknown",
            ("0-4/*", tag, "01234"),
            ("5-9/*", tag, "56789"),
            "P:bytes 0-9/*:0123456789",
        ),
        ("9111 3.4: a gap", ("0-3/10", tag, "0123"), ("5-9/10", tag, "56789"), "-"),
        ("9111 3.4: another length", ("0-4/10", tag, "01234"), ("5-9/11", tag, "56789"), "-"),
        ("9111 3.4: another tag", ("0-4/10", tag, "01234"), ("5-9/10", "ETag: \"b\"", "56789"), "-"),
        ("9111 3.4: weak tags", ("0-4/10", "ETag: W/\"a\"", "01234"), ("5-9/10", "ETag: W/\"a\"", "56789"), "-"),
        ("9111 3.4: no validator", ("0-4/10", "", "01234"), ("5-9/10", "", "56789"), "-"),
        ("9111 3.4: only one tag", ("0-4/10", tag, "01234"), ("5-9/10", "", "56789"), "-"),
        (
            "9110 8.8.2.2: a strong date",
            ("0-4/10", "Last-Modified: @-9", "01234"),
            ("5-9/10", "Last-Modified: @-9", "56789"),
            "C:0123456789",
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
    assert_eq!(shown(&found), "C:0123456789", "9111 3.4");
    assert_eq!(combine(&whole, &part("2-3/11", "ETag: \"a\"", "23")), Combined::Apart);
    assert_eq!(combine(&whole, &whole), Combined::Apart, "the new one is no part");
    let not_found = stored_with_body(404, "Date: @0\nETag: \"a\"", "0123456789");
    assert_eq!(combine(&not_found, &part("2-3/10", "ETag: \"a\"", "23")), Combined::Apart);
}
