//! The metadata that is stored with an entry's body. These structs *are* the format: they change only as [`super`]
//! says, however the types that they are made from change.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sandbar_base::clock::Timestamp;
use sandbar_http::entry::{Directives, Entry, Parts, StoredResponse, Variants, Version};
use sandbar_http::semantics::validator::strong_validator;
use sandbar_policy::Digest;
use sandbar_policy::freshness::{EarlyRefresh, Plan};
use serde::{Deserialize, Serialize};

use super::Unreadable;
use super::pack::Payload;

#[derive(Serialize, Deserialize)]
enum Meta<'a> {
    #[serde(borrow)]
    Response(Response<'a>),
    #[serde(borrow)]
    Variants(Selecting<'a>),
}

#[derive(Serialize, Deserialize)]
struct Response<'a> {
    key: &'a str,
    status: u16,
    #[serde(borrow)]
    fields: Vec<(&'a str, &'a [u8])>,
    requested_ms: u64,
    received_ms: u64,
    initial_age_ms: u64,
    fetch_time_us: u64,
    plan: WirePlan<'a>,
    /// 1: no-cache, 2: must-revalidate, 4: immutable.
    directives: u8,
    sequence: u64,
    policy: Option<[u8; 32]>,
    extras: Vec<Extra<'a>>,
}

#[derive(Serialize, Deserialize)]
struct WirePlan<'a> {
    l1: bool,
    l2: bool,
    freshness_lifetime_ms: u64,
    stale_while_revalidate_ms: u64,
    stale_if_error_ms: u64,
    early_refresh: WireRefresh,
    #[serde(borrow)]
    surrogate_keys: Vec<&'a str>,
}

#[derive(Serialize, Deserialize)]
enum WireRefresh {
    Never,
    Window { window_ms: u64, odds_ppm: u32 },
    Xfetch { fetch_ms: u32, beta_milli: u32 },
}

#[derive(Serialize, Deserialize)]
struct Selecting<'a> {
    key: &'a str,
    #[serde(borrow)]
    sets: Vec<Vec<&'a str>>,
    sequence: u64,
    extras: Vec<Extra<'a>>,
}

/// The tag and bytes of a field that was added later: a reader may ignore an unknown even tag, but not an odd one.
type Extra<'a> = (u16, &'a [u8]);

/// The extra that holds a response's version (postcard: number, clock). A reader that does not know it may ignore it:
/// such nodes do not compare versions, and entries that they write back have none, which counts as older than any.
const VERSION_TAG: u16 = 2;

/// The extra that says which parts the body consists of. A reader that does not know it would take the body for one
/// part with the wrong `Content-Range`, so it must not ignore it.
const PARTS_TAG: u16 = 3;

/// The parts that the body consists of, in order: the position of the first byte and the length of each, and the length
/// of the whole representation in bytes, where that is known.
#[derive(Serialize, Deserialize)]
struct WireParts {
    complete: Option<u64>,
    runs: Vec<(u64, u64)>,
}

/// Serialises an entry: its meta, and its body in chunks.
pub(super) fn write(entry: &Entry, shift_ms: i64) -> (Vec<u8>, Vec<&[u8]>) {
    match entry {
        Entry::Response(response) => {
            let version = response.version.map(|version| (VERSION_TAG, to_bytes(&version)));
            let parts = response.parts.as_deref();
            let extras: Vec<(u16, Vec<u8>)> =
                version.into_iter().chain(parts.map(|parts| (PARTS_TAG, to_bytes(&from_parts(parts))))).collect();
            let meta = to_bytes(&Meta::Response(from_response(response, &extras, shift_ms)));
            (
                meta,
                parts
                    .map_or_else(|| vec![&response.body[..]], |parts| parts.chunks().map(|chunk| &chunk[..]).collect()),
            )
        }
        Entry::Variants(variants) => (to_bytes(&Meta::Variants(from_variants(variants))), Vec::new()),
    }
}

fn to_bytes(content: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(content).expect("plain data in a growing buffer always serialises")
}

/// Reads an entry from an unpacked payload.
pub(super) fn read(payload: &Payload, key_text: &Arc<str>, shift_ms: i64) -> Result<Entry, Unreadable> {
    match postcard::from_bytes(&payload.meta).map_err(|_| Unreadable::Malformed)? {
        Meta::Response(response) => {
            check(response.key, key_text, &response.extras, &[PARTS_TAG])?;
            let parts = to_parts(&response.extras, &payload.body)?;
            to_response(&response, payload, parts, key_text, shift_ms).map(Entry::Response)
        }
        Meta::Variants(variants) => {
            check(variants.key, key_text, &variants.extras, &[])?;
            to_variants(&variants, key_text).map(Entry::Variants)
        }
    }
}

