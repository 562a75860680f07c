//! A service that answers like HTTP as the store behind values.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sandbar::Sandbar;
use sandbar::body::{self, Body, BoxError};
use sandbar::origin::loader::Loader;
use sandbar::values::{Expected, Fate, OriginStore, Outcome, Row, StoreError, WriteError};

/// What the service has: path → version and content.
type Rows = Arc<Mutex<BTreeMap<String, (i64, String)>>>;

/// A service that keeps numbers, and heeds preconditions.
async fn answer(
    rows: Rows,
    asked: Arc<Mutex<Vec<Method>>>,
    request: Request<Body>,
) -> Result<Response<Body>, BoxError> {
    let (head, content) = request.into_parts();
    let content = String::from_utf8(content.collect().await?.to_bytes().to_vec())?;
    asked.lock().push(head.method.clone());
    let path = head.uri.path().to_owned();
    let mut rows = rows.lock();
    let now = rows.get(&path).map(|(version, _)| *version);
    let tag = |version: i64| format!("\"{version}\"");
    let expected = head.headers.get(IF_MATCH).map(|field| field.to_str().map(str::to_owned)).transpose()?;
    if head.headers.contains_key(IF_NONE_MATCH) && now.is_some() || expected.is_some() && expected != now.map(tag) {
        return Ok(Response::builder().status(StatusCode::PRECONDITION_FAILED).body(body::empty())?);
    }
    match (head.method, now) {
        (Method::PUT, _) if content == "13" => {
            Ok(Response::builder().status(StatusCode::UNPROCESSABLE_ENTITY).body(body::empty())?)
        }
        (Method::PUT, now) => {
            let next = now.unwrap_or(0) + 1;
            rows.insert(path, (next, content));
            Ok(Response::builder().status(StatusCode::CREATED).header(ETAG, tag(next)).body(body::empty())?)
        }
        (Method::DELETE, Some(_)) => {
            rows.remove(&path);
            Ok(Response::builder().status(StatusCode::NO_CONTENT).body(body::empty())?)
        }
        (method, Some(version)) => {
            let content = if method == Method::HEAD { String::new() } else { rows[&path].1.clone() };
            Ok(Response::builder().header(ETAG, tag(version)).body(body::full(content))?)
        }
        (_, None) => Ok(Response::builder().status(StatusCode::NOT_FOUND).body(body::empty())?),
    }
}

#[tokio::test]
async fn values_are_read_and_written_through_an_origin() -> anyhow::Result<()> {
    let (rows, asked) = (Rows::default(), Arc::new(Mutex::new(Vec::new())));
    let (of, noted) = (Arc::clone(&rows), Arc::clone(&asked));
    let origin = Loader::new("prices", move |request| answer(Arc::clone(&of), Arc::clone(&noted), request));
    let store = OriginStore::new(Arc::new(origin), "http://prices/p/");
    let sandbar = Sandbar::builder().native_only().build()?;
    let prices = sandbar.values::<Row<u32>>("default", "prices")?.backed_by(store);

    assert_eq!(prices.get("a/b c").await?, None);
    let written = prices.put("a/b c", 7, Expected::Absent).await?;
    assert_eq!((written.outcome, written.fate), (Outcome::Done(Some(1)), Fate::Stored));
    assert!(rows.lock().contains_key("/p/a%2Fb%20c"), "{rows:?}");
    let count = asked.lock().len();
    assert_eq!(prices.get("a/b c").await?.map(|row| (row.value, row.version)), Some((7, 1)));
    assert_eq!(asked.lock().len(), count, "from the cache");

    assert_eq!(prices.put("a/b c", 8, Expected::Absent).await?.outcome, Outcome::Conflict);
    assert_eq!(prices.put("a/b c", 8, Expected::Version(1)).await?.outcome, Outcome::Done(Some(2)));
    // Stale, and still so: the head alone is asked for.
    prices.values().expire("a/b c").await?;
    assert_eq!(prices.get("a/b c").await?.map(|row| row.value), Some(8));
    assert_eq!(asked.lock().last(), Some(&Method::HEAD));

    let refused = prices.put("a/b c", 13, Expected::Any).await.expect_err("it is not taken");
    assert!(
        matches!(&refused, WriteError::Store { error: StoreError::Refused(why), .. } if why.contains("422")),
        "{refused}"
    );
    assert_eq!(prices.get_many(["a/b c", "none"]).await?.len(), 1);
    assert_eq!(prices.delete("a/b c", Expected::Version(2)).await?.outcome, Outcome::Done(None));
    assert_eq!(prices.get("a/b c").await?, None);
    assert_eq!(prices.delete("a/b c", Expected::Any).await?.outcome, Outcome::Done(None));

    rows.lock().insert("/p/odd".into(), (1, "no number".into()));
    let error = prices.get("odd").await.expect_err("it is no such value").to_string();
    assert!(error.contains("odd") && error.contains("no such value"), "{error}");
    Ok(())
}
