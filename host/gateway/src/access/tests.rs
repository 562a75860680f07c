use std::path::Path;

use http::{Request, Response, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, StreamBody};
use sandbar_base::clock::{ManualClock, Timestamp};
use sandbar_http::client::Client;

use super::*;

const DAY: &str = "30/Nov/2026:12:34:56 +0000";

fn lost(stats: &AccessStats) -> u64 {
    stats.lost.iter().map(|(_, lines)| lines).sum()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_796_042_096_789)))
}

fn log_to(path: &Path, format: AccessFormat, clock: Arc<dyn Clock>) -> Arc<AccessLog> {
    let config = AccessLogConfig { enabled: true, format, file: Some(path.to_owned()) };
    AccessLog::open(&config, clock, MemoryBudget::unbounded()).expect("there is room")
}

fn asked(log: &AccessLog, request: &Request<()>) -> Box<Asked> {
    let peer = "192.0.2.7".parse().expect("an address");
    log.asked(request, peer, &Client::new(1, peer)).expect("there is room")
}

fn request(target: &str, fields: &[(&'static str, &[u8])]) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = target.parse().expect("a target");
    for (name, value) in fields {
        request.headers_mut().insert(*name, http::HeaderValue::from_bytes(value).expect("a value"));
    }
    request
}

/// What a log says of a response of seven bytes to a request.
async fn said(format: AccessFormat, request: &Request<()>) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, clock) = (dir.path().join("access.log"), clock());
    let log = log_to(&path, format, Arc::clone(&clock) as Arc<dyn Clock>);
    let asked = asked(&log, request);
    clock.advance(Duration::from_millis(2));
    let (head, content) = Response::new(Full::new(bytes::Bytes::from_static(b"content"))).into_parts();
    let content = Logged::new(content, &head, Arc::clone(&log), (asked, Answered::refused("bad-target")));
    clock.advance(Duration::from_millis(3));
    assert_eq!(content.collect().await.expect("no error").to_bytes(), "content");
    log.close(Duration::from_secs(10)).await;
    std::fs::read_to_string(&path).expect("UTF-8")
}

#[tokio::test]
async fn forms_are_those_that_others_read() {
    let plain = request("/a?b=c", &[("host", b"shop.test"), ("referer", b"http://r/"), ("user-agent", b"curl/8")]);
    let common = format!("192.0.2.7 - - [{DAY}] \"GET /a?b=c HTTP/1.1\" 200 7");
    assert_eq!(said(AccessFormat::Common, &plain).await, format!("{common}\n"));
    assert_eq!(said(AccessFormat::Combined, &plain).await, format!("{common} \"http://r/\" \"curl/8\"\n"));
    let json: serde_json::Value = serde_json::from_str(&said(AccessFormat::Json, &plain).await).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "time": "2026-11-30T12:34:56.789Z", "client": "192.0.2.7", "peer": "192.0.2.7", "method": "GET",
            "host": "shop.test", "target": "/a?b=c", "version": "HTTP/1.1", "status": 200, "bytes": 7,
            "cache": "refused", "stored": false, "collapsed": false, "stale": false, "detail": "bad-target",
            "by": "cache", "first_byte_us": 2000, "duration_us": 5000, "end": "complete",
            "referer": "http://r/", "user_agent": "curl/8",
        })
    );
}

#[tokio::test]
async fn no_client_writes_a_line_of_its_own() {
    let forged = b"x\" 200 1\t\xff\x9b2J\\".as_slice();
    let hostile = request("/a\"b\\c", &[("host", forged), ("referer", forged), ("user-agent", forged)]);
    let combined = said(AccessFormat::Combined, &hostile).await;
    let text = r#""x\" 200 1\t\xff\x9b2J\\""#;
    assert_eq!(combined, format!("192.0.2.7 - - [{DAY}] \"GET /a\\\"b\\\\c HTTP/1.1\" 200 7 {text} {text}\n"));
    let json = said(AccessFormat::Json, &hostile).await;
    assert!(json.lines().count() == 1 && json.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{json}");
    let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&read["target"], read["referer"].as_str()),
        (&"/a\"b\\c".into(), Some("x\" 200 1\t\u{fffd}\u{fffd}2J\\"))
    );
}

#[tokio::test]
async fn lines_are_bounded() {
    let long = vec![0xff; 60_000];
    let mut request = request(&format!("/{}", "\"".repeat(60_000)), &[("host", &long), ("referer", &long)]);
    *request.version_mut() = Version::HTTP_2;
    for format in [AccessFormat::Common, AccessFormat::Combined, AccessFormat::Json] {
        let line = said(format, &request).await;
        assert!(line.len() < 32 << 10 && line.contains("..."), "{format:?}: {} bytes", line.len());
    }
}

