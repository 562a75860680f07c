//! Why entries leave the tier, and who is told of it.

use std::sync::Arc;

/// Why an entry left the memory tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Left {
    /// The policy named the entry as a victim, to make room.
    EvictedByPolicy,
    /// The host evicted the entry in the order of insertion: the policy was busy, failed, or named too few.
    EvictedByHost,
    /// The entry was not taken in: it was too large for its shard, or the policy named the arrival itself as a victim.
    NotAdmitted,
    /// Another entry of its key took its place.
    Replaced,
    /// Whoever keeps the tier removed the entry.
    Removed(Removal),
}

/// Why whoever keeps the tier removes an entry. To policies all of these are purges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Removal {
    /// It was purged, or invalidated by a write.
    Purged,
    /// The origin no longer has it.
    Ended,
    /// A newer one is known, elsewhere.
    Outdated,
    /// There was no memory for a newer one, and the older one must not be served in its place.
    NoRoom,
    /// The whole tier was emptied.
    Cleared,
}

/// Is told of every entry that leaves a tier while the tier is there, on the thread that made the entry leave, when that
/// holds no lock of a shard. It should be quick, and may read the tier.
pub trait Witness<V>: Send + Sync {
    /// An entry has left, or was not taken in.
    fn left(&self, value: &V, why: Left);
}

/// The witness of a tier, if it has one; in one word, as each shard has it.
pub(super) type Watched<V> = Option<Arc<Arc<dyn Witness<V>>>>;

/// Values of entries that have left, kept until all locks are released: only then is the witness told, and are they
/// dropped.
pub(super) struct Garbage<'a, V> {
    left: Vec<(V, Left)>,
    witness: Option<&'a dyn Witness<V>>,
}

impl<'a, V> Garbage<'a, V> {
    pub(super) fn new(watched: &'a Watched<V>) -> Self {
        Self { left: Vec::new(), witness: watched.as_deref().map(|witness| &**witness) }
    }

    pub(super) fn push(&mut self, value: V, why: Left) {
        self.left.push((value, why));
    }

    pub(super) fn extend(&mut self, values: impl IntoIterator<Item = (V, Left)>) {
        self.left.extend(values);
    }

    pub(super) const fn len(&self) -> usize {
        self.left.len()
    }
}

impl<V> Drop for Garbage<'_, V> {
    fn drop(&mut self) {
        if let Some(witness) = self.witness {
            self.left.iter().for_each(|(value, why)| witness.left(value, *why));
        }
    }
}
