//! A cache in front: what is read through it and written through it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use sandbar::Sandbar;
use sandbar::clock::{ManualClock, Timestamp};
use sandbar::sql::SqlStore;
use sandbar::values::{Backed, Change, Expected, Fate, Keep, Outcome, Row, Store, StoreError, WriteError};

use super::databases::{Database, all};
use super::{Product, product};

/// A store that counts what it is asked, and fails as a test says.
struct Counted {
    store: SqlStore<Product>,
    reads: AtomicUsize,
    keys: AtomicUsize,
    versions: AtomicUsize,
    fault: Mutex<Option<Fault>>,
}

#[derive(Clone, Copy)]
enum Fault {
    /// The write is made, and the answer lost.
    AnswerLost,
    Panic,
    /// It says nothing of what it was asked.
    Silent,
}

impl Store<Product> for Counted {
    fn read<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<HashMap<String, Row<Product>>, StoreError>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.keys.fetch_add(keys.len(), Ordering::SeqCst);
        self.store.read(keys)
    }

    fn versions<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<HashMap<String, i64>, StoreError>> {
        self.versions.fetch_add(1, Ordering::SeqCst);
        self.store.versions(keys)
    }

    fn write<'a>(&'a self, changes: &'a [Change<Product>]) -> BoxFuture<'a, Vec<Result<Outcome, StoreError>>> {
        let fault = self.fault.lock().take();
        async move {
            let outcomes = self.store.write(changes).await;
            match fault {
                None => outcomes,
                Some(Fault::AnswerLost) => changes.iter().map(|_| Err(StoreError::Broken("gone".into()))).collect(),
                Some(Fault::Panic) => panic!("a store that panics"),
                Some(Fault::Silent) => Vec::new(),
            }
        }
        .boxed()
    }
}

struct Shop {
    products: Backed<Product, Counted>,
    store: Arc<Counted>,
    clock: Arc<ManualClock>,
    _sandbar: Sandbar,
}

impl Shop {
    async fn open(database: &Database) -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_700_000_000_000)));
        let sandbar = Sandbar::builder().native_only().clock(clock.clone()).build()?;
        let keep = Keep::fresh_for(Duration::from_secs(60)).absent_for(Duration::from_secs(60));
        let (reads, keys, versions, fault) = Default::default();
        let store = Arc::new(Counted { store: database.products().await?, reads, keys, versions, fault });
        let values = sandbar.values::<Row<Product>>("default", "products")?.keeping(keep);
        let products = values.backed_by(Arc::clone(&store));
        Ok(Self { products, store, clock, _sandbar: sandbar })
    }

    async fn price(&self, key: &str) -> anyhow::Result<Option<i64>> {
        Ok(self.products.get(key).await?.map(|row| row.value.price))
    }

    /// Reads of the store and of versions alone since the last call.
    fn asked(&self) -> (usize, usize) {
        (self.store.reads.swap(0, Ordering::SeqCst), self.store.versions.swap(0, Ordering::SeqCst))
    }
}

#[tokio::test]
async fn what_is_read_once_is_not_read_again_until_it_is_stale() -> anyhow::Result<()> {
    for database in all()? {
        database.run("INSERT INTO products VALUES ('tea', 7, 'Tea', 495, NULL)")?;
        let shop = Shop::open(&database).await?;
        let several = futures_util::future::join_all((0..10).map(|_| shop.price("tea"))).await;
        assert!(several.into_iter().all(|price| price.is_ok_and(|price| price == Some(495))), "{}", database.name());
        assert_eq!(shop.price("none").await?, None);
        assert_eq!(shop.price("none").await?, None, "that there is none is known, too");
        assert_eq!(shop.asked(), (2, 0));

        // Stale, and still so: the version alone is read.
        shop.clock.advance(Duration::from_secs(61));
        assert_eq!((shop.price("tea").await?, shop.asked()), (Some(495), (0, 1)));
        assert_eq!((shop.price("tea").await?, shop.asked()), (Some(495), (0, 0)));

        // Stale, and another.
        shop.clock.advance(Duration::from_secs(61));
        database.run("UPDATE products SET price = 500, version = 8 WHERE id = 'tea'")?;
        assert_eq!((shop.price("tea").await?, shop.asked()), (Some(500), (1, 1)));

        // Stale, and gone.
        shop.clock.advance(Duration::from_secs(61));
        database.run("DELETE FROM products")?;
        assert_eq!((shop.price("tea").await?, shop.asked()), (None, (0, 1)));
    }
    Ok(())
}

