//! Fields that are for all recipients of the content (RFC 9110 section 7.6.1), so that `Connection` can't remove them.

/// Whether a field is for all recipients. RFC 9110 section 7.6.1: "A sender MUST NOT send a connection option
/// corresponding to a field that is intended for all recipients of the content." An option for such a field is ignored,
/// as without the field the message would mean something else: be for another host, end elsewhere, hold other content,
/// or be obeyed although its condition does not hold.
pub(super) fn is_for_all(name: &str) -> bool {
    const FOR_ALL: [&str; 11] = [
        "age",
        "cache-control",
        "date",
        "etag",
        "expires",
        "host",
        "last-modified",
        "max-forwards",
        "range",
        "vary",
        "via",
    ];
    name.starts_with("content-") || name.starts_with("if-") || FOR_ALL.contains(&name)
}
