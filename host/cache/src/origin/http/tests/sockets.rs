//! Origins at Unix sockets.

use hyper::upgrade::OnUpgrade;
use tokio::net::UnixListener;
use tokio::net::UnixStream;

use super::*;

/// A server at a Unix socket that serves each connection with `script`.
struct Socket {
    config: OriginConfig,
    _dir: tempfile::TempDir,
    _serving: tokio_util::task::AbortOnDropHandle<()>,
}

fn socket<F, Done>(script: F) -> Socket
where
    F: Fn(UnixStream) -> Done + Send + 'static,
    Done: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("app.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream));
        }
    });
    let servers = vec![format!("unix:{}", path.display()).parse().expect("a server")];
    let config = OriginConfig { servers, ..OriginConfig::new("http://app".parse().expect("a URL")) };
    Socket { config, _dir: dir, _serving: tokio_util::task::AbortOnDropHandle::new(serving) }
}

#[tokio::test]
async fn a_socket_is_asked_for_the_host_of_the_client_in_either_version() {
    let server = socket(|stream| serve(TokioIo::new(stream)));
    let said = text(answer(&server.config, get("http://shop.example/a")).await.expect("a response")).await;
    assert_eq!(said, "HTTP/1.1 shop.example");
    let newer = OriginConfig { http: Protocol::Http2, ..server.config.clone() };
    let said = text(answer(&newer, get("http://shop.example/a")).await.expect("a response")).await;
    assert_eq!(said, "HTTP/2.0 shop.example");
    HttpOrigin::new(&server.config).expect("an origin").probe().await.expect("it is there");
}

#[tokio::test]
async fn a_connection_over_a_socket_switches_protocols_and_stays_at_its_address() {
    let server = socket(|mut stream| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
        let switched = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(format!("{hints}{switched}").as_bytes()).await?;
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.map(drop)
    });
    let http = HttpOrigin::new(&server.config).expect("an origin");
    let mut request = get("http://shop.example/live");
    request.headers_mut().insert("connection", "upgrade".parse().expect("a value"));
    request.headers_mut().insert("upgrade", "echo".parse().expect("a value"));
    let mut response = http.fetch(request).await.expect("a response");
    assert_eq!(response.status(), 101);
    let switched = response.extensions_mut().remove::<OnUpgrade>().expect("a connection").await.expect("switched");
    let mut switched = TokioIo::new(switched);
    switched.write_all(b"ping").await.expect("written");
    let mut echo = [0; 4];
    switched.read_exact(&mut echo).await.expect("read");
    assert_eq!((&echo, http.report().addresses[0].running), (b"ping", 1));
    drop(response);
    assert_eq!(http.report().addresses[0].running, 0, "what the response holds is let go");
}

#[tokio::test]
async fn a_socket_that_nobody_listens_at_is_named() {
    let server = socket(|stream| serve(TokioIo::new(stream)));
    let config = OriginConfig {
        servers: vec!["unix:/nonexistent/app.sock".parse().expect("a server")],
        ..server.config.clone()
    };
    let error = failure(&config).await.to_string();
    assert!(error.contains("unix:/nonexistent/app.sock: No such file"), "{error}");
}
