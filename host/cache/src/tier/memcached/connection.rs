//! One connection to a memcached, on which one exchange at a time takes place. Whoever gives an exchange up drops the
//! connection with it: what the server may still say is then said to nobody.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use sandbar_base::memory_budget::Use;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::exchange::{Bounds, Done, Fetched, Job, Trouble};
use super::wire::{self, Head, Unfit};

/// Keys that are asked for at once: as many requests as any socket's buffers take without being read.
const BATCH_LEN_MAX: usize = 64;
/// Bytes that are read at once.
const READ_BYTES: usize = 8 << 10;
/// Memory that a value is given before any of it has come.
const VALUE_BYTES_FIRST: usize = 128 << 10;
/// Lines of `stats settings` at most.
const SETTINGS_LEN_MAX: usize = 1000;
/// Bytes of an item that are not its value: header, key, what a value in several chunks costs more.
const ITEM_OVERHEAD_BYTES: usize = 1024;

/// A connection between two exchanges, or in one.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    /// Counts requests; replies repeat it.
    number: u32,
    /// Whether anything of the present exchange's reply has come.
    is_touched: bool,
    /// The largest value that the server takes, where it says so.
    pub(super) value_bytes_max: Option<usize>,
}

impl Connection {
    /// Connects, and makes sure that the server can be sent content before any is sent: its version is asked for first, then
    /// two bytes are stored that a server which takes them for a command would give away by its answer.
    pub(super) async fn open(address: &str) -> Result<Self, Trouble> {
        let lost = |error: std::io::Error| Trouble::Lost { reason: error.to_string(), untouched: true };
        let stream = TcpStream::connect(address).await.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let buffer = BytesMut::with_capacity(READ_BYTES);
        let mut new = Self { stream, buffer, number: 0, is_touched: false, value_bytes_max: None };
        new.send(b"version\r\n").await?;
        wire::version(&new.line().await?)?;
        new.send(b"mn\r\n").await?;
        new.expect(&Head::Noop).await?;
        new.send(b"ms sandbar:probe 2 T1 O0\r\nmn\r\n").await?;
        new.expect(&Head::Done(Some(0))).await?;
        new.send(b"stats settings\r\n").await?;
        new.value_bytes_max = new.settings().await?;
        Ok(new)
    }

    /// Makes an exchange. After an error the connection is of no more use.
    pub(super) async fn perform(&mut self, job: &Job<'_>, bounds: &Bounds) -> Result<Done, Trouble> {
        self.is_touched = false;
        match job {
            Job::Get(keys) => {
                let mut values = Vec::with_capacity(keys.len());
                for keys in keys.chunks(BATCH_LEN_MAX) {
                    self.get(keys, bounds, &mut values).await?;
                }
                Ok(Done::Values(values))
            }
            Job::Set { key, first, rest, lifetime_s } => self.set(key, first, rest, *lifetime_s).await,
            Job::Remove(key) => self.remove(key).await,
        }
    }

    async fn get(&mut self, keys: &[String], bounds: &Bounds, values: &mut Vec<Fetched>) -> Result<(), Trouble> {
        let from = self.number;
        let mut request = String::new();
        for key in keys {
            let number = self.next();
            wire::get(&mut request, key, number);
        }
        self.send(request.as_bytes()).await?;
        for offset in 1..=keys.len() {
            #[expect(clippy::cast_possible_truncation, reason = "a batch is short")]
            let number = from.wrapping_add(offset as u32);
            values.push(match self.head(number).await? {
                Head::Missing(_) => Fetched::Nothing,
                Head::Value { bytes, number: Some(_) } => self.value(bytes, bounds).await?,
                Head::Refused(said) => return Err(Trouble::Refused(said)),
                other => return Err(unexpected(&other)),
            });
        }
        Ok(())
    }

    async fn set(&mut self, key: &str, first: &[u8], rest: &[u8], lifetime_s: u32) -> Result<Done, Trouble> {
        let (number, mut head) = (self.next(), String::new());
        wire::set(&mut head, key, first.len() + rest.len(), lifetime_s, number);
        let head = Buf::chain(head.as_bytes(), first);
        let mut request = Buf::chain(Buf::chain(head, rest), &b"\r\n"[..]);
        self.stream.write_all_buf(&mut request).await.map_err(|error| self.lost(&error.to_string()))?;
        match self.head(number).await? {
            Head::Done(Some(_)) => Ok(Done::Changed),
            Head::NotStored(_) => Err(Trouble::Refused("it was not stored".to_owned())),
            Head::Refused(said) => Err(Trouble::Refused(said)),
            other => Err(unexpected(&other)),
        }
    }

    async fn remove(&mut self, key: &str) -> Result<Done, Trouble> {
        let (number, mut request) = (self.next(), String::new());
        wire::remove(&mut request, key, number);
        self.send(request.as_bytes()).await?;
        match self.head(number).await? {
            Head::Done(Some(_)) | Head::NotFound(_) => Ok(Done::Changed),
            Head::Refused(said) => Err(Trouble::Refused(said)),
            other => Err(unexpected(&other)),
        }
    }

