//! Connections that have switched to another protocol outlive their process's place.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::served::Served;

const CLASS: &str = "[[tenant.class]]\nname = \"live\"\npath = \"/live/**\"\nupgrade = [\"websocket\"]\n";
const HANDSHAKE: &str = "GET /live/1 HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: abc=\r\n\r\n";

async fn head(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(read).unwrap()
}

/// An origin that switches, and then sends back whatever it is sent.
async fn echoing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if head(&mut stream).await.starts_with("GET") {
                    stream.write_all(SWITCHED.as_bytes()).await?;
                    let (mut reading, mut writing) = stream.split();
                    tokio::io::copy(&mut reading, &mut writing).await?;
                }
                Ok::<_, std::io::Error>(())
            });
        }
    });
    url
}

async fn echo(tunnel: &mut TcpStream, word: &str) {
    tunnel.write_all(word.as_bytes()).await.unwrap();
    let mut back = vec![0; word.len()];
    tunnel.read_exact(&mut back).await.unwrap();
    assert_eq!(back, word.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_through_the_old_process_goes_on_until_it_ends_by_itself() {
    let mut served = Served::start(&echoing().await, "grace = \"25s\"").await;
    served.add_settings(CLASS);
    assert_eq!(served.operator().send("POST", "/reload", &[], "").await.unwrap().status, 200);
    let mut tunnel = TcpStream::connect(served.address).await.unwrap();
    tunnel.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    assert!(head(&mut tunnel).await.starts_with("HTTP/1.1 101 "));
    echo(&mut tunnel, "before").await;
    let old = served.upgrade().await;
    echo(&mut tunnel, "after").await;
    assert!(!crate::served::is_over(old));
    drop(tunnel);
    served.has_ended(old).await;
}
