//! Writes while another process takes this one's place: that makes the purges, and no write counts as the only one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sandbar::barrier::{Purge, PurgeMode};
use sandbar::cache::{Heir, PurgeReport};
use sandbar::strategy::Strategy;
use sandbar_tests::node::Node;

use super::shelf::Shelf;
use super::{FRESH, alone, put, read, said, storing, tenant};

/// An heir that notes the purges that it is told of, and whether they are for other nodes.
#[derive(Default)]
struct Noting {
    told: Mutex<Vec<(PurgeMode, bool)>>,
    is_away: AtomicBool,
}

impl Heir for Noting {
    fn purge<'a>(
        &'a self,
        _tenant: &'a str,
        purge: &'a Purge,
        _sequence: u64,
        is_for_others: bool,
    ) -> BoxFuture<'a, Result<PurgeReport, String>> {
        let made = if self.is_away.load(Ordering::SeqCst) {
            Err("it is away".to_owned())
        } else {
            self.told.lock().push((purge.mode, is_for_others));
            Ok(PurgeReport { recorded: 1, ..PurgeReport::default() })
        };
        std::future::ready(made).boxed()
    }
}

async fn with_heir(node: &Node) -> Arc<Noting> {
    let heir = Arc::<Noting>::default();
    node.cache.hand_purges_to(heir.clone()).await;
    heir
}

#[tokio::test]
async fn what_is_put_is_fetched_and_once_the_process_has_retired_not_even_that() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&storing(), &shelf);
    put(&node, "/a/1", "one").await;
    let counts = || {
        let values = node.tenant.counters.values();
        (values.writes_put, values.writes_refetched, shelf.reads())
    };
    assert_eq!(counts(), (1, 0, 0));

    let heir = with_heir(&node).await;
    put(&node, "/a/1", "two").await;
    assert_eq!(counts(), (1, 1, 1), "which other writes the heir has heard of is not known");
    assert_eq!(read(&node, "/a/1").await, said("l1", "two"));

    node.cache.retire().await.unwrap();
    put(&node, "/a/1", "three").await;
    assert_eq!(counts(), (1, 1, 1), "nobody would find it");
    for _ in 0..2 {
        assert_eq!(read(&node, "/a/1").await, said("origin", "three"), "nothing is stored");
    }
    assert_eq!(*heir.told.lock(), [(PurgeMode::Hard, true); 2]);

    node.cache.return_from_retirement().await;
    assert_eq!(read(&node, "/a/1").await, said("origin", "three"));
    assert_eq!(read(&node, "/a/1").await, said("l1", "three"));
    put(&node, "/a/1", "four").await;
    assert_eq!((counts().0, heir.told.lock().len()), (2, 2), "purges are made here again");
}

#[tokio::test]
async fn a_purge_that_nobody_is_told_of_is_made_by_the_heir_too_and_told_to_nobody() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&tenant(Strategy::Ttl, |_| {}), &shelf);
    put(&node, "/a/1", "one").await;
    read(&node, "/a/1").await;
    let heir = with_heir(&node).await;
    put(&node, "/a/1", "two").await;
    assert_eq!(read(&node, "/a/1").await, said("origin", "two"));
    assert_eq!(*heir.told.lock(), [(PurgeMode::Hard, false)]);
}

#[tokio::test]
async fn what_the_heir_could_not_be_told_is_handed_on_before_the_process_retires() {
    for (strategy, is_for_others) in [(Strategy::Invalidate, true), (Strategy::Ttl, false)] {
        let shelf = Shelf::new(FRESH);
        let node = alone(&tenant(strategy, |_| {}), &shelf);
        read(&node, "/a/1").await;
        let heir = with_heir(&node).await;
        heir.is_away.store(true, Ordering::SeqCst);
        put(&node, "/a/1", "new").await;
        assert_eq!(read(&node, "/a/1").await, said("origin", "new"));
        assert_eq!(node.cache.retire().await, Err("it is away".to_owned()));
        assert_eq!(read(&node, "/a/1").await, said("l1", "new"), "it answers as before");
        heir.is_away.store(false, Ordering::SeqCst);
        node.cache.retire().await.unwrap();
        assert_eq!(*heir.told.lock(), [(PurgeMode::Hard, is_for_others)], "{strategy:?}");
    }
}
