//! Keys whose requests are not worth being shown to the miniatures: all of them hold the entry, and it was shown to them so
//! lately that none would think better of it.

use sandbar_guest::eviction::knowledge::{Reader, Writer};

/// What is known of the keys of the sample, by number.
#[derive(Debug)]
pub(super) struct Settled {
    keys: Vec<Key>,
    /// A bit for each view.
    all: u32,
    /// Requests that were shown.
    shown: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Key {
    /// The views whose miniatures hold it, a bit for each.
    held_by: u32,
    /// When a request for it was shown last.
    shown: u32,
}

impl Settled {
    /// Nothing is known of the keys.
    pub(super) const fn new(views: usize) -> Self {
        Self { keys: vec![], all: (1 << views) - 1, shown: 0 }
    }

    /// Whether any miniature holds a key.
    pub(super) fn is_held(&self, number: u32) -> bool {
        self.key(number).is_some_and(|key| key.held_by != 0)
    }

    /// Whether a request for a key may be left out: all hold it, and it is among the last so many that were shown.
    #[inline]
    pub(super) fn skips(&self, number: u32, lately: u32) -> bool {
        self.key(number).is_some_and(|key| key.held_by == self.all && self.shown.wrapping_sub(key.shown) < lately)
    }

    /// A request was shown, after which these miniatures hold the key.
    #[inline]
    pub(super) fn show(&mut self, number: u32, held_by: u32) {
        if number as usize >= self.keys.len() {
            self.keys.resize(number as usize + 1, Key::default());
        }
        self.shown = self.shown.wrapping_add(1);
        self.keys[number as usize] = Key { held_by, shown: self.shown };
    }

    /// A miniature has let go of a key.
    #[inline]
    pub(super) fn left(&mut self, number: u32, view: usize) {
        if let Some(key) = self.keys.get_mut(number as usize) {
            key.held_by &= !(1 << view);
        }
    }

    /// All have.
    pub(super) fn forget(&mut self, number: u32) {
        if let Some(key) = self.keys.get_mut(number as usize) {
            *key = Key::default();
        }
    }

    /// Writes it down for a policy that takes over, but for what the miniatures hold.
    pub(super) fn write(&self, own: &mut Writer) {
        own.number(self.keys.len() as u64);
        self.keys.iter().for_each(|key| own.number(self.shown.wrapping_sub(key.shown)));
    }

    /// Reads it again; `held_by` says which miniatures hold a key.
    pub(super) fn read(
        views: usize,
        keys_max: u32,
        held_by: impl Fn(u32) -> u32,
        own: &mut Reader<'_>,
    ) -> Option<Self> {
        let mut settled = Self::new(views);
        let keys = own.short().filter(|keys| *keys <= keys_max)?;
        for number in 0..keys {
            let shown = settled.shown.wrapping_sub(own.short()?);
            settled.keys.push(Key { held_by: held_by(number), shown });
        }
        Some(settled)
    }

    #[inline]
    fn key(&self, number: u32) -> Option<&Key> {
        self.keys.get(number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_hold_is_shown_again_after_a_while() {
        let mut settled = Settled::new(2);
        assert!(!settled.skips(5, 100) && !settled.is_held(5));
        settled.show(5, 0b01);
        assert!(!settled.skips(5, 100) && settled.is_held(5));
        settled.show(5, 0b11);
        assert!(settled.skips(5, 1) && !settled.skips(5, 0));
        settled.show(1, 0b11);
        assert!(settled.skips(5, 2) && !settled.skips(5, 1));
        settled.left(5, 1);
        assert!(!settled.skips(5, 2) && settled.is_held(5) && settled.skips(1, 1));
        settled.forget(5);
        assert!(!settled.is_held(5));
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let mut settled = Settled::new(3);
        (0..10).for_each(|number| settled.show(number, 0b111));
        settled.left(8, 2);
        let mut own = Writer::new("test");
        settled.write(&mut own);
        let own = own.finish();
        let held_by = |number| if number == 8 { 0b011 } else { 0b111 };
        let read = |keys_max| Settled::read(3, keys_max, held_by, &mut Reader::new(&own, "test").unwrap());
        assert!(read(9).is_none(), "too many keys");
        let read = read(10).unwrap();
        for number in 0..10 {
            assert_eq!(read.skips(number, 5), settled.skips(number, 5), "{number}");
        }
    }
}
