//! Writing to an origin in batches, by an origin that takes requests one at a time.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;

use super::{Origin, OriginError};
use crate::body;

/// Requests of a batch that are under way at the same time.
const AT_ONCE_MAX: usize = 8;
/// How much of an answer is read, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What became of a write: the head of the origin's answer.
pub type StoreResult = Result<Response<()>, OriginError>;

/// Sends each write by itself: those of one target one after the other, in their order, others at the same time.
pub(super) async fn each<O: Origin + ?Sized>(origin: &O, writes: Vec<Request<Bytes>>) -> Vec<StoreResult> {
    let mut results: Vec<Option<StoreResult>> = writes.iter().map(|_| None).collect();
    // The writes of each target, with their places in the batch.
    let mut of_targets: Vec<Vec<(usize, Request<Bytes>)>> = Vec::new();
    let mut known: HashMap<Uri, usize> = HashMap::new();
    for (number, write) in writes.into_iter().enumerate() {
        let target = *known.entry(write.uri().clone()).or_insert(of_targets.len());
        if target == of_targets.len() {
            of_targets.push(Vec::new());
        }
        of_targets[target].push((number, write));
    }
    let sent = stream::iter(of_targets).map(|writes| async move {
        let mut results = Vec::with_capacity(writes.len());
        for (number, write) in writes {
            results.push((number, one(origin, write).await));
        }
        results
    });
    let mut sent = sent.buffer_unordered(AT_ONCE_MAX);
    while let Some(some) = sent.next().await {
        for (number, result) in some {
            results[number] = Some(result);
        }
    }
    results.into_iter().map(|result| result.expect("each write was sent")).collect()
}

async fn one<O: Origin + ?Sized>(origin: &O, write: Request<Bytes>) -> StoreResult {
    let (head, mut answer) = origin.fetch(write.map(body::full)).await?.into_parts();
    // What the head says counts: an answer that breaks off, or is too long, changes nothing.
    let mut read = 0;
    while read <= ANSWER_BYTES_MAX
        && let Some(Ok(frame)) = answer.frame().await
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(Response::from_parts(head, ()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;
    use parking_lot::Mutex;

    use super::*;
    use crate::body::BoxError;
    use crate::origin::loader::Loader;

    #[tokio::test]
    async fn each_write_has_its_outcome_and_those_of_a_target_keep_their_order() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let origin = Loader::new("a test", move |request: Request<body::Body>| {
            let noted = Arc::clone(&noted);
            async move {
                let path = request.uri().path().to_owned();
                let content = request.into_body().collect().await?.to_bytes();
                noted.lock().push((path.clone(), content));
                if path == "/broken" {
                    return Err(BoxError::from("broken"));
                }
                let status = if path == "/no" { StatusCode::CONFLICT } else { StatusCode::OK };
                Ok(Response::builder().status(status).body(body::full("an answer"))?)
            }
        });
        let put = |path: &str, content: &'static str| Request::put(path).body(Bytes::from_static(content.as_bytes()));
        let writes = [("/a", "1"), ("/no", "x"), ("/broken", "x"), ("/a", "2"), ("/b", "x"), ("/a", "3")];
        let writes = writes.map(|(path, content)| put(path, content).expect("a request"));
        let results = origin.store(writes.into()).await;
        let statuses: Vec<_> = results.iter().map(|result| result.as_ref().ok().map(Response::status)).collect();
        let (ok, no) = (Some(StatusCode::OK), Some(StatusCode::CONFLICT));
        assert_eq!(statuses, [ok, no, None, ok, ok, ok]);
        let seen = seen.lock();
        let of_a: Vec<&[u8]> = seen.iter().filter(|(path, _)| path == "/a").map(|(_, content)| &**content).collect();
        assert_eq!((of_a, seen.len()), (vec![&b"1"[..], b"2", b"3"], 6));
    }
}
