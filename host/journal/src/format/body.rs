//! What records hold.

use std::num::NonZeroU64;

use bytes::Bytes;
use sandbar_base::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known of a write beside its content, which follows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) key: &'a [u8],
    pub(crate) idempotency_key: &'a str,
    pub(crate) at: Timestamp,
    /// See [`Write::replaces`](crate::Write::replaces).
    pub(crate) replaces: bool,
    pub(crate) author: u64,
    pub(crate) client: Option<NonZeroU64>,
    /// Why it is a dead letter, where it is one.
    #[serde(borrow)]
    pub(crate) death: Option<Death<'a>>,
}

/// Why a write is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Death<'a> {
    pub(crate) at: Timestamp,
    pub(crate) reason: &'a str,
    /// Whether a later write to its key has been done since.
    pub(crate) overtaken: bool,
}

/// The body of a [`Kind::Write`](super::record::Kind::Write).
pub(crate) fn write(about: &About<'_>, content: &[u8]) -> Bytes {
    let room = content.len() + about.tenant.len() + about.key.len() + about.idempotency_key.len() + 64;
    let mut body = postcard::to_extend(about, Vec::with_capacity(room)).expect("plain data always serialises");
    body.extend_from_slice(content);
    body.into()
}

/// What a write's body says, and where its content begins; none where it is no such body.
pub(crate) fn read(body: &[u8]) -> Option<(About<'_>, usize)> {
    let (about, content) = postcard::take_from_bytes(body).ok()?;
    Some((about, body.len() - content.len()))
}

/// The body of a [`Kind::Dead`](super::record::Kind::Dead).
pub(crate) fn write_death(death: &Death<'_>) -> Bytes {
    postcard::to_allocvec(death).expect("plain data always serialises").into()
}

/// What such a body says; none where it is none.
pub(crate) fn read_death(body: &[u8]) -> Option<Death<'_>> {
    postcard::from_bytes(body).ok()
}