#[tokio::test]
async fn a_list_comes_with_one_read_of_what_is_not_there() -> anyhow::Result<()> {
    for database in all()? {
        database.run(
            "INSERT INTO products VALUES ('a', 1, 'A', 1, NULL), ('b', 1, 'B', 2, NULL), ('c', 1, 'C', 3, NULL)",
        )?;
        let shop = Shop::open(&database).await?;
        shop.price("a").await?;
        assert_eq!(shop.asked(), (1, 0));
        shop.store.keys.store(0, Ordering::SeqCst);
        let found = shop.products.get_many(["a", "b", "c", "none", "b"]).await?;
        let mut prices: Vec<_> = found.iter().map(|(key, row)| (key.as_str(), row.value.price)).collect();
        prices.sort_unstable();
        assert_eq!(prices, [("a", 1), ("b", 2), ("c", 3)], "{}", database.name());
        assert_eq!((shop.asked(), shop.store.keys.load(Ordering::SeqCst)), ((1, 0), 3));
        shop.products.get_many(["c", "none"]).await?;
        assert_eq!(shop.asked(), (0, 0));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_written_is_in_the_store_and_in_the_cache() -> anyhow::Result<()> {
    for database in all()? {
        let shop = Shop::open(&database).await?;
        let written = shop.products.put("tea", product("Tea", 1), Expected::Absent).await?;
        let Outcome::Done(Some(version)) = written.outcome else { panic!("{written:?}") };
        assert_eq!((written.fate, shop.price("tea").await?, shop.asked()), (Fate::Stored, Some(1), (0, 0)));
        assert_eq!(shop.products.get("tea").await?.expect("it is there").version, version);

        // Somebody else was faster: the cache forgets what it has.
        database.run("UPDATE products SET price = 2, version = version + 1")?;
        let late = shop.products.put("tea", product("Tea", 3), Expected::Version(version)).await?;
        assert_eq!((late.outcome, late.fate), (Outcome::Conflict, Fate::Overtaken), "{}", database.name());
        assert_eq!((shop.price("tea").await?, shop.asked()), (Some(2), (1, 0)));

        let gone = shop.products.delete("tea", Expected::Any).await?;
        assert_eq!((gone.outcome, gone.fate), (Outcome::Done(None), Fate::Stored));
        assert_eq!((shop.price("tea").await?, shop.asked()), (None, (0, 0)));
    }
    Ok(())
}

#[tokio::test]
async fn where_the_store_fails_the_cache_forgets() -> anyhow::Result<()> {
    for database in all()? {
        let shop = Shop::open(&database).await?;
        for (n, fault) in [Fault::AnswerLost, Fault::Panic, Fault::Silent].into_iter().enumerate() {
            let price = i64::try_from(n)? * 10 + 10;
            shop.products.put("tea", product("Tea", price), Expected::Any).await?;
            assert_eq!(shop.price("tea").await?, Some(price));
            *shop.store.fault.lock() = Some(fault);
            let error =
                shop.products.put("tea", product("Tea", price + 1), Expected::Any).await.expect_err("it failed");
            assert!(matches!(error, WriteError::Store { error: StoreError::Broken(_), .. }), "{error}");
            assert_eq!(shop.price("tea").await?, Some(price + 1), "{}: it was written all the same", database.name());
        }
        let refused = shop.products.put("tea", product("Tea", -1), Expected::Any).await.expect_err("it breaks a rule");
        assert!(matches!(refused, WriteError::Store { error: StoreError::Refused(_), .. }), "{refused}");
        assert_eq!(shop.price("tea").await?, Some(31));
        let too_long = "k".repeat(10_000);
        let error = shop.products.put(&too_long, product("x", 1), Expected::Any).await.expect_err("it is no key");
        assert!(matches!(error, WriteError::Value(_)), "{error}");
    }
    Ok(())
}

/// Of writes that overlap the cache keeps neither, or the one that the store has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_writes_that_overlap_the_cache_has_what_the_store_has() -> anyhow::Result<()> {
    for database in all()? {
        let shop = Arc::new(Shop::open(&database).await?);
        for round in 0..20 {
            let mut tasks = tokio::task::JoinSet::new();
            for writer in 0..4 {
                let shop = Arc::clone(&shop);
                tasks.spawn(async move {
                    let price = round * 10 + writer;
                    shop.products.put("tea", product("Tea", price), Expected::Any).await.map(drop)?;
                    shop.price("tea").await.map(drop)
                });
            }
            // A caller that goes away does not keep its write from being ended.
            let gone = Arc::clone(&shop);
            tokio::spawn(async move { gone.products.put("tea", product("Tea", round * 10 + 9), Expected::Any).await })
                .abort();
            while let Some(done) = tasks.join_next().await {
                done??;
            }
            sandbar_tests::wait::eventually("the cache has what the store has", async || {
                let stored = shop.store.store.read(&["tea".to_owned()]).await.expect("it is read").remove("tea");
                let cached = shop.products.get("tea").await.expect("it is read");
                cached.map(|row| (*row).clone()) == stored
            })
            .await;
        }
    }
    Ok(())
}
