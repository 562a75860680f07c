//! Clients that ask and do not read, and operators that send a lot.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A client of HTTP/1.1 that asks for a target and reads nothing.
pub(crate) fn reader(address: &str, target: &str) -> TcpStream {
    let mut stream = connect(address);
    write!(stream, "GET {target} HTTP/1.1\r\nhost: h\r\n\r\n").expect("it takes the request");
    stream
}

/// A client of HTTP/2 whose streams may be sent nothing: it asks for these targets, each on a stream.
pub(crate) fn streams(address: &str, targets: impl Iterator<Item = String>) -> TcpStream {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.5.2) is 0.
    frame(&mut bytes, 4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    for (number, target) in targets.enumerate() {
        frame(&mut bytes, 1, 5, 2 * number as u32 + 1, &head(&target));
    }
    let mut stream = connect(address);
    // A gateway without room for so many may close the connection.
    let _ = stream.write_all(&bytes);
    stream
}

/// A GET as a field block without Huffman codes (RFC 7541).
fn head(target: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(0x04, target), (0x01, "h")] {
        block.extend([name, u8::try_from(value.len()).expect("short")]);
        block.extend(value.as_bytes());
    }
    block
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, content: &[u8]) {
    bytes.extend(&u32::try_from(content.len()).expect("short").to_be_bytes()[1..]);
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(content);
}

/// Sends a response to store of so many bytes to the admin API, without its last byte: the upload stays unfinished.
pub(crate) fn upload(admin: &str, number: usize, bytes: usize) -> TcpStream {
    let mut stream = connect(admin);
    stream.set_write_timeout(Some(Duration::from_secs(2))).expect("a time");
    let head = format!(
        "PUT /tenants/default/entries?url=http://h/{number} HTTP/1.1\r\nhost: {admin}\r\ncache-control: \
         max-age=600\r\ncontent-length: {bytes}\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b'x'; bytes - 1]));
    stream
}

/// The status code of the answer on a connection; empty where there is none yet.
pub(crate) fn status(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a time");
    let mut line = [0; 12];
    match stream.read_exact(&mut line) {
        Ok(()) => String::from_utf8_lossy(&line[9..]).into_owned(),
        Err(_) => String::new(),
    }
}

/// Connects; what is sent has to be taken some time.
pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_write_timeout(Some(Duration::from_secs(20))).expect("a time");
    stream
}
