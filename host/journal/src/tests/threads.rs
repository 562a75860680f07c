//! Many at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sandbar_base::Timestamp;
use sandbar_base::clock::SystemClock;
use tempfile::TempDir;

use super::support::{NOW, many, small, write};
use crate::{Journal, Settings};

const WRITERS: usize = 16;
const WRITES: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_append_take_and_fail_at_once_and_every_write_is_delivered_in_order() {
    let dir = TempDir::new().unwrap();
    let settings = Settings { segment_bytes: 64 << 10, held_bytes_max: 100_000, ..small() };
    let (journal, _) = Journal::open(dir.path(), settings, Arc::new(SystemClock)).unwrap();
    let journal = Arc::new(journal);
    let delivered: Arc<Mutex<HashMap<String, Vec<usize>>>> = Arc::default();
    let count = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let (journal, delivered, count) = (Arc::clone(&journal), Arc::clone(&delivered), Arc::clone(&count));
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(sender);
                while count.load(Ordering::Relaxed) < WRITERS * WRITES {
                    for handed in journal.take("shop", &many(5), Timestamp::from_millis(u64::MAX / 2)).await {
                        match random.u32(0..10) {
                            0 => handed.failed(NOW),
                            _ => {
                                let key = String::from_utf8(handed.write().key.to_vec()).unwrap();
                                let number = handed.write().idempotency_key.parse().unwrap();
                                delivered.lock().entry(key).or_default().push(number);
                                handed.done();
                                count.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                for number in 0..WRITES {
                    let mut write = write(&writer.to_string(), &"x".repeat(number));
                    write.idempotency_key = number.to_string();
                    journal.append(&write).await.unwrap();
                    let latest = journal.latest("shop", &write.key).await.unwrap();
                    assert!(latest.is_none_or(|latest| latest.write == write), "it sees its own write, or none");
                }
            })
        })
        .collect();
    for task in writers.into_iter().chain(senders) {
        task.await.unwrap();
    }
    let delivered = delivered.lock();
    assert_eq!(delivered.len(), WRITERS);
    assert!(delivered.values().all(|numbers| numbers.iter().copied().eq(0..WRITES)), "in order and once");
    let stats = journal.stats(NOW);
    assert_eq!((stats.acknowledged, stats.done), ((WRITERS * WRITES) as u64, (WRITERS * WRITES) as u64));
    assert!(stats.commits < stats.acknowledged, "writers that come together share an fsync: {stats:?}");
    assert_eq!((stats.bytes, stats.held_bytes, stats.tenants.len()), (0, 0, 0));
}
