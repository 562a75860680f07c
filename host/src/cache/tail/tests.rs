//! Readers of a body under way.

use super::*;
use crate::memory_budget::MemoryBudget;
use http_body_util::BodyExt;

fn tail(bytes_max: u64, window_bytes: u64) -> Arc<Tail> {
    Tail::new(bytes_max, window_bytes, MemoryBudget::unbounded().take(Use::Fills, 0))
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
    assert_eq!(tail.complete(), Some("abcdef".into()));
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
    assert_eq!(waiting.await.unwrap(), (Appended::Passing, Appended::Passing, 1));
    assert!(next(&mut slow).await.unwrap().unwrap_err().contains("fell behind"));
    assert_eq!(next(&mut fast).await, Some(Ok("ijkl".into())));
    drop(fast);
    assert_eq!(tail.append("mnop".into()).await, Appended::Unread);
    assert_eq!(tail.complete(), None);
}

#[tokio::test]
async fn what_finds_no_room_is_passed_through_and_gives_back_what_it_had() {
    let budget = MemoryBudget::new(200 << 10);
    let used = || budget.stats().used_bytes;
    let chunk = || Bytes::from(vec![7; 100 << 10]);
    let tail = Tail::new(1 << 30, 1 << 20, budget.reserve(Use::Fills, 0).unwrap());
    let mut reader = tail.read().unwrap();
    for kept in [100 << 10, 200 << 10] {
        assert_eq!(tail.append(chunk()).await, Appended::Kept);
        assert_eq!(used(), kept);
    }
    let waiting = tokio::spawn({
        let tail = Arc::clone(&tail);
        async move { tail.append(chunk()).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(tail.passes(), Some(Passing::NoRoom));
    assert!(!waiting.is_finished(), "the reader sets the pace");
    for _ in 0..3 {
        assert_eq!(next(&mut reader).await.unwrap().unwrap().len(), 100 << 10);
    }
    assert_eq!(waiting.await.unwrap(), Appended::Passing);
    assert!(used() <= 100 << 10, "one chunk is kept, not {}", used());
    assert_eq!(tail.complete(), None);
    assert_eq!(next(&mut reader).await, None);
    drop((tail, reader));
    assert_eq!(used(), 0);
}

#[tokio::test]
async fn what_is_whole_is_charged_until_the_last_reader_has_it() {
    let budget = MemoryBudget::new(1000);
    let tail = Tail::new(100, 10, budget.reserve(Use::Fills, 6).unwrap());
    tail.append("abc".into()).await;
    let mut reader = tail.read().unwrap();
    assert_eq!(next(&mut reader).await, Some(Ok("abc".into())));
    tail.append("def".into()).await;
    assert_eq!(tail.complete(), Some("abcdef".into()));
    drop(tail);
    assert_eq!(budget.stats().used_bytes, 6);
    assert_eq!(next(&mut reader).await, Some(Ok("def".into())), "it goes on where it was");
    drop(reader);
    assert_eq!(budget.stats().used_bytes, 0);
}
