//! Readers of a body under way.

use http_body_util::BodyExt;
use sandbar_base::memory_budget::{MemoryBudget, Use};

use super::*;

fn tail(bytes_max: u64, window_bytes: u64) -> Arc<Tail> {
    Tail::new(bytes_max, window_bytes, MemoryBudget::unbounded().nothing(Use::Fills))
}

async fn next(body: &mut TailBody) -> Option<Result<Bytes, String>> {
    let frame = body.frame().await?;
    Some(frame.map(|frame| frame.into_data().unwrap()).map_err(|error| error.to_string()))
}

#[tokio::test]
async fn late_readers_get_everything() {
    let tail = tail(100, 10);
    let mut early = tail.read().unwrap();
    assert_eq!(tail.append("abc".into()).await, Appended::Kept);
    assert_eq!(next(&mut early).await, Some(Ok("abc".into())));
    assert_eq!(tail.append("def".into()).await, Appended::Kept);
    let late = tail.read().unwrap();
    assert_eq!(tail.complete().as_deref(), Some(&Bytes::from("abcdef")));
    assert_eq!(late.collect().await.unwrap().to_bytes(), "abcdef");
    assert_eq!(next(&mut early).await, Some(Ok("def".into())));
    assert_eq!(next(&mut early).await, None);
}

#[tokio::test]
async fn a_broken_body_never_looks_whole() {
    let tail = tail(100, 10);
    let reader = tail.read().unwrap();
    tail.append("abc".into()).await;
    tail.broken();
    assert!(reader.collect().await.is_err());
    tail.complete();
    assert!(tail.read().unwrap().collect().await.is_err());
}

#[tokio::test]
async fn past_its_bound_the_fastest_reader_sets_the_pace_and_the_slowest_is_cut() {
    let tail = tail(4, 4);
    let mut fast = tail.read().unwrap();
    let mut slow = tail.read().unwrap();
    assert_eq!(tail.append("abcd".into()).await, Appended::Kept);
    let waiting = tokio::spawn({
        let tail = Arc::clone(&tail);
        async move { (tail.append("efgh".into()).await, tail.append("ijkl".into()).await, tail.cut()) }
    });
    tokio::task::yield_now().await;
    assert_eq!(next(&mut fast).await, Some(Ok("abcd".into())));
    tokio::task::yield_now().await;
    assert_eq!(next(&mut fast).await, Some(Ok("efgh".into())));
    tokio::task::yield_now().await;
    assert!(tail.read().is_none(), "the first bytes are gone");
    assert_eq!(waiting.await.unwrap(), (Appended::Unkept, Appended::Unkept, 1));
    assert!(next(&mut slow).await.unwrap().unwrap_err().contains("fell behind"));
    assert_eq!(next(&mut fast).await, Some(Ok("ijkl".into())));
    drop(fast);
    assert_eq!(tail.append("mnop".into()).await, Appended::Unread);
    assert_eq!(tail.complete(), None);
}

/// Appends chunks as an exchange gives them: the next one when the last one is written.
async fn append_all(tail: Arc<Tail>, chunks: usize, bytes: usize) -> Appended {
    let mut appended = Appended::Kept;
    for _ in 0..chunks {
        appended = tail.append(Bytes::from(vec![7; bytes])).await;
    }
    appended
}

async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_finds_no_room_is_passed_through_and_gives_back_what_it_had() {
    let budget = MemoryBudget::new(200 << 10);
    let used = || budget.stats().used_bytes;
    let tail = Tail::new(1 << 30, 1 << 20, budget.nothing(Use::Fills));
    let mut reader = tail.read().unwrap();
    let filling = tokio::spawn(append_all(Arc::clone(&tail), 20, 20 << 10));
    settle().await;
    assert_eq!(tail.why_unkept(), Some(Unkept::NoRoom));
    assert!(used() <= 200 << 10, "{}", used());
    assert!(!filling.is_finished(), "the reader sets the pace");
    let mut read = 0;
    while read < 20 * (20 << 10) {
        read += next(&mut reader).await.unwrap().unwrap().len();
        settle().await;
        assert!(used() <= 200 << 10, "{}", used());
    }
    assert_eq!(filling.await.unwrap(), Appended::Unkept);
    assert!(used() <= 2 * SCARCE_WINDOW_BYTES, "a window is kept, not {}", used());
    assert_eq!(tail.complete(), None);
    assert_eq!(next(&mut reader).await, None);
    drop((tail, reader));
    assert_eq!(used(), 0);
}

#[tokio::test]
async fn where_nothing_is_left_chunks_are_handed_on_and_the_account_holds() {
    let budget = MemoryBudget::new(100);
    let _others = budget.reserve(Use::Streams, 100).unwrap();
    let tail = Tail::unkept(1 << 20, budget.nothing(Use::Windows));
    let (mut fast, mut slow) = (tail.read().unwrap(), tail.read().unwrap());
    let filling = tokio::spawn(append_all(Arc::clone(&tail), 30, 1000));
    for _ in 0..30 {
        settle().await;
        assert_eq!(next(&mut fast).await.unwrap().unwrap().len(), 1000, "as they came");
        assert_eq!(budget.stats().used_bytes, 100);
    }
    assert_eq!(filling.await.unwrap(), Appended::Unkept);
    assert!(next(&mut slow).await.unwrap().is_err(), "nothing is kept for it");
    let windows = &budget.stats().uses[Use::Windows as usize];
    assert!(windows.bytes == 0 && windows.refused >= 30, "{windows:?}");
}

