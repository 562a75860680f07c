//! The keys of a request's variants (RFC 9111 section 4.1).

use sandbar_http::entry::Variants;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::selecting_values;

use super::CacheRequest;

/// The keys under which the variant that a request selects may be stored, the likeliest first.
pub(crate) fn variant_keys(request: &CacheRequest, variants: &Variants) -> Vec<CacheKey> {
    variants.sets.iter().map(|names| variant_key(request, names)).collect()
}

/// The key of the variant that a request selects by these fields.
pub(crate) fn variant_key(request: &CacheRequest, names: &[String]) -> CacheKey {
    let values = selecting_values(names, request.selecting());
    request.key.variant(values.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// The key under which a response with this `Vary` is stored for a request.
pub(crate) fn key_for(request: &CacheRequest, vary: &[String]) -> CacheKey {
    if vary.is_empty() { request.key.clone() } else { variant_key(request, vary) }
}