#[tokio::test]
async fn a_response_that_is_cut_or_breaks_off_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("access.log");
    let log = log_to(&path, AccessFormat::Json, clock());
    let part = || Ok(http_body::Frame::data(bytes::Bytes::from_static(b"part")));
    for polls in [1, 2] {
        let content = StreamBody::new(futures_util::stream::iter([part(), Err("broke off")]));
        let (head, content) = Response::new(content).into_parts();
        let asked = asked(&log, &request("/", &[]));
        let mut content = Logged::new(content, &head, Arc::clone(&log), (asked, Answered::refused("x")));
        for _ in 0..polls {
            let _ = content.frame().await;
        }
    }
    // What HEAD is answered with is never asked for.
    let (head, content) = Response::new(Full::new(bytes::Bytes::from_static(b"content"))).into_parts();
    let mut bare = request("/", &[]);
    *bare.method_mut() = http::Method::HEAD;
    let content = Logged::new(content, &head, Arc::clone(&log), (asked(&log, &bare), Answered::refused("x")));
    assert_eq!(content.size_hint().exact(), Some(7));
    drop(content);
    log.close(Duration::from_secs(10)).await;
    let text = std::fs::read_to_string(&path).expect("UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let ends: Vec<_> = lines.map(|line| (line["end"].clone(), line["bytes"].as_u64())).collect();
    assert_eq!(ends, [("cut".into(), Some(4)), ("broken".into(), Some(4)), ("complete".into(), Some(0))]);
}

async fn one_line(log: &Arc<AccessLog>, target: &str) {
    let (head, content) = Response::new(Full::new(bytes::Bytes::new())).into_parts();
    let before = log.stats().written + lost(&log.stats());
    drop(Logged::new(content, &head, Arc::clone(log), (asked(log, &request(target, &[])), Answered::refused("x"))));
    for _ in 0..1000 {
        if log.stats().written + lost(&log.stats()) > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_made_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, old) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    let log = log_to(&path, AccessFormat::Common, clock());
    one_line(&log, "/first").await;
    std::fs::rename(&path, &old).expect("moved");
    one_line(&log, "/second").await;
    log.reopen();
    one_line(&log, "/third").await;
    log.close(Duration::from_secs(10)).await;
    let has = |path: &Path, target: &str| std::fs::read_to_string(path).expect("UTF-8").contains(target);
    assert!(has(&old, "/first") && has(&old, "/second") && !has(&old, "/third"));
    assert!(has(&path, "/third") && !has(&path, "/second"));
}

#[tokio::test]
async fn what_can_not_be_written_is_counted_and_told_and_the_log_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let (there, path) = (dir.path().join("there"), dir.path().join("there/access.log"));
    let log = log_to(&path, AccessFormat::Common, clock());
    one_line(&log, "/lost").await;
    assert_eq!((log.stats().written, lost(&log.stats())), (0, 1));
    assert!(log.report().now.is_some_and(|said| said.contains("access.log")));
    std::fs::create_dir(&there).expect("made");
    one_line(&log, "/kept").await;
    // While the new one can't be opened, lines go on to the old one.
    let moved = dir.path().join("moved");
    std::fs::rename(&there, &moved).expect("moved");
    log.reopen();
    one_line(&log, "/too").await;
    log.close(Duration::from_secs(10)).await;
    let text = std::fs::read_to_string(moved.join("access.log")).expect("UTF-8");
    assert!(text.contains("/kept") && text.contains("/too") && !text.contains("/lost"), "{text}");
}

#[tokio::test]
async fn a_full_disk_costs_lines_and_nothing_else() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        eprintln!("SKIPPED: this machine has no /dev/full");
        return;
    }
    let log = log_to(full, AccessFormat::Common, clock());
    one_line(&log, "/").await;
    assert_eq!(log.stats().lost, [("queue-full", 0), ("no-room", 0), ("not-written", 1)]);
    assert_eq!(log.report().refused.get("no-space"), Some(&1));
    log.close(Duration::from_secs(10)).await;
}

#[test]
fn more_than_can_be_written_is_lost_and_holds_nobody_up() {
    let (queue, messages) = Queue::new();
    let line = "x".repeat(64 << 10);
    (0..100).for_each(|_| queue.push(line.clone()));
    assert_eq!(lost(&queue.stats()), 100 - (QUEUE_BYTES_MAX >> 16));
    let taken = messages.try_iter().count() as u64;
    queue.taken(taken << 16);
    (0..20_000).for_each(|_| queue.push("y".to_owned()));
    assert!(lost(&queue.stats()) > 3_000, "lines have a bound too");
}

#[tokio::test]
async fn a_log_that_nobody_holds_is_written_to_its_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("access.log");
    let log = log_to(&path, AccessFormat::Common, clock());
    let (head, content) = Response::new(Full::new(bytes::Bytes::new())).into_parts();
    drop(Logged::new(content, &head, Arc::clone(&log), (asked(&log, &request("/last", &[])), Answered::refused("x"))));
    let queue = Arc::clone(&log.queue);
    drop(log);
    tokio::time::timeout(Duration::from_secs(10), queue.ended()).await.expect("its thread ends");
    assert!(std::fs::read_to_string(&path).expect("UTF-8").contains("/last"));
}

#[tokio::test]
async fn the_thread_ends_though_the_queue_was_full_when_it_was_told_to() {
    let (queue, messages) = Queue::new();
    // The lines fill the queue, and each batch to the byte, the last one too.
    (0..16_384).for_each(|_| queue.push("x".repeat(256)));
    assert_eq!(lost(&queue.stats()), 0);
    queue.close();
    let dir = tempfile::tempdir().expect("a directory");
    let trouble = Arc::new(DiskTrouble::new("lines", dir.path(), "they are lost"));
    let target = Target::new(Some(dir.path().join("access.log")));
    writer::start(writer::Writer::new(target, Arc::clone(&queue), trouble, clock()), messages);
    tokio::time::timeout(Duration::from_secs(10), queue.ended()).await.expect("its thread ends");
    assert_eq!(queue.stats().written, 16_384);
}