/// A chunk that was not copied must not hold up the next one, although what was copied before it is within the window.
#[tokio::test]
async fn a_chunk_that_was_handed_on_is_let_go_with_all_before_it() {
    let budget = MemoryBudget::new(128 << 10);
    let tail = Tail::new(4, 1 << 20, budget.nothing(Use::Fills));
    let mut reader = tail.read().unwrap();
    for (number, taken) in [0, 60 << 10, 0].into_iter().enumerate() {
        let _others = budget.reserve(Use::Streams, taken).unwrap();
        let appending = tokio::spawn({
            let tail = Arc::clone(&tail);
            async move { tail.append(vec![7; 40 << 10].into()).await }
        });
        let mut read = 0;
        while read < 40 << 10 {
            read += next(&mut reader).await.unwrap().unwrap().len();
        }
        let appended = tokio::time::timeout(Duration::from_secs(10), appending).await;
        assert_eq!(appended.expect("it goes on").unwrap(), Appended::Unkept, "chunk {number}");
    }
}

#[tokio::test]
async fn a_window_shrinks_by_half_each_time_that_there_is_no_room_for_it() {
    let budget = MemoryBudget::new(9 << 10);
    let tail = Tail::unkept(1 << 20, budget.nothing(Use::Windows));
    let mut reader = tail.read().unwrap();
    let mut windows = Vec::new();
    for _ in 0..8 {
        let filling = tokio::spawn(append_all(Arc::clone(&tail), 1, 1000));
        settle().await;
        next(&mut reader).await.unwrap().unwrap();
        filling.await.unwrap();
        windows.push(tail.state.lock().window_bytes >> 10);
    }
    assert_eq!(windows[..4], [32, 16, 8, 8], "from 64 on, until a block of it can be had");
    assert!(budget.stats().used_bytes <= 8 << 10);
}

/// Not kept: for each byte of content the 32 bytes of a `Bytes`, and the read buffer that it keeps alive.
#[tokio::test]
async fn a_body_that_comes_byte_by_byte_takes_what_it_is_long() {
    let budget = MemoryBudget::unbounded();
    let tail = Tail::new(1 << 20, 1 << 10, budget.nothing(Use::Fills));
    let mut reader = tail.read().unwrap();
    let read_buffer = Bytes::from(vec![7; 64 << 10]);
    for at in 0..60_000 {
        assert_eq!(tail.append(read_buffer.slice(at..=at)).await, Appended::Kept);
        assert_eq!(next(&mut reader).await.unwrap().unwrap().len(), 1);
    }
    assert!(read_buffer.is_unique(), "nothing holds it");
    let (used, pieces) = (budget.stats().used_bytes, tail.state.lock().pieces.len());
    assert!(used < 2 * 60_000 && pieces < 100, "{used} bytes in {pieces} pieces");
    assert_eq!(tail.complete().unwrap().len(), 60_000);
    assert!(budget.stats().used_bytes < 66_000, "{}", budget.stats().used_bytes);
}

#[tokio::test]
async fn a_frame_is_charged_until_it_is_written() {
    let budget = MemoryBudget::unbounded();
    let used = || budget.stats().used_bytes;
    let tail = Tail::new(1 << 20, 1 << 10, budget.reserve(Use::Fills, 100_000).unwrap());
    let mut reader = tail.read().unwrap();
    tail.append(vec![7; 100_000].into()).await;
    let frame = next(&mut reader).await.unwrap().unwrap();
    assert_eq!((frame.len(), used()), (64 << 10, 100_000), "what was announced was charged before");
    let whole = tail.complete().unwrap();
    assert_eq!(used(), (64 << 10) + 100_000, "it was copied, and a block is still being written");
    drop(frame);
    assert_eq!(used(), 100_000);
    drop((tail, whole));
    assert_eq!(used(), 100_000, "it is still being read");
    assert_eq!(next(&mut reader).await.unwrap().unwrap().len(), 100_000 - (64 << 10));
    drop(reader);
    assert_eq!(used(), 0);
}

#[tokio::test]
async fn a_body_that_can_not_be_made_one_is_not_stored_and_read_all_the_same() {
    let budget = MemoryBudget::new(100_000);
    let tail = Tail::new(1 << 20, 1 << 10, budget.reserve(Use::Fills, 80_000).unwrap());
    let reader = tail.read().unwrap();
    tail.append(vec![7; 80_000].into()).await;
    assert_eq!((tail.complete(), tail.why_unkept()), (None, Some(Unkept::NoRoom)));
    assert_eq!(reader.collect().await.unwrap().to_bytes().len(), 80_000);
}

#[tokio::test]
async fn what_is_whole_is_charged_until_the_last_reader_has_it() {
    let budget = MemoryBudget::new(1000);
    let tail = Tail::new(100, 10, budget.reserve(Use::Fills, 6).unwrap());
    tail.append("abc".into()).await;
    let mut reader = tail.read().unwrap();
    assert_eq!(next(&mut reader).await, Some(Ok("abc".into())));
    tail.append("def".into()).await;
    let whole = tail.complete().unwrap();
    assert_eq!((&**whole, budget.stats().uses[Use::Entries as usize].bytes), (&b"abcdef"[..], 6), "it is the entry's");
    drop((tail, whole));
    assert_eq!(budget.stats().used_bytes, 6);
    assert_eq!(next(&mut reader).await, Some(Ok("def".into())), "it goes on where it was");
    drop(reader);
    assert_eq!(budget.stats().used_bytes, 0);
}
