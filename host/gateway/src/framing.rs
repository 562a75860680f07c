//! Watches how the requests of an HTTP/1.1 connection are framed. hyper takes a request with both lengths for a chunked
//! one and hides the other length (RFC 9112 section 6.3 allows that); this cache refuses it, and has to see it first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Length of the longest field name that matters here, in bytes.
const NAME_BYTES_MAX: usize = "transfer-encoding".len();

/// The number (from 0 on) of a connection's request with both `Content-Length` and `Transfer-Encoding`, if there is
/// one. No request after that one is read.
#[derive(Clone, Debug)]
pub(super) struct BothLengths(Arc<AtomicU64>);

impl Default for BothLengths {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl BothLengths {
    /// Whether the request with this number has both lengths.
    pub(super) fn has(&self, request: u64) -> bool {
        self.0.load(Ordering::Relaxed) == request
    }
}

/// A parser of the framing alone, fed with all bytes that are read from a connection.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    head: Head,
    requests: u64,
    found: BothLengths,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a request's head, or before one.
    Head,
    /// In a body of announced length, with so many bytes left.
    Body(u64),
    /// In the data of a chunk, with so many bytes left, the line end after it included.
    Data(u64),
    /// In the line with the length of the next chunk.
    ChunkSize,
    Trailers,
    /// The connection speaks HTTP/2, or hyper will read no further request: nothing more is parsed.
    Over,
}

#[derive(Debug, Default)]
struct Head {
    /// The beginning of the current line.
    line: Vec<u8>,
    /// Whether the request line has been read.
    begun: bool,
    length: Option<u64>,
    coded: bool,
}

impl Framing {
    pub(super) fn new(found: BothLengths) -> Self {
        Self { state: State::Head, head: Head::default(), requests: 0, found }
    }

    /// Parses bytes that were read from the connection, however they are cut.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Over => return,
                State::Body(left) | State::Data(left) => self.skip(bytes, left),
                State::Head | State::ChunkSize | State::Trailers => self.line(bytes),
            };
        }
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64) -> &'a [u8] {
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - skipped as u64;
        self.state = match (self.state, left) {
            (State::Data(_), 0) => State::ChunkSize,
            (State::Data(_), left) => State::Data(left),
            (_, 0) => State::Head,
            (_, left) => State::Body(left),
        };
        &bytes[skipped..]
    }

    /// Collects the beginning of a line and, where the line ends within `bytes`, acts on it. Returns the bytes after
    /// it.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (here, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        // Room for a name, its colon and the digits of a length; the rest of a line does not matter.
        let room = (NAME_BYTES_MAX + 48).saturating_sub(self.head.line.len());
        self.head.line.extend_from_slice(&here[..here.len().min(room)]);
        if end.is_none() {
            return rest;
        }
        let line = std::mem::take(&mut self.head.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        self.state = match self.state {
            State::ChunkSize => chunk_size(line),
            State::Trailers if line.is_empty() => State::Head,
            State::Trailers => State::Trailers,
            _ if line.is_empty() && self.head.begun => self.head_ends(),
            _ => self.head_line(line),
        };
        &rest[1..]
    }

    fn head_line(&mut self, line: &[u8]) -> State {
        if !self.head.begun {
            // An empty line before a request is passed over (RFC 9112 section 2.2).
            self.head.begun = !line.is_empty();
            return if line.starts_with(b"PRI ") { State::Over } else { State::Head };
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.head.length = Some(number(value.trim_ascii(), 10).unwrap_or(0));
        }
        self.head.coded |= name.eq_ignore_ascii_case(b"transfer-encoding");
        State::Head
    }

    fn head_ends(&mut self) -> State {
        let Head { length, coded, .. } = std::mem::take(&mut self.head);
        let number = self.requests;
        self.requests += 1;
        match (length, coded) {
            (Some(_), true) => {
                self.found.0.store(number, Ordering::Relaxed);
                State::Over
            }
            (None, true) => State::ChunkSize,
            (Some(bytes @ 1..), false) => State::Body(bytes),
            _ => State::Head,
        }
    }
}

/// The state after a line with the length of a chunk. Where the line holds no length, hyper reads no further.
fn chunk_size(line: &[u8]) -> State {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    match number(&line[..digits], 16) {
        Some(0) => State::Trailers,
        Some(bytes) => State::Data(bytes.saturating_add(2)),
        None => State::Over,
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of the request that has both lengths, with the bytes read in pieces of `cut`.
    fn found(bytes: &[u8], cut: usize) -> Option<u64> {
        let found = BothLengths::default();
        let mut framing = Framing::new(found.clone());
        bytes.chunks(cut).for_each(|chunk| framing.read(chunk));
        (0..9).find(|request| found.has(*request))
    }

    /// One byte at a time, as a client sends that wants to make watching costly.
    #[test]
    fn watching_costs_what_is_read() {
        for (before, repeated) in [
            ("GET /", "a"),
            ("GET / HTTP/1.1\r\n", "a: b\r\n"),
            ("GET / HTTP/1.1\r\nx: ", ": "),
            ("", "\r\n"),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", "f"),
            ("", "GET / HTTP/1.1\r\n\r\n"),
        ] {
            let sent = |length: usize| before.to_owned() + &repeated.repeat(length / repeated.len());
            crate::proportion::check(repeated, 4096, sent, |sent| assert!(found(sent.as_bytes(), 1).is_none()));
        }
    }

    #[test]
    fn both_lengths_are_found_wherever_they_are() {
        let both = "POST / HTTP/1.1\r\nContent-Length: 4\r\nTRANSFER-encoding: chunked\r\n\r\n";
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\n12345\r\n0\r\nx: 1\r\n\r\n";
        let sized = "POST / HTTP/1.1\r\ncontent-length: 6\r\n\r\n\r\nabcd";
        let hidden = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{both}", both.len());
        let long = format!("GET /{} HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(500), "b".repeat(500));
        for (bytes, expected) in [
            (both.to_owned(), Some(0)),
            (both.replace("\r\n", "\n"), Some(0)),
            (format!("\r\n{both}"), Some(0)),
            (format!("GET / HTTP/1.1\r\n\r\n{both}"), Some(1)),
            (format!("{chunked}{sized}{long}{chunked}{both}"), Some(4)),
            (format!("{chunked}{sized}"), None),
            // A head inside a body counts for nothing.
            (hidden.clone(), None),
            (format!("{hidden}{both}"), Some(1)),
            (chunked.replace("12345", "\r\n\r\n1").replace("x: 1", "content-length: 1"), None),
            (format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{both}"), None),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n".to_owned() + both, None),
        ] {
            for cut in [1, 2, 3, 7, 64, 4096] {
                assert_eq!(found(bytes.as_bytes(), cut), expected, "in pieces of {cut}: {bytes:?}");
            }
        }
    }
}
