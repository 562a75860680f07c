//! Barriers that survive a restart: a small redb database beside the segments, one durable transaction per purge.

mod sweep;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use sandbar_base::clock::Timestamp;

use self::sweep::Swept;
use crate::barrier::{Barrier, Purge, PurgeMode, Scope};
use crate::tier::Recorded;

/// (tenant, sequence) → barrier. The number in the name is the format's version.
const BARRIERS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("barriers-1");
/// (tenant, purge) → its highest sequence: the same purge again replaces the older one.
const PURGES: TableDefinition<'_, (&str, &[u8]), u64> = TableDefinition::new("purges-1");
/// tenant → the highest sequence given out; under [`FORGOTTEN`] the highest of the tenants that have no row any more.
const SEQUENCES: TableDefinition<'_, &str, u64> = TableDefinition::new("sequences-1");

/// No tenant has this name.
const FORGOTTEN: &str = "";

/// How many old barriers one purge clears away at most.
const PRUNE_LEN: usize = 32;
/// How many barriers of all tenants one purge looks at.
const LOOK_LEN: usize = 64;
/// The page cache of redb; it is a small database.
const CACHE_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct BarrierBook {
    path: PathBuf,
    database: Mutex<Held>,
    sequences: Mutex<HashMap<String, u64>>,
    /// Up to where barriers of all tenants were looked at, in the order of the table.
    swept: Mutex<Option<(String, u64)>>,
    /// Barriers that are older than this are dropped: no entry that they could hide lives so long.
    lifetime_max: Duration,
    /// Barriers kept per tenant.
    barriers_max: u64,
}

/// The database of a book.
#[derive(Debug)]
enum Held {
    Open(Database),
    /// After a failure: once the disk has refused a write, a database takes nothing until it is opened again.
    Failed,
    /// Another process may have it.
    Closed,
}

type BookResult<T> = Result<T, redb::Error>;

impl BarrierBook {
    /// Opens or creates the database at `path`.
    pub(super) fn open(path: &Path, lifetime_max: Duration, barriers_max: u64) -> BookResult<Self> {
        let database = open(path)?;
        let transaction = database.begin_write()?;
        transaction.open_table(BARRIERS)?;
        transaction.open_table(PURGES)?;
        transaction.open_table(SEQUENCES)?;
        transaction.commit()?;
        let mut sequences = HashMap::new();
        for row in database.begin_read()?.open_table(SEQUENCES)?.iter()? {
            let (tenant, sequence) = row?;
            sequences.insert(tenant.value().to_owned(), sequence.value());
        }
        let (path, database) = (path.to_owned(), Mutex::new(Held::Open(database)));
        let (sequences, swept) = (Mutex::new(sequences), Mutex::default());
        Ok(Self { path, database, sequences, swept, lifetime_max, barriers_max })
    }

    /// The highest sequence given out to a tenant, or one above that.
    pub(super) fn sequence(&self, tenant: &str) -> u64 {
        let sequences = self.sequences.lock();
        sequences.get(tenant).or_else(|| sequences.get(FORGOTTEN)).copied().unwrap_or(0)
    }

    /// Drops all barriers that can hide nothing any more, those of tenants that are gone too.
    pub(super) fn sweep(&self, now: Timestamp) -> BookResult<()> {
        let swept = self.with(|database| {
            let transaction = database.begin_write()?;
            let swept = sweep::sweep(&transaction, None, usize::MAX, now, self.lifetime_max)?;
            transaction.commit()?;
            Ok(swept)
        })?;
        self.note(swept);
        Ok(())
    }

    fn note(&self, swept: Swept) {
        let mut sequences = self.sequences.lock();
        for (tenant, sequence) in swept.forgotten {
            sequences.remove(&tenant);
            let highest = sequences.entry(FORGOTTEN.to_owned()).or_default();
            *highest = sequence.max(*highest);
        }
        *self.swept.lock() = swept.up_to;
    }

