//! The selection of variants: RFC 9110 section 12.5.5, RFC 9111 section 4.1.

use sandbar_http::key::CacheKey;
use sandbar_http::semantics::vary::NAMES_MAX;
use sandbar_http::semantics::{Vary, selecting_values, vary};

use super::support::fields;

#[test]
fn names() {
    let names = |names: &[&str]| Vary::Names(names.iter().map(|name| (*name).to_owned()).collect());
    for (section, response, expected) in [
        ("9110 12.5.5", "", Vary::None),
        ("9110 12.5.5", "Vary: Accept", names(&["accept"])),
        ("9110 12.5.5: any case, any order, each once", "Vary: B, a, A, b", names(&["a", "b"])),
        ("9110 5.3: lines combine", "Vary: a\nVary: c\nVary: b", names(&["a", "b", "c"])),
        ("9110 5.6.1: empty members", "Vary: , a,, ,b ,", names(&["a", "b"])),
        ("9110 5.6.1: nothing but commas", "Vary: ,\nVary:", Vary::None),
        ("9111 4.1", "Vary: *", Vary::Any),
        ("9111 4.1", "Vary: *, *", Vary::Any),
        ("9111 4.1", "Vary: *\nVary: *", Vary::Any),
        ("9111 4.1", "Vary: , *", Vary::Any),
        ("9111 4.1", "Vary:\nVary: *", Vary::Any),
        ("9111 4.1", "Vary: *, Foo", Vary::Any),
        ("9111 4.1", "Vary: Foo, *", Vary::Any),
        ("9111 4.1", "Vary: Foo\nVary: Bar, *", Vary::Any),
        ("no field name", "Vary: a b", Vary::Any),
        ("no field name", "Vary: a;b", Vary::Any),
        ("9110 5.6.2: an odd name is a name", "Vary: **", names(&["**"])),
        ("no field name", "Vary: \"a\"", Vary::Any),
        ("more names than anybody selects by", &format!("Vary: {}", "a,".repeat(NAMES_MAX + 1)), Vary::Any),
    ] {
        assert_eq!(vary(&fields(response)), expected, "{section}: {response:?}");
    }
}

/// Whether two requests select the same variant under these names.
fn check(section: &str, names: &[&str], one: &str, other: &str, same: bool) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let [one_values, other_values] = [one, other].map(|request| selecting_values(&names, &fields(request)));
    assert_eq!(one_values == other_values, same, "{section}: {one:?} and {other:?}: {one_values:?} {other_values:?}");
    let key = CacheKey::new("tenant", "http://a.example", "/");
    let variant = |values: &[(String, String)]| key.variant(values.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    assert_eq!(variant(&one_values) == variant(&other_values), same, "{section}: keys");
    assert_ne!(variant(&one_values), key, "{section}: a variant is never the primary key");
}

#[test]
fn unknown_fields() {
    let foo = &["foo"][..];
    for (section, names, one, other, same) in [
        ("9111 4.1", foo, "Foo: 1", "Foo: 1", true),
        ("9111 4.1", foo, "Foo: 1", "Foo: 2", false),
        ("9111 4.1: absent matches absent", foo, "", "Bar: 1", true),
        ("9111 4.1: absent does not match present", foo, "", "Foo: 1", false),
        ("9111 4.1: nor empty", foo, "", "Foo:", false),
        ("9111 4.1: unnamed fields select nothing", foo, "Foo: 1\nOther: 2", "Foo: 1\nOther: 3", true),
        ("9111 4.1: lines combine", foo, "Foo: 1, 2", "Foo: 1\nFoo: 2", true),
        ("9111 4.1: in their order", foo, "Foo: 2\nFoo: 1", "Foo: 1\nFoo: 2", false),
        ("9111 4.1: white space", foo, "Foo: 1,2", "Foo:  1, 2 ", true),
        ("9111 4.1: white space", foo, "Foo: 1 ,\t2", "Foo: 1,2", true),
        ("9111 4.1: white space elsewhere", foo, "Foo: 1 2", "Foo: 12", false),
        ("9111 4.1: white space elsewhere", foo, "Foo: 1  2", "Foo: 1 2", false),
        ("9110 5.6.4: in quotes", foo, "Foo: \"1, 2\"", "Foo: \"1,2\"", false),
        ("9110 5.6.4: in quotes, escaped", foo, "Foo: \"\\\"1, 2\"", "Foo: \"\\\"1,2\"", false),
        ("9110 5.6.4: after quotes", foo, "Foo: \"1\" , 2", "Foo: \"1\",2", true),
        ("case may matter", foo, "Foo: a", "Foo: A", false),
        ("order may matter", foo, "Foo: a, b", "Foo: b, a", false),
        ("bytes that are no UTF-8", foo, "Foo: \u{e9}", "Foo: \u{e8}", false),
    ] {
        check(section, names, one, other, same);
    }
}

