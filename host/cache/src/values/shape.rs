//! Between values of a type and what is stored: the one place that encodes and decodes.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sandbar_base::memory_budget::Content;
use sandbar_http::entry::StoredResponse;

use super::codec::Codec;
use super::error::PutValueError;
use super::fresh::Fresh;
use super::keep::Keep;
use crate::body::BoxError;
use crate::cached::{Decoded, Form};
use crate::fill::load::Loaded;

/// Values of a type, as they are kept under a name.
pub(super) struct Shape<T, C> {
    pub(super) name: Box<str>,
    codec: C,
    _of: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static, C: Codec<T>> Shape<T, C> {
    pub(super) fn new(name: &str, codec: C) -> Self {
        Self { name: name.into(), codec, _of: PhantomData }
    }

    /// A value as it is stored.
    pub(super) fn stored(&self, fresh: Fresh<T>, keep: &Keep) -> Result<Loaded, PutValueError> {
        let keep = fresh.keep.as_ref().unwrap_or(keep);
        let fields = keep.fields(fresh.value.is_none()).map_err(PutValueError::SurrogateKey)?;
        let content = match &fresh.value {
            Some(value) => self.encoded(value).map_err(PutValueError::Encode)?,
            None => Vec::new(),
        };
        Ok(self.loaded(fresh.value, fields, content))
    }

    /// Like [`Self::stored`], for a loader's value: where it can't be stored, it is for those who wait.
    pub(super) fn stored_or_shared(&self, fresh: Fresh<T>, keep: &Keep) -> Loaded {
        let value = fresh.value.clone();
        self.stored(fresh, keep).unwrap_or_else(|error| {
            tracing::warn!(name = &*self.name, %error, "a value that was loaded can't be stored");
            let fields = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
            self.loaded(value, fields, Vec::new())
        })
    }

    fn encoded(&self, value: &T) -> Result<Vec<u8>, BoxError> {
        catch_unwind(AssertUnwindSafe(|| self.codec.encode(value))).unwrap_or_else(|_| Err("the codec panicked".into()))
    }

    fn loaded(&self, value: Option<Arc<T>>, fields: HeaderMap, content: Vec<u8>) -> Loaded {
        let decoded = self.decoded(value, content.len());
        let mut response = Response::new(Content::from(content));
        *response.status_mut() = if decoded.value.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        *response.headers_mut() = fields;
        Loaded { response, decoded }
    }

    fn decoded(&self, value: Option<Arc<T>>, encoded_bytes: usize) -> Decoded {
        let weigh = |value: &Arc<T>| {
            let weighed = catch_unwind(AssertUnwindSafe(|| self.codec.weight_bytes(value, encoded_bytes)));
            weighed.unwrap_or(encoded_bytes as u64)
        };
        let weight_bytes = value.as_ref().map_or(0, weigh);
        let value = value.map(|value| value as Arc<dyn Any + Send + Sync>);
        Decoded { value, weight_bytes, encoded_bytes: encoded_bytes as u64 }
    }
}

impl<T: Send + Sync + 'static, C: Codec<T>> Form for Shape<T, C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn decode(&self, stored: &StoredResponse) -> Option<Decoded> {
        if stored.status == StatusCode::NOT_FOUND {
            return Some(self.decoded(None, 0));
        }
        let bytes = &**stored.body;
        let value = catch_unwind(AssertUnwindSafe(|| self.codec.decode(bytes))).ok()?.ok()?;
        Some(self.decoded(Some(Arc::new(value)), bytes.len()))
    }

    fn owns(&self, decoded: &Decoded) -> bool {
        decoded.value.as_ref().is_none_or(|value| (**value).is::<T>())
    }
}

impl<T, C> fmt::Debug for Shape<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shape").field("name", &self.name).finish_non_exhaustive()
    }
}
