//! A service over HTTP, or a closure that answers like one, as the store behind values.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::backing::{Change, Expected, Outcome, Row, Store, StoreError};
use crate::body;
use crate::origin::{Origin, OriginError};

/// Requests of one call that are under way at the same time.
const AT_ONCE_MAX: usize = 8;
/// The longest content that is read, in bytes, where nothing else is said.
const CONTENT_BYTES_MAX: u64 = 1 << 20;

/// Resources of an origin as the store behind values of type `T`: the value of a key is JSON at the base and the key.
///
/// Its version is the number in its entity tag (`ETag: "7"`): writes that expect one carry `If-Match`, those that expect none
/// `If-None-Match: *` (RFC 9110 section 13.1), and 412 or 409 is a conflict. To find out whether a value is still so, it is asked for with
/// `HEAD`. Writes go through [`Origin::store`].
pub struct OriginStore<T> {
    origin: Arc<dyn Origin>,
    base: Box<str>,
    content_bytes_max: u64,
    _of: PhantomData<fn() -> T>,
}

impl<T> OriginStore<T> {
    /// Resources whose URLs begin with `base`, such as `http://catalogue/products/`; the key follows, percent-encoded.
    pub fn new(origin: Arc<dyn Origin>, base: impl Into<Box<str>>) -> Self {
        Self { origin, base: base.into(), content_bytes_max: CONTENT_BYTES_MAX, _of: PhantomData }
    }

    /// Reads no content that is longer, in bytes; 1 MiB by default.
    #[must_use]
    pub fn content_bytes_max(self, content_bytes_max: u64) -> Self {
        Self { content_bytes_max, ..self }
    }

    fn request(&self, method: Method, key: &str) -> Result<http::request::Builder, StoreError> {
        let url = format!("{}{}", self.base, utf8_percent_encode(key, NON_ALPHANUMERIC));
        let uri: http::Uri = url.parse().map_err(|_| StoreError::Schema(format!("{url:?} is no URL").into()))?;
        Ok(Request::builder().method(method).uri(uri))
    }

    /// The head of what is there, and its content; none where nothing is.
    async fn ask(&self, method: Method, key: &str) -> Result<Option<(i64, Bytes)>, StoreError> {
        let request = self.request(method, key)?.body(body::empty()).map_err(|error| bad(&error))?;
        let (head, mut content) = self.origin.fetch(request).await.map_err(|error| told(&error))?.into_parts();
        match head.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            status => return Err(StoreError::Refused(format!("{key:?}: {status}").into())),
        }
        let malformed = |reason: &str| StoreError::Malformed { key: key.to_owned(), reason: reason.into() };
        let version = version(&head.headers).ok_or_else(|| malformed("its ETag is no number in quotes"))?;
        let bytes_max = usize::try_from(self.content_bytes_max).unwrap_or(usize::MAX);
        let mut read = BytesMut::new();
        while let Some(frame) = content.frame().await {
            let frame = frame.map_err(|error| StoreError::Broken(error.to_string().into()))?;
            let Some(data) = frame.data_ref() else { continue };
            if read.len() + data.len() > bytes_max {
                return Err(malformed("its content is too long"));
            }
            read.extend_from_slice(data);
        }
        Ok(Some((version, read.freeze())))
    }

    /// What is there under several keys.
    async fn ask_each(&self, method: Method, keys: &[String]) -> Result<Vec<(String, i64, Bytes)>, StoreError> {
        let asked = stream::iter(keys.to_vec()).map(|key| {
            let method = method.clone();
            async move {
                let found = self.ask(method, &key).await?;
                Ok(found.map(|(version, content)| (key, version, content)))
            }
        });
        asked.buffer_unordered(AT_ONCE_MAX).try_filter_map(|found| async move { Ok(found) }).try_collect().await
    }
}

