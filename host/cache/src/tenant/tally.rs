//! Counts by word: how often each of a fixed list of stable words was the reason.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter for each of some words.
#[derive(Debug)]
pub struct Tally {
    words: Vec<&'static str>,
    counts: Vec<AtomicU64>,
}

impl Tally {
    /// Zero for each word.
    pub fn of(words: impl IntoIterator<Item = &'static str>) -> Self {
        let words: Vec<_> = words.into_iter().collect();
        let counts = words.iter().map(|_| AtomicU64::new(0)).collect();
        Self { words, counts }
    }

    /// Adds one to a word of the list; to none where it is not in it.
    pub fn count(&self, word: &str) {
        if let Some(index) = self.words.iter().position(|one| *one == word) {
            self.counts[index].fetch_add(1, Relaxed);
        }
    }

    /// All words with their counts.
    pub fn values(&self) -> BTreeMap<&'static str, u64> {
        self.words.iter().zip(&self.counts).map(|(word, count)| (*word, count.load(Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_apart() {
        let tally = Tally::of(["hit", "miss"]);
        tally.count("miss");
        tally.count("unheard of");
        assert_eq!(tally.values(), BTreeMap::from([("hit", 0), ("miss", 1)]));
    }
}
