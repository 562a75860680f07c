//! The origin of tenants that have none of their own: the service behind the layer through which the request came.
//!
//! One tenant may be served by several services, a router's routes for instance. So the service goes along with the
//! request, and with each request that a fill or a refresh makes of it.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};

use super::{Origin, OriginError};
use crate::body::Body;

/// The service behind a layer: an extension of a request that came through it.
#[derive(Clone)]
pub(crate) struct Behind(pub(crate) Arc<dyn Origin>);

impl std::fmt::Debug for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Behind")
    }
}

/// Asks the service behind each request.
pub(crate) struct ServiceBehind;

impl Origin for ServiceBehind {
    fn fetch(&self, mut request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, OriginError>> {
        let behind = request.extensions_mut().remove::<Behind>();
        async move {
            let Some(Behind(origin)) = behind else {
                let reason = "the tenant has no origin, and the request came through no layer".to_owned();
                return Err(OriginError::Connect { origin: "behind the layer".to_owned(), reason });
            };
            origin.fetch(request).await
        }
        .boxed()
    }
}
