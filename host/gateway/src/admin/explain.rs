//! The route that explains what a request would get, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, Method, Request};
use sandbar::explain::Explanation;
use sandbar_http::key::uri_at;
use serde::Deserialize;

use super::site::EntryUrl;
use super::{Admin, Refused};

/// Fields of the `GET` that become fields of the request that is explained are sent as `ask-NAME`.
const ASK: &str = "ask-";

/// The query, which names the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainQuery {
    url: String,
    #[serde(default = "get")]
    method: String,
}

fn get() -> String {
    "GET".to_owned()
}

pub(super) async fn explain(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
    Query(which): Query<ExplainQuery>,
    fields: HeaderMap,
) -> Result<Json<Explanation>, Refused> {
    let tenant = &admin.tenant(&tenant)?;
    let url = EntryUrl::read(&which.url, &admin.schemes)?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(which.method.to_ascii_uppercase().as_bytes())
        .map_err(|_| Refused::bad(format!("{:?} is no method", which.method)))?;
    *request.uri_mut() = uri_at(url.site(), &url.target()).map_err(|error| Refused::bad(error.to_string()))?;
    *request.headers_mut() = asked(&fields);
    let head = request.into_parts().0;
    admin.cache.explain(tenant, head).await.map(Json).map_err(|error| Refused::bad(error.to_string()))
}

fn asked(fields: &HeaderMap) -> HeaderMap {
    let named = fields.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_str().strip_prefix(ASK)?.as_bytes()).ok()?;
        Some((name, value.clone()))
    });
    let mut asked = HeaderMap::new();
    for (name, value) in named {
        asked.append(name, value);
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_question_are_no_fields_of_the_request_in_question() {
        let given = [("authorization", "Bearer secret"), ("ask-accept", "a"), ("ask-accept", "b"), ("ask-", "c")];
        let mut all = HeaderMap::new();
        for (name, value) in given {
            all.append(name, axum::http::HeaderValue::from_static(value));
        }
        let asked: Vec<_> = asked(&all).iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        assert_eq!(asked, ["accept: \"a\"", "accept: \"b\""]);
    }
}