    /// Records a purge; the record is on disk by then.
    pub(super) fn raise(&self, tenant: &str, purge: &Purge, above: u64, at: Timestamp) -> BookResult<Recorded> {
        let (recorded, swept) = self.with(|database| self.raise_in(database, tenant, purge, above, at))?;
        self.note(swept);
        let mut sequences = self.sequences.lock();
        let known = sequences.entry(tenant.to_owned()).or_default();
        *known = recorded.sequence.max(*known);
        Ok(recorded)
    }

    fn raise_in(
        &self,
        database: &Database,
        tenant: &str,
        purge: &Purge,
        above: u64,
        at: Timestamp,
    ) -> BookResult<(Recorded, Swept)> {
        let transaction = database.begin_write()?;
        let sequence = next_sequence(&transaction, tenant, above)?;
        let barrier = Barrier { purge: purge.clone(), sequence, raised: at };
        let before = insert(&transaction, tenant, &barrier)?;
        prune(&transaction, tenant, at, self.lifetime_max)?;
        // Counting the barriers reads them all, so it is done only now and then: there are an eighth too many at most.
        if sequence % (self.barriers_max / 8).max(1) == 0 {
            merge_past_most(&transaction, tenant, self.barriers_max)?;
        }
        let after = self.swept.lock().clone();
        let swept = sweep::sweep(&transaction, after.as_ref(), LOOK_LEN, at, self.lifetime_max)?;
        transaction.commit()?;
        Ok((Recorded { sequence, before }, swept))
    }

    /// Closes the database for good, once what is under way with it is done.
    pub(super) fn close(&self) {
        *self.database.lock() = Held::Closed;
    }

    /// Runs `work` on the database, which is opened again if it failed before.
    fn with<T>(&self, work: impl FnOnce(&Database) -> BookResult<T>) -> BookResult<T> {
        let mut held = self.database.lock();
        let database = match std::mem::replace(&mut *held, Held::Failed) {
            Held::Open(database) => database,
            Held::Failed => open(&self.path)?,
            Held::Closed => {
                *held = Held::Closed;
                return Err(redb::Error::Io(std::io::Error::other("another process has taken it over")));
            }
        };
        let done = work(&database);
        if done.is_ok() {
            *held = Held::Open(database);
        }
        done
    }

    /// A tenant's barriers with a sequence above `above`.
    pub(super) fn raised_since(&self, tenant: &str, above: u64) -> BookResult<Vec<Barrier>> {
        self.with(|database| {
            let barriers = database.begin_read()?.open_table(BARRIERS)?;
            let from = above.saturating_add(1);
            let mut raised = Vec::new();
            for row in barriers.range((tenant, from)..=(tenant, u64::MAX))? {
                let (key, value) = row?;
                raised.push(decode(value.value(), key.value().1));
            }
            Ok(raised)
        })
    }
}

fn open(path: &Path) -> BookResult<Database> {
    Ok(Database::builder().set_cache_size(CACHE_BYTES).create(path)?)
}

fn next_sequence(transaction: &WriteTransaction, tenant: &str, above: u64) -> BookResult<u64> {
    let mut sequences = transaction.open_table(SEQUENCES)?;
    let row = |name: &str| sequences.get(name).map(|row| row.map(|row| row.value()));
    let given = row(tenant)?.or(row(FORGOTTEN)?).unwrap_or(0);
    let next = given.max(above) + 1;
    sequences.insert(tenant, next)?;
    Ok(next)
}

/// Records a barrier in place of that of the same purge, and returns the sequence of that one; 0 where there was none.
fn insert(transaction: &WriteTransaction, tenant: &str, barrier: &Barrier) -> BookResult<u64> {
    let (purge, value) = (encode(&barrier.purge), encode(barrier));
    let mut barriers = transaction.open_table(BARRIERS)?;
    let mut purges = transaction.open_table(PURGES)?;
    let older = purges.insert((tenant, &*purge), barrier.sequence)?.map(|row| row.value());
    if let Some(older) = older {
        barriers.remove((tenant, older))?;
    }
    barriers.insert((tenant, barrier.sequence), &*value)?;
    Ok(older.unwrap_or(0))
}

