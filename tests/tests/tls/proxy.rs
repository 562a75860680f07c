//! Headers of the PROXY protocol, before HTTP and before TLS.

use std::net::SocketAddr;

use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::tls::TlsClient;
use sandbar_tests::wait::{PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{gateway, metric, origin, shop, tls_address, tls_section};

const TRUSTED: &str = "[gateway]\nproxy_protocol_from = [\"127.0.0.0/8\"]\n";
const LINE: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.7 56324 443\r\n";
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x08\xc6\x33\x64\x07\xdc\x04\x01\xbb";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const GET: &[u8] = b"GET /#? HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n";

/// Sends parts of bytes one after the other and reads until the gateway closes the connection.
async fn say(address: SocketAddr, parts: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for part in parts {
        // A gateway that has refused what came first may have closed the connection.
        let _ = stream.write_all(part).await;
    }
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request for a target that no other one asks for.
fn get(number: usize) -> Vec<u8> {
    String::from_utf8_lossy(GET).replace("#?", &number.to_string()).into_bytes()
}

async fn refused(gateway: &TestGateway, reason: &str) -> u64 {
    metric(gateway, &format!("sandbar_proxy_headers_refused_total{{listener=\"clients\",reason=\"{reason}\"}}")).await
}

#[tokio::test]
async fn the_client_is_the_one_that_the_header_names() {
    let origin = origin().await;
    let gateway = gateway(&origin, TRUSTED).await;
    let byte_by_byte: Vec<&[u8]> = LINE.chunks(1).collect();
    let in_two = [&BINARY[..13], &BINARY[13..]];
    for (number, (header, client)) in [
        (&[LINE][..], "203.0.113.7"),
        (&[BINARY], "203.0.113.8"),
        (&byte_by_byte, "203.0.113.7"),
        (&in_two, "203.0.113.8"),
        (&[LOCAL], "127.0.0.1"),
        (&[b"PROXY UNKNOWN\r\n"], "127.0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = get(number);
        let answer = say(gateway.address(), &[header, &[&request[..]]].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("http from {client}")), "{answer}");
        let in_one_piece = [header.concat(), get(100 + number)].concat();
        let answer = say(gateway.address(), &[&in_one_piece]).await;
        assert!(answer.ends_with(&format!("http from {client}")), "{answer}");
    }
}

#[tokio::test]
async fn a_header_without_a_client_leaves_the_proxy_as_the_peer_as_if_there_were_none() {
    let origin = origin().await;
    let both = format!("{TRUSTED}trusted_proxies = [\"127.0.0.0/8\"]\n");
    let gateway = gateway(&origin, &both).await;
    let named = b"x-forwarded-for: 198.51.100.9\r\nconnection: close\r\n\r\n";
    let mut number = 0;
    for (header, alone, naming) in [
        (LOCAL, "127.0.0.1", "198.51.100.9"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", "198.51.100.9"),
        // The client of a connection that has one is no trusted proxy.
        (LINE, "203.0.113.7", "203.0.113.7"),
    ] {
        for (fields, client) in [(&b"connection: close\r\n\r\n"[..], alone), (named, naming)] {
            number += 1;
            let line = format!("GET /{number}? HTTP/1.1\r\nhost: shop.test\r\n");
            let answer = say(gateway.address(), &[header, line.as_bytes(), fields]).await;
            assert!(
                answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("http from {client}")),
                "{answer}"
            );
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_must_send_a_good_header() {
    let origin = origin().await;
    let gateway = gateway(&origin, TRUSTED).await;
    let bad: [&[u8]; 5] =
        [b"", b"PROXY TCP4 203.0.113.7\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", b"\x16\x03\x01", b"P"];
    for (number, header) in bad.into_iter().enumerate() {
        let answer = say(gateway.address(), &[&[header, &get(number)].concat()]).await;
        assert_eq!(answer, "", "{header:?}");
    }
    let too_long = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"[..], &[0; 100]].concat();
    assert_eq!(say(gateway.address(), &[&too_long]).await, "");
    eventually("they are counted", async || refused(&gateway, "malformed").await == 6).await;
    drop(TcpStream::connect(gateway.address()).await.unwrap());
    eventually("one that says nothing too", async || refused(&gateway, "closed").await == 1).await;
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn a_reload_says_who_begins_with_a_header_from_the_next_connection_on() {
    let origin = origin().await;
    let gateway = gateway(&origin, "").await;
    let tenant = one_tenant(&origin.url(), "");
    for (number, (settings, is_trusted)) in [(TRUSTED, true), ("", false), (TRUSTED, true)].into_iter().enumerate() {
        let reloaded = gateway.reload(&format!("{settings}\n{tenant}")).await.unwrap();
        assert_eq!(reloaded.changed, ["gateway.proxy_protocol_from"]);
        let answer = say(gateway.address(), &[LINE, &get(number)]).await;
        assert_eq!(answer.ends_with("http from 203.0.113.7"), is_trusted, "{answer}");
        let bare = say(gateway.address(), &[&get(100 + number)]).await;
        assert_eq!(bare.ends_with("http from 127.0.0.1"), !is_trusted, "{bare}");
    }
}

#[tokio::test]
async fn nobody_else_may_send_a_header() {
    let origin = origin().await;
    let elsewhere = TRUSTED.replace("127.0.0.0/8", "10.0.0.0/8");
    let gateway = gateway(&origin, &elsewhere).await;
    let answer = say(gateway.address(), &[&[LINE, &get(1)].concat()]).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(!say(gateway.address(), &[&[BINARY, &get(2)].concat()]).await.starts_with("HTTP/1.1 200 "));
    assert!(say(gateway.address(), &[&get(3)]).await.ends_with("http from 127.0.0.1"));
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn a_header_that_stalls_is_ended_by_the_deadline() {
    let origin = origin().await;
    let gateway = gateway(&origin, &format!("{TRUSTED}[limits]\nhead_deadline = \"500ms\"\n")).await;
    for begun in [&b""[..], b"PROXY TCP4 203", &BINARY[..20]] {
        assert_eq!(say(gateway.address(), &[begun]).await, "");
    }
    eventually("they are counted", async || refused(&gateway, "deadline").await == 3).await;
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let ((authority, files), origin) = (shop(), origin().await);
    let gateway = gateway(&origin, &format!("{TRUSTED}{}", tls_section("", &[&files]))).await;
    let client = TlsClient::trusting(&authority).unwrap();
    for (number, (header, expected)) in [(LINE, "203.0.113.7"), (BINARY, "203.0.113.8")].into_iter().enumerate() {
        let mut stream = TcpStream::connect(tls_address(&gateway)).await.unwrap();
        stream.write_all(header).await.unwrap();
        let mut connection = client.over(stream, "shop.test").await.unwrap();
        let answer = connection.get("shop.test", &format!("/{number}")).await.unwrap();
        assert_eq!(answer.text(), format!("https from {expected}"));
    }
    assert!(client.connect(tls_address(&gateway), "shop.test").await.is_err(), "without a header");
}

#[tokio::test]
async fn a_named_client_may_itself_be_a_proxy_that_names_one() {
    let origin = origin().await;
    let settings = TRUSTED.replace("[gateway]", "[gateway]\ntrusted_proxies = [\"203.0.113.7\"]");
    let gateway = gateway(&origin, &settings).await;
    let forwarded = |number: usize| {
        let request = String::from_utf8(get(number)).unwrap();
        request.replace("\r\n\r\n", "\r\nx-forwarded-for: 192.0.2.99\r\n\r\n").into_bytes()
    };
    let answer = say(gateway.address(), &[LINE, &forwarded(1)]).await;
    assert!(answer.ends_with("http from 192.0.2.99"), "{answer}");
    // The address that has connected is none of `trusted_proxies`, and that of the other header neither.
    let answer = say(gateway.address(), &[BINARY, &forwarded(2)]).await;
    assert!(answer.ends_with("http from 203.0.113.8"), "{answer}");
}
