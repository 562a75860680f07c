//! Twins: field names that an origin may not tell apart. CGI (RFC 3875 section 4.1.18), and with it FastCGI, WSGI, Rack
//! and PHP, hand a field to the program as `HTTP_` and its name, with every `-` replaced by `_`; some replace every
//! character that is neither a letter nor a digit. So `X_Forwarded_Host` arrives as `X-Forwarded-Host` does.

use std::borrow::Cow;

use http::HeaderName;

/// Whether an origin may take `name` for another name: whether it holds anything but letters, digits and `-`.
pub fn has_twin(name: &str) -> bool {
    name.bytes().any(|byte| !is_plain(byte))
}

/// The twin of a name: the name of lower-case letters, digits and `-` that an origin may take it for.
/// `x-forwarded-host` is the twin of `X_Forwarded_Host`, and its own.
pub fn twin(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| is_plain(byte) && !byte.is_ascii_uppercase()) {
        return name.into();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(plain).collect::<String>().into()
}

/// The [`twin`] of a parsed field name.
pub fn twin_name(name: &HeaderName) -> Cow<'_, HeaderName> {
    match twin(name.as_str()) {
        Cow::Borrowed(_) => Cow::Borrowed(name),
        // Letters, digits and `-` always make a name.
        Cow::Owned(twin) => HeaderName::from_bytes(twin.as_bytes()).map_or(Cow::Borrowed(name), Cow::Owned),
    }
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_is_what_cgi_makes_of_both() {
        for (name, expected) in [
            ("x-a", "x-a"),
            ("X-A", "x-a"),
            ("x_a", "x-a"),
            ("X-a_B", "x-a-b"),
            ("x.a", "x-a"),
            ("x!a", "x-a"),
            ("_", "-"),
            ("", ""),
        ] {
            assert_eq!(twin(name), expected, "{name}");
            let cgi = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_uppercase();
            assert_eq!(cgi(name), cgi(&twin(name)), "{name}");
        }
        assert!(has_twin("x_a") && has_twin("x.a") && !has_twin("X-a-1"));
    }
}
