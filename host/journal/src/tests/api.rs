//! What users of a journal call, on the files of this machine.

use std::sync::Arc;
use std::time::Duration;

use sandbar_base::Timestamp;
use sandbar_base::clock::SystemClock;
use tempfile::TempDir;

use super::support::{NOW, contents, many, put, small, write};
use crate::{Batch, DeadLetter, Handed, Journal, Overtaken, Page, Retry, Seq, Settings, Write};

const PAGE: Page = Page { after: None, len: 10, bytes: u64::MAX };

fn open_with(dir: &TempDir, settings: Settings) -> Journal {
    Journal::open(&dir.path().join("journal"), settings, Arc::new(SystemClock)).expect("it opens").0
}

fn open(dir: &TempDir) -> Journal {
    open_with(dir, small())
}

fn later(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

async fn take(journal: &Journal, len: usize, now: Timestamp) -> Vec<Handed> {
    journal.take("shop", &many(len), now).await
}

fn written(handed: &[Handed]) -> Vec<String> {
    contents(&handed.iter().map(|handed| handed.write().clone()).collect::<Vec<Write>>())
}

#[tokio::test]
async fn a_write_is_seen_at_once_and_until_it_is_done_and_outlives_a_restart() {
    for held_bytes_max in [0, 1 << 20] {
        let dir = TempDir::new().unwrap();
        let settings = Settings { held_bytes_max, ..small() };
        let journal = open_with(&dir, settings.clone());
        assert_eq!(journal.append(&write("a", "1")).await, Ok(Seq(1)));
        assert_eq!(journal.append(&write("a", "2")).await, Ok(Seq(2)));
        assert!(journal.has("shop", b"a") && !journal.has("shop", b"b") && !journal.has("sho", b"pa"));
        let latest = journal.latest("shop", b"a").await.unwrap().unwrap();
        assert_eq!((latest.seq, latest.write), (Seq(2), write("a", "2")));
        take(&journal, 9, NOW).await.pop().unwrap().done();
        journal.close().await.unwrap();

        let journal = open_with(&dir, settings);
        assert_eq!(journal.latest("shop", b"a").await.unwrap().unwrap().write, write("a", "2"));
        let handed = take(&journal, 9, NOW).await.pop().unwrap();
        assert_eq!((handed.seq(), handed.attempt(), handed.write()), (Seq(2), 1, &write("a", "2")));
        assert!(journal.has("shop", b"a"), "it is under way");
        handed.done();
        assert!(!journal.has("shop", b"a"));
        assert_eq!(journal.latest("shop", b"a").await.unwrap(), None);
        assert_eq!(journal.append(&write("a", "3")).await, Ok(Seq(3)), "no number is given twice");
    }
}

#[tokio::test]
async fn one_write_per_key_is_under_way_and_none_overtakes_one_that_failed() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    for (key, content) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2")] {
        journal.append(&write(key, content)).await.unwrap();
    }
    let mut handed = take(&journal, 9, NOW).await;
    assert_eq!(written(&handed), ["a1", "b1"]);
    assert!(take(&journal, 9, NOW).await.is_empty());
    handed.pop().unwrap().failed(later(5));
    handed.pop().unwrap().done();
    assert_eq!(written(&take(&journal, 9, NOW).await), ["a2"], "and it is dropped without a word");
    assert_eq!(journal.due("shop", &many(9)), Some(later(1)), "then it is due after a pause");
    assert_eq!(written(&take(&journal, 9, later(4)).await), ["a2"]);
    let handed = take(&journal, 9, later(5)).await;
    assert_eq!(written(&handed), ["a2", "b1"]);
    assert_eq!(handed.iter().map(Handed::attempt).collect::<Vec<u32>>(), [3, 2]);
    assert_eq!(journal.take("news", &many(9), later(9)).await.len(), 0);
}

#[tokio::test]
async fn a_batch_is_handed_out_when_it_is_full_or_has_waited() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let batch = Batch { len: 3, bytes: 400, age: Duration::from_secs(10) };
    assert_eq!(journal.due("shop", &batch), None);
    journal.append(&write("a", "1")).await.unwrap();
    journal.append(&write("b", "2")).await.unwrap();
    assert!(journal.take("shop", &batch, later(9)).await.is_empty());
    assert_eq!(journal.due("shop", &batch), Some(later(10)));
    let aged = journal.take("shop", &batch, later(10)).await;
    assert_eq!(written(&aged), ["1", "2"]);
    aged.into_iter().for_each(|handed| handed.failed(later(12)));
    assert_eq!(journal.due("shop", &batch), Some(later(12)), "what is tried again waits for nobody");
    journal.append(&Write { at: later(12), ..write("c", "3") }).await.unwrap();
    let full = journal.take("shop", &batch, later(12)).await;
    assert_eq!(full.len(), 3);
    full.into_iter().for_each(Handed::done);
    journal.append(&write("d", &"x".repeat(200))).await.unwrap();
    journal.append(&write("e", &"x".repeat(200))).await.unwrap();
    assert_eq!(journal.take("shop", &batch, NOW).await.len(), 1, "two are more than a batch has bytes");
}

