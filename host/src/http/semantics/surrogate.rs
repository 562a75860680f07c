//! Surrogate keys: what a response can be purged by besides its target.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, List, ListEntry, Parser};

use super::{RequestHead, ResponseHead, request};

/// Keys separated by spaces.
pub const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// Keys separated by commas.
pub const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
/// Groups of responses of one origin (RFC 9875 section 2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// Groups that a write makes invalid (RFC 9875 section 3).
pub const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// How many keys of a response are kept; those that follow are dropped.
pub const KEYS_MAX: usize = 512;
/// The longest key that is kept, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// The keys of a response, sorted, each once. A group becomes the key [`group_key`] makes of it.
pub fn surrogate_keys(request: &RequestHead<'_>, response: &HeaderMap) -> Vec<String> {
    let mut keys = Vec::new();
    separated(response, &SURROGATE_KEY, |c| c.is_ascii_whitespace(), &mut keys);
    separated(response, &CACHE_TAG, |c| c == ',', &mut keys);
    if response.contains_key(CACHE_GROUPS) {
        keys.extend(groups(response, &CACHE_GROUPS).iter().map(|group| group_key(&request::host(request), group)));
    }
    keys.retain(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
    keys.truncate(KEYS_MAX);
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The surrogate keys of the groups that a response to a write makes invalid.
///
/// RFC 9875 section 3: "The Cache-Group-Invalidation header field MUST be ignored on responses to requests that have a
/// safe method"; otherwise a cache "MAY invalidate any stored responses that share groups" with it, those of the same
/// origin.
pub fn group_invalidations(request: &RequestHead<'_>, response: &ResponseHead<'_>) -> Vec<String> {
    if request::is_safe(request.method) || !response.fields.contains_key(CACHE_GROUP_INVALIDATION) {
        return Vec::new();
    }
    let host = request::host(request);
    groups(response.fields, &CACHE_GROUP_INVALIDATION).iter().map(|group| group_key(&host, group)).collect()
}

/// The surrogate key that stands for a group of a host: groups of different hosts are different groups.
pub fn group_key(host: &str, group: &str) -> String {
    format!("group:{}:{group}", host.to_ascii_lowercase())
}

fn separated(fields: &HeaderMap, name: &HeaderName, separator: impl Fn(char) -> bool, keys: &mut Vec<String>) {
    for line in fields.get_all(name) {
        let Ok(line) = std::str::from_utf8(line.as_bytes()) else { continue };
        keys.extend(line.split(&separator).map(str::trim).map(str::to_owned));
    }
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
