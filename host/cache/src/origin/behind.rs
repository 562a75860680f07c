//! The origin of tenants that have none of their own: the service behind the layer through which the request came.
//!
//! One tenant may be served by several services, a router's routes for instance. So the service goes along with the
//! request, and with each request that a fill or a refresh makes of it.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};

use super::{Origin, OriginError};
use crate::body::Body;

/// The service behind a layer: an extension of a request that came through it.
#[derive(Clone)]
pub(crate) struct Behind {
    pub(crate) service: Arc<dyn Origin>,
    /// What a router in front had taken off the path, and the layer has put back for the key: the service is asked without.
    pub(crate) under: Arc<str>,
}

impl Behind {
    /// Asks the service.
    pub(crate) async fn ask(&self, mut request: Request<Body>) -> Result<Response<Body>, OriginError> {
        let target = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
        if let Some(rest) = target.strip_prefix(&*self.under).filter(|_| !self.under.is_empty()) {
            let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
            let mut parts = request.uri().clone().into_parts();
            parts.path_and_query = rest.parse().ok();
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
        self.service.fetch(request).await
    }
}

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
            let Some(behind) = behind else {
                let reason = "the tenant has no origin, and the request came through no layer".to_owned();
                return Err(OriginError::Connect { origin: "behind the layer".to_owned(), reason });
            };
            behind.ask(request).await
        }
        .boxed()
    }
}