    const fn next(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    /// The first line of the reply to the request with this number.
    async fn head(&mut self, number: u32) -> Result<Head, Trouble> {
        let head = Head::parse(&self.line().await?)?;
        match head.number() {
            Some(other) if other != number => {
                Err(Unfit(format!("it answers request {other} where {number} was asked")).into())
            }
            _ => Ok(head),
        }
    }

    async fn expect(&mut self, expected: &Head) -> Result<(), Trouble> {
        let line = self.line().await?;
        match Head::parse(&line)? {
            head if head == *expected => Ok(()),
            Head::Refused(said) => Err(Unfit(format!("it does not speak the meta protocol: {said}")).into()),
            other => Err(unexpected(&other)),
        }
    }

    /// Reads `stats settings`: the largest value that the server takes. A proxy that does not know them is asked no further.
    async fn settings(&mut self) -> Result<Option<usize>, Trouble> {
        let mut item_bytes_max = None;
        for _ in 0..SETTINGS_LEN_MAX {
            let line = self.line().await?;
            if !line.starts_with(b"STAT ") {
                let is_end = line.as_ref() == b"END" || matches!(Head::parse(&line), Ok(Head::Refused(_)));
                let unfit = || Unfit("its settings are none".to_owned()).into();
                return is_end.then(|| item_bytes_max.map(value_bytes)).ok_or_else(unfit);
            }
            item_bytes_max = wire::item_bytes_max(&line).or(item_bytes_max);
        }
        Err(Unfit("its settings have no end".to_owned()).into())
    }

    /// A line, without its end.
    async fn line(&mut self) -> Result<Bytes, Trouble> {
        let mut looked = 0;
        loop {
            let end = self.buffer[looked..].iter().position(|byte| *byte == b'\n').map(|at| looked + at);
            if let Some(end) = end {
                let mut line = self.buffer.split_to(end + 1).freeze();
                if line.len() < 2 || line[line.len() - 2] != b'\r' {
                    return Err(Unfit("a line does not end as lines do".to_owned()).into());
                }
                line.truncate(line.len() - 2);
                return Ok(line);
            }
            // Found out at once, not at the deadline of a line that has no end.
            if self.buffer.first().is_some_and(|first| !first.is_ascii_uppercase()) {
                return Err(Unfit("what it answers begins like no reply of memcached".to_owned()).into());
            }
            looked = self.buffer.len();
            if looked >= wire::LINE_BYTES_MAX {
                return Err(Unfit(format!("a line is longer than {} bytes", wire::LINE_BYTES_MAX)).into());
            }
            self.fill().await?;
        }
    }

    /// The content of a value and the line's end behind it.
    async fn value(&mut self, bytes: usize, bounds: &Bounds) -> Result<Fetched, Trouble> {
        let fetched = if bytes > bounds.value_bytes_max {
            self.skip(bytes).await?;
            Fetched::TooLarge
        } else if let Some(room) = bounds.budget.reserve(Use::L2Reads, bytes as u64) {
            Fetched::Value(self.content(bytes).await?, room)
        } else {
            self.skip(bytes).await?;
            Fetched::NoRoom
        };
        while self.buffer.len() < 2 {
            self.fill().await?;
        }
        if self.buffer.split_to(2).as_ref() == b"\r\n" {
            return Ok(fetched);
        }
        Err(Unfit("content is longer than it said".to_owned()).into())
    }

    async fn content(&mut self, bytes: usize) -> Result<Bytes, Trouble> {
        if self.buffer.len() >= bytes {
            // Copied: what points into the buffer would keep all of it.
            return Ok(Bytes::copy_from_slice(&self.buffer.split_to(bytes)));
        }
        let mut content = BytesMut::with_capacity(bytes.min(VALUE_BYTES_FIRST));
        content.extend_from_slice(&self.buffer.split());
        while content.len() < bytes {
            let left = bytes - content.len();
            content.reserve(left.min(VALUE_BYTES_FIRST));
            let read = self.stream.read_buf(&mut (&mut content).limit(left)).await;
            self.noted(read)?;
        }
        Ok(content.freeze())
    }

    /// Reads content and forgets it.
    async fn skip(&mut self, bytes: usize) -> Result<(), Trouble> {
        let mut left = bytes;
        loop {
            let here = left.min(self.buffer.len());
            self.buffer.advance(here);
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    async fn send(&mut self, request: &[u8]) -> Result<(), Trouble> {
        self.stream.write_all(request).await.map_err(|error| self.lost(&error.to_string()))
    }

    async fn fill(&mut self) -> Result<(), Trouble> {
        self.buffer.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.buffer).await;
        self.noted(read)
    }

    fn noted(&mut self, read: std::io::Result<usize>) -> Result<(), Trouble> {
        match read {
            Ok(0) => Err(self.lost("it closed the connection")),
            Ok(_) => {
                self.is_touched = true;
                Ok(())
            }
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    fn lost(&self, reason: &str) -> Trouble {
        Trouble::Lost { reason: reason.to_owned(), untouched: !self.is_touched }
    }

    /// Whether nothing has come that nobody asked for.
    pub(super) fn is_quiet(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// The largest value in items of at most so many bytes.
const fn value_bytes(item_bytes_max: usize) -> usize {
    item_bytes_max.saturating_sub(ITEM_OVERHEAD_BYTES)
}

fn unexpected(head: &Head) -> Trouble {
    Unfit(format!("{head:?} does not answer what was asked")).into()
}
