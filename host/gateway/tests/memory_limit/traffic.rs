//! An origin that has a response for every target, and clients, some of which read slowly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the clients ask for.
#[derive(Clone, Copy)]
pub(crate) struct Traffic {
    /// How many requests are made, each for another target.
    pub(crate) requests: usize,
    /// Length of each response.
    pub(crate) bytes: usize,
    /// Clients at once.
    pub(crate) threads: usize,
    /// Further clients, which read their response only after all others have theirs.
    pub(crate) slow: usize,
    /// Length of each response to them.
    pub(crate) slow_bytes: usize,
}

/// The number of the next target: none is asked for twice.
static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Traffic {
    /// Sends the requests; returns what went wrong.
    pub(crate) fn run(&self, address: &str) -> Vec<String> {
        let failed = Mutex::new(Vec::new());
        let check = |read: std::io::Result<Vec<u8>>, bytes: usize| match read {
            Ok(body) if body.len() == bytes => {}
            Ok(body) => failed.lock().expect("no panic").push(format!("{} bytes for {bytes}", body.len())),
            Err(error) => failed.lock().expect("no panic").push(error.to_string()),
        };
        let slow: Vec<_> = (0..self.slow).map(|_| ask(address, &target(self.slow_bytes))).collect();
        let left = AtomicUsize::new(self.requests);
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                        check(get(address, &target(self.bytes)), self.bytes);
                    }
                });
            }
        });
        for asked in slow {
            check(asked.and_then(answer), self.slow_bytes);
        }
        failed.into_inner().expect("no panic")
    }
}

fn target(bytes: usize) -> String {
    format!("/{}/{bytes}", NEXT.fetch_add(1, Ordering::SeqCst))
}

/// The body of the response; another status than 200 is an error.
pub(crate) fn get(address: &str, target: &str) -> std::io::Result<Vec<u8>> {
    answer(ask(address, target)?)
}

fn ask(address: &str, target: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    Ok(stream)
}

fn answer(stream: TcpStream) -> std::io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::Error::other(format!("it ended after {head:?}")));
        }
    }
    if !head.starts_with("HTTP/1.1 200") {
        return Err(std::io::Error::other(head));
    }
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    Ok(body)
}

/// An origin whose responses are as long as the last segment of the target says, and `no-store` where the first one
/// does.
pub(crate) fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = serve(stream);
            });
        }
    });
    address
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let target = head.split(' ').nth(1).unwrap_or("/");
        let bytes: usize = target.rsplit('/').next().and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        let control = if target.starts_with("/no-store/") { "no-store" } else { "max-age=600" };
        write!(writer, "HTTP/1.1 200 OK\r\ncache-control: {control}\r\ncontent-length: {bytes}\r\n\r\n")?;
        writer.write_all(&vec![b'x'; bytes])?;
    }
}
