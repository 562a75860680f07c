//! The keys of a request's variants (RFC 9111 section 4.1).

use sandbar_http::entry::Variants;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::selecting_values;

use super::Asked;

/// The keys under which the variant that a request selects may be stored, the likeliest first.
pub(crate) fn variant_keys(asked: &Asked, variants: &Variants) -> Vec<CacheKey> {
    variants.sets.iter().map(|names| variant_key(asked, names)).collect()
}

/// The key of the variant that a request selects by these fields.
pub(crate) fn variant_key(asked: &Asked, names: &[String]) -> CacheKey {
    let values = selecting_values(names, asked.selecting());
    asked.key.variant(values.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// The key under which a response with this `Vary` is stored for a request.
pub(crate) fn key_for(asked: &Asked, vary: &[String]) -> CacheKey {
    if vary.is_empty() { asked.key.clone() } else { variant_key(asked, vary) }
}
