//! Dead letters: writes that an origin refused for good, or did not take in time, as operators see them.

use http::HeaderMap;
use sandbar_base::clock::Timestamp;
use sandbar_journal::DeadLetter;
use serde::Serialize;

use super::credentials::is_secret;
use super::request::OwedRequest;

/// A write that was not delivered and is kept, as operators see it: without its content, and without credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Letter {
    /// Its number.
    pub seq: u64,
    /// When it was made.
    pub written: Option<Timestamp>,
    /// Since when it is a dead letter.
    pub dead_since: Timestamp,
    /// Why.
    pub reason: String,
    /// Whether a later write of its target has been delivered since, which it would undo.
    pub overtaken: bool,
    /// Its size in the journal, in bytes.
    pub bytes: u64,
    /// Its method; none where it can't be read any more.
    pub method: Option<String>,
    /// Its URL.
    pub url: Option<String>,
    /// By what the origin tells a repetition.
    pub idempotency_key: Option<String>,
    /// Its fields; of those that may hold credentials the names alone.
    pub fields: Vec<(String, String)>,
}

/// What stands for the value of a field that may hold credentials.
const REDACTED: &str = "(not shown)";

impl From<DeadLetter> for Letter {
    fn from(letter: DeadLetter) -> Self {
        let written = letter.write.as_ref().map(|held| held.write.at);
        let owed = letter.write.and_then(|held| OwedRequest::decode(held.write.content));
        Self {
            seq: letter.seq.0,
            written,
            dead_since: letter.at,
            reason: letter.reason,
            overtaken: letter.overtaken,
            bytes: letter.bytes,
            method: owed.as_ref().map(|owed| owed.method.to_string()),
            url: owed.as_ref().map(|owed| owed.uri.to_string()),
            idempotency_key: owed.as_ref().map(OwedRequest::idempotency_key),
            fields: owed.map(|owed| shown(&owed.fields)).unwrap_or_default(),
        }
    }
}

fn shown(fields: &HeaderMap) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| {
            let value = if is_secret(name) {
                REDACTED.to_owned()
            } else {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            };
            (name.to_string(), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        let fields = ["authorization", "cookie", "x-api-key", "x-auth-user", "csrf-token", "content-type"];
        let fields = fields.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("s3cret")));
        let shown = shown(&HeaderMap::from_iter(fields));
        let told: Vec<_> = shown.iter().filter(|(_, value)| value == "s3cret").map(|(name, _)| name.as_str()).collect();
        assert_eq!(told, ["content-type"]);
        assert_eq!(shown.len(), 6);
    }
}