#[tokio::test]
async fn a_write_that_replaces_absorbs_what_nobody_has_seen() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    journal.append(&put("a", "sent")).await.unwrap();
    let sent = take(&journal, 9, NOW).await;
    for write in
        [put("a", "1"), put("a", "2"), write("a", "blind"), put("a", "3"), Write { at: later(7), ..put("a", "4") }]
    {
        journal.append(&write).await.unwrap();
    }
    assert_eq!(journal.stats(NOW).absorbed, 2);
    sent.into_iter().for_each(Handed::done);
    let mut delivered = Vec::new();
    while let Some(handed) = take(&journal, 9, NOW).await.pop() {
        delivered.push(handed.write().clone());
        handed.done();
    }
    assert_eq!(contents(&delivered), ["2", "blind", "4"], "the last one is due since the first that it absorbed");
    for write in [put("a", "mine"), Write { author: 7, ..put("a", "yours") }, put("a", "mine again")] {
        journal.append(&write).await.unwrap();
    }
    assert_eq!(journal.stats(NOW).absorbed, 2, "nobody has another one's write absorbed");
    for _ in 0..3 {
        take(&journal, 9, NOW).await.into_iter().for_each(Handed::done);
    }
    journal.append(&put("a", "old")).await.unwrap();
    drop(journal);
    let journal = open(&dir);
    journal.append(&put("a", "new")).await.unwrap();
    assert_eq!(written(&take(&journal, 9, later(9)).await), ["old"], "it may have been handed out before the restart");
}

async fn bury(journal: &Journal, key: &str, content: &str) -> Seq {
    let seq = journal.append(&write(key, content)).await.unwrap();
    take(journal, 1, NOW).await.pop().unwrap().dead("400 from the origin", NOW);
    seq
}

fn listed(letters: &[DeadLetter]) -> Vec<(Seq, bool)> {
    letters.iter().map(|letter| (letter.seq, letter.overtaken)).collect()
}

#[tokio::test]
async fn dead_letters_are_kept_listed_retried_and_dropped() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let (a, b, c) = (bury(&journal, "a", "1").await, bury(&journal, "b", "2").await, bury(&journal, "c", "3").await);
    assert!(!journal.has("shop", b"a"), "it is no longer what a read gets");
    journal.append(&write("b", "later")).await.unwrap();
    take(&journal, 1, NOW).await.pop().unwrap().done();
    for _ in 0..2 {
        let letters = journal.dead_letters("shop", PAGE).await.unwrap();
        assert_eq!(listed(&letters), [(a, false), (b, true), (c, false)]);
        assert_eq!(letters[0].reason, "400 from the origin");
        assert_eq!(letters[0].write.as_ref().unwrap().write, write("a", "1"));
    }
    let page = Page { after: Some(a), len: 1, ..PAGE };
    assert_eq!(listed(&journal.dead_letters("shop", page).await.unwrap()), [(b, true)]);
    assert_eq!(journal.dead_letters("shop", Page { bytes: 1, ..PAGE }).await.unwrap().len(), 1);
    drop(journal);

    let journal = open(&dir);
    assert_eq!(listed(&journal.dead_letters("shop", PAGE).await.unwrap()), [(a, false), (b, true), (c, false)]);
    let retry = async |seq, overtaken| journal.retry_dead("shop", seq, overtaken, NOW).await.unwrap();
    assert_eq!(retry(b, Overtaken::Refuse).await, Retry::Overtaken);
    assert_eq!(retry(b, Overtaken::Deliver).await, Retry::Due);
    assert_eq!(retry(b, Overtaken::Deliver).await, Retry::Unknown);
    assert_eq!(journal.retry_dead("news", a, Overtaken::Refuse, NOW).await, Ok(Retry::Unknown), "another's");
    assert_eq!(journal.drop_dead("news", a).await, Ok(false));
    assert_eq!(journal.drop_dead("shop", a).await, Ok(true));
    assert_eq!(journal.drop_dead("shop", a).await, Ok(false));
    assert_eq!(written(&take(&journal, 9, NOW).await), ["2"]);
    drop(journal);
    let journal = open(&dir);
    assert_eq!(listed(&journal.dead_letters("shop", PAGE).await.unwrap()), [(c, false)]);
    assert_eq!(written(&take(&journal, 9, NOW).await), ["2"], "it was not done");
}

#[tokio::test]
async fn a_sender_is_woken_and_a_closed_journal_takes_nothing() {
    let dir = TempDir::new().unwrap();
    let journal = Arc::new(open(&dir));
    let waiting = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.changed("shop").await }
    });
    tokio::task::yield_now().await;
    journal.append(&write("a", "1")).await.unwrap();
    waiting.await.unwrap();
    let handed = take(&journal, 1, NOW).await.pop().unwrap();
    let journal = Arc::into_inner(journal).unwrap();
    journal.close().await.unwrap();
    handed.done();
    assert_eq!(open(&dir).stats(NOW).tenants["shop"].pending, 1, "it was said too late, so it comes again");
}
