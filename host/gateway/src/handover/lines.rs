//! The channel between the two processes: lines of JSON over a pair of Unix sockets, and the descriptors of the listening
//! sockets beside the first line.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::message::Beginning;

/// How many sockets can be handed over: one of each kind is.
const SOCKETS_MAX: usize = 4;

/// The longest first line, in bytes.
const BEGINNING_BYTES_MAX: usize = 4096;

/// The longest other line, in bytes: the scope of a purge is far shorter.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Sends the first line and the descriptors, whether or not anybody reads yet.
pub(super) fn begin(channel: &UnixStream, beginning: &Beginning, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let line = serde_json::to_vec(beginning)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("there are too many sockets"));
    }
    // A line of this size is sent whole, or not at all.
    sendmsg(channel, &[IoSlice::new(&line)], &mut beside, SendFlags::empty())?;
    Ok(())
}

/// Receives what [`begin`] sends.
pub(super) fn begun(channel: &UnixStream) -> io::Result<(Beginning, Vec<OwnedFd>)> {
    let mut line = vec![0; BEGINNING_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(channel, &mut [IoSliceMut::new(&mut line)], &mut beside, RecvFlags::empty())?;
    let mut sockets = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors);
        }
    }
    for socket in &sockets {
        fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    }
    Ok((serde_json::from_slice(&line[..received.bytes])?, sockets))
}

/// The listening socket of a descriptor.
pub(super) fn listener(descriptor: OwnedFd) -> TcpListener {
    TcpListener::from(descriptor)
}

/// Both ends of the channel in one process.
pub(super) fn split(channel: UnixStream) -> io::Result<(Sender, Receiver)> {
    channel.set_nonblocking(true)?;
    let (reading, writing) = tokio::net::UnixStream::from_std(channel)?.into_split();
    let sender = Sender { stream: tokio::sync::Mutex::new(writing) };
    Ok((sender, Receiver { stream: BufReader::new(reading), line: Vec::new() }))
}

/// Sends lines.
#[derive(Debug)]
pub(super) struct Sender {
    stream: tokio::sync::Mutex<OwnedWriteHalf>,
}

impl Sender {
    /// Sends a line.
    pub(super) async fn send(&self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.stream.lock().await.write_all(&line).await
    }
}

/// Receives lines.
#[derive(Debug)]
pub(super) struct Receiver {
    stream: BufReader<OwnedReadHalf>,
    /// The beginning of a line that is not whole yet: [`Self::next`] may be dropped at any time.
    line: Vec<u8>,
}

impl Receiver {
    /// The next line; none where the other process has closed the channel, or ended.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let left = LINE_BYTES_MAX.saturating_sub(self.line.len() as u64);
        (&mut self.stream).take(left).read_until(b'\n', &mut self.line).await?;
        if self.line.last() != Some(&b'\n') {
            // The other process has ended, or sends what is no line of ours.
            return Ok(None);
        }
        let message = serde_json::from_slice(&self.line);
        self.line.clear();
        Ok(Some(message?))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::super::message::{FORMAT, Given, ToNew};
    use super::*;

    #[test]
    fn sockets_arrive_with_their_names_and_listen() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let sockets = vec![Given { name: "gateway".to_owned(), is_activated: true }];
        let beginning = Beginning { format: FORMAT, pid: 7, sockets };
        begin(&here, &beginning, &[socket.as_fd()]).expect("sent");
        let (received, mut descriptors) = begun(&there).expect("received");
        assert_eq!((received.pid, received.sockets[0].name.as_str(), descriptors.len()), (7, "gateway", 1));
        let same = listener(descriptors.remove(0));
        assert_eq!(same.local_addr().expect("an address"), socket.local_addr().expect("an address"));
    }

    #[test]
    fn what_is_no_beginning_is_an_error() {
        let (mut here, there) = UnixStream::pair().expect("a pair");
        io::Write::write_all(&mut here, b"hello").expect("sent");
        assert!(begun(&there).is_err());
        drop(here);
        assert!(begun(&there).is_err(), "nobody is there");
    }

    #[tokio::test]
    async fn lines_that_are_torn_too_long_or_nonsense_end_the_channel() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let (mut here, mut there) = (here, split(there).expect("a channel").1);
        io::Write::write_all(&mut here, b"\"go\"\n\"gone\"\n\"g").expect("sent");
        assert!(matches!(there.next().await, Ok(Some(ToNew::Go))));
        assert!(there.next::<ToNew>().await.is_err(), "nonsense");
        drop(here);
        assert!(matches!(there.next::<ToNew>().await, Ok(None)), "torn");

        let (here, there) = UnixStream::pair().expect("a pair");
        let (sender, mut receiver) = (split(here).expect("a channel").0, split(there).expect("a channel").1);
        let long = "x".repeat(2 << 20);
        let (sent, received) = tokio::join!(sender.send(&long), async {
            let received = receiver.next::<String>().await;
            drop(receiver);
            received
        });
        assert!(matches!(received, Ok(None)) && sent.is_err(), "too long");
    }
}
