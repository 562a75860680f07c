//! Targeted cache control (RFC 9213): a field for this kind of cache, parsed as a structured dictionary, takes the
//! place of `Cache-Control` and `Expires`.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::cache_control::ResponseDirectives;
use super::directive::{DELTA_SECONDS_MAX, Delta};

/// The field for content delivery networks (RFC 9213 section 3.1).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The response directives that hold for this cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// The directives of a targeted field, else of `Cache-Control`.
    pub directives: ResponseDirectives,
    /// Whether they are those of a targeted field: `Cache-Control` and `Expires` are then ignored (RFC 9213 section
    /// 2.2).
    pub targeted: bool,
}

/// The directives of the first valid field of `targets`, else those of `Cache-Control`.
pub fn effective(fields: &HeaderMap, targets: &[HeaderName]) -> Effective {
    match targets.iter().find_map(|target| targeted(fields, target)) {
        Some(directives) => Effective { directives, targeted: true },
        None => Effective { directives: ResponseDirectives::of(fields, &CACHE_CONTROL), targeted: false },
    }
}

/// The directives of one targeted field. RFC 9213 section 2.1: "If a targeted field in a given response is empty or a
/// parsing error is encountered, that field MUST be ignored by the cache (i.e., it behaves as if the field were not
/// present, likely falling back to other cache control mechanisms present)."
fn targeted(fields: &HeaderMap, target: &HeaderName) -> Option<ResponseDirectives> {
    let mut lines = fields.get_all(target).iter().map(|line| line.as_bytes());
    let mut text = lines.next()?.to_vec();
    for line in lines {
        text.extend_from_slice(b", ");
        text.extend_from_slice(line);
    }
    let dictionary = Parser::new(&text).parse::<Dictionary>().ok().filter(|members| !members.is_empty())?;
    let mut directives = ResponseDirectives::default();
    for (key, member) in &dictionary {
        // Parameters of members are ignored; no known directive is an inner list.
        let ListEntry::Item(item) = member else { continue };
        take(&mut directives, key.as_str(), &item.bare_item)?;
    }
    Some(directives)
}

/// Takes in one member; none where a directive that this cache knows has a value of the wrong type, which "SHOULD NOT"
/// be consumed (section 2.1): the field as a whole then counts as malformed and is ignored.
fn take(directives: &mut ResponseDirectives, key: &str, value: &BareItem) -> Option<()> {
    match (key, value) {
        ("max-age", value) => directives.max_age = delta(value)?,
        ("s-maxage", value) => directives.s_maxage = delta(value)?,
        ("stale-while-revalidate", value) => directives.stale_while_revalidate = delta(value)?,
        ("stale-if-error", value) => directives.stale_if_error = delta(value)?,
        // A directive without an argument is a Boolean; false means that it is absent.
        (_, BareItem::Boolean(false)) => {}
        (key, BareItem::Boolean(true)) => directives.take(key.as_bytes(), None),
        ("no-cache" | "private", BareItem::String(names)) => {
            directives.take(key.as_bytes(), Some(names.as_str().as_bytes()));
        }
        (key, _) if KNOWN_FLAGS.contains(&key) => return None,
        _ => {}
    }
    Some(())
}

const KNOWN_FLAGS: [&str; 8] = [
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "immutable",
];

fn delta(value: &BareItem) -> Option<Delta> {
    let BareItem::Integer(seconds) = value else { return None };
    let seconds = u64::try_from(i64::from(*seconds)).ok()?;
    Some(Delta::Seconds(u32::try_from(seconds).unwrap_or(u32::MAX).min(DELTA_SECONDS_MAX)))
}
