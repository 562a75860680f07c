//! `Vary` (RFC 9110 section 12.5.5) and the normalised values of the fields that it names (RFC 9111 section 4.1).

use http::header::{
    ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, DATE, EXPECT, REFERER, USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderName};

use super::fields::is_hop_by_hop;
use super::list::{Members, Quotes};
use crate::combined::{combined, is_answered_here};

/// The value of a selecting field that the request does not have. No field value holds this character.
///
/// RFC 9111 section 4.1: "If (after any normalization that might take place) a header field is absent from a request,
/// it can only match another request if it is also absent there."
pub const ABSENT: &str = "\0";

/// What a response says about which request fields it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// None.
    None,
    /// `*`, or a name that is none: no other request is known to match.
    Any,
    /// These, in lower case, sorted, each once.
    Names(Vec<String>),
}

/// A response that names more fields is taken for one that says `*`: selecting by them would cost more than the fetch.
pub const NAMES_MAX: usize = 64;

/// Preferences with more members are compared as they were sent, in their own order.
const PREFERENCES_MAX: usize = 64;

/// Reads all lines of `Vary`.
pub fn vary(response: &HeaderMap) -> Vary {
    let mut names = Vec::new();
    for line in response.get_all(VARY) {
        for member in Members::of(line.as_bytes(), Quotes::None) {
            match member {
                b"" => {}
                // Section 4.1: "A stored response with a Vary header field value containing a member "*" always fails
                // to match."
                b"*" => return Vary::Any,
                name => match HeaderName::from_bytes(name) {
                    Ok(name) if names.len() < NAMES_MAX => names.push(name.as_str().to_owned()),
                    _ => return Vary::Any,
                },
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { Vary::None } else { Vary::Names(names) }
}

/// The values that select a variant, in the order of `names`: repeated lines combined, white space and case normalised
/// where the field's own grammar says that they mean nothing.
///
/// `request` has its fields under the names that no origin takes for others ([`twin`](crate::twin)), and so they are looked
/// up: `Vary: X_Foo` and `Vary: X-Foo` mean the same.
pub fn selecting_values(names: &[String], request: &HeaderMap) -> Vec<(String, String)> {
    names.iter().map(|name| (name.clone(), selecting_value(name, request))).collect()
}

fn selecting_value(name: &str, request: &HeaderMap) -> String {
    let Some(value) = combined(name, request) else { return ABSENT.to_owned() };
    let value = match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) if PREFERENCES.contains(&name) => preferences(value),
        Ok(name) if !SINGLETONS.contains(&name) => list(value),
        _ => value,
    };
    value.into_iter().map(char::from).collect()
}

/// Whether no request has a value of this field that could tell it from others: it is not passed on, or is answered here.
pub fn selects_nothing(name: &HeaderName) -> bool {
    is_answered_here(name) || is_hop_by_hop(name) || *name == EXPECT
}

/// Lists of case-insensitive members whose order says nothing: their weights do (RFC 9110 section 12.4.2).
const PREFERENCES: [HeaderName; 3] = [ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_CHARSET];

/// Fields that are no lists: a comma within them, and the space after it, is part of the value.
const SINGLETONS: [HeaderName; 5] = [AUTHORIZATION, COOKIE, DATE, REFERER, USER_AGENT];

/// The members in lower case, without white space, sorted.
fn preferences(value: Vec<u8>) -> Vec<u8> {
    let mut bare = value.to_ascii_lowercase();
    bare.retain(|byte| !matches!(byte, b' ' | b'\t'));
    let mut members: Vec<&[u8]> = Members::of(&bare, Quotes::None).collect();
    if members.len() > PREFERENCES_MAX {
        return value;
    }
    members.sort_unstable();
    members.join(&b',')
}

/// A list without the white space around its commas (RFC 9110 section 5.6.1); what is in quotes stays as it is, and so does
/// all of it where a quote never ends. A field that nobody knows is taken for a list: its lines may be combined on the way
/// in any case (section 5.3).
fn list(value: Vec<u8>) -> Vec<u8> {
    let mut members = Members::of(&value, Quotes::Strings);
    let bare = members.by_ref().collect::<Vec<_>>().join(&b',');
    if members.is_sound() { bare } else { value }
}
