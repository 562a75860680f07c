//! A request as it is owed to its origin: what the origin will be sent, and who sent it.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use sandbar_http::client::ShareKey;
use serde::{Deserialize, Serialize};

use super::credentials::{self, STANDARD};
use crate::request::CacheRequest;

/// By what an origin tells a repetition (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Bytes of a client's own key at most; a longer one is replaced.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// A request that is owed to an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwedRequest {
    pub(crate) method: Method,
    /// Absolute, as the origin is asked.
    pub(crate) uri: Uri,
    pub(crate) fields: HeaderMap,
    pub(crate) content: Bytes,
    /// Who sent it, as far as the tenant's shares go.
    pub(crate) client: Option<ShareKey>,
    /// Whether it has credentials that are not in its key: it is shown to requests with the same ones alone.
    pub(crate) is_private: bool,
}

/// What stands before the content.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    method: &'a str,
    uri: &'a str,
    fields: Vec<(&'a str, &'a [u8])>,
    address: Option<IpAddr>,
    is_private: bool,
}

/// The length of the head comes first.
const LENGTH_BYTES: usize = 4;

impl OwedRequest {
    /// What is owed for a client's request. It has an idempotency key: the client's own, or a new one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn of(request: &CacheRequest, content: Bytes) -> Result<Self, getrandom::Error> {
        let mut fields = request.fields.clone();
        let own =
            fields.get(&IDEMPOTENCY_KEY).filter(|key| key.len() <= IDEMPOTENCY_KEY_BYTES_MAX && key.to_str().is_ok());
        if own.is_none() {
            let mut random = [0; 16];
            getrandom::fill(&mut random)?;
            let text = format!("\"{:032x}\"", u128::from_le_bytes(random));
            fields.insert(IDEMPOTENCY_KEY, HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\"")));
        }
        Ok(Self {
            method: request.method.clone(),
            uri: request.origin_uri(),
            fields,
            content,
            client: request.client.map(|client| client.share_key()),
            is_private: !request.may_be_for_others(),
        })
    }

    /// The request as it is sent, with this content.
    pub(crate) fn to_request<B>(&self, content: B) -> Request<B> {
        let mut request = Request::new(content);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.fields.clone();
        request
    }

    pub(crate) fn idempotency_key(&self) -> String {
        let key = self.fields.get(&IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
        key.unwrap_or_default().to_owned()
    }

    /// Stands for who wrote it: a later write of another one does not take its place.
    pub(crate) fn author(&self) -> u64 {
        credentials::author(self.client, &self.fields)
    }

    /// Its bytes in a journal.
    pub(crate) fn encode(&self) -> Bytes {
        let head = Head {
            method: self.method.as_str(),
            uri: &self.uri.to_string(),
            fields: self.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
            address: self.client.and_then(|client| client.address),
            is_private: self.is_private,
        };
        // Of text and numbers alone, which always can be written.
        let head = postcard::to_stdvec(&head).unwrap_or_default();
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes();
        [&length, &*head, &*self.content].concat().into()
    }

    /// A request out of a journal; none where the bytes are no such request.
    pub(crate) fn decode(bytes: Bytes) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let head: Head<'_> = postcard::from_bytes(rest.get(..length)?).ok()?;
        let mut fields = HeaderMap::new();
        for (name, value) in head.fields {
            fields.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
        }
        let method = Method::from_bytes(head.method.as_bytes()).ok()?;
        let uri: Uri = head.uri.parse().ok()?;
        uri.authority()?;
        let client = head.address.map(|address| ShareKey { connection: 0, address: Some(address) });
        let is_private = head.is_private;
        Some(Self { method, uri, fields, content: bytes.slice(LENGTH_BYTES + length..), client, is_private })
    }

    /// Whether a request may be shown what this one has written: where that is not private, or it has the same credentials.
    pub(crate) fn may_be_shown_to(&self, request: &CacheRequest) -> bool {
        let same = |name: &HeaderName| self.fields.get_all(name).iter().eq(request.fields.get_all(name).iter());
        !self.is_private || STANDARD.iter().all(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owed() -> OwedRequest {
        let mut fields = HeaderMap::new();
        fields.append("cookie", HeaderValue::from_static("a=1"));
        fields.append("cookie", HeaderValue::from_bytes(b"\xff").unwrap());
        OwedRequest {
            method: Method::PUT,
            uri: "http://a.test/x?y".parse().unwrap(),
            fields,
            content: Bytes::from_static(b"content"),
            client: Some(ShareKey { connection: 0, address: Some([192, 0, 2, 1].into()) }),
            is_private: true,
        }
    }

    #[test]
    fn a_request_comes_out_as_it_went_in() {
        assert_eq!(OwedRequest::decode(owed().encode()), Some(owed()));
        let bare = OwedRequest { fields: HeaderMap::new(), content: Bytes::new(), client: None, ..owed() };
        assert_eq!(OwedRequest::decode(bare.encode()), Some(bare));
    }

    #[test]
    fn other_bytes_are_no_request_and_break_nothing() {
        let good = owed().encode();
        for end in 0..good.len() - b"content".len() {
            assert_eq!(OwedRequest::decode(good.slice(..end)), None, "{end}");
        }
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut spoilt = good.to_vec();
                spoilt[at] = byte;
                let _ = OwedRequest::decode(spoilt.into());
            }
        }
    }
}
