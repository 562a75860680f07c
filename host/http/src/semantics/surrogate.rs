//! Surrogate keys: labels by which a response can be purged besides its target.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, List, ListEntry, Parser};

use super::list::{Members, Quotes};
use super::{RequestHead, ResponseHead, request};

/// Response field with surrogate keys, separated by spaces.
pub const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// Response field with surrogate keys, separated by commas.
pub const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
/// Response field with the groups that the response belongs to, among those of its origin (RFC 9875 section 2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// Response field with the groups that an unsafe request invalidates (RFC 9875 section 3).
pub const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// How many surrogate keys of a response are kept; the rest are dropped.
pub const KEYS_MAX: usize = 512;
/// The longest surrogate key that is kept, in bytes; longer ones are dropped.
pub const KEY_BYTES_MAX: usize = 1024;

/// The surrogate keys of a response, sorted, each once. A group becomes the key that [`group_key`] makes of it.
pub fn surrogate_keys(request: &RequestHead<'_>, response: &HeaderMap) -> Vec<String> {
    let words = lines(response, SURROGATE_KEY).flat_map(|line| line.split(|byte| byte.is_ascii_whitespace()));
    let members = lines(response, CACHE_TAG).flat_map(|line| Members::of(line, Quotes::None));
    let named = words.chain(members).filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
    let named = named.filter_map(|key| std::str::from_utf8(key).ok()).map(str::to_owned);
    let mut keys: Vec<String> = named.chain(group_keys(request, response, &CACHE_GROUPS)).take(KEYS_MAX).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn lines(fields: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    fields.get_all(name).iter().map(HeaderValue::as_bytes)
}

/// The surrogate keys of the groups that a response to an unsafe request invalidates.
///
/// RFC 9875 section 3: "The Cache-Group-Invalidation header field MUST be ignored on responses to requests that have a
/// safe method"; otherwise a cache "MAY invalidate any stored responses that share groups" with it, those of the same
/// origin. No response has more groups than [`KEYS_MAX`], and no request invalidates more.
pub fn group_invalidations(request: &RequestHead<'_>, response: &ResponseHead<'_>) -> Vec<String> {
    if request::is_safe(request.method) {
        return Vec::new();
    }
    group_keys(request, response.fields, &CACHE_GROUP_INVALIDATION).take(KEYS_MAX).collect()
}

/// The surrogate keys of the groups in field `name`; keys longer than [`KEY_BYTES_MAX`] are left out.
fn group_keys(request: &RequestHead<'_>, fields: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    let groups = groups(fields, name);
    // A host that is too long to be a name has no groups: each key would carry all of it.
    let host = (!groups.is_empty()).then(|| request::host(request)).filter(|host| host.len() <= KEY_BYTES_MAX);
    let keys = host.map(|host| groups.into_iter().map(move |group| group_key(&host, &group)));
    keys.into_iter().flatten().filter(|key| key.len() <= KEY_BYTES_MAX)
}

/// The surrogate key that stands for a group of a host: groups of different hosts are different groups.
pub fn group_key(host: &str, group: &str) -> String {
    format!("group:{}:{group}", host.to_ascii_lowercase())
}

/// The strings of a structured list; none where it can't be parsed or holds anything else (RFC 9651 section 3.1: a
/// field that fails to parse is ignored).
fn groups(fields: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let mut text = Vec::new();
    for line in fields.get_all(name) {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(line.as_bytes());
    }
    let Ok(members) = Parser::new(&text).parse::<List>() else { return Vec::new() };
    let strings = members.into_iter().map(|member| match member {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::String(group) => Some(group.as_str().to_owned()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    });
    strings.collect::<Option<Vec<_>>>().unwrap_or_default()
}