/// Drops the oldest barriers where no entry is left that they could hide.
fn prune(transaction: &WriteTransaction, tenant: &str, now: Timestamp, lifetime_max: Duration) -> BookResult<()> {
    let old: Vec<Barrier> = oldest(transaction, tenant, PRUNE_LEN)?
        .into_iter()
        .filter(|barrier| barrier.raised.saturating_add(lifetime_max) <= now)
        .collect();
    remove(transaction, tenant, &old)
}

/// Where there are too many barriers, the older half of them becomes one for the whole tenant: it purges too much rather
/// than too little.
fn merge_past_most(transaction: &WriteTransaction, tenant: &str, barriers_max: u64) -> BookResult<()> {
    let len = {
        let barriers = transaction.open_table(BARRIERS)?;
        barriers.range((tenant, 0)..=(tenant, u64::MAX))?.count() as u64
    };
    if len <= barriers_max {
        return Ok(());
    }
    let old = oldest(transaction, tenant, usize::try_from(len - barriers_max / 2).unwrap_or(usize::MAX))?;
    let Some(last) = old.last() else { return Ok(()) };
    tracing::warn!(tenant, barriers = len, "too many barriers: the older half becomes a purge of everything");
    remove(transaction, tenant, &old)?;
    let everything = Purge { scope: Scope::Everything, mode: PurgeMode::Hard };
    let is_purged_since = {
        let purges = transaction.open_table(PURGES)?;
        let newest = purges.get((tenant, &*encode(&everything)))?;
        newest.is_some_and(|newest| newest.value() >= last.sequence)
    };
    if is_purged_since {
        return Ok(());
    }
    insert(transaction, tenant, &Barrier { purge: everything, sequence: last.sequence, raised: last.raised })?;
    Ok(())
}

fn oldest(transaction: &WriteTransaction, tenant: &str, len: usize) -> BookResult<Vec<Barrier>> {
    let barriers = transaction.open_table(BARRIERS)?;
    let mut oldest = Vec::new();
    for row in barriers.range((tenant, 0)..=(tenant, u64::MAX))?.take(len) {
        let (key, value) = row?;
        oldest.push(decode(value.value(), key.value().1));
    }
    Ok(oldest)
}

fn remove(transaction: &WriteTransaction, tenant: &str, gone: &[Barrier]) -> BookResult<()> {
    let mut barriers = transaction.open_table(BARRIERS)?;
    let mut purges = transaction.open_table(PURGES)?;
    for barrier in gone {
        barriers.remove((tenant, barrier.sequence))?;
        purges.remove((tenant, &*encode(&barrier.purge)))?;
    }
    Ok(())
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("plain data in a growing buffer always serialises")
}

