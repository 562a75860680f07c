//! Clients that stall, send nonsense, or speak no TLS.

use sandbar_tests::client::raw;
use sandbar_tests::gateway::TestGateway;
use sandbar_tests::tls::TlsClient;
use sandbar_tests::wait::{PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{gateway, metric, origin, shop, tls_address, tls_section};

async fn failed(gateway: &TestGateway, reason: &str) -> u64 {
    metric(gateway, &format!("sandbar_tls_handshakes_failed_total{{listener=\"clients\",reason=\"{reason}\"}}")).await
}

#[tokio::test]
async fn plain_http_to_the_tls_port_is_closed_and_counted() {
    let ((_authority, files), origin) = (shop(), origin().await);
    let gateway = gateway(&origin, &tls_section("", &[&files])).await;
    let answer = raw(tls_address(&gateway), b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n").await.unwrap();
    // An alert (RFC 8446 section 6) and no byte of HTTP.
    assert!(answer.is_empty() || (answer[0] == 21 && answer.len() == 7), "{answer:?}");
    eventually("it is counted", async || failed(&gateway, "no-tls").await == 1).await;
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn nonsense_is_closed_and_counted() {
    let ((_authority, files), origin) = (shop(), origin().await);
    let gateway = gateway(&origin, &tls_section("", &[&files])).await;
    let hello_that_is_none = [&[22, 3, 1, 0, 10, 1, 0, 0, 6][..], &[0xff; 6]].concat();
    // A message of the handshake that is to be longer than one may be.
    let endless = [&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..], &[0; 0x4000 - 4]].concat();
    for bytes in [&hello_that_is_none[..], &endless, &[0; 5000], &[0xff; 5000], &[21, 3, 1, 0, 2, 2, 40]] {
        // Where not all was read, the end is a reset.
        let _ = timeout(PATIENCE, raw(tls_address(&gateway), bytes)).await.expect("it is closed");
    }
    let all = async || {
        let words = ["no-tls", "broken", "refused", "closed", "nothing-in-common"];
        let mut sum = 0;
        for word in words {
            sum += failed(&gateway, word).await;
        }
        sum
    };
    eventually("they are counted", async || all().await == 5).await;
}

#[tokio::test]
async fn a_handshake_that_stalls_is_ended_by_its_deadline_and_holds_up_nobody() {
    let ((authority, files), origin) = (shop(), origin().await);
    let limits = "[limits]\nhead_deadline = \"1500ms\"\n";
    let gateway = gateway(&origin, &format!("{limits}{}", tls_section("", &[&files]))).await;
    let mut stalled = Vec::new();
    for bytes in [&b""[..], &[22], &[22, 3, 1, 2, 0, 1, 0, 1, 252]] {
        let mut stream = TcpStream::connect(tls_address(&gateway)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stalled.push(stream);
    }
    let client = TlsClient::trusting(&authority).unwrap();
    let mut connection = client.connect(tls_address(&gateway), "shop.test").await.unwrap();
    assert_eq!(connection.get("shop.test", "/").await.unwrap().status, 200);
    for mut stream in stalled {
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is ended").unwrap();
        assert_eq!(rest, b"");
    }
    eventually("they are counted", async || failed(&gateway, "deadline").await == 3).await;
}

#[tokio::test]
async fn connections_are_counted_together_whichever_way_they_come() {
    let ((authority, files), origin) = (shop(), origin().await);
    let limits = "[limits]\nconnections_max = 1\n";
    let gateway = gateway(&origin, &format!("{limits}{}", tls_section("", &[&files]))).await;
    let mut plain = gateway.client("shop.test");
    assert_eq!(plain.get("/").await.unwrap().status, 200);
    let client = TlsClient::trusting(&authority).unwrap();
    let address = tls_address(&gateway);
    let waiting = tokio::spawn(async move { client.connect(address, "shop.test").await?.get("shop.test", "/").await });
    for _ in 0..50 {
        assert_eq!(plain.get("/").await.unwrap().status, 200);
    }
    assert!(!waiting.is_finished(), "it waits for its turn");
    plain.hang_up();
    assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap().unwrap().status, 200);
    // And the other way round: the connection over TLS has ended.
    assert_eq!(plain.get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_over_tls_is_charged_more_and_given_back() {
    let ((authority, files), origin) = (shop(), origin().await);
    let gateway = gateway(&origin, &tls_section("", &[&files])).await;
    let used = async || metric(&gateway, "sandbar_memory_used_by_bytes{use=\"connections\"}").await;
    let idle = used().await;
    let client = TlsClient::trusting(&authority).unwrap();
    let connection = client.connect(tls_address(&gateway), "shop.test").await.unwrap();
    eventually("it is charged", async || used().await == idle + (112 << 10)).await;
    drop(connection);
    eventually("it is given back", async || used().await == idle).await;
}
