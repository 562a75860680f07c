//! The header of the PROXY protocol, versions 1 and 2: what a proxy that passes connections on sends before anything
//! else, to name the client of a connection.
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>; sections below are those of that text.)
//!
//! What follows the header must not be read with it, and only the header says where it ends. So [`read`] looks at what
//! was received so far and says how many more bytes belong to it for certain:
//!
//! ```
//! use sandbar_http::client::proxy_header::{Header, read};
//!
//! let line = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
//! let mut received = 0;
//! let header = loop {
//!     match read(&line[..received])? {
//!         Header::Incomplete(more) => received += more,
//!         Header::Complete(client) => break client,
//!     }
//! };
//! assert_eq!((received, header), (line.len(), Some("192.0.2.1:56324".parse()?)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is read, in bytes. Section 2.2 demands that 536 be possible; the rest is room for more of
/// what proxies add behind the addresses.
pub const HEADER_BYTES_MAX: usize = 4 << 10;

/// What version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What version 2 has before the addresses: the signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// The shortest and the longest line of version 1, its end included (section 2.1).
const LINE_BYTES_MIN: usize = b"PROXY UNKNOWN\r\n".len();
const LINE_BYTES_MAX: usize = 107;

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// At least so many more bytes belong to the header.
    Incomplete(usize),
    /// The header ends here. The client's address; none where the proxy connects on its own behalf (`LOCAL`), does not
    /// know it (`UNKNOWN`), or names it in another way than by IP address and TCP port.
    Complete(Option<SocketAddr>),
}

/// Why the first bytes of a connection are no header that can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadHeader {
    /// They begin as neither version does.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// A line of version 1 that says something else than it may.
    #[error("the line of the PROXY header is malformed")]
    Line,
    /// A version, command or family that there is not, or addresses that are cut.
    #[error("the PROXY header of version 2 is malformed")]
    Binary,
    /// More than [`HEADER_BYTES_MAX`].
    #[error("the PROXY header is longer than {HEADER_BYTES_MAX} bytes")]
    TooLong,
}

/// Reads what was received of a header so far: nothing that comes after the header may be in it.
///
/// # Errors
/// As soon as it can be no header. The connection is to be closed then: who sent it, and what its bytes are, is not
/// known.
pub fn read(received: &[u8]) -> Result<Header, BadHeader> {
    let begins_like = |word: &[u8]| received.iter().zip(word).all(|(byte, wanted)| byte == wanted);
    match received {
        [] => Ok(Header::Incomplete(LINE_BYTES_MIN)),
        _ if begins_like(SIGNATURE) => read_binary(received),
        _ if begins_like(WORD) => read_line(received),
        _ => Err(BadHeader::Missing),
    }
}

fn read_line(received: &[u8]) -> Result<Header, BadHeader> {
    match received.iter().position(|byte| *byte == b'\n') {
        Some(end) if end + 1 == received.len() => {
            let line = received.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
            line.ok_or(BadHeader::Line).and_then(client_of_line).map(Header::Complete)
        }
        Some(_) => Err(BadHeader::Line),
        None => {
            let end_bytes = if received.ends_with(b"\r") { 1 } else { 2 };
            let more = end_bytes.max(LINE_BYTES_MIN.saturating_sub(received.len()));
            let fits = received.len() + more <= LINE_BYTES_MAX;
            if fits { Ok(Header::Incomplete(more)) } else { Err(BadHeader::Line) }
        }
    }
}

/// The client that a line of version 1 names: `PROXY TCP4 SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT`.
fn client_of_line(line: &str) -> Result<Option<SocketAddr>, BadHeader> {
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let address = |text: &str, is_v4: bool| {
        let parsed = text.parse().ok().filter(|address: &IpAddr| address.is_ipv4() == is_v4);
        parsed.ok_or(BadHeader::Line)
    };
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(BadHeader::Line),
    };
    match words[..] {
        // Section 2.1: "the receiver must ignore anything presented before the CRLF".
        ["UNKNOWN", ..] => Ok(None),
        [family @ ("TCP4" | "TCP6"), source, destination, source_port, destination_port] => {
            let is_v4 = family == "TCP4";
            let (source, _) = (address(source, is_v4)?, address(destination, is_v4)?);
            let (source_port, _) = (port(source_port)?, port(destination_port)?);
            Ok(Some(SocketAddr::new(source, source_port)))
        }
        _ => Err(BadHeader::Line),
    }
}

fn read_binary(received: &[u8]) -> Result<Header, BadHeader> {
    let Some((fixed, rest)) = received.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(Header::Incomplete(FIXED_BYTES - received.len()));
    };
    let rest_bytes = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if FIXED_BYTES + rest_bytes > HEADER_BYTES_MAX {
        return Err(BadHeader::TooLong);
    }
    match rest_bytes.checked_sub(rest.len()) {
        None => Err(BadHeader::Binary),
        Some(0) => client_of_binary(fixed[12], fixed[13], rest).map(Header::Complete),
        Some(more) => Ok(Header::Incomplete(more)),
    }
}