#[test]
fn several_names() {
    let two = &["bar", "foo"][..];
    for (section, names, one, other, same) in [
        ("9111 4.1", two, "Foo: 1\nBar: a", "Bar: a\nFoo: 1", true),
        ("9111 4.1", two, "Foo: 1\nBar: a", "Foo: 1\nBar: b", false),
        ("9111 4.1", two, "Foo: 1\nBar: a", "Foo: 1", false),
        ("9111 4.1", two, "Foo: 1", "Foo: 1", true),
        ("9111 4.1: values do not run together", two, "Bar: a\nFoo: b", "Bar: a b", false),
        ("9111 4.1: absent in one, in the other", two, "Foo: 1", "Bar: 1", false),
    ] {
        check(section, names, one, other, same);
    }
    // Different sets of names never give the same key, not even where the request has none of the fields.
    let one = selecting_values(&["a".to_owned()], &fields(""));
    let other = selecting_values(&["b".to_owned()], &fields(""));
    assert_ne!(one, other);
}

#[test]
fn known_fields() {
    let many: String =
        (0..65).map(|number| format!("{},l{number}", if number == 0 { "Accept-Language: x" } else { "" })).collect();
    let other_order = many.replace("l1,", "").replace("l64", "l64,l1");
    let (language, encoding, agent) = (&["accept-language"][..], &["accept-encoding"][..], &["user-agent"][..]);
    for (section, names, one, other, same) in [
        ("9110 12.5.4: order", language, "Accept-Language: en, de", "Accept-Language: de, en", true),
        ("5646 2.1.1: case", language, "Accept-Language: en, de", "Accept-Language: eN, De", true),
        ("9110 5.6.1: white space", language, "Accept-Language: en, de", "Accept-Language:  en ,   de", true),
        ("9110 12.4.2: weights", language, "Accept-Language: en;q=0.5, de", "Accept-Language: en, de;q=0.5", false),
        ("9110 12.4.2: weights", language, "Accept-Language: en ; q=0.5", "Accept-Language: EN;Q=0.5", true),
        ("9110 12.5.4: lines", language, "Accept-Language: en\nAccept-Language: de", "Accept-Language: de,en", true),
        ("9110 12.5.4: others", language, "Accept-Language: en", "Accept-Language: en-GB", false),
        ("9110 12.5.3: order and case", encoding, "Accept-Encoding: gzip, br", "Accept-Encoding: BR,GZip", true),
        ("9110 12.5.3: others", encoding, "Accept-Encoding: gzip", "Accept-Encoding: gzip, br", false),
        ("9110 12.5.3: empty is not absent", encoding, "Accept-Encoding:", "", false),
        ("9110 12.5.3: refused", encoding, "Accept-Encoding: gzip;q=0", "Accept-Encoding: gzip", false),
        ("too many to be put in order", language, &many, &other_order, false),
        ("too many to be put in order", language, &many, &many, true),
        ("9110 10.1.5: no list", agent, "User-Agent: a (b, c)", "User-Agent: a (b,c)", false),
        ("6265 4.2: no list", &["cookie"], "Cookie: a=b, c", "Cookie: a=b,c", false),
        ("6265 4.2: no case", &["cookie"], "Cookie: a=b", "Cookie: a=B", false),
    ] {
        check(section, names, one, other, same);
    }
}
