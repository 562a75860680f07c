//! Origins that misbehave, over real sockets.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::http::{Method, Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

mod addresses;
mod ejections;
mod health;
mod mutual_tls;
mod sockets;

use super::*;
use crate::body::{self, Body, BoxError};
use crate::origin::{Origin, OriginError};
use crate::setting::Span;

/// Long enough for a busy machine, short enough to wait for.
const SHORT: Duration = Duration::from_millis(150);

/// Serves each connection with `script`, which is told the connection's number, and answers with a configuration that
/// points there.
async fn origin<F, Done>(script: F) -> OriginConfig
where
    F: Fn(TcpStream, usize) -> Done + Send + Sync + 'static,
    Done: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            tokio::spawn(script(stream, number));
        }
    });
    OriginConfig::new(format!("http://{address}").parse().expect("a URL"))
}

/// Reads until the end of a head.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn silence() -> std::io::Result<()> {
    std::future::pending().await
}

fn get(url: &str) -> Request<Body> {
    Request::get(url).body(body::empty()).expect("a request")
}

async fn answer(config: &OriginConfig, request: Request<Body>) -> Result<Response<Body>, OriginError> {
    HttpOrigin::new(config).expect("an origin").fetch(request).await
}

async fn failure(config: &OriginConfig) -> OriginError {
    answer(config, get("http://shop.example/a")).await.map(|_| ()).expect_err("no response")
}

async fn body_failure(config: &OriginConfig) -> OriginError {
    let response = answer(config, get("http://shop.example/a")).await.expect("a head");
    let error: BoxError = response.into_body().collect().await.map(|_| ()).expect_err("no whole body");
    *error.downcast().expect("a typed error")
}

#[tokio::test]
async fn a_refused_connection_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let config = OriginConfig::new(format!("http://{}", listener.local_addr().expect("one")).parse().expect("a URL"));
    drop(listener);
    let error = failure(&config).await;
    assert!(matches!(&error, OriginError::Connect { reason, .. } if reason.contains("refused")), "{error}");
    let probe = HttpOrigin::new(&config).expect("an origin").probe().await.expect_err("nobody there");
    assert!(probe.to_string().contains("refused"), "{probe}");
}

#[tokio::test]
async fn silence_misses_the_first_byte_deadline() {
    let config = origin(|mut stream, _| async move {
        read_head(&mut stream).await?;
        silence().await
    });
    let config = OriginConfig { first_byte_deadline: Span::of(SHORT), ..config.await };
    let error = failure(&config).await;
    assert!(matches!(error, OriginError::Deadline { what: "first-byte", deadline_ms: 150, .. }), "{error}");
    assert!(error.is_timeout());
}

#[tokio::test]
async fn silence_in_a_tls_handshake_misses_the_connect_deadline() {
    let plain = origin(|stream, _| async move {
        let _kept_open = stream;
        silence().await
    })
    .await;
    let url = plain.url.to_string().replace("http:", "https:").parse().expect("a URL");
    let config =
        OriginConfig { connect_deadline: Span::of(SHORT), tls_ca_file: Some(ca_file()), ..OriginConfig::new(url) };
    let error = failure(&config).await;
    assert!(matches!(error, OriginError::Deadline { what: "connect", .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_http_is_broken() {
    let config = origin(|mut stream, _| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"220 mail.example ESMTP\r\n\r\n").await
    });
    let error = failure(&config.await).await;
    assert!(matches!(&error, OriginError::Broken { reason, .. } if reason.contains("HTTP version")), "{error}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_broken() {
    let config = origin(|mut stream, _| async move {
        read_head(&mut stream).await?;
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(4 * READ_BYTES)).as_bytes())
            .await?;
        silence().await
    });
    let error = failure(&config.await).await;
    assert!(matches!(&error, OriginError::Broken { reason, .. } if reason.contains("too large")), "{error}");
}

#[tokio::test]
async fn half_a_head_is_broken_and_not_asked_for_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let config = origin(move |mut stream, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            // The first request makes the connection an old one.
            read_head(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
            read_head(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await
        }
    });
    let http = HttpOrigin::new(&config.await).expect("an origin");
    drain(http.fetch(get("http://shop.example/1")).await.expect("a response")).await;
    let error = http.fetch(get("http://shop.example/2")).await.map(|_| ()).expect_err("half a head");
    assert!(matches!(error, OriginError::Broken { .. }), "{error}");
    assert_eq!(connections.load(Ordering::SeqCst), 1, "bytes of a response had come");
}