/// The client that a header of version 2 names. `rest` are the addresses, and what a proxy adds to them.
fn client_of_binary(version_and_command: u8, family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, BadHeader> {
    match version_and_command {
        // LOCAL: "the receiver must accept this connection as valid and must use the real connection endpoints".
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(BadHeader::Binary),
    }
    let (address, ports): (IpAddr, _) = match family {
        // TCP over IPv4: both addresses, then both ports.
        0x11 => {
            let bytes = rest.first_chunk::<12>().ok_or(BadHeader::Binary)?;
            (Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(), &bytes[8..])
        }
        // TCP over IPv6.
        0x21 => {
            let bytes = rest.first_chunk::<36>().ok_or(BadHeader::Binary)?;
            let source = bytes.first_chunk::<16>().ok_or(BadHeader::Binary)?;
            (Ipv6Addr::from(*source).into(), &bytes[32..])
        }
        // Unspecified, datagrams and Unix sockets: there is no address of a TCP client in them.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => return Ok(None),
        _ => return Err(BadHeader::Binary),
    };
    Ok(Some(SocketAddr::new(address, u16::from_be_bytes([ports[0], ports[1]]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a header says that arrives with more bytes behind it, and how many of all bytes were read.
    fn seen(bytes: &[u8]) -> (Result<Header, BadHeader>, usize) {
        let mut received = 0;
        loop {
            match read(&bytes[..received]) {
                Ok(Header::Incomplete(more)) if received + more <= bytes.len() => received += more,
                said => return (said, received),
            }
        }
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];

    #[test]
    fn both_versions_name_the_client_and_nothing_behind_them_is_read() {
        let v6 = [&Ipv6Addr::LOCALHOST.octets()[..], &[0; 16], &[0xdc, 0x04, 0x01, 0xbb]].concat();
        let with_more = [&V4[..], &[0x20; 500]].concat();
        for (header, client) in [
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n".to_vec(), Some("192.0.2.1:56324")),
            (b"PROXY TCP6 2001:db8::1 ::1 56324 443\r\n".to_vec(), Some("[2001:db8::1]:56324")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n".to_vec(), None),
            (binary(0x21, 0x11, &V4), Some("192.0.2.1:56324")),
            (binary(0x21, 0x11, &with_more), Some("192.0.2.1:56324")),
            (binary(0x21, 0x21, &v6), Some("[::1]:56324")),
            (binary(0x20, 0x11, &V4), None),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x21, 0x31, &[b'/'; 216]), None),
            (binary(0x21, 0x00, &[]), None),
        ] {
            let client = client.map(|text| text.parse().expect("an address"));
            for behind in ["", "GET / HTTP/1.1\r\n\r\n", "\r\n"] {
                let bytes = [&header[..], behind.as_bytes()].concat();
                assert_eq!(seen(&bytes), (Ok(Header::Complete(client)), header.len()), "{header:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_it_can_be_none() {
        use BadHeader::{Binary, Line, Missing, TooLong};
        for (bytes, expected) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), Missing),
            (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a hello".to_vec(), Missing),
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n".to_vec(), Line),
            (b"PROXY TCP4 192.0.2.1  198.51.100.7 56324 443\r\n".to_vec(), Line),
            (b"PROXY TCP4 ::1 ::1 56324 443\r\n".to_vec(), Line),
            (b"PROXY TCP6 192.0.2.1 192.0.2.1 56324 443\r\n".to_vec(), Line),
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 65536\r\n".to_vec(), Line),
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 +5632 443\r\n".to_vec(), Line),
            (b"PROXY TCP4 192.0.2.01 198.51.100.7 56324 443\r\n".to_vec(), Line),
            (b"PROXY UDP4 192.0.2.1 198.51.100.7 56324 443\r\n".to_vec(), Line),
            (b"PROXY TCP4 192.0.2.1\nGET / HTTP/1.1\r\n".to_vec(), Line),
            (format!("PROXY UNKNOWN {}\r\n", "x".repeat(100)).into_bytes(), Line),
            (b"PROXY TCP4 \xff\xff\r\n                  ".to_vec(), Line),
            (binary(0x21, 0x11, &V4[..11]), Binary),
            (binary(0x21, 0x21, &V4), Binary),
            (binary(0x22, 0x11, &V4), Binary),
            (binary(0x11, 0x11, &V4), Binary),
            (binary(0x21, 0x41, &V4), Binary),
            (binary(0x21, 0x11, &[0; HEADER_BYTES_MAX - FIXED_BYTES + 1]), TooLong),
        ] {
            assert_eq!(seen(&bytes).0, Err(expected), "{:?}", String::from_utf8_lossy(&bytes));
        }
        assert_eq!(seen(b"PROXY TCP4 192.0.2.1").0, Ok(Header::Incomplete(2)), "the rest may come");
    }
}
