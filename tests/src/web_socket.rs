//! Connections that switch to WebSocket (RFC 6455), as far as a gateway sees of it: the class that allows it, the client's request,
//! the origin's answer.

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::wait::in_time;

/// A class of the gateway's last tenant, `/live/**`, that may switch.
pub const CLASS: &str = "[[tenant.class]]\nname = \"live\"\npath = \"/live/**\"\nupgrade = [\"websocket\"]\n";
/// The answer of an origin that switches.
pub const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                            Sec-WebSocket-Accept: abc=\r\n\r\n";

/// The request of a client that asks to switch, to the host `shop.test`; `more` are further lines of its head.
pub fn handshake(target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: shop.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// What comes until `end` has come.
///
/// # Errors
/// When the stream ends before that, or what comes is no text.
///
/// # Panics
/// When it does not come in time.
pub async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> anyhow::Result<String> {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(in_time("another byte", stream.read_u8()).await?);
    }
    Ok(String::from_utf8(read)?)
}
