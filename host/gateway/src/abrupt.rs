//! A connection that can be ended abruptly, where an orderly end would say that all was sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Whether a connection is to end abruptly.
///
/// RFC 9112 section 8: a response without a length is "considered complete" when its connection is closed, "unless an error was
/// indicated by the underlying connection". Only a client of HTTP/1.0 is sent one, and to it a reset is the only way to say
/// that the rest is missing: whoever stores what it got would store a part as the whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Abruptly(Arc<AtomicBool>);

impl Abruptly {
    /// From now on it is, or is not.
    pub(super) fn set(&self, abruptly: bool) {
        self.0.store(abruptly, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A TCP connection that is reset when it is dropped, if that was asked for.
#[derive(Debug)]
pub(super) struct Ending {
    stream: TcpStream,
    abruptly: Abruptly,
}

impl Ending {
    /// A connection, and how it ends.
    pub(super) const fn of(stream: TcpStream, abruptly: Abruptly) -> Self {
        Self { stream, abruptly }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.abruptly.get() {
            // Where that can't be done there is nothing better to do.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Ending {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Ending {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
