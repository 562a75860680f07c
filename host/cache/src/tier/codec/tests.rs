use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use sandbar_base::clock::Timestamp;
use sandbar_http::entry::{Directives, Parts, StoredResponse, Variants, Version};
use sandbar_policy::Digest;
use sandbar_policy::freshness::{EarlyRefresh, Plan};

use super::*;

const KEY: &str = "shop\nhttps://example.org\n/a?b=1";

fn response(body: &[u8]) -> StoredResponse {
    let mut fields = HeaderMap::new();
    fields.insert("etag", HeaderValue::from_static("\"v1\""));
    fields.append("x-bytes", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    fields.append("x-bytes", HeaderValue::from_static("twice"));
    StoredResponse {
        key: Arc::from(KEY),
        status: StatusCode::OK,
        fields,
        body: Bytes::copy_from_slice(body).into(),
        parts: None,
        requested: Timestamp::from_millis(1_000_000),
        received: Timestamp::from_millis(1_000_200),
        initial_age: Duration::from_millis(1500),
        fetch_time: Duration::from_micros(200_123),
        plan: Plan {
            l1: true,
            l2: true,
            freshness_lifetime_ms: 60_000,
            stale_while_revalidate_ms: 5_000,
            stale_if_error_ms: 9_000,
            early_refresh: EarlyRefresh::Window { window_ms: 12_000, odds_ppm: 100_000 },
            surrogate_keys: vec!["all".into(), "product-7".into()],
        },
        directives: Directives { no_cache: false, must_revalidate: true, immutable: true },
        sequence: 77,
        policy: Some(Digest([9; 32])),
        version: None,
    }
}

const COMPRESSED: Encoding = Encoding { compress_above_bytes: Some(0), shift_ms: 0 };

#[test]
fn format_does_not_change_unnoticed() {
    // Entries in running fleets look like this. If this fails, read "How a field is added" in the module's header.
    let digest = |entry: &Entry| crc32fast::hash(&encode(entry));
    assert_eq!(digest(&Entry::Response(response(b"body"))), GOLDEN_RESPONSE);
    let variants = Variants { key: Arc::from(KEY), sets: vec![vec!["accept".into()]], sequence: 3 };
    assert_eq!(digest(&Entry::Variants(variants)), GOLDEN_VARIANTS);
}
const GOLDEN_RESPONSE: u32 = 1_529_409_771;
const GOLDEN_VARIANTS: u32 = 1_449_625_317;

#[test]
fn entry_of_another_key_is_not_answered() {
    let bytes = encode(&Entry::Response(response(b"body")));
    assert_eq!(decode(&bytes, "shop\nhttps://example.org\n/b"), Err(Unreadable::OtherKey));
}

#[test]
fn newer_version_is_a_miss() {
    let mut bytes = encode(&Entry::Response(response(b"body")));
    bytes[3] = 2;
    assert_eq!(decode(&bytes, KEY), Err(Unreadable::Version(2)));
}

#[test]
fn field_from_the_future_is_ignored_or_a_miss_by_its_tag() {
    let variants = Variants { key: Arc::from(KEY), sets: vec![vec!["accept".into()]], sequence: 3 };
    for entry in [Entry::Response(response(b"body")), Entry::Variants(variants)] {
        let (meta, body) = wire::write(&entry, 0);
        let newer = |tag| pack::pack(&wire::with_extra(&meta, tag, b"later"), &body, None);
        assert_eq!(decode(&newer(4), KEY), Ok(entry.clone()));
        assert_eq!(decode(&newer(5), KEY), Err(Unreadable::Malformed));
    }
}

/// An entry without a version is encoded as before there were versions ([`format_does_not_change_unnoticed`]), and an
/// older program ignores an even tag ([`field_from_the_future_is_ignored_or_a_miss_by_its_tag`]).
#[test]
fn version_comes_back_and_old_entries_have_none() {
    let versioned = StoredResponse { version: Some(Version { number: u64::MAX, clock_us: 7 }), ..response(b"body") };
    let versioned = Entry::Response(versioned);
    assert_eq!(decode(&encode(&versioned), KEY), Ok(versioned));
    let Ok(Entry::Response(old)) = decode(&encode(&Entry::Response(response(b"body"))), KEY) else {
        panic!("a response")
    };
    assert_eq!(old.version, None);
}

/// A 206 with bytes 2 to 4, 10 to 14 and 17 of twenty, in four chunks.
fn several_parts() -> StoredResponse {
    let parts = Parts::of([(2, b"234".to_vec().into()), (10, b"abc".to_vec().into())], Some(20));
    let parts = parts.and_then(|parts| parts.with(13, &b"de".to_vec().into(), None));
    let parts = parts.and_then(|parts| parts.with(17, &b"h".to_vec().into(), None)).map(Arc::new);
    assert!(parts.is_some());
    StoredResponse { status: StatusCode::PARTIAL_CONTENT, parts, ..response(b"") }
}

#[test]
fn several_parts_come_back() {
    let entry = Entry::Response(several_parts());
    for bytes in [encode(&entry), encode_with(&entry, &COMPRESSED)] {
        assert_eq!(decode(&bytes, KEY), Ok(entry.clone()));
    }
    let (_, body) = wire::write(&entry, 0);
    assert_eq!(body.concat(), b"234abcdeh");
}

#[test]
fn what_are_no_parts_is_unreadable() {
    let with = |stored: &StoredResponse, complete: Option<u64>, runs: &[(u64, u64)], body: &[u8]| {
        let (meta, _) = wire::write(&Entry::Response(StoredResponse { parts: None, ..stored.clone() }), 0);
        let extra = postcard::to_allocvec(&(complete, runs)).expect("plain data");
        decode(&pack::pack(&wire::with_extra(&meta, 3, &extra), &[body], None), KEY)
    };
    let stored = several_parts();
    let good = with(&stored, Some(20), &[(2, 3), (10, 5), (17, 1)], b"234abcdeh");
    assert_eq!(good, Ok(Entry::Response(stored.clone())));
    let nine: Vec<(u64, u64)> = (0..9).map(|n| (n * 2, 1)).collect();
    let many: Vec<(u64, u64)> = (0..100_000).map(|n| (n * 2, 0)).collect();
    for (what, complete, runs, body) in [
        ("none", Some(20), &[][..], &b""[..]),
        ("nothing in one", Some(20), &[(2, 0)], b""),
        ("overlapping", Some(20), &[(2, 3), (4, 5)], b"234abcde"),
        ("touching", Some(20), &[(2, 3), (5, 5)], b"234abcde"),
        ("out of order", Some(20), &[(10, 5), (2, 3)], b"abcde234"),
        ("too many", Some(20), &nine, b"123456789"),
        ("far too many", None, &many, b""),
        ("longer than what is there", Some(20), &[(2, 3), (10, 6)], b"234abcde"),
        ("shorter", Some(20), &[(2, 3), (10, 4)], b"234abcde"),
        ("longer than anything", None, &[(2, u64::MAX)], b"234"),
        ("beyond what can be counted", None, &[(u64::MAX - 1, 3)], b"234"),
        ("beyond the end", Some(14), &[(2, 3), (10, 5)], b"234abcde"),
        ("the whole", Some(3), &[(0, 3)], b"234"),
    ] {
        assert_eq!(with(&stored, complete, runs, body), Err(Unreadable::Malformed), "{what}");
    }
    let whole = StoredResponse { status: StatusCode::OK, ..stored.clone() };
    assert_eq!(with(&whole, Some(20), &[(2, 3)], b"234"), Err(Unreadable::Malformed), "of a 200");
    let mut weak = stored;
    weak.fields.insert("etag", HeaderValue::from_static("W/\"v1\""));
    assert_eq!(with(&weak, Some(20), &[(2, 3)], b"234"), Err(Unreadable::Malformed), "without a strong validator");
    let variants = Entry::Variants(Variants { key: Arc::from(KEY), sets: Vec::new(), sequence: 3 });
    let (meta, _) = wire::write(&variants, 0);
    let extra = wire::with_extra(&meta, 3, b"later");
    assert_eq!(decode(&pack::pack(&extra, &[], None), KEY), Err(Unreadable::Malformed), "of a list of variants");
}

#[test]
fn compression_is_used_only_where_it_saves() {
    let text = Entry::Response(response(&b"all work and no play ".repeat(500)));
    let small = encode_with(&text, &COMPRESSED);
    assert!(small.len() < 1000, "{} bytes", small.len());
    assert_eq!(decode(&small, KEY), Ok(text.clone()));
    assert_eq!(encode_with(&text, &Encoding { compress_above_bytes: Some(1 << 20), shift_ms: 0 }), encode(&text));

    let mut hash = blake3::Hasher::new().finalize_xof();
    let mut noise = vec![0; 10_000];
    hash.fill(&mut noise);
    let noise = Entry::Response(response(&noise));
    assert_eq!(encode_with(&noise, &COMPRESSED), encode(&noise));

    let mut encoded = response(&b"all work and no play ".repeat(500));
    encoded.fields.insert("content-encoding", HeaderValue::from_static("gzip"));
    let encoded = Entry::Response(encoded);
    assert_eq!(encode_with(&encoded, &COMPRESSED), encode(&encoded));
}

#[test]
fn lengths_that_are_merely_claimed_allocate_nothing() {
    // A right checksum over a claim of almost 4 GiB, then over one just within the bound.
    for claimed in [u32::MAX, u32::try_from(ENTRY_BYTES_MAX).unwrap()] {
        for encoding in [0, 1] {
            let mut bytes = b"SBE\x01\0\0\0\0".to_vec();
            bytes.push(encoding);
            bytes.extend_from_slice(&claimed.to_le_bytes());
            bytes.extend_from_slice(&zstd::bulk::compress(&[0; 64], 1).unwrap());
            assert!(decode(&sum(bytes), KEY).is_err());
        }
    }
}

#[test]
fn decompression_stops_at_what_was_announced() {
    let mut bytes = b"SBE\x01\0\0\0\0\x01".to_vec();
    bytes.extend_from_slice(&1000_u32.to_le_bytes());
    bytes.extend_from_slice(&zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap());
    assert_eq!(decode(&sum(bytes), KEY), Err(Unreadable::Malformed));
}

#[test]
fn large_body_shares_memory_and_small_one_does_not_pin_it() {
    for (body_bytes, shares) in [(100_000, true), (10, false)] {
        let entry = Entry::Response(response(&vec![7; body_bytes]));
        let bytes = Bytes::from(encode(&entry));
        let Ok(Entry::Response(read)) = decode_shared(&bytes, &KEY.into(), 0) else { panic!("a response") };
        let within = bytes.as_ptr_range().contains(&read.body.as_ptr());
        assert_eq!((read.body.len(), within), (body_bytes, shares));
        assert_eq!(Entry::Response(read), entry);
    }
}

#[test]
fn clock_shift_is_taken_off_again() {
    let entry = Entry::Response(response(b"body"));
    let bytes = Bytes::from(encode_with(&entry, &Encoding { compress_above_bytes: None, shift_ms: -2500 }));
    let Ok(Entry::Response(shifted)) = decode_shared(&bytes, &KEY.into(), 0) else { panic!("a response") };
    assert_eq!(shifted.received, Timestamp::from_millis(997_700));
    assert_eq!(decode_shared(&bytes, &KEY.into(), -2500), Ok(entry));
}

fn sum(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32fast::hash(&bytes[8..]);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn any_fields() -> impl Strategy<Value = HeaderMap> {
    let value = prop::collection::vec(prop_oneof![0x20_u8..0x7f, 0x80_u8..=0xff], 0..40);
    prop::collection::vec(("[a-z][a-z0-9-]{0,20}", value), 0..12).prop_map(|fields| {
        let pairs = fields.into_iter().map(|(name, value)| {
            (HeaderName::try_from(name).expect("a token"), HeaderValue::from_bytes(&value).expect("field bytes"))
        });
        let mut map = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    })
}

fn any_refresh() -> impl Strategy<Value = EarlyRefresh> {
    prop_oneof![
        Just(EarlyRefresh::Never),
        any::<(u64, u32)>().prop_map(|(window_ms, odds_ppm)| EarlyRefresh::Window { window_ms, odds_ppm }),
        any::<(u32, u32)>().prop_map(|(fetch_ms, beta_milli)| EarlyRefresh::Xfetch { fetch_ms, beta_milli }),
    ]
}

fn any_plan() -> impl Strategy<Value = Plan> {
    (any::<(bool, bool, u64, u64, u64)>(), any_refresh(), prop::collection::vec(".{0,30}", 0..6)).prop_map(
        |((l1, l2, fresh, revalidate, error), early_refresh, surrogate_keys)| Plan {
            l1,
            l2,
            freshness_lifetime_ms: fresh,
            stale_while_revalidate_ms: revalidate,
            stale_if_error_ms: error,
            early_refresh,
            surrogate_keys,
        },
    )
}

/// Runs with gaps between them.
fn any_parts() -> impl Strategy<Value = Option<Arc<Parts>>> {
    let runs = prop::collection::vec((1_u64..50, prop::collection::vec(any::<u8>(), 1..200)), 1..=Parts::RUNS_MAX);
    let parts = (runs, any::<bool>()).prop_map(|(runs, known)| {
        let mut end = 0;
        let placed = runs.into_iter().map(|(gap, content)| {
            let first = end + gap;
            end = first + content.len() as u64;
            (first, content.into())
        });
        let placed: Vec<_> = placed.collect();
        Parts::of(placed, known.then_some(end)).map(Arc::new)
    });
    prop_oneof![3 => Just(None), 1 => parts]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let body = (prop::collection::vec(any::<u8>(), 0..3000), any_parts());
    let numbers = (100_u16..1000, any::<(u64, u64, u64)>(), 0..u64::MAX / 1000, any::<u8>(), any::<Option<[u8; 32]>>());
    let response =
        (".{0,40}", any_fields(), body, any_plan(), numbers).prop_map(|(key, fields, body, plan, numbers)| {
            let (status, (requested, received, sequence), time, directives, policy) = numbers;
            let (mut fields, (mut body, parts)) = (fields, body);
            if parts.is_some() {
                fields.insert("etag", HeaderValue::from_static("\"strong\""));
                body.clear();
            }
            let status = if parts.is_some() { 206 } else { status };
            Entry::Response(StoredResponse {
                key: key.into(),
                status: StatusCode::from_u16(status).expect("in range"),
                fields,
                body: body.into(),
                parts,
                requested: Timestamp::from_millis(requested),
                received: Timestamp::from_millis(received),
                initial_age: Duration::from_millis(time),
                fetch_time: Duration::from_micros(time),
                plan,
                directives: Directives {
                    no_cache: directives & 1 != 0,
                    must_revalidate: directives & 2 != 0,
                    immutable: directives & 4 != 0,
                },
                sequence,
                policy: policy.map(Digest),
                version: (time % 2 == 0).then_some(Version { number: sequence, clock_us: time }),
            })
        });
    let sets = prop::collection::vec(prop::collection::vec("[a-z-]{1,12}", 0..4), 0..=Variants::SETS_MAX);
    let variants = (".{0,40}", sets, any::<u64>())
        .prop_map(|(key, sets, sequence)| Entry::Variants(Variants { key: key.into(), sets, sequence }));
    prop_oneof![4 => response, 1 => variants]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn entries_come_back_as_they_went(entry in any_entry(), compress: bool) {
        let bytes = encode_with(&entry, &if compress { COMPRESSED } else { Encoding::default() });
        prop_assert_eq!(decode(&bytes, entry.key()), Ok(entry.clone()));
    }

    #[test]
    fn damaged_bytes_are_never_answered(entry in any_entry(), compress: bool, at: prop::sample::Index, flip in 1_u8..) {
        let mut bytes = encode_with(&entry, &if compress { COMPRESSED } else { Encoding::default() });
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(decode(&bytes, entry.key()).is_err());
        bytes[at] ^= flip;
        bytes.truncate(at);
        prop_assert!(decode(&bytes, entry.key()).is_err());
    }

    /// A wrong payload under a right checksum reaches every parser behind it.
    #[test]
    fn nonsense_under_a_right_checksum_does_not_panic(
        entry in any_entry(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut: Option<prop::sample::Index>,
    ) {
        let mut bytes = encode(&entry);
        for (at, value) in edits {
            let at = at.index(bytes.len() - 8) + 8;
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() - HEADER_BYTES) + HEADER_BYTES);
        }
        let _ = decode(&sum(bytes), entry.key());
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes, "");
        let mut framed = b"SBE\x01\0\0\0\0".to_vec();
        framed.extend_from_slice(&bytes);
        let _ = decode(&sum(framed), "");
    }
}
