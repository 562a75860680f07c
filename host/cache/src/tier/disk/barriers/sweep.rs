//! Drops barriers that can hide nothing any more, whosever they are: a tenant that is gone raises no further one that would
//! have its old ones dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use redb::{ReadableTable, WriteTransaction};
use sandbar_base::clock::Timestamp;

use super::{BARRIERS, BookResult, FORGOTTEN, SEQUENCES, decode, remove};

/// What a sweep has done.
#[derive(Debug)]
pub(super) struct Swept {
    /// The last barrier that was looked at; none where that was the last of all.
    pub(super) up_to: Option<(String, u64)>,
    /// Tenants of which nothing is left, and the highest sequence that each of them had.
    pub(super) forgotten: Vec<(String, u64)>,
}

/// Looks at `len` barriers at most that come `after` one, and drops the old ones. A tenant that has none left loses its sequence too:
/// should it raise one again, that is above all that any forgotten tenant had.
pub(super) fn sweep(
    transaction: &WriteTransaction,
    after: Option<&(String, u64)>,
    len: usize,
    now: Timestamp,
    lifetime_max: Duration,
) -> BookResult<Swept> {
    let (tenant, from) = after.map_or(("", 0), |(tenant, sequence)| (tenant.as_str(), sequence.saturating_add(1)));
    let (mut old, mut up_to, mut seen) = (Vec::new(), None, 0);
    {
        let barriers = transaction.open_table(BARRIERS)?;
        for row in barriers.range((tenant, from)..)?.take(len) {
            let (key, value) = row?;
            let (tenant, sequence) = (key.value().0.to_owned(), key.value().1);
            let barrier = decode(value.value(), sequence);
            up_to = Some((tenant.clone(), sequence));
            seen += 1;
            if barrier.raised.saturating_add(lifetime_max) <= now {
                old.push((tenant, barrier));
            }
        }
    }
    if seen < len {
        up_to = None;
    }
    let tenants: BTreeSet<String> = old.iter().map(|(tenant, _)| tenant.clone()).collect();
    for (tenant, barrier) in &old {
        remove(transaction, tenant, std::slice::from_ref(barrier))?;
    }
    let forgotten = tenants.into_iter().map(|tenant| forget(transaction, tenant)).collect::<BookResult<Vec<_>>>()?;
    Ok(Swept { up_to, forgotten: forgotten.into_iter().flatten().collect() })
}

/// Takes a tenant's sequence out, unless it has barriers.
fn forget(transaction: &WriteTransaction, tenant: String) -> BookResult<Option<(String, u64)>> {
    let barriers = transaction.open_table(BARRIERS)?;
    if barriers.range((&*tenant, 0)..=(&*tenant, u64::MAX))?.next().is_some() {
        return Ok(None);
    }
    let mut sequences = transaction.open_table(SEQUENCES)?;
    let Some(sequence) = sequences.remove(&*tenant)?.map(|row| row.value()) else { return Ok(None) };
    let highest = sequences.get(FORGOTTEN)?.map_or(0, |row| row.value()).max(sequence);
    sequences.insert(FORGOTTEN, highest)?;
    Ok(Some((tenant, sequence)))
}