/// Reads a barrier; one that can't be read becomes a purge of everything.
fn decode(bytes: &[u8], sequence: u64) -> Barrier {
    postcard::from_bytes(bytes).unwrap_or_else(|_| Barrier {
        purge: Purge { scope: Scope::Everything, mode: PurgeMode::Hard },
        sequence,
        raised: Timestamp::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Purge {
        Purge { scope: Scope::Everything, mode: PurgeMode::Soft }
    }

    fn surrogate_key(n: u64) -> Purge {
        Purge { scope: Scope::SurrogateKey(format!("product-{n}")), mode: PurgeMode::Hard }
    }

    const DAY: Duration = Duration::from_secs(86_400);
    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    #[test]
    fn sequence_is_never_given_out_twice_even_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("barriers.redb");
        let book = BarrierBook::open(&path, DAY, 100).unwrap();
        assert_eq!(book.raise("shop", &everything(), 0, NOW).unwrap().sequence, 1);
        assert_eq!(book.raise("shop", &everything(), 41, NOW).unwrap(), Recorded { sequence: 42, before: 1 });
        assert_eq!(book.raise("news", &everything(), 0, NOW).unwrap().sequence, 1, "tenants count apart");
        drop(book);
        let book = BarrierBook::open(&path, DAY, 100).unwrap();
        assert_eq!(book.sequence("shop"), 42);
        assert_eq!(book.raise("shop", &surrogate_key(1), 0, NOW).unwrap(), Recorded { sequence: 43, before: 0 });
        let sequences: Vec<u64> = book.raised_since("shop", 0).unwrap().iter().map(|b| b.sequence).collect();
        assert_eq!(sequences, [42, 43], "the same purge again replaces the older one");
        assert_eq!(book.raised_since("shop", 42).unwrap().len(), 1);
        assert_eq!(book.raised_since("nobody", 0).unwrap(), []);
    }

    #[test]
    fn barriers_are_dropped_when_nothing_older_can_live() {
        let dir = tempfile::tempdir().unwrap();
        let book = BarrierBook::open(&dir.path().join("b"), DAY, 100).unwrap();
        book.raise("shop", &surrogate_key(1), 0, NOW).unwrap();
        book.raise("shop", &surrogate_key(2), 0, NOW.saturating_add(DAY)).unwrap();
        assert_eq!(book.raised_since("shop", 0).unwrap().len(), 1);
        assert_eq!(book.raise("shop", &surrogate_key(3), 0, NOW.saturating_add(DAY)).unwrap().sequence, 3);
    }

    /// Whatever tenant raises a barrier: those of tenants that are gone go with it.
    #[test]
    fn nothing_is_left_of_a_tenant_that_raises_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        let book = BarrierBook::open(&path, DAY, 100).unwrap();
        for n in 0..100 {
            book.raise(&format!("gone-{n}"), &everything(), n, NOW).unwrap();
        }
        book.raise("here", &surrogate_key(1), 0, NOW.saturating_add(DAY / 2)).unwrap();
        for n in 0..4 {
            book.raise("here", &surrogate_key(n), 0, NOW.saturating_add(DAY)).unwrap();
        }
        let left =
            |book: &BarrierBook| (0..100).filter(|n| book.sequences.lock().contains_key(&format!("gone-{n}"))).count();
        assert_eq!(left(&book), 0);
        assert_eq!(book.raised_since("gone-7", 0).unwrap(), []);
        assert_eq!(book.raised_since("here", 0).unwrap().len(), 4, "what may still hide something stays");
        // Its numbers go on above all that it had.
        assert_eq!((book.sequence("gone-99"), book.sequence("new")), (100, 100));
        drop(book);
        let book = BarrierBook::open(&path, DAY, 100).unwrap();
        assert_eq!((left(&book), book.sequence("gone-99")), (0, 100));
        assert_eq!(book.raise("gone-99", &everything(), 0, NOW.saturating_add(DAY)).unwrap().sequence, 101);
        book.sweep(NOW.saturating_add(DAY * 3)).unwrap();
        assert_eq!(book.sequences.lock().len(), 1);
    }

    #[test]
    fn a_purge_of_everything_outlives_the_older_half() {
        let dir = tempfile::tempdir().unwrap();
        let book = BarrierBook::open(&dir.path().join("b"), DAY, 10).unwrap();
        for n in 0..6 {
            book.raise("shop", &surrogate_key(n), 0, NOW).unwrap();
        }
        let everything = Purge { scope: Scope::Everything, mode: PurgeMode::Hard };
        let purged = book.raise("shop", &everything, 0, NOW).unwrap().sequence;
        for n in 6..12 {
            book.raise("shop", &surrogate_key(n), 0, NOW).unwrap();
        }
        let raised = book.raised_since("shop", 0).unwrap();
        let kept = raised.iter().filter(|barrier| barrier.purge == everything).map(|barrier| barrier.sequence);
        assert_eq!(kept.max(), Some(purged), "{raised:?}");
    }

    #[test]
    fn too_many_barriers_become_one_for_the_tenant() {
        let dir = tempfile::tempdir().unwrap();
        let book = BarrierBook::open(&dir.path().join("b"), DAY, 10).unwrap();
        for n in 0..11 {
            book.raise("shop", &surrogate_key(n), 0, NOW).unwrap();
        }
        let raised = book.raised_since("shop", 0).unwrap();
        let everything = raised.iter().find(|b| b.purge.scope == Scope::Everything).unwrap();
        assert_eq!((raised.len(), everything.sequence), (6, 6));
        // Each of the purges that went is covered by it: numbers 1 to 6. The others are still there.
        for n in 7..=11 {
            assert!(raised.iter().any(|b| b.sequence == n && b.purge == surrogate_key(n - 1)));
        }
    }
}
