//! Sessions that are resumed, and connections that end.

use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::tls::TlsClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{gateway, metric, origin, shop, tls_address, tls_section};

#[tokio::test]
async fn sessions_are_resumed_in_both_versions() {
    let ((authority, files), origin) = (shop(), origin().await);
    let gateway = gateway(&origin, &tls_section("", &[&files])).await;
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::with(&authority, version, None).unwrap();
        let mut resumed = Vec::new();
        for name in ["shop.test", "shop.test", "a.shop.test", "shop.test"] {
            let mut connection = client.connect(tls_address(&gateway), name).await.unwrap();
            // Tickets come with the first bytes after the handshake.
            assert_eq!(connection.get(name, "/").await.unwrap().status, 200);
            resumed.push(connection.is_resumed);
        }
        assert_eq!(resumed, [false, true, false, true], "{version:?}");
    }
    let handshakes = |kind: &str| format!("sandbar_tls_handshakes_total{{listener=\"clients\",kind=\"{kind}\"}}");
    assert_eq!(metric(&gateway, &handshakes("full")).await, 4);
    assert_eq!(metric(&gateway, &handshakes("resumed")).await, 4);
}

#[tokio::test]
async fn a_response_that_breaks_off_does_not_look_complete() {
    let (authority, files) = shop();
    let origin = Origin::start(|_| Reply::ok(vec![b'x'; 100_000]).chunked().breaks_off_after(50_000)).await.unwrap();
    let gateway = gateway(&origin, &tls_section("", &[&files])).await;
    let client = TlsClient::trusting(&authority).unwrap();
    let stream = TcpStream::connect(tls_address(&gateway)).await.unwrap();
    let mut stream = client.shake(stream, "shop.test").await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nhost: shop.test\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer).await;
    assert!(ended.is_err(), "{} bytes, then an end without an error", answer.len());
}

#[tokio::test]
async fn a_gateway_that_stops_says_so_over_tls() {
    let ((authority, files), origin) = (shop(), origin().await);
    let settings = format!("{}{}", tls_section("", &[&files]), one_tenant(&origin.url(), ""));
    let gateway = TestGateway::start(&settings).await.unwrap();
    let (address, client) = (tls_address(&gateway), TlsClient::trusting(&authority).unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let mut idle = client.shake(stream, "shop.test").await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    // One that has not finished its handshake is not waited for.
    let _silent = TcpStream::connect(address).await.unwrap();
    assert!(gateway.into_gateway().shutdown(Duration::from_secs(10)).await, "nothing had to be cut");
    let mut rest = Vec::new();
    assert!(idle.read_to_end(&mut rest).await.is_ok(), "a close without close_notify");
}
