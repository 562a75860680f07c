//! What a policy has learnt beside the order of its entries, for the one that replaces it.
//!
//! It has three parts. Two of them every policy understands: how often entries were read, and which keys left lately.
//! The third is the policy's own and begins with the name of its form, so that other policies leave it alone.
//!
//! ```
//! use sandbar_guest::eviction::knowledge::{Ghost, Knowledge, Reader, Writer};
//!
//! let mut own = Writer::new("example 1");
//! own.number(300_u32);
//! let ghost = Ghost { key_hash: 7, weight_bytes: 1_000, reads: 2 };
//! let knowledge = Knowledge { reads: vec![0, 5], ghosts: vec![ghost], private: own.finish() };
//! assert_eq!(Reader::new(&knowledge.private, "example 1").unwrap().number(), Some(300));
//! assert!(Reader::new(&knowledge.private, "another 1").is_none());
//! assert_eq!(Knowledge::unpack(knowledge.reads.clone(), &knowledge.packed_ghosts(), knowledge.private.clone()), knowledge);
//! ```

/// What a policy has learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// How often each resident entry was read, by slot, up to 255, as far as the policy counts that. The successor is
    /// given these numbers in [`Arrival::reads`](super::Arrival::reads).
    pub reads: Vec<u8>,
    /// Keys that left lately, the one that left first first.
    pub ghosts: Vec<Ghost>,
    /// Whatever else the policy has learnt, for a successor of the same kind.
    pub private: Vec<u8>,
}

/// A key that left lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ghost {
    /// Hash of the cache key, as in the entry's arrival.
    pub key_hash: u64,
    /// What the entry weighed; at most 2^56 - 1.
    pub weight_bytes: u64,
    /// How often the entry was read, up to 255, as far as the policy counts that.
    pub reads: u8,
}

/// The bytes of knowledge that the host hands on for a shard, at most; a ghost counts as 16.
pub const KNOWLEDGE_BYTES_MAX: usize = 2 << 20;

const GHOST_BYTES: usize = 16;
const WEIGHT_MAX: u64 = (1 << 56) - 1;

impl Knowledge {
    /// The size of the knowledge in bytes, as [`KNOWLEDGE_BYTES_MAX`] counts.
    pub fn bytes(&self) -> usize {
        self.reads.len() + self.ghosts.len() * GHOST_BYTES + self.private.len()
    }

    /// The knowledge, cut to [`KNOWLEDGE_BYTES_MAX`]: the ghosts that left first are left out, then the reads of the
    /// highest slots, then the whole private part.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let beyond = self.bytes().saturating_sub(KNOWLEDGE_BYTES_MAX);
        self.ghosts.drain(..beyond.div_ceil(GHOST_BYTES).min(self.ghosts.len()));
        let beyond = self.bytes().saturating_sub(KNOWLEDGE_BYTES_MAX);
        self.reads.truncate(self.reads.len().saturating_sub(beyond));
        if self.bytes() > KNOWLEDGE_BYTES_MAX {
            self.private.clear();
        }
        self
    }

    /// The ghosts as they cross the boundary between host and guest: for each its key hash, and a word with its reads
    /// in the low 8 bits and its weight in the others.
    pub fn packed_ghosts(&self) -> Vec<u64> {
        let words = |ghost: &Ghost| [ghost.key_hash, ghost.weight_bytes.min(WEIGHT_MAX) << 8 | u64::from(ghost.reads)];
        self.ghosts.iter().flat_map(words).collect()
    }

    /// Knowledge that has crossed the boundary, with the ghosts as [`Knowledge::packed_ghosts`] packs them.
    pub fn unpack(reads: Vec<u8>, ghosts: &[u64], private: Vec<u8>) -> Self {
        let (pairs, _) = ghosts.as_chunks::<2>();
        let ghost =
            |[key_hash, word]: &[u64; 2]| Ghost { key_hash: *key_hash, weight_bytes: word >> 8, reads: *word as u8 };
        Self { reads, ghosts: pairs.iter().map(ghost).collect(), private }
    }
}

