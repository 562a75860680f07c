//! The fields by which the gateway tells the origin of the client, the host and the scheme.

use std::net::IpAddr;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde::{Deserialize, Serialize};

use super::names::Kind;
use crate::semantics::fields::is_hop_by_hop;
use crate::twin::twin_name;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A tenant's settings for what its origin is told: by the gateway, and by clients' fields that are removed otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardRules {
    /// The fields in which the gateway tells the origin of client, host and scheme.
    pub told_by: ToldBy,
    /// Names of request fields that are passed on although they hold a `_`, name a client's address (as a proxy in
    /// front of the gateway may do), or could be taken for a program's setting.
    pub pass: Vec<String>,
}

/// The fields that tell an origin of client, host and scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToldBy {
    /// `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// No field: the origin is told nothing.
    Nothing,
}

impl ToldBy {
    /// Whether `name` is one of these fields.
    pub(super) fn tells(self, name: &HeaderName) -> bool {
        match self {
            Self::XForwarded => [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO].contains(name),
            Self::Forwarded => *name == FORWARDED,
            Self::Nothing => false,
        }
    }
}

impl ForwardRules {
    /// The first name in `pass` that is not allowed there, with the reason; none where all are allowed.
    pub fn wrong_name(&self) -> Option<(&str, &'static str)> {
        self.pass.iter().find_map(|name| {
            let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
                return Some((&**name, "is no field name"));
            };
            let plain = twin_name(&parsed);
            let reason = match Kind::of(plain.as_str()) {
                _ if is_hop_by_hop(&plain) || *plain == CONTENT_LENGTH => {
                    "frames messages, or arrives as a field that does"
                }
                _ if ToldBy::Forwarded.tells(&plain) || ToldBy::XForwarded.tells(&plain) => {
                    "is the gateway's own, or arrives as one that is"
                }
                Kind::Place | Kind::Override => {
                    "tells the origin of another host, scheme, method or target; only key.fields may name it"
                }
                Kind::Ordinary if !name.contains('_') => "is passed on in any case",
                Kind::Ordinary | Kind::Client | Kind::Setting => return None,
            };
            Some((name, reason))
        })
    }

    /// Whether `pass` lists this very name, not only a twin of it.
    pub(super) fn passes(&self, name: &str) -> bool {
        self.pass.iter().any(|listed| listed.eq_ignore_ascii_case(name))
    }

    /// Sets the fields for a request for this absolute URI. `client` is the address of the client that caused the
    /// request; none where the request did not come through a gateway.
    pub(super) fn tell(&self, uri: &Uri, client: Option<IpAddr>, fields: &mut HeaderMap) {
        let (host, scheme) = (uri.authority().map_or("", |it| it.as_str()), uri.scheme_str().unwrap_or("http"));
        match self.told_by {
            ToldBy::Nothing => {}
            ToldBy::XForwarded => {
                put(fields, &X_FORWARDED_FOR, client.map(|client| client.to_string()).as_deref());
                put(fields, &X_FORWARDED_HOST, Some(host));
                put(fields, &X_FORWARDED_PROTO, Some(scheme));
            }
            ToldBy::Forwarded => put(fields, &FORWARDED, Some(&forwarded(client, host, scheme))),
        }
    }
}

/// One element of `Forwarded` (RFC 7239 section 4).
fn forwarded(client: Option<IpAddr>, host: &str, scheme: &str) -> String {
    let client = client.map_or(String::new(), |client| match client {
        IpAddr::V4(address) => format!("for={address};"),
        // Section 6: "an IPv6 address is always enclosed in square brackets", which take quotes.
        IpAddr::V6(address) => format!("for=\"[{address}]\";"),
    });
    format!("{client}host=\"{host}\";proto={scheme}")
}

/// Replaces all lines of `name` by one with this value; removes them where there is none.
fn put(fields: &mut HeaderMap, name: &HeaderName, value: Option<&str>) {
    match value.and_then(|value| HeaderValue::from_str(value).ok()) {
        Some(value) => drop(fields.insert(name, value)),
        None => drop(fields.remove(name)),
    }
}
