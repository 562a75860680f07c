//! Interim responses on an HTTP/1.1 connection. hyper's server sends none, so they are written to the stream beneath
//! it.
//!
//! hyper flushes a connection each time it is polled, and only once all that it had to write is written. While a
//! service has a request and has not answered it, such a flush falls between two messages: only there can an interim
//! response be written. The final response is held back until the interim ones before it are written.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use sandbar_http::Interim;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::Framing;
use super::room::ConnectionCharge;

/// How much of interim responses to one request may wait to be written, in bytes; further ones are dropped.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// The interim responses of one connection.
#[derive(Clone, Default)]
pub(super) struct Interims {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The number of the request that is being answered; 0 while there is none.
    current: u64,
    requests: u64,
    waiting: BytesMut,
    /// Whether interim responses are partly written.
    writing: bool,
    /// Wakes the task that drives the connection.
    task: Option<Waker>,
}

impl State {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.writing
    }
}

impl Interims {
    /// Wraps the connection that they are written to; bytes read from it are charged to `room`. `held` is dropped with
    /// the connection, also where that has switched to another protocol.
    pub(super) fn over<T>(
        &self,
        stream: T,
        framing: Framing,
        room: Arc<ConnectionCharge>,
        held: impl Send + 'static,
    ) -> Stream<T> {
        Stream { stream, writing: Bytes::new(), interims: self.clone(), framing, room, _held: Box::new(held) }
    }

    /// Begins a request: interim responses passed to the [`Interim`] go to its client until the [`Turn`] is dropped.
    pub(super) fn begin(&self) -> (Interim, Turn) {
        let mut state = self.state.lock();
        state.requests += 1;
        state.current = state.requests;
        let (number, interims) = (state.current, self.clone());
        let interim = Interim::new(move |status, fields| interims.add(number, status, fields));
        (interim, Turn { interims: self.clone(), number })
    }

    fn add(&self, number: u64, status: StatusCode, fields: &HeaderMap) {
        let mut state = self.state.lock();
        let message = encoded(status, fields);
        if state.current != number || state.waiting.len() + message.len() > WAITING_BYTES_MAX {
            return;
        }
        state.waiting.extend_from_slice(&message);
        if let Some(task) = state.task.take() {
            task.wake();
        }
    }
}

/// An interim response as bytes. The types of `http` let no line break into a field.
fn encoded(status: StatusCode, fields: &HeaderMap) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("");
    let mut message = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in fields {
        message.extend_from_slice(name.as_str().as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    message
}

/// The turn of the request that is being answered; while it is held, interim responses to that request are written.
pub(super) struct Turn {
    interims: Interims,
    number: u64,
}

impl Turn {
    /// Ready once all interim responses passed so far are written.
    fn poll_written(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.interims.state.lock();
        if state.is_idle() {
            return Poll::Ready(());
        }
        state.task = Some(context.waker().clone());
        Poll::Pending
    }

    /// Has the next interim response wake this task.
    fn listen(&self, context: &mut Context<'_>) {
        let mut state = self.interims.state.lock();
        if !state.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            state.task = Some(context.waker().clone());
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.interims.state.lock();
        if state.current == self.number {
            state.current = 0;
            state.waiting.clear();
            state.task = None;
        }
    }
}

/// Waits for a service's answer, and for the interim responses to its request to be written before it. Without a turn
/// there are no interim responses.
pub(super) async fn behind<F: Future>(answer: F, turn: Option<Turn>) -> F::Output {
    let mut answer = pin!(answer);
    let answered = poll_fn(|context| {
        let polled = answer.as_mut().poll(context);
        if let Some(turn) = turn.as_ref().filter(|_| polled.is_pending()) {
            turn.listen(context);
        }
        polled
    });
    let answered = answered.await;
    if let Some(turn) = turn {
        poll_fn(|context| turn.poll_written(context)).await;
    }
    answered
}

/// A client's connection beneath hyper: the framing of what is read is watched, its bytes are charged, and interim
/// responses are written between hyper's messages.
pub(super) struct Stream<T> {
    stream: T,
    writing: Bytes,
    interims: Interims,
    framing: Framing,
    room: Arc<ConnectionCharge>,
    _held: Box<dyn Any + Send>,
}

impl<T: AsyncWrite + Unpin> Stream<T> {
    /// Writes the rest of a partly written interim response: no bytes of hyper's may come in between.
    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.writing.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.writing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.writing.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the interim responses that wait. To be called only where hyper has nothing left to write.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_finish(context))?;
            let mut state = self.interims.state.lock();
            if state.is_idle() {
                return Poll::Ready(Ok(()));
            }
            self.writing = state.waiting.split().freeze();
            state.writing = !self.writing.is_empty();
            if state.is_idle()
                && let Some(task) = state.task.take()
            {
                task.wake();
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        let read = &into.filled()[before..];
        if !self.room.covers_read(read.len() as u64) {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        self.framing.read(read);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_finish(context))?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_finish(context))?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes once it has written all that it had to write: the moment for interim responses.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(context))?;
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.room.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_finish(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
