//! A map by text, in many small parts that copies share: a copy costs as much with ten thousand entries as with ten, and a
//! change of a copy makes anew the one part that it is in. So a roster of many tenants is changed by making another one.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

/// How many parts there are: with 10,000 entries a change copies 40 of them, and 256 pointers.
const PARTS: usize = 256;

/// A map by text that is cheap to copy.
#[derive(Clone)]
pub(crate) struct Parts<V> {
    hasher: RandomState,
    parts: Arc<[Arc<Part<V>>]>,
    len: usize,
}

type Part<V> = HashTable<(Arc<str>, V)>;

impl<V: Clone> Parts<V> {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        let hash = self.hasher.hash_one(key);
        self.parts[place(hash)].find(hash, |(other, _)| **other == *key).map(|(_, value)| value)
    }

    /// Sets the value of a key, in place of the one that it had.
    pub(crate) fn insert(&mut self, key: Arc<str>, value: V) {
        let hash = self.hasher.hash_one(&*key);
        let hasher = &self.hasher;
        let part = Arc::make_mut(&mut Arc::make_mut(&mut self.parts)[place(hash)]);
        let entry = part.entry(hash, |(other, _)| *other == key, |(other, _)| hasher.hash_one(&**other));
        match entry {
            hashbrown::hash_table::Entry::Occupied(mut held) => held.get_mut().1 = value,
            hashbrown::hash_table::Entry::Vacant(free) => {
                free.insert((key, value));
                self.len += 1;
            }
        }
    }

    /// Takes a key away, and returns its value.
    pub(crate) fn remove(&mut self, key: &str) -> Option<V> {
        self.get(key)?;
        let hash = self.hasher.hash_one(key);
        let part = Arc::make_mut(&mut Arc::make_mut(&mut self.parts)[place(hash)]);
        let found = part.find_entry(hash, |(other, _)| **other == *key).ok()?;
        self.len -= 1;
        Some(found.remove().0.1)
    }

    /// The values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.parts.iter().flat_map(|part| part.iter()).map(|(_, value)| value)
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The part of a hash. A table goes by the lowest bits of a hash and by its highest seven.
const fn place(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

impl<V> Default for Parts<V> {
    fn default() -> Self {
        let empty = Arc::new(Part::new());
        Self { hasher: RandomState::new(), parts: (0..PARTS).map(|_| Arc::clone(&empty)).collect(), len: 0 }
    }
}

impl<V> fmt::Debug for Parts<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// How many parts two maps do not share.
    fn own_parts(one: &Parts<u32>, other: &Parts<u32>) -> usize {
        one.parts.iter().zip(&*other.parts).filter(|(one, other)| !Arc::ptr_eq(one, other)).count()
    }

    #[test]
    fn a_change_of_a_copy_makes_one_part_anew() {
        let mut before = Parts::default();
        for number in 0..10_000_u32 {
            before.insert(number.to_string().into(), number);
        }
        let mut after = before.clone();
        after.insert("one more".into(), 1);
        assert_eq!(own_parts(&before, &after), 1);
        after.remove("17");
        assert!(own_parts(&before, &after) <= 2);
        assert_eq!((before.len(), before.get("17"), before.get("one more")), (10_000, Some(&17), None));
        assert_eq!((after.len(), after.get("17"), after.get("one more")), (10_000, None, Some(&1)));
        assert!(before.parts.iter().all(|part| part.len() < 100), "the keys are spread over the parts");
    }

    #[test]
    fn what_changes_nothing_copies_nothing() {
        let mut before = Parts::default();
        before.insert("a".into(), 1);
        let mut after = before.clone();
        assert_eq!(after.remove("b"), None);
        assert_eq!(own_parts(&before, &after), 0);
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0..40_u32, any::<bool>()), 0..200)) {
            let (mut parts, mut map) = (Parts::default(), HashMap::new());
            for (step, (number, adds)) in steps.into_iter().enumerate() {
                let key = number.to_string();
                if adds {
                    parts.insert(key.as_str().into(), step);
                    map.insert(key, step);
                } else {
                    prop_assert_eq!(parts.remove(&key), map.remove(&key));
                }
                prop_assert_eq!(parts.len(), map.len());
            }
            for number in 0..40 {
                prop_assert_eq!(parts.get(&number.to_string()), map.get(&number.to_string()));
            }
            prop_assert_eq!(parts.values().count(), map.len());
        }
    }
}
