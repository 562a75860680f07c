//! An origin that is a closure: a database query, a computation, another library's client.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use ::http::{Request, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Origin, OriginError};
use crate::body::{Body, BoxError};

/// Answers requests with an async closure. A panic inside it is an error of that one request.
///
/// ```
/// use http::{Request, Response};
/// use sandbar::body::{self, Body, BoxError};
/// use sandbar::origin::loader::Loader;
///
/// let origin = Loader::new("clock", async |request: Request<Body>| {
///     let text = format!("you asked for {}", request.uri().path());
///     Ok::<_, BoxError>(Response::builder().header("cache-control", "max-age=60").body(body::full(text))?)
/// });
/// # fn is_origin(_: impl sandbar::origin::Origin) {}
/// # is_origin(origin);
/// ```
pub struct Loader<F> {
    name: String,
    load: F,
    deadline: Duration,
}

impl<F> Loader<F> {
    /// An origin that calls `load`; `name` stands for it in errors. Deadline: 30 s.
    pub fn new(name: impl Into<String>, load: F) -> Self {
        Self { name: name.into(), load, deadline: Duration::from_secs(30) }
    }

    /// Sets how long the closure may take to return a response, whose body may take longer.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    fn error(&self, error: BoxError) -> OriginError {
        match error.downcast() {
            Ok(typed) => *typed,
            Err(other) => OriginError::Broken { origin: self.name.clone(), reason: other.to_string() },
        }
    }
}

impl<F, Answer, E> Origin for Loader<F>
where
    F: Fn(Request<Body>) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    fn fetch(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, OriginError>> {
        let loading = async move { (self.load)(request).await };
        let caught = AssertUnwindSafe(tokio::time::timeout(self.deadline, loading)).catch_unwind();
        Box::pin(async move {
            match caught.await {
                Ok(Ok(answer)) => answer.map_err(|error| self.error(error.into())),
                Ok(Err(_)) => Err(OriginError::Deadline {
                    origin: self.name.clone(),
                    what: "total",
                    deadline_ms: u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX),
                }),
                Err(_) => Err(self.error("the loader panicked".into())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    fn get(path: &str) -> Request<Body> {
        Request::get(path).body(body::empty()).expect("a request")
    }

    async fn failure(origin: impl Origin) -> String {
        origin.fetch(get("/")).await.map(|_| ()).expect_err("an error").to_string()
    }

    #[tokio::test]
    async fn every_way_to_fail_is_an_origin_error() {
        let fails = Loader::new("db", async |_| Err::<Response<Body>, BoxError>("no such table".into()));
        assert_eq!(failure(fails).await, "the origin db broke off: no such table");

        let panics = Loader::new("db", async |request: Request<Body>| {
            assert_eq!(request.method(), "POST", "never");
            Ok::<_, BoxError>(Response::new(body::empty()))
        });
        assert_eq!(failure(panics).await, "the origin db broke off: the loader panicked");

        let typed = Loader::new("db", async |_| {
            Err::<Response<Body>, _>(OriginError::Connect { origin: "db".into(), reason: "no route".into() })
        });
        assert_eq!(failure(typed).await, "could not connect to the origin db: no route");

        let silent = Loader::new("db", async |_| std::future::pending::<Result<Response<Body>, BoxError>>().await)
            .deadline(Duration::from_millis(10));
        assert_eq!(failure(silent).await, "the origin db missed its total deadline of 10 ms");
    }
}
