//! The keys that the trials know, by number.

use sandbar_guest::eviction::ghosts::Ghosts;
use sandbar_guest::eviction::knowledge::{Reader, Writer};

use crate::constants::rounds_max;

/// Numbers for keys, given again when a key is forgotten.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Numbers by hash, the key asked for longest ago first.
    numbers: Ghosts<u32>,
    /// Hashes by number.
    hashes: Vec<u64>,
    /// Numbers that no key has.
    free: Vec<u32>,
    keys_max: u32,
}

/// A key's number, and one that it took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub number: u32,
    /// The same number where another key had it until now.
    pub forgotten: Option<u32>,
}

impl Keys {
    pub(crate) fn new(keys_max: u32) -> Self {
        Self { numbers: Ghosts::new(u64::MAX), hashes: vec![], free: vec![], keys_max }
    }

    /// Writes them down for a policy that takes over.
    pub(crate) fn write(&self, own: &mut Writer) {
        own.number(self.numbers.len());
        for (key_hash, _, number) in self.numbers.iter() {
            own.word(key_hash);
            own.number(number);
        }
    }

    /// Reads them again.
    pub(crate) fn read(keys_max: u32, own: &mut Reader<'_>) -> Option<Self> {
        let mut keys = Self::new(keys_max);
        let mut has_key = vec![false; keys_max as usize];
        for _ in 0..own.count()? {
            let (key_hash, number) = (own.word()?, own.short()?);
            if std::mem::replace(has_key.get_mut(number as usize)?, true) || keys.numbers.contains(key_hash) {
                return None;
            }
            keys.hashes.resize(keys.hashes.len().max(number as usize + 1), 0);
            keys.hashes[number as usize] = key_hash;
            keys.numbers.push(key_hash, 1, number);
        }
        keys.free = (0..keys.hashes.len() as u32).filter(|number| !has_key[*number as usize]).collect();
        Some(keys)
    }

    /// Forgets keys; answers with their numbers.
    pub(crate) fn retain(&mut self, keep: impl Fn(u64) -> bool) -> Vec<u32> {
        let leaving = self.hashes.iter().filter(|key_hash| !keep(**key_hash));
        let forgotten: Vec<u32> = leaving.filter_map(|key_hash| self.numbers.take(*key_hash)).collect();
        self.free.extend_from_slice(&forgotten);
        forgotten
    }

    /// The number of a key that is asked for. Where there are too many keys, forgets the one that was asked for longest
    /// ago, rather one that is not in use.
    pub(crate) fn request(&mut self, key_hash: u64, is_in_use: impl Fn(u32) -> bool) -> Numbered {
        if let Some(number) = self.numbers.renew(key_hash) {
            return Numbered { number, forgotten: None };
        }
        if self.numbers.len() < self.keys_max {
            let number = self.next();
            self.hashes[number as usize] = key_hash;
            self.numbers.push(key_hash, 1, number);
            return Numbered { number, forgotten: None };
        }
        let mut number = self.numbers.pop().unwrap_or(0);
        for _ in 0..rounds_max() {
            if !is_in_use(number) {
                break;
            }
            self.numbers.push(self.hashes[number as usize], 1, number);
            number = self.numbers.pop().unwrap_or(0);
        }
        self.hashes[number as usize] = key_hash;
        self.numbers.push(key_hash, 1, number);
        Numbered { number, forgotten: Some(number) }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> u32 {
        self.numbers.len()
    }

    fn next(&mut self) -> u32 {
        if let Some(number) = self.free.pop() {
            return number;
        }
        self.hashes.push(0);
        self.hashes.len() as u32 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_asked_for_longest_ago_and_not_in_use_is_forgotten() {
        let mut keys = Keys::new(3);
        let numbers = [10, 11, 12].map(|key| keys.request(key, |_| true).number);
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(keys.request(10, |_| true), Numbered { number: 0, forgotten: None });
        assert_eq!(keys.request(13, |number| number == 1), Numbered { number: 2, forgotten: Some(2) });
        assert_eq!(keys.request(12, |number| number == 1), Numbered { number: 0, forgotten: Some(0) });
        assert_eq!(keys.request(11, |_| false).number, 1);
        assert!(keys.request(14, |_| true).forgotten.is_some(), "one has to go");
    }
}