fn check(key: &str, key_text: &str, extras: &[Extra<'_>], odd: &[u16]) -> Result<(), Unreadable> {
    if key != key_text {
        return Err(Unreadable::OtherKey);
    }
    // Any other odd tag was written by a newer program.
    if extras.iter().any(|(tag, _)| tag % 2 == 1 && !odd.contains(tag)) { Err(Unreadable::Malformed) } else { Ok(()) }
}

fn from_response<'a>(response: &'a StoredResponse, extras: &'a [(u16, Vec<u8>)], shift_ms: i64) -> Response<'a> {
    let Directives { no_cache, must_revalidate, immutable } = response.directives;
    Response {
        key: &response.key,
        status: response.status.as_u16(),
        fields: response.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
        requested_ms: response.requested.as_millis().saturating_add_signed(shift_ms),
        received_ms: response.received.as_millis().saturating_add_signed(shift_ms),
        initial_age_ms: millis(response.initial_age),
        fetch_time_us: u64::try_from(response.fetch_time.as_micros()).unwrap_or(u64::MAX),
        plan: from_plan(&response.plan),
        directives: u8::from(no_cache) | u8::from(must_revalidate) << 1 | u8::from(immutable) << 2,
        sequence: response.sequence,
        policy: response.policy.map(|digest| digest.0),
        extras: extras.iter().map(|(tag, bytes)| (*tag, &bytes[..])).collect(),
    }
}

fn to_version(extras: &[Extra<'_>]) -> Result<Option<Version>, Unreadable> {
    let Some((_, bytes)) = extras.iter().find(|(tag, _)| *tag == VERSION_TAG) else { return Ok(None) };
    postcard::from_bytes(bytes).map(Some).map_err(|_| Unreadable::Malformed)
}

fn from_parts(parts: &Parts) -> WireParts {
    WireParts { complete: parts.complete(), runs: parts.ranges().map(|range| (range.first, range.len())).collect() }
}

/// The parts of a body, each copied to memory of its own: a part that is dropped would otherwise stay in memory for as
/// long as the others.
fn to_parts(extras: &[Extra<'_>], mut body: &[u8]) -> Result<Option<Arc<Parts>>, Unreadable> {
    let Some((_, bytes)) = extras.iter().find(|(tag, _)| *tag == PARTS_TAG) else { return Ok(None) };
    let WireParts { complete, runs } = postcard::from_bytes(bytes).map_err(|_| Unreadable::Malformed)?;
    if runs.len() > Parts::RUNS_MAX {
        return Err(Unreadable::Malformed);
    }
    let mut parts = Vec::with_capacity(runs.len());
    for (first, length) in runs {
        let length = usize::try_from(length).map_err(|_| Unreadable::Malformed)?;
        let (run, rest) = body.split_at_checked(length).ok_or(Unreadable::Malformed)?;
        parts.push((first, Bytes::copy_from_slice(run)));
        body = rest;
    }
    let parts = Parts::of(parts, complete).filter(|parts| body.is_empty() && parts.whole().is_none());
    parts.map(|parts| Some(Arc::new(parts))).ok_or(Unreadable::Malformed)
}

fn to_response(
    from: &Response<'_>,
    payload: &Payload,
    parts: Option<Arc<Parts>>,
    key_text: &Arc<str>,
    shift_ms: i64,
) -> Result<StoredResponse, Unreadable> {
    let back_ms = shift_ms.saturating_neg();
    // Pointing into the payload saves copies, unless meta is so large a part of it that copies are cheaper to keep.
    let shares = parts.is_none() && payload.body.len() / 16 >= payload.meta.len();
    let stored = StoredResponse {
        key: Arc::clone(key_text),
        status: StatusCode::from_u16(from.status).map_err(|_| Unreadable::Malformed)?,
        fields: to_fields(&from.fields, shares.then_some(&payload.meta))?,
        body: match parts {
            Some(_) => Bytes::new(),
            None if shares => payload.body.clone(),
            None => Bytes::copy_from_slice(&payload.body),
        }
        .into(),
        parts,
        requested: Timestamp::from_millis(from.requested_ms.saturating_add_signed(back_ms)),
        received: Timestamp::from_millis(from.received_ms.saturating_add_signed(back_ms)),
        initial_age: Duration::from_millis(from.initial_age_ms),
        fetch_time: Duration::from_micros(from.fetch_time_us),
        plan: to_plan(&from.plan),
        directives: Directives {
            no_cache: from.directives & 1 != 0,
            must_revalidate: from.directives & 2 != 0,
            immutable: from.directives & 4 != 0,
        },
        sequence: from.sequence,
        policy: from.policy.map(Digest),
        version: to_version(&from.extras)?,
    };
    // RFC 9111 section 3.4: parts are of one representation only "if they all share the same strong validator".
    let may_be_parts = || stored.status == StatusCode::PARTIAL_CONTENT && strong_validator(&stored).is_some();
    if stored.parts.is_some() && !may_be_parts() { Err(Unreadable::Malformed) } else { Ok(stored) }
}

/// Where `shared` is given, it holds the bytes of all fields, and their values point into it.
fn to_fields(from: &[(&str, &[u8])], shared: Option<&Bytes>) -> Result<HeaderMap, Unreadable> {
    let mut fields = HeaderMap::try_with_capacity(from.len()).map_err(|_| Unreadable::Malformed)?;
    for (name, value) in from {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unreadable::Malformed)?;
        let value = match shared {
            Some(shared) => HeaderValue::from_maybe_shared(shared.slice_ref(value)),
            None => HeaderValue::from_bytes(value),
        };
        let value = value.map_err(|_| Unreadable::Malformed)?;
        // A header map has an upper bound of its own, past which `append` would panic.
        fields.try_append(name, value).map_err(|_| Unreadable::Malformed)?;
    }
    Ok(fields)
}

fn from_plan(plan: &Plan) -> WirePlan<'_> {
    WirePlan {
        l1: plan.l1,
        l2: plan.l2,
        freshness_lifetime_ms: plan.freshness_lifetime_ms,
        stale_while_revalidate_ms: plan.stale_while_revalidate_ms,
        stale_if_error_ms: plan.stale_if_error_ms,
        early_refresh: match plan.early_refresh {
            EarlyRefresh::Never => WireRefresh::Never,
            EarlyRefresh::Window { window_ms, odds_ppm } => WireRefresh::Window { window_ms, odds_ppm },
            EarlyRefresh::Xfetch { fetch_ms, beta_milli } => WireRefresh::Xfetch { fetch_ms, beta_milli },
        },
        surrogate_keys: plan.surrogate_keys.iter().map(String::as_str).collect(),
    }
}

fn to_plan(from: &WirePlan<'_>) -> Plan {
    Plan {
        l1: from.l1,
        l2: from.l2,
        freshness_lifetime_ms: from.freshness_lifetime_ms,
        stale_while_revalidate_ms: from.stale_while_revalidate_ms,
        stale_if_error_ms: from.stale_if_error_ms,
        early_refresh: match from.early_refresh {
            WireRefresh::Never => EarlyRefresh::Never,
            WireRefresh::Window { window_ms, odds_ppm } => EarlyRefresh::Window { window_ms, odds_ppm },
            WireRefresh::Xfetch { fetch_ms, beta_milli } => EarlyRefresh::Xfetch { fetch_ms, beta_milli },
        },
        surrogate_keys: from.surrogate_keys.iter().map(|&key| key.to_owned()).collect(),
    }
}

fn from_variants(variants: &Variants) -> Selecting<'_> {
    Selecting {
        key: &variants.key,
        sets: variants.sets.iter().map(|set| set.iter().map(String::as_str).collect()).collect(),
        sequence: variants.sequence,
        extras: Vec::new(),
    }
}

fn to_variants(from: &Selecting<'_>, key_text: &Arc<str>) -> Result<Variants, Unreadable> {
    if from.sets.len() > Variants::SETS_MAX {
        return Err(Unreadable::Malformed);
    }
    let sets = from.sets.iter().map(|set| set.iter().map(|&name| name.to_owned()).collect()).collect();
    Ok(Variants { key: Arc::clone(key_text), sets, sequence: from.sequence })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The meta as a program would write it that knows one field more.
#[cfg(test)]
pub(super) fn with_extra<'a>(meta: &'a [u8], tag: u16, extra: &'a [u8]) -> Vec<u8> {
    let mut meta: Meta<'a> = postcard::from_bytes(meta).expect("meta");
    match &mut meta {
        Meta::Response(response) => response.extras.push((tag, extra)),
        Meta::Variants(variants) => variants.extras.push((tag, extra)),
    }
    postcard::to_allocvec(&meta).expect("plain data")
}
