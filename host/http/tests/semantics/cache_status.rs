//! The `Cache-Status` field: RFC 9211.

use http::{HeaderMap, StatusCode};
use sandbar_http::semantics::cache_status::{CACHE_STATUS, CacheStatus, FwdReason, Outcome};
use sfv::{BareItem, List, ListEntry, Parser};

#[test]
fn members() {
    let fwd = |reason| Outcome::fwd(reason);
    let full = Outcome::Fwd {
        reason: FwdReason::Stale,
        status: Some(StatusCode::NOT_MODIFIED),
        stored: true,
        collapsed: true,
    };
    let stored = Outcome::Fwd { reason: FwdReason::UriMiss, status: None, stored: true, collapsed: false };
    for (section, status, expected) in [
        ("9211 2.1", CacheStatus::new("sandbar", Outcome::Hit), "sandbar;hit"),
        ("9211 2: neither", CacheStatus::new("sandbar", Outcome::Refused), "sandbar"),
        ("9211 2.8", CacheStatus { detail: Some("x"), ..CacheStatus::new("s", Outcome::Refused) }, "s;detail=x"),
        ("9211 2.2", CacheStatus::new("sandbar", fwd(FwdReason::UriMiss)), "sandbar;fwd=uri-miss"),
        ("9211 2.2", CacheStatus::new("sandbar", fwd(FwdReason::VaryMiss)), "sandbar;fwd=vary-miss"),
        ("9211 2.5", CacheStatus::new("sandbar", stored), "sandbar;fwd=uri-miss;stored"),
        ("9211 2.3, 2.5, 2.6", CacheStatus::new("s", full), "s;fwd=stale;fwd-status=304;stored;collapsed"),
        ("9211 2.4", CacheStatus { ttl_secs: Some(376), ..CacheStatus::new("s", Outcome::Hit) }, "s;hit;ttl=376"),
        (
            "9211 2.4: stale",
            CacheStatus { ttl_secs: Some(-412), ..CacheStatus::new("s", Outcome::Hit) },
            "s;hit;ttl=-412",
        ),
        (
            "9651 3.3.1: too large",
            CacheStatus { ttl_secs: Some(i64::MAX), ..CacheStatus::new("s", Outcome::Hit) },
            "s;hit",
        ),
        (
            "9211 2.7",
            CacheStatus { key: Some("t\nhttp://a\n/b"), ..CacheStatus::new("s", Outcome::Hit) },
            "s;hit;key=\"t http://a /b\"",
        ),
        (
            "9651 3.3.3: quotes",
            CacheStatus { key: Some("a\"b\\c"), ..CacheStatus::new("s", Outcome::Hit) },
            "s;hit;key=\"a\\\"b\\\\c\"",
        ),
        (
            "9651 3.3.3: not ASCII",
            CacheStatus { key: Some("\u{e9}\u{1}"), ..CacheStatus::new("s", Outcome::Hit) },
            "s;hit;key=\"??\"",
        ),
        (
            "9211 2.8: a token",
            CacheStatus { detail: Some("stale-if-error"), ..CacheStatus::new("s", fwd(FwdReason::Stale)) },
            "s;fwd=stale;detail=stale-if-error",
        ),
        (
            "9211 2.8: a string",
            CacheStatus { detail: Some("two words"), ..CacheStatus::new("s", Outcome::Hit) },
            "s;hit;detail=\"two words\"",
        ),
        (
            "9211 2.8: empty",
            CacheStatus { detail: Some(""), ..CacheStatus::new("s", Outcome::Hit) },
            "s;hit;detail=\"\"",
        ),
        ("9211 2: a name that is no token", CacheStatus::new("my cache", Outcome::Hit), "\"my cache\";hit"),
        ("9211 2: a name that is no token", CacheStatus::new("\u{e9}dge", Outcome::Hit), "\"?dge\";hit"),
        ("9211 2: no name", CacheStatus::new("", Outcome::Hit), "\"\";hit"),
        (
            "all of them",
            CacheStatus { ttl_secs: Some(0), key: Some("k"), detail: Some("d"), ..CacheStatus::new("s", full) },
            "s;fwd=stale;fwd-status=304;stored;collapsed;ttl=0;key=\"k\";detail=d",
        ),
    ] {
        let value = status.to_value();
        assert_eq!(value, expected, "{section}");
        assert!(Parser::new(value.as_bytes()).parse::<List>().is_ok(), "{section}: {value:?} is a structured list");
    }
}

#[test]
fn reasons_are_those_of_the_registry_and_never_change() {
    // The tokens of RFC 9211 section 2.2, which are also the words for logs and metrics.
    let words: Vec<_> = FwdReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words, ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"]);
    assert_eq!(Outcome::Hit.as_str(), "hit");
    for reason in FwdReason::ALL {
        assert_eq!(Outcome::fwd(reason).as_str(), reason.as_str());
        let value = CacheStatus::new("s", Outcome::fwd(reason)).to_value();
        assert_eq!(value, format!("s;fwd={}", reason.as_str()), "9211 2.2: a token");
    }
}

#[test]
fn the_nearest_to_the_client_is_last() {
    let mut fields = HeaderMap::new();
    fields.append(CACHE_STATUS, "OriginCache;hit;ttl=1100, \"CDN\";fwd=uri-miss".parse().unwrap());
    CacheStatus::new("sandbar", Outcome::fwd(FwdReason::Miss)).append_to(&mut fields);
    let lines: Vec<_> = fields.get_all(CACHE_STATUS).iter().map(|line| line.to_str().unwrap()).collect();
    let list: List = Parser::new(&lines.join(", ")).parse().unwrap();
    let names = list.iter().map(|entry| match entry {
        ListEntry::Item(item) => match &item.bare_item {
            BareItem::Token(name) => name.as_str(),
            BareItem::String(name) => name.as_str(),
            other => panic!("{other:?}"),
        },
        ListEntry::InnerList(_) => panic!("no inner list"),
    });
    assert_eq!(names.collect::<Vec<_>>(), ["OriginCache", "CDN", "sandbar"], "9211 2");
}
