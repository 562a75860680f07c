//! `Vary` (RFC 9110 section 12.5.5) and the normalised values of the fields that it names (RFC 9111 section 4.1).

use http::header::{
    ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, DATE, EXPECT, REFERER, USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderName};

use super::fields::is_hop_by_hop;
use super::list::{Members, Quotes};
use crate::combined::{combined, is_answered_here};

/// Stands for the value of a selecting field that the request does not have. No field value holds this character.
///
/// RFC 9111 section 4.1: "If (after any normalization that might take place) a header field is absent from a request,
/// it can only match another request if it is also absent there."
pub const ABSENT: &str = "\0";

/// The request fields on which a response depends, by its `Vary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// No request field: the response matches every request.
    None,
    /// `*`, a malformed name or more than [`NAMES_MAX`] names: no other request is known to match.
    Any,
    /// These fields; names in lower case, sorted, each once.
    Names(Vec<String>),
}

/// How many fields `Vary` may name before it is read as `*`: selecting by more would cost more than the fetch.
pub const NAMES_MAX: usize = 64;

/// How many members a list of preferences may have to be normalised; a longer one is compared as it was sent.
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

/// The names and values that select a variant, in the order of `names`: repeated lines are combined, and white space
/// and case normalised where the field's grammar gives them no meaning.
///
/// `request` has its fields under their twins' names ([`twin`](crate::twin)), by which they are looked up:
/// `Vary: X_Foo` and `Vary: X-Foo` mean the same.
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

/// Whether this field can't select a variant, as the origin never sees it: it is not passed on, or this cache answers
/// it.
pub fn selects_nothing(name: &HeaderName) -> bool {
    is_answered_here(name) || is_hop_by_hop(name) || *name == EXPECT
}

/// Lists of case-insensitive members whose order has no meaning, as they have weights (RFC 9110 section 12.4.2).
const PREFERENCES: [HeaderName; 3] = [ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_CHARSET];

/// Fields that are no lists: a comma within their value, and the space after it, is part of the value.
const SINGLETONS: [HeaderName; 5] = [AUTHORIZATION, COOKIE, DATE, REFERER, USER_AGENT];

/// A list of preferences, normalised: the members in lower case, without white space, sorted.
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

/// A list without the white space around its commas (RFC 9110 section 5.6.1); quoted strings stay as they are, and so
/// does the whole value where a quote never ends. An unknown field counts as a list: its lines may be combined on the
/// way anyway (section 5.3).
fn list(value: Vec<u8>) -> Vec<u8> {
    let mut members = Members::of(&value, Quotes::Strings);
    let bare = members.by_ref().collect::<Vec<_>>().join(&b',');
    if members.is_sound() { bare } else { value }
}
