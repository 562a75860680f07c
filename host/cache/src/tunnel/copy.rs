//! Bytes both ways between two connections, until both directions have ended or nothing moves any more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sandbar_base::clock::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

/// Bytes that are read at once in one direction, and so how far reading may be ahead of writing: a peer that does not
/// read slows the other one down.
pub(super) const BUFFER_BYTES: usize = 8 << 10;

/// How a tunnel came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both directions have ended.
    Closed,
    /// A connection broke off, or did not switch in time.
    Broken,
    /// Nothing moved for too long.
    Idle,
    /// The node stops.
    Stopped,
}

/// Two connections that are to be joined.
pub(super) struct Copying<'a, A, B> {
    client: Watched<'a, A>,
    origin: Watched<'a, B>,
    clock: &'a dyn Clock,
    idle: Duration,
    moved_ms: Arc<AtomicU64>,
}

/// Joins two connections. The tunnel ends when nothing has moved in either direction for `idle`.
pub(super) fn copied<A, B>(client: A, origin: B, clock: &dyn Clock, idle: Duration) -> Copying<'_, A, B> {
    let moved_ms = Arc::new(AtomicU64::new(now_ms(clock)));
    let client = Watched { stream: client, clock, moved_ms: Arc::clone(&moved_ms) };
    let origin = Watched { stream: origin, clock, moved_ms: Arc::clone(&moved_ms) };
    Copying { client, origin, clock, idle, moved_ms }
}

impl<A, B> Copying<'_, A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// Copies both ways. Where one direction ends, the other side is told so, and the other direction goes on.
    pub(super) async fn run(mut self) -> End {
        let idle = is_idle(self.clock, self.idle, &self.moved_ms);
        let copying = copy_bidirectional_with_sizes(&mut self.client, &mut self.origin, BUFFER_BYTES, BUFFER_BYTES);
        tokio::select! {
            biased;
            copied = copying => if copied.is_ok() { End::Closed } else { End::Broken },
            () = idle => End::Idle,
        }
    }
}

/// Returns when nothing has moved for `idle`.
async fn is_idle(clock: &dyn Clock, idle: Duration, moved_ms: &AtomicU64) {
    loop {
        let quiet = Duration::from_millis(now_ms(clock).saturating_sub(moved_ms.load(Ordering::Relaxed)));
        let Some(left) = idle.checked_sub(quiet).filter(|left| !left.is_zero()) else { return };
        clock.sleep(left).await;
    }
}

fn now_ms(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX)
}

/// A connection that notes when bytes have moved on it.
struct Watched<'a, T> {
    stream: T,
    clock: &'a dyn Clock,
    moved_ms: Arc<AtomicU64>,
}

impl<T> Watched<'_, T> {
    fn moved(&self) {
        self.moved_ms.store(now_ms(self.clock), Ordering::Relaxed);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<'_, T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        self.moved();
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<'_, T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.moved();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use sandbar_base::clock::{ManualClock, Timestamp};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn each_direction_ends_by_itself() {
        let clock = ManualClock::starting_at(Timestamp::from_millis(0));
        let ((mut client, one), (mut origin, other)) = (duplex(64), duplex(64));
        let talk = async {
            client.write_all(b"question").await.expect("written");
            client.shutdown().await.expect("ended");
            let mut heard = String::new();
            origin.read_to_string(&mut heard).await.expect("all of it");
            assert_eq!(heard, "question");
            origin.write_all(b"answer, after the client has ended").await.expect("written");
            drop(origin);
            heard.clear();
            client.read_to_string(&mut heard).await.expect("all of it");
            assert_eq!(heard, "answer, after the client has ended");
        };
        let (end, ()) = tokio::join!(copied(one, other, &clock, IDLE).run(), talk);
        assert_eq!(end, End::Closed);
    }

    #[tokio::test]
    async fn it_ends_when_nothing_moves_and_not_before() {
        let clock = ManualClock::starting_at(Timestamp::from_millis(0));
        let ((mut client, one), (mut origin, other)) = (duplex(64), duplex(64));
        let talk = async {
            for _ in 0..5 {
                clock.advance(IDLE * 9 / 10);
                origin.write_all(b"x").await.expect("the tunnel is open");
                assert_eq!(client.read_u8().await.expect("a byte"), b'x');
            }
            clock.advance(IDLE);
        };
        let (end, ()) = tokio::join!(copied(one, other, &clock, IDLE).run(), talk);
        assert_eq!(end, End::Idle);
    }

    #[tokio::test]
    async fn who_does_not_read_slows_the_other_down() {
        let clock = ManualClock::starting_at(Timestamp::from_millis(0));
        let ((client, one), (mut origin, other)) = (duplex(64), duplex(64));
        let mut written = 0;
        let writing = async {
            loop {
                tokio::select! {
                    more = origin.write(&[0; 1024]) => written += more.expect("the tunnel is open"),
                    () = async { for _ in 0..100 { tokio::task::yield_now().await } } => break clock.advance(IDLE),
                }
            }
        };
        let (end, ()) = tokio::join!(copied(one, other, &clock, IDLE).run(), writing);
        assert_eq!(end, End::Idle, "it is not open for ever either");
        assert!(written <= BUFFER_BYTES + 128, "{written} bytes were taken from the origin");
        drop(client);
    }
}
