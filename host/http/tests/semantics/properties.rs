//! Properties of the rules that hold for any input.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES};
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;
use sandbar_base::Timestamp;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::{Ranges, Reuse, StoreRules, Times, age, date, ranges, reuse, selecting_values};

use super::corpus::fields_of;
use super::support::{Asked, NOW, at, fields, stored};

/// RFC 9111 section 4.2, transcribed word for word in whole seconds with ordinary integers, for fields that are either
/// missing or well-formed.
fn is_fresh_by_the_letter(
    max_age: Option<i128>,
    s_maxage: Option<i128>,
    expires: Option<i128>,
    date_value: Option<i128>,
    age_value: i128,
    times: (i128, i128, i128),
) -> bool {
    let (request_time, response_time, now) = times;
    let date_value = date_value.unwrap_or(response_time);
    let freshness_lifetime = match (s_maxage, max_age, expires) {
        (Some(s_maxage), _, _) => s_maxage.min(1 << 31),
        (None, Some(max_age), _) => max_age.min(1 << 31),
        (None, None, Some(expires)) => expires - date_value,
        (None, None, None) => 0,
    };
    let apparent_age = 0.max(response_time - date_value);
    let response_delay = response_time - request_time;
    let corrected_age_value = age_value.min(1 << 31) + response_delay;
    let corrected_initial_age = apparent_age.max(corrected_age_value);
    let resident_time = now - response_time;
    let current_age = corrected_initial_age + resident_time;
    freshness_lifetime > current_age
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn never_fresh_beyond_the_letter(
        max_age in prop::option::of(0_i64..5_000_000_000),
        s_maxage in prop::option::of(0_i64..100),
        expires in prop::option::of(-100_i64..1000),
        date_value in prop::option::of(-1000_i64..1000),
        age_value in prop::option::of(0_i64..5_000_000_000),
        delay in 0_u64..100,
        resident in 0_u64..2000,
    ) {
        let mut response = HeaderMap::new();
        let mut add = |name, value: String| response.append(name, HeaderValue::try_from(value).unwrap());
        if let Some(seconds) = max_age { add(CACHE_CONTROL, format!("max-age={seconds}")); }
        if let Some(seconds) = s_maxage { add(CACHE_CONTROL, format!("s-maxage={seconds}")); }
        if let Some(seconds) = age_value { add(AGE, seconds.to_string()); }
        if let Some(seconds) = expires { response.append(EXPIRES, super::support::date_from_now(seconds)); }
        if let Some(seconds) = date_value { response.append(DATE, super::support::date_from_now(seconds)); }
        let times = Times { requested: NOW, received: at(delay * 1000) };
        let asked = Asked::get("");
        let head = sandbar_http::semantics::ResponseHead { status: StatusCode::OK, fields: &response };
        let standard = sandbar_http::semantics::standard(&asked.head(), &head, times, &StoreRules::default());
        let mut stored = stored(200, "");
        stored.received = times.received;
        stored.initial_age = standard.initial_age;
        stored.plan = standard.plan;
        stored.directives = standard.directives;

        let now = at((delay + resident) * 1000);
        let fresh = reuse(&stored, &asked.head(), now, false) == Reuse::Fresh;
        let seconds = |offset: Option<i64>| offset.map(|offset| i128::from(NOW.as_secs()) + i128::from(offset));
        let start = i128::from(NOW.as_secs());
        let times = (start, start + i128::from(delay), start + i128::from(delay + resident));
        let letter = is_fresh_by_the_letter(
            max_age.map(i128::from), s_maxage.map(i128::from), seconds(expires), seconds(date_value),
            i128::from(age_value.unwrap_or(0)), times,
        );
        // In whole seconds both agree.
        prop_assert_eq!(fresh, letter, "{:?}", response);
    }

    #[test]
    fn age_never_runs_backwards(
        date_value in prop::option::of(-4_000_000_000_i64..4_000_000_000),
        age_value in ".{0,12}",
        requested in 0_u64..1_000_000,
        received in 0_u64..1_000_000,
        steps in prop::collection::vec(0_u64..1_000_000_000, 1..10),
    ) {
        let mut response = HeaderMap::new();
        if let Some(ms) = date_value.map(|seconds| i64::try_from(NOW.as_millis()).unwrap() + seconds * 1000) {
            response.insert(DATE, date::format(Timestamp::from_millis(u64::try_from(ms.max(0)).unwrap())));
        }
        if let Ok(value) = HeaderValue::try_from(age_value) { response.insert(AGE, value); }
        let times = Times { requested: at(requested), received: at(received) };
        let initial = age::initial_age(&response, times);
        prop_assert!(initial >= age::age_value(&response));
        let mut stored = stored(200, "Cache-Control: max-age=60");
        stored.initial_age = initial;
        stored.received = times.received;
        let mut before = initial;
        let mut now = times.received;
        for step in steps {
            now = now.saturating_add(Duration::from_millis(step));
            prop_assert!(stored.age(now) >= before);
            before = stored.age(now);
        }
        // At a time before it was received, a response has its initial age.
        prop_assert!(stored.age(Timestamp::default()) == initial);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        super::corpus::parse_everything(&bytes);
    }

    #[test]
    fn nearly_good_fields_make_no_parser_panic(
        text in r#"([a-z\-]{1,14}|Cache-Control|Vary|Range|Content-Range|Age|Date|CDN-Cache-Control|If-Range): ?[a-zA-Z0-9=",;\\/*\-\(\) ]{0,40}"#,
    ) {
        super::corpus::parse_everything(text.as_bytes());
    }

    #[test]
    fn a_malformed_directive_never_prolongs(
        garbage in "[a-z=\",; \\\\-]{0,20}",
        seconds in 0_u32..1000,
        before in any::<bool>(),
    ) {
        // Whatever else is on the line, a response is not fresh for longer than the one lifetime on it says, unless the
        // garbage itself holds another lifetime.
        prop_assume!(!garbage.contains("max"));
        let line = if before { format!("{garbage}, max-age={seconds}") } else { format!("max-age={seconds}, {garbage}") };
        if let Ok(value) = HeaderValue::try_from(line) {
            let mut response = HeaderMap::new();
            response.insert(CACHE_CONTROL, value);
            let head = sandbar_http::semantics::ResponseHead { status: StatusCode::OK, fields: &response };
            let asked = Asked::get("");
            let standard =
                sandbar_http::semantics::standard(&asked.head(), &head, super::support::INSTANT, &StoreRules::default());
            prop_assert!(standard.plan.freshness_lifetime_ms <= u64::from(seconds) * 1000);
        }
    }

    #[test]
    fn ranges_stay_within_the_content(value in "bytes=[0-9,\\- ]{0,40}", length in 0_usize..50) {
        let mut stored = stored(200, "ETag: \"a\"");
        stored.body = Bytes::from(vec![b'x'; length]).into();
        let mut asked = Asked::get("");
        asked.fields = fields(&format!("Range: {value}"));
        let end = length as u64;
        match ranges(&stored, &asked.head()) {
            Ranges::Full | Ranges::Unsatisfiable => {}
            Ranges::Single(range) => prop_assert!(range.first <= range.last && range.last < end),
            Ranges::Multi(ranges) => {
                prop_assert!(ranges.len() >= 2);
                let mut sorted = ranges.clone();
                sorted.sort_by_key(|range| range.first);
                prop_assert!(ranges.iter().all(|range| range.first <= range.last && range.last < end));
                prop_assert!(sorted.windows(2).all(|two| two[0].last < two[1].first), "{:?} overlap", ranges);
            }
        }
    }

    #[test]
    fn variants_meet_only_where_their_values_do(
        one in prop::collection::vec(prop::option::of("[ -~]{0,8}"), 2),
        other in prop::collection::vec(prop::option::of("[ -~]{0,8}"), 2),
    ) {
        let names = ["x-a".to_owned(), "x-b".to_owned()];
        let request = |values: &[Option<String>]| {
            let mut fields = HeaderMap::new();
            for (name, value) in names.iter().zip(values) {
                if let Some(value) = value {
                    fields.insert(http::HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value.as_str()).unwrap());
                }
            }
            selecting_values(&names, &fields)
        };
        let (one, other) = (request(&one), request(&other));
        let key = CacheKey::new("t", "http://a", "/");
        let variant = |values: &[(String, String)]| key.variant(values.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        prop_assert_eq!(variant(&one) == variant(&other), one == other);
    }
}

#[test]
fn bytes_become_fields() {
    let found = fields_of(b"Age: 5\nVary: a\nnot a field\n: x\nA: \x00");
    assert_eq!(found.len(), 2);
    assert_eq!(found.get(AGE).unwrap(), "5");
}
