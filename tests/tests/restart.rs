//! A cache over the embedded disk tier: what a restart keeps, and what it must not bring back.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use sandbar::barrier::{Purge, PurgeMode, Scope};
use sandbar::body::{self, Body};
use sandbar::clock::SystemClock;
use sandbar::tier::disk::{DiskConfig, DiskTier};
use sandbar::{CacheService, Sandbar};
use sandbar_tests::scope::{prefix, target};
use tower::{Layer, Service, service_fn};

/// A cache whose origin numbers its responses.
struct Run {
    service: CacheService,
    fetches: Arc<AtomicUsize>,
}

impl Run {
    fn start(directory: &Path, first: usize) -> Self {
        let config = DiskConfig { read_deadline: Duration::from_secs(60), ..DiskConfig::new(directory, 8 << 20) };
        let disk = DiskTier::open(&config, Arc::new(SystemClock)).unwrap();
        let fetches = Arc::new(AtomicUsize::new(first));
        let counted = Arc::clone(&fetches);
        let origin = service_fn(move |_request: Request<Body>| {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let response = Response::builder()
                    .header("cache-control", "max-age=600")
                    .header("surrogate-key", "all")
                    .header("vary", "accept-language");
                Ok::<_, std::convert::Infallible>(response.body(body::full(number.to_string())).unwrap())
            }
        });
        let sandbar = Sandbar::builder().native_only().l2(disk).build().unwrap();
        Self { service: sandbar.layer().layer(origin), fetches }
    }

    async fn get(&self, target: &str) -> (String, String) {
        let request = Request::get(format!("http://h{target}")).body(body::empty()).unwrap();
        let response = self.service.clone().call(request).await.unwrap();
        let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
        let content = response.into_body().collect().await.unwrap().to_bytes();
        (String::from_utf8(content.to_vec()).unwrap(), status)
    }

    async fn stop(self) -> usize {
        self.service.cache().drain().await;
        self.fetches.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn what_was_stored_before_a_restart_is_served_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let before = Run::start(directory.path(), 0);
    assert_eq!(before.get("/a").await.0, "0");
    assert_eq!(before.stop().await, 1);
    let after = Run::start(directory.path(), 100);
    let (content, status) = after.get("/a").await;
    assert_eq!(content, "0");
    assert!(status.contains("hit") && status.contains("detail=disk"), "{status}");
    assert!(after.get("/a").await.1.contains("detail=l1"), "promoted");
    assert_eq!(after.stop().await, 100);
}

#[tokio::test]
async fn a_restart_does_not_bring_back_what_was_purged() {
    for scope in
        [Scope::SurrogateKey("all".into()), prefix(Some("http://h"), "/a"), target("http://h/a"), Scope::Everything]
    {
        let directory = tempfile::tempdir().unwrap();
        let before = Run::start(directory.path(), 0);
        before.get("/a").await;
        let purge = Purge { scope: scope.clone(), mode: PurgeMode::Hard };
        let report = before.service.cache().purge(&before.service.cache().tenants().all()[0], &[purge]).await;
        assert_eq!((report.recorded, report.pending), (1, 0), "{report:?}");
        before.stop().await;
        let after = Run::start(directory.path(), 100);
        assert_eq!(after.get("/a").await.0, "100", "{scope:?}");
        assert_eq!(after.get("/a").await.0, "100", "and what came after the purge stays");
        after.stop().await;
        let again = Run::start(directory.path(), 200);
        assert_eq!(again.get("/a").await.0, "100", "across another restart too");
        again.stop().await;
    }
}

/// A file of which its origin gives what is asked for, and counts that.
struct OfAFile {
    service: CacheService,
    fetches: Arc<AtomicUsize>,
}

/// Its length in bytes.
const FILE_BYTES: usize = 300_000;

fn file() -> Vec<u8> {
    (0..FILE_BYTES).map(|at| (at % 251) as u8).collect()
}

impl OfAFile {
    fn start(directory: &Path) -> Self {
        let disk = DiskTier::open(&DiskConfig::new(directory, 8 << 20), Arc::new(SystemClock)).unwrap();
        let fetches = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&fetches);
        let origin = service_fn(move |request: Request<Body>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let range = request.headers()["range"].to_str().unwrap().trim_start_matches("bytes=").to_owned();
            async move {
                let (first, last) = range.split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                let response = Response::builder()
                    .status(206)
                    .header("cache-control", "max-age=600")
                    .header("etag", "\"file\"")
                    .header("content-range", format!("bytes {first}-{last}/{FILE_BYTES}"));
                let content = body::full(file()[first..=last].to_vec());
                Ok::<_, std::convert::Infallible>(response.body(content).unwrap())
            }
        });
        let sandbar = Sandbar::builder().native_only().l2(disk).build().unwrap();
        Self { service: sandbar.layer().layer(origin), fetches }
    }

    /// Asks for a range, and makes sure that its bytes are right; answers with what the cache says of it.
    async fn read(&self, first: usize, last: usize) -> String {
        let request = Request::get("http://h/file").header("range", format!("bytes={first}-{last}"));
        let response = self.service.clone().call(request.body(body::empty()).unwrap()).await.unwrap();
        assert_eq!((response.status().as_u16(), first..=last), (206, first..=last));
        let label = response.headers()["content-range"].to_str().unwrap().to_owned();
        assert_eq!(label, format!("bytes {first}-{last}/{FILE_BYTES}"));
        let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
        let content = response.into_body().collect().await.unwrap().to_bytes();
        assert!(content == file()[first..=last], "other bytes than {first} to {last}");
        status
    }

    async fn stop(self) {
        self.service.cache().drain().await;
    }
}

#[tokio::test]
async fn parts_of_a_file_are_joined_over_a_restart() {
    const PLACES: [(usize, usize); 3] = [(0, 9), (100_000, 149_999), (299_000, 299_999)];
    let directory = tempfile::tempdir().unwrap();
    let before = OfAFile::start(directory.path());
    for (first, last) in PLACES {
        assert!(before.read(first, last).await.contains("fwd"));
    }
    for (first, last) in PLACES {
        let status = before.read(first, last).await;
        assert!(status.contains("hit") && status.contains("detail=l1"), "{status}");
    }
    before.stop().await;

    let after = OfAFile::start(directory.path());
    let status = after.read(100_000, 149_999).await;
    assert!(status.contains("hit") && status.contains("detail=disk"), "{status}");
    for (first, last) in PLACES {
        assert!(after.read(first, last).await.contains("detail=l1"), "promoted");
    }
    after.stop().await;

    // What comes after a restart joins what was stored before it, though L1 has not seen that.
    let again = OfAFile::start(directory.path());
    assert!(again.read(150_000, 298_999).await.contains("fwd"));
    assert!(again.read(120_000, 299_999).await.contains("hit"), "one part by now");
    assert!(again.read(10, 99_999).await.contains("fwd"));
    assert_eq!(again.fetches.load(Ordering::SeqCst), 2);
    let whole = Request::get("http://h/file").body(body::empty()).unwrap();
    let response = again.service.clone().call(whole).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().contains_key("content-range")), (200, false));
    assert!(response.into_body().collect().await.unwrap().to_bytes() == file(), "the whole");
    assert_eq!(again.fetches.load(Ordering::SeqCst), 2);
    again.stop().await;
}
