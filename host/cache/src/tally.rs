//! Counts by reason: a counter for each value of a type.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A type with few values, each of which is counted for itself and has a stable word in metrics.
pub trait Listed: Copy {
    /// All values that are told apart, in the order of [`Self::index`].
    fn all() -> impl Iterator<Item = Self>;

    /// The value's place among them. A match without a wildcard, so that no value is forgotten.
    fn index(self) -> usize;

    /// The value's stable word.
    fn word(self) -> &'static str;
}

/// A counter for each value of a type.
#[derive(Debug)]
pub struct Tally<T> {
    counts: Box<[AtomicU64]>,
    of: PhantomData<fn(T)>,
}

impl<T: Listed> Default for Tally<T> {
    fn default() -> Self {
        Self { counts: T::all().map(|_| AtomicU64::new(0)).collect(), of: PhantomData }
    }
}

impl<T: Listed> Tally<T> {
    /// Adds one to the counter of a value.
    pub fn count(&self, value: T) {
        self.counts[value.index()].fetch_add(1, Relaxed);
    }

    /// The words of all values with their counts.
    pub fn values(&self) -> BTreeMap<&'static str, u64> {
        T::all().zip(&self.counts).map(|(value, count)| (value.word(), count.load(Relaxed))).collect()
    }
}

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
