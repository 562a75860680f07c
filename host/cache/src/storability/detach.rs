//! What is stored shares no buffer with the connection that it came on.
//!
//! Field values are slices of what was read from the socket, and each keeps all of that alive: tens of kilobytes for a
//! response of a few bytes, where the connection is fast. So they are copied, once per fill; so is content, by the
//! tail.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue};

/// The same fields in memory of their own, the values one after the other.
pub(super) fn detached_fields(mut fields: HeaderMap) -> HeaderMap {
    let mut values = BytesMut::with_capacity(fields.values().map(HeaderValue::len).sum());
    fields.values_mut().for_each(|value| values.extend_from_slice(value.as_bytes()));
    let mut values = values.freeze();
    for value in fields.values_mut() {
        let own = values.split_to(value.len());
        let mut own = HeaderValue::from_maybe_shared(own).expect("it was a value before");
        own.set_sensitive(value.is_sensitive());
        *value = own;
    }
    fields
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Whether `part` lies in `whole`.
    fn shares(part: &[u8], whole: &[u8]) -> bool {
        whole.as_ptr_range().contains(&part.as_ptr())
    }

    #[test]
    fn nothing_that_is_stored_lies_in_what_was_read() {
        let read = Bytes::from("a: 1, b: 22, secret: 333, content".as_bytes().to_vec());
        let value = |range: std::ops::Range<usize>| HeaderValue::from_maybe_shared(read.slice(range)).expect("a value");
        let mut secret = value(21..24);
        secret.set_sensitive(true);
        let mut fields = HeaderMap::new();
        fields.append("b", value(9..11));
        fields.append("a", value(3..4));
        fields.append("a", value(9..10));
        fields.append("secret", secret);
        fields.append("empty", HeaderValue::from_static(""));
        assert!(shares(fields["a"].as_bytes(), &read));
        let detached = detached_fields(fields.clone());
        assert_eq!(detached, fields);
        assert!(detached.values().all(|value| !shares(value.as_bytes(), &read)));
        assert!(detached["secret"].is_sensitive() && !detached["a"].is_sensitive());
    }
}