#[tokio::test]
async fn a_body_that_breaks_off_ends_with_an_error() {
    let config = origin(|mut stream, _| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").await
    });
    let error = body_failure(&config.await).await;
    assert!(matches!(error, OriginError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn a_body_that_stalls_misses_the_idle_deadline_and_a_drip_the_total_one() {
    let stalls = origin(|mut stream, _| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").await?;
        silence().await
    });
    let error = body_failure(&OriginConfig { idle_body_deadline: Span::of(SHORT), ..stalls.await }).await;
    assert!(matches!(error, OriginError::Deadline { what: "idle-body", .. }), "{error}");

    let drips = origin(|mut stream, _| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await?;
        loop {
            stream.write_all(b"x").await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    // The head of the response has to come within the total deadline.
    let (idle, total) = (Span::of(SHORT * 100), Span::of(SHORT * 10));
    let config = OriginConfig { idle_body_deadline: idle, total_deadline: total, ..drips.await };
    let error = body_failure(&config).await;
    assert!(matches!(error, OriginError::Deadline { what: "total", .. }), "{error}");
}

/// The first connection answers once and then closes as soon as the next request is there; others answer.
async fn closing_origin() -> OriginConfig {
    origin(|mut stream, number| async move {
        loop {
            read_head(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
            if number == 0 {
                read_head(&mut stream).await?;
                return Ok(());
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_dies_unanswered_is_tried_again_once() {
    let http = HttpOrigin::new(&closing_origin().await).expect("an origin");
    drain(http.fetch(get("http://shop.example/1")).await.expect("a response")).await;
    let second = http.fetch(get("http://shop.example/2")).await.expect("a response from the second connection");
    assert_eq!(second.status(), 200);
}

#[tokio::test]
async fn what_is_not_idempotent_is_never_sent_twice() {
    let http = HttpOrigin::new(&closing_origin().await).expect("an origin");
    drain(http.fetch(get("http://shop.example/1")).await.expect("a response")).await;
    let post = Request::post("http://shop.example/2").body(body::empty()).expect("a request");
    let error = http.fetch(post).await.map(|_| ()).expect_err("the connection died");
    assert!(matches!(error, OriginError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn idle_connections_are_closed_before_the_origin_does_it() {
    let (closed, mut was_closed) = tokio::sync::mpsc::channel(1);
    let config = origin(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            read_head(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
            let read = stream.read(&mut [0]).await?;
            closed.send(read).await.map_err(std::io::Error::other)
        }
    });
    let http = HttpOrigin::new(&OriginConfig { keep_idle: Span::of(SHORT), ..config.await }).expect("an origin");
    drain(http.fetch(get("http://shop.example/1")).await.expect("a response")).await;
    let read = tokio::time::timeout(Duration::from_secs(10), was_closed.recv()).await.expect("closed in time");
    assert_eq!(read, Some(0), "closed, and nothing sent");
}

async fn drain(response: Response<Body>) {
    response.into_body().collect().await.expect("a whole body");
}

/// Answers with the head of the request as body.
async fn echo_head() -> OriginConfig {
    origin(|mut stream, _| async move {
        let head = read_head(&mut stream).await?;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
        stream.write_all(answer.as_bytes()).await
    })
    .await
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn the_host_is_the_clients_or_the_origins() {
    let config = echo_head().await;
    let head = text(answer(&config, get("http://shop.example/a?b=c")).await.expect("a response")).await;
    assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: shop.example\r\n"), "{head}");

    let own = OriginConfig { host_header: HostHeader::Origin, ..config.clone() };
    let head = text(answer(&own, get("http://shop.example/a")).await.expect("a response")).await;
    assert!(head.contains(&format!("host: {}\r\n", config.url.authority())), "{head}");
    assert_eq!(head.matches("host:").count(), 1, "{head}");
}

#[tokio::test]
async fn a_slow_client_is_not_the_origins_fault() {
    // The body takes longer than the first-byte deadline; the origin answers when it has it all.
    let config = origin(|mut stream, _| async move {
        read_head(&mut stream).await?;
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(stream.read_u8().await?);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    });
    let config = OriginConfig { first_byte_deadline: Span::of(SHORT * 8), ..config.await };
    let parts = futures_util::stream::unfold(0, |sent| async move {
        tokio::time::sleep(SHORT).await;
        let part = Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(b"part")));
        (sent < 12).then_some((part, sent + 1))
    });
    let request = Request::put("http://shop.example/a").body(body::boxed(StreamBody::new(parts))).expect("a request");
    assert_eq!(answer(&config, request).await.expect("a response").status(), 200);
}

#[tokio::test]
async fn a_reader_that_stops_stops_the_origin() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let config = origin(move |mut stream, _| {
        let counted = Arc::clone(&counted);
        async move {
            read_head(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await?;
            loop {
                counted.fetch_add(stream.write(&[0; 65_536]).await?, Ordering::SeqCst);
            }
        }
    });
    let mut body = answer(&config.await, get("http://shop.example/a")).await.expect("a response").into_body();
    body.frame().await.expect("a frame").expect("data");
    // The kernel's buffers fill, and then nothing moves any more.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(SHORT).await;
    }
    assert!(before < 64 * 1024 * 1024, "{before} bytes were sent to a reader that does not read");
}

/// A self-signed authority's certificate for 127.0.0.1 and its key.
fn certificate() -> &'static rcgen::CertifiedKey<rcgen::KeyPair> {
    static MADE: std::sync::OnceLock<rcgen::CertifiedKey<rcgen::KeyPair>> = std::sync::OnceLock::new();
    MADE.get_or_init(|| rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate"))
}

fn ca_file() -> PathBuf {
    static FILE: std::sync::OnceLock<tempfile::NamedTempFile> = std::sync::OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), certificate().cert.pem()).expect("written");
        file
    });
    file.path().to_owned()
}

/// A TLS origin that speaks `protocols` and answers with version and authority of the request.
async fn tls_origin(protocols: &[&str]) -> OriginConfig {
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certificate().signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate().cert.der().clone()], key.into())
        .expect("a certificate");
    tls.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let plain = origin(move |stream, _| {
        let acceptor = acceptor.clone();
        async move { serve(TokioIo::new(acceptor.accept(stream).await?)).await }
    });
    let url = plain.await.url.to_string().replace("http:", "https:").parse().expect("a URL");
    OriginConfig { tls_ca_file: Some(ca_file()), ..OriginConfig::new(url) }
}

async fn serve(io: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static) -> std::io::Result<()> {
    let service = hyper::service::service_fn(async |request: Request<hyper::body::Incoming>| {
        let authority = request.uri().authority().map(ToString::to_string);
        let host = authority.or_else(|| Some(request.headers().get("host")?.to_str().ok()?.to_owned()));
        let said = format!("{:?} {}", request.version(), host.unwrap_or_default());
        Ok::<_, std::convert::Infallible>(Response::new(body::full(said)))
    });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    server.serve_connection(io, service).await.map_err(std::io::Error::other)
}

#[tokio::test]
async fn tls_negotiates_the_protocol_and_the_client_chooses_the_host() {
    for (protocols, expected) in
        [(&["h2", "http/1.1"][..], "HTTP/2.0 shop.example"), (&["http/1.1"], "HTTP/1.1 shop.example")]
    {
        let config = tls_origin(protocols).await;
        let said = text(answer(&config, get("http://shop.example/a")).await.expect("a response")).await;
        assert_eq!(said, expected);
    }
    let old = OriginConfig { http: Protocol::Http1, ..tls_origin(&["h2", "http/1.1"]).await };
    let said = text(answer(&old, get("http://shop.example/a")).await.expect("a response")).await;
    assert_eq!(said, "HTTP/1.1 shop.example");
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_with_the_reason() {
    let trusting = tls_origin(&["h2"]).await;
    let other = tempfile::NamedTempFile::new().expect("a file");
    let stranger = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(other.path(), stranger.cert.pem()).expect("written");
    let error = failure(&OriginConfig { tls_ca_file: Some(other.path().to_owned()), ..trusting.clone() }).await;
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");

    std::fs::write(other.path(), "no certificate").expect("written");
    let refused = HttpOrigin::new(&OriginConfig { tls_ca_file: Some(other.path().to_owned()), ..trusting });
    let error = refused.map(|_| ()).expect_err("no certificate");
    assert!(error.to_string().contains("tls_ca_file"), "{error}");
}

#[tokio::test]
async fn http2_without_tls_is_spoken_where_it_is_set() {
    let config = origin(|stream, _| serve(TokioIo::new(stream))).await;
    let config = OriginConfig { http: Protocol::Http2, ..config };
    let http = HttpOrigin::new(&config).expect("an origin");
    for host in ["a.example", "b.example"] {
        let mut request = get(&format!("http://{host}/x"));
        *request.method_mut() = Method::OPTIONS;
        let said = text(http.fetch(request).await.expect("a response")).await;
        assert_eq!(said, format!("HTTP/2.0 {host}"));
    }
}