impl<T: Serialize> OriginStore<T> {
    fn write_of(&self, change: &Change<T>) -> Result<Request<Bytes>, StoreError> {
        let key = &change.key;
        let method = if change.value.is_some() { Method::PUT } else { Method::DELETE };
        let mut request = self.request(method, key)?;
        request = match change.expected {
            Expected::Any => request,
            Expected::Absent => request.header(IF_NONE_MATCH, "*"),
            Expected::Version(version) => request.header(IF_MATCH, format!("\"{version}\"")),
        };
        let content = match &change.value {
            Some(value) => {
                request = request.header(CONTENT_TYPE, "application/json");
                let malformed = |error: serde_json::Error| StoreError::Malformed {
                    key: key.clone(),
                    reason: error.to_string().into(),
                };
                serde_json::to_vec(value).map_err(malformed)?
            }
            None => Vec::new(),
        };
        request.body(content.into()).map_err(|error| bad(&error))
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Store<T> for OriginStore<T> {
    fn read<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<HashMap<String, Row<T>>, StoreError>> {
        async move {
            let found = self.ask_each(Method::GET, keys).await?;
            let row = |(key, version, content): (String, i64, Bytes)| match serde_json::from_slice(&content) {
                Ok(value) => Ok((key, Row { value, version })),
                Err(error) => Err(StoreError::Malformed { key, reason: error.to_string().into() }),
            };
            found.into_iter().map(row).collect()
        }
        .boxed()
    }

    fn versions<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<HashMap<String, i64>, StoreError>> {
        async move {
            let found = self.ask_each(Method::HEAD, keys).await?;
            Ok(found.into_iter().map(|(key, version, _)| (key, version)).collect())
        }
        .boxed()
    }

    fn write<'a>(&'a self, changes: &'a [Change<T>]) -> BoxFuture<'a, Vec<Result<Outcome, StoreError>>> {
        let (mut results, mut sent, mut places) = (Vec::with_capacity(changes.len()), Vec::new(), Vec::new());
        for (place, change) in changes.iter().enumerate() {
            let request = self.write_of(change);
            results.push(request.map(|request| {
                sent.push(request);
                places.push((place, change.value.is_none()));
                Outcome::Conflict
            }));
        }
        async move {
            let mut answers = self.origin.store(sent).await.into_iter();
            for (place, removed) in places {
                results[place] = match answers.next() {
                    Some(Ok(answer)) => outcome(answer.status(), answer.headers(), removed),
                    Some(Err(error)) => Err(told(&error)),
                    None => Err(StoreError::Broken("it did not say what became of the write".into())),
                };
            }
            results
        }
        .boxed()
    }
}

fn outcome(status: StatusCode, fields: &HeaderMap, removed: bool) -> Result<Outcome, StoreError> {
    match status {
        StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(Outcome::Conflict),
        // It is not there, as was wanted.
        StatusCode::NOT_FOUND | StatusCode::GONE if removed => Ok(Outcome::Done(None)),
        status if status.is_success() => Ok(Outcome::Done(version(fields).filter(|_| !removed))),
        // It may have been made before something failed.
        status if status.is_server_error() => Err(StoreError::Broken(status.to_string().into())),
        status => Err(StoreError::Refused(status.to_string().into())),
    }
}

/// The number in a strong entity tag.
fn version(fields: &HeaderMap) -> Option<i64> {
    let tag = fields.get(ETAG)?.to_str().ok()?;
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn bad(error: &http::Error) -> StoreError {
    StoreError::Schema(error.to_string().into())
}

fn told(error: &OriginError) -> StoreError {
    let reason = error.to_string().into();
    match error {
        OriginError::Connect { .. } | OriginError::Refused { .. } => StoreError::Unreachable(reason),
        OriginError::Deadline { deadline_ms, .. } => StoreError::Deadline { deadline_ms: *deadline_ms },
        _ => StoreError::Broken(reason),
    }
}

impl<T> fmt::Debug for OriginStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginStore").field("base", &self.base).finish_non_exhaustive()
    }
}
