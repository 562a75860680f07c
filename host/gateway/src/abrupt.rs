//! A TCP connection that can be ended with a reset, where an orderly close would tell the client that the response is
//! complete.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Whether a connection is to end abruptly.
///
/// RFC 9112 section 8: a response without a length is "considered complete" when its connection is closed, "unless an
/// error was indicated by the underlying connection". Only clients of HTTP/1.0 are sent such a response, and a reset is
/// the only way to tell them that the rest is missing: a cache among them would store the part as the whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Abruptly(Arc<AtomicBool>);

impl Abruptly {
    /// Chooses a reset (`true`) or an orderly close; the last choice before the connection is dropped counts.
    pub(super) fn set(&self, abruptly: bool) {
        self.0.store(abruptly, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A TCP connection that is reset when it is dropped, if [`Abruptly`] says so.
#[derive(Debug)]
pub(super) struct Ending {
    stream: TcpStream,
    abruptly: Abruptly,
}

impl Ending {
    /// Wraps `stream`; `abruptly` is read when the connection is dropped.
    pub(super) const fn of(stream: TcpStream, abruptly: Abruptly) -> Self {
        Self { stream, abruptly }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.abruptly.get() {
            // Where the option can't be set, the connection is closed as usual: nothing better can be done.
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
