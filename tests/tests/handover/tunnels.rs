//! Connections that have switched to another protocol outlive their process's place.

use sandbar_tests::web_socket::{CLASS, SWITCHED, handshake, read_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::served::Served;

/// An origin that switches, and then sends back whatever it is sent.
async fn echoing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A connection on which nothing is asked is the gateway's, to see whether the origin is there.
                read_until(&mut stream, "\r\n\r\n").await?;
                stream.write_all(SWITCHED.as_bytes()).await?;
                let (mut reading, mut writing) = stream.split();
                anyhow::Ok(tokio::io::copy(&mut reading, &mut writing).await?)
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
    served.reload().await;
    let mut tunnel = TcpStream::connect(served.address).await.unwrap();
    tunnel.write_all(handshake("/live/1", "").as_bytes()).await.unwrap();
    assert!(read_until(&mut tunnel, "\r\n\r\n").await.unwrap().starts_with("HTTP/1.1 101 "));
    echo(&mut tunnel, "before").await;
    let old = served.upgrade().await;
    echo(&mut tunnel, "after").await;
    assert!(!crate::served::is_over(old));
    drop(tunnel);
    served.has_ended(old).await;
}