/// Writes the private part of [`Knowledge`].
#[derive(Debug)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Begins with the name of the form: the policy's name and a version, at most 255 bytes.
    pub fn new(form: &str) -> Self {
        let form = &form.as_bytes()[..form.len().min(255)];
        Self([&[form.len() as u8], form].concat())
    }

    /// Appends a byte.
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Appends a number, seven bits to a byte: small ones are short.
    pub fn number(&mut self, number: impl Into<u64>) {
        let mut rest = number.into();
        while rest > 0x7f {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    /// Appends eight bytes: a hash or another number that is seldom small.
    pub fn word(&mut self, word: u64) {
        self.0.extend_from_slice(&word.to_le_bytes());
    }

    /// Appends a float.
    pub fn float(&mut self, float: f64) {
        self.word(float.to_bits());
    }

    /// The number of bytes written so far, the name of the form included.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// All that was written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads the private part of [`Knowledge`]. Nobody vouches for its content: where the bytes have come to an end, the
/// answer is none, and the values are to be checked.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader behind the name of the form; none where the private part is of another form.
    pub fn new(private: &'a [u8], form: &str) -> Option<Self> {
        let rest = private.strip_prefix(&[form.len() as u8])?.strip_prefix(form.as_bytes())?;
        Some(Self(rest))
    }

    /// Reads a byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// Reads what [`Writer::number`] wrote.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Reads a number; none where it has more than 32 bits.
    pub fn short(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// Reads the number of elements that follow, each of at least a byte; none where fewer bytes follow.
    pub fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    /// Reads what [`Writer::word`] wrote.
    pub fn word(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }

    /// Reads a float; none where it is not finite.
    pub fn float(&mut self) -> Option<f64> {
        Some(f64::from_bits(self.word()?)).filter(|float| float.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut own = Writer::new("form");
        numbers.iter().for_each(|number| own.number(*number));
        own.byte(7);
        own.word(u64::MAX - 1);
        own.float(-0.5);
        let own = own.finish();
        let mut reader = Reader::new(&own, "form").unwrap();
        assert!(numbers.iter().all(|number| reader.number() == Some(*number)));
        assert_eq!((reader.byte(), reader.word(), reader.float()), (Some(7), Some(u64::MAX - 1), Some(-0.5)));
        assert_eq!((reader.byte(), reader.number(), reader.word()), (None, None, None));
    }

    #[test]
    fn nonsense_is_not_read() {
        assert_eq!(Reader(&[0xff; 20]).number(), None, "no end");
        assert_eq!(Reader(&[0xff; 8]).float(), None, "not a number");
        assert_eq!(Reader(&[3, 1, 1]).count(), None, "more than there is");
        assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff, 0x1f]).short(), None, "more than 32 bits");
        assert!(Reader::new(&[], "form").is_none() && Reader::new(b"\x05for", "form").is_none());
    }

    #[test]
    fn what_is_too_much_is_cut_where_it_is_least_missed() {
        let ghost = |key_hash| Ghost { key_hash, weight_bytes: u64::MAX, reads: 0 };
        let ghosts: Vec<Ghost> = (0..200_000).map(ghost).collect();
        let bounded = Knowledge { reads: vec![1; 1000], ghosts, private: vec![2; 1000] }.bounded();
        assert!(bounded.bytes() <= KNOWLEDGE_BYTES_MAX && bounded.bytes() > KNOWLEDGE_BYTES_MAX - GHOST_BYTES);
        assert_eq!((bounded.reads.len(), bounded.private.len()), (1000, 1000));
        assert_eq!(bounded.ghosts.last(), Some(&ghost(199_999)), "the latest stay");
        let bounded = Knowledge { reads: vec![1; 3 << 20], ghosts: vec![], private: vec![2; 1000] }.bounded();
        assert_eq!((bounded.bytes(), bounded.private.len()), (KNOWLEDGE_BYTES_MAX, 1000));
        assert_eq!(Knowledge { private: vec![2; 3 << 20], ..Knowledge::default() }.bounded(), Knowledge::default());
    }
}
