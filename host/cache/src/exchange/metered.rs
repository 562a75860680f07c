//! The content of a response on its way from the origin. It holds the exchange's reservation of memory until its last
//! frame is written.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use sandbar_base::memory_budget::Reserved;

use crate::body::{Body, BoxError};

/// A frame that is smaller costs more than its bytes: it takes a place in a queue, and keeps alive the buffer that it
/// was read into.
const SMALL_BYTES: usize = 1 << 10;

/// How many small frames may wait to be written: with 200 bytes each they take less than what hyper's server buffers.
const SMALL_FRAMES_MAX: usize = 256;

/// Bytes to which further small frames are gathered.
const GATHERED_BYTES: usize = 4 << 10;

/// The content of a response on its way from the origin, with the reservation that pays for it.
pub(super) struct Metered {
    inner: Body,
    meter: Arc<Meter>,
    /// Small frames that are being joined to one, because too many wait to be written already.
    gathered: BytesMut,
    /// The frame or error that comes after the gathered frames.
    then: Option<Result<Frame<Bytes>, BoxError>>,
}

/// The reservation of a response, held until the last of its frames is written.
struct Meter {
    small: Mutex<Small>,
    _room: Reserved,
}

/// Small frames that were taken and are not written yet.
#[derive(Default)]
struct Small {
    frames: usize,
    waiting: Option<Waker>,
}

impl Metered {
    pub(super) fn new(inner: Body, room: Reserved) -> Self {
        let meter = Arc::new(Meter { small: Mutex::default(), _room: room });
        Self { inner, meter, gathered: BytesMut::new(), then: None }
    }

    /// Whether another small frame may be sent as it is. If not, the task is woken when one may.
    fn has_room(&self, context: &Context<'_>) -> bool {
        let mut small = self.meter.small.lock();
        let has_room = small.frames < SMALL_FRAMES_MAX;
        if !has_room {
            small.waiting = Some(context.waker().clone());
        }
        has_room
    }

    fn take_gathered(&mut self) -> Frame<Bytes> {
        Frame::data(Taken::of(&self.meter, std::mem::take(&mut self.gathered).freeze()))
    }
}

impl http_body::Body for Metered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            let goes = this.has_room(context);
            let enough = if goes { 1 } else { GATHERED_BYTES };
            if this.gathered.len() >= enough || (this.then.is_some() && !this.gathered.is_empty()) {
                return Poll::Ready(Some(Ok(this.take_gathered())));
            }
            if let Some(then) = this.then.take() {
                return Poll::Ready(Some(then));
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                None if this.gathered.is_empty() => return Poll::Ready(None),
                None => return Poll::Ready(Some(Ok(this.take_gathered()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.len() < SMALL_BYTES && !goes => this.gathered.extend_from_slice(&data),
                    Ok(data) if this.gathered.is_empty() => {
                        return Poll::Ready(Some(Ok(Frame::data(Taken::of(&this.meter, data)))));
                    }
                    Ok(data) => this.then = Some(Ok(Frame::data(Taken::of(&this.meter, data)))),
                    Err(trailers) => this.then = Some(Ok(trailers)),
                },
                Some(Err(error)) => this.then = Some(Err(error)),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.gathered.is_empty() && self.then.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let then = self.then.as_ref().and_then(|then| then.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        let (held, inner) = ((self.gathered.len() + then) as u64, self.inner.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + held);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}

/// A frame that was taken. It holds the reservation until it is written.
struct Taken {
    bytes: Bytes,
    meter: Arc<Meter>,
}

impl Taken {
    fn of(meter: &Arc<Meter>, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        let taken = Self { bytes, meter: Arc::clone(meter) };
        if taken.is_small() {
            meter.small.lock().frames += 1;
        }
        Bytes::from_owner(taken)
    }

    fn is_small(&self) -> bool {
        self.bytes.len() < SMALL_BYTES
    }
}

impl AsRef<[u8]> for Taken {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_small() {
            return;
        }
        let waiting = {
            let mut small = self.meter.small.lock();
            small.frames -= 1;
            small.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body::Body as _;
    use http_body_util::{BodyExt, StreamBody};
    use sandbar_base::memory_budget::{MemoryBudget, Use};

    use super::*;
    use crate::body;
    use crate::exchange::EXCHANGE_BYTES;

    fn next(body: &mut Metered) -> Option<Bytes> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => Some(frame.into_data().expect("a frame of data")),
            Poll::Ready(other) => panic!("{other:?}"),
            Poll::Pending => None,
        }
    }

    /// A body of so many frames of this length.
    fn metered(frames: usize, frame_bytes: usize, budget: &Arc<MemoryBudget>) -> Metered {
        let frames = (0..frames).map(move |_| Ok::<_, BoxError>(Frame::data(Bytes::from(vec![7; frame_bytes]))));
        let content = body::boxed(StreamBody::new(futures_util::stream::iter(frames)));
        Metered::new(content, budget.reserve(Use::Exchanges, EXCHANGE_BYTES).expect("room"))
    }

    #[test]
    fn where_too_many_small_frames_wait_to_be_written_they_go_as_one() {
        let budget = MemoryBudget::unbounded();
        let mut content = metered(100_000, 1, &budget);
        let mut taken: Vec<_> = (0..SMALL_FRAMES_MAX).filter_map(|_| next(&mut content)).collect();
        assert!(taken.iter().all(|frame| frame.len() == 1), "at first each goes as it came");
        let more = next(&mut content).expect("a frame");
        assert_eq!(more.len(), GATHERED_BYTES);
        taken.pop();
        assert_eq!(next(&mut content).expect("a frame").len(), 1, "one was written");
    }

    #[tokio::test]
    async fn who_keeps_all_frames_gets_all_of_them() {
        let budget = MemoryBudget::unbounded();
        for (frames, frame_bytes) in [(100_000, 1), (1000, 1000), (10, 64 << 10), (1, 8 << 20)] {
            let content = metered(frames, frame_bytes, &budget).collect().await.expect("content").to_bytes();
            assert_eq!(content.len(), frames * frame_bytes);
        }
    }

    #[test]
    fn an_exchange_is_charged_until_its_last_frame_is_written() {
        let budget = MemoryBudget::unbounded();
        let mut content = metered(10, 5000, &budget);
        let frame = next(&mut content).expect("there is one");
        drop(content);
        assert_eq!(budget.stats().used_bytes, EXCHANGE_BYTES);
        drop(frame);
        assert_eq!(budget.stats().used_bytes, 0);
    }
}
