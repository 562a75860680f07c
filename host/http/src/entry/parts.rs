//! The parts that are stored of a representation: runs of its bytes, with a gap between any two of them (RFC 9110 section
//! 15.3.7.3, RFC 9111 section 3.4).
//!
//! A run is a list of chunks. What comes is put beside what is there, and nothing is copied but chunks that are many and
//! small: a file that is read piece by piece costs time in proportion to its pieces and its length. No chunk holds on to a
//! larger buffer than it has bytes.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::byte_range::ByteRange;

/// Parts of one representation.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    complete: Option<u64>,
    /// In their order. At least one, at most [`Parts::RUNS_MAX`].
    runs: Vec<Run>,
}

/// Bytes without a gap.
#[derive(Clone, Debug)]
struct Run {
    first: u64,
    bytes: u64,
    chunks: Vec<Bytes>,
}

/// A chunk of so many bytes is never copied again.
const BLOCK_BYTES: usize = 64 << 10;

/// How many chunks of less than [`BLOCK_BYTES`] may lie side by side: one more, and they are made one. So joining a part
/// copies no more than a kibibyte beside it on average, or no byte more than once.
const SMALL_CHUNKS_MAX: usize = 64;

/// What a chunk takes in memory beside its bytes: its place in the list, and what counts its holders.
const CHUNK_OVERHEAD_BYTES: usize = size_of::<Bytes>() + 112;

impl Parts {
    /// How many runs there may be: a player's, for instance, that reads an index at the end of a file and jumps.
    pub const RUNS_MAX: usize = 8;

    /// These runs, each with the position of its first byte, of a representation of `complete` bytes where that is known.
    /// None where they are none, or too many, empty, out of order, not apart, or beyond the end.
    pub fn of(runs: impl IntoIterator<Item = (u64, Bytes)>, complete: Option<u64>) -> Option<Self> {
        let mut parts = Self { complete, runs: Vec::new() };
        for (first, content) in runs {
            let bytes = content.len() as u64;
            let end = first.checked_add(bytes).filter(|end| complete.is_none_or(|complete| *end <= complete))?;
            let apart = parts.runs.last().is_none_or(|before| before.end() < first);
            if bytes == 0 || end == u64::MAX || !apart || parts.runs.len() == Self::RUNS_MAX {
                return None;
            }
            parts.runs.push(Run { first, bytes, chunks: vec![content] });
        }
        (!parts.runs.is_empty()).then_some(parts)
    }

    /// Length of the representation in bytes, where it is known.
    pub const fn complete(&self) -> Option<u64> {
        self.complete
    }

    /// How many bytes are there.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes).sum()
    }

    /// What they take in memory.
    pub fn weight_bytes(&self) -> usize {
        let runs = size_of::<Self>() + self.runs.len() * size_of::<Run>();
        self.chunks().fold(runs, |sum, chunk| sum + chunk.len() + CHUNK_OVERHEAD_BYTES)
    }

    /// Which bytes are there.
    pub fn ranges(&self) -> impl Iterator<Item = ByteRange> {
        self.runs.iter().map(Run::range)
    }

    /// The content of all runs, one after the other.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        self.runs.iter().flat_map(|run| &run.chunks)
    }

    /// Whether all bytes of a range are there.
    pub fn hold(&self, range: ByteRange) -> bool {
        self.run_with(range).is_some()
    }

    /// The bytes of a range; none where one of them is not there.
    pub fn slice(&self, range: ByteRange) -> Option<Vec<Bytes>> {
        self.run_with(range).map(|run| run.slice(range))
    }

    /// The run that a range lies in.
    pub fn around(&self, range: ByteRange) -> Option<ByteRange> {
        self.run_with(range).map(Run::range)
    }

    fn run_with(&self, range: ByteRange) -> Option<&Run> {
        self.runs.iter().find(|run| run.first <= range.first && range.last < run.end())
    }

    /// What is missing of a range of which something is there, if that is one gap.
    pub fn gap(&self, wanted: ByteRange) -> Option<ByteRange> {
        let (mut next, mut gap) = (wanted.first, None);
        for run in self.runs.iter().filter(|run| wanted.first < run.end() && run.first <= wanted.last) {
            if next < run.first && gap.replace(ByteRange { first: next, last: run.first - 1 }).is_some() {
                return None;
            }
            next = run.end();
        }
        if next <= wanted.last && gap.replace(ByteRange { first: next, last: wanted.last }).is_some() {
            return None;
        }
        gap.filter(|gap| *gap != wanted)
    }

    /// All of the representation, where no byte of it is missing.
    pub fn whole(&self) -> Option<Bytes> {
        match self.runs.as_slice() {
            [run] if run.first == 0 && self.complete == Some(run.bytes) => Some(joined(&run.chunks)),
            _ => None,
        }
    }

    /// The same with one part more, of a representation of the same length where that is known. None where a byte would lie
    /// beyond its end.
    ///
    /// What is there stays, and of the part what is lacking is taken: they are of one representation. Where that makes one run
    /// too many, the smallest goes that the part is not in: so the least has to be fetched again, and clients that read a few
    /// bytes here and there don't take the place of what was read at length.
    pub fn with(&self, first: u64, content: &Bytes, complete: Option<u64>) -> Option<Self> {
        let added = Self::of([(first, content.clone())], self.complete.or(complete))?.runs.pop()?;
        if let Some(complete) = complete
            && (self.complete.is_some_and(|known| known != complete) || self.runs.last()?.end() > complete)
        {
            return None;
        }
        let touched = self.touched(added.range());
        let mut runs = self.runs.clone();
        let joined = Run::joined(&self.runs[touched.clone()], added);
        let at = touched.start;
        runs.splice(touched, [joined]);
        if let Some(least) = one_too_many(runs.iter().map(|run| run.bytes), at) {
            runs.remove(least);
        }
        Some(Self { complete: self.complete.or(complete), runs })
    }

    /// How many bytes there would be with this part.
    pub fn bytes_with(&self, part: ByteRange) -> u64 {
        let touched = self.touched(part);
        let (mut first, mut last) = (part.first, part.last);
        for run in &self.runs[touched.clone()] {
            (first, last) = (first.min(run.first), last.max(run.range().last));
        }
        let mut lengths: Vec<u64> = self.runs.iter().map(|run| run.bytes).collect();
        let at = touched.start;
        lengths.splice(touched, [last - first + 1]);
        if let Some(least) = one_too_many(lengths.iter().copied(), at) {
            lengths.remove(least);
        }
        lengths.into_iter().fold(0, u64::saturating_add)
    }

    /// The runs that a part overlaps or touches.
    fn touched(&self, part: ByteRange) -> Range<usize> {
        let start = self.runs.partition_point(|run| run.end() < part.first);
        let end = self.runs.partition_point(|run| run.first <= part.last.saturating_add(1));
        start..end
    }
}

/// Which of so many runs has to go, other than the one at `kept`.
fn one_too_many(lengths: impl ExactSizeIterator<Item = u64>, kept: usize) -> Option<usize> {
    if lengths.len() <= Parts::RUNS_MAX {
        return None;
    }
    lengths.enumerate().filter(|(index, _)| *index != kept).min_by_key(|(_, bytes)| *bytes).map(|(index, _)| index)
}

impl Run {
    const fn end(&self) -> u64 {
        self.first + self.bytes
    }

    const fn range(&self) -> ByteRange {
        ByteRange { first: self.first, last: self.end() - 1 }
    }

    /// The bytes of a range that lies in it.
    fn slice(&self, range: ByteRange) -> Vec<Bytes> {
        let (mut start, mut slices) = (self.first, Vec::new());
        for chunk in &self.chunks {
            let end = start + chunk.len() as u64;
            if start <= range.last && range.first < end {
                let from = range.first.saturating_sub(start);
                let to = end.min(range.last + 1) - start;
                slices.push(chunk.slice(index(from)..index(to)));
            }
            start = end;
        }
        slices
    }

    /// A part of one chunk, and the runs that it overlaps or touches, as one.
    fn joined(touched: &[Self], added: Self) -> Self {
        let (first, end) = (added.first, added.end());
        if let Some(around) = touched.iter().find(|run| run.first <= first && end <= run.end()) {
            return around.clone();
        }
        // Runs in between are within the part, which is in one chunk.
        let before = touched.first().filter(|run| run.first < first);
        let after = touched.last().filter(|run| run.end() > end);
        let (from, to) = (before.map_or(first, Self::end), after.map_or(end, |run| run.first));
        let lacking = cut(&added.chunks[0], index(from - first)..index(to - first));
        let mut chunks = before.map(|run| run.chunks.clone()).unwrap_or_default();
        let at = chunks.len();
        chunks.push(lacking);
        chunks.extend(after.into_iter().flat_map(|run| run.chunks.iter().cloned()));
        let first = before.map_or(first, |run| run.first);
        let mut run = Self { first, bytes: after.map_or(end, Self::end) - first, chunks };
        run.settle(at);
        run
    }

    /// Makes one of the small chunks around one that has come, where they are too many.
    fn settle(&mut self, at: usize) {
        let is_block = |chunk: &Bytes| chunk.len() >= BLOCK_BYTES;
        let from = self.chunks[..at].iter().rposition(is_block).map_or(0, |block| block + 1);
        let to = self.chunks[at..].iter().position(is_block).map_or(self.chunks.len(), |block| at + block);
        if to - from > SMALL_CHUNKS_MAX {
            let one = joined(&self.chunks[from..to]);
            self.chunks.splice(from..to, [one]);
        }
    }
}

/// Runs are equal where their bytes are, in whatever chunks.
impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |run: &Self| run.chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect::<Vec<u8>>();
        self.first == other.first && self.bytes == other.bytes && bytes(self) == bytes(other)
    }
}

/// Some bytes of a chunk, which is kept only where they are all of it.
fn cut(chunk: &Bytes, range: Range<usize>) -> Bytes {
    if range.len() == chunk.len() { chunk.clone() } else { Bytes::copy_from_slice(&chunk[range]) }
}

fn joined(chunks: &[Bytes]) -> Bytes {
    if let [only] = chunks {
        return only.clone();
    }
    let mut one = BytesMut::with_capacity(chunks.iter().map(|chunk| chunk.len()).sum());
    chunks.iter().for_each(|chunk| one.extend_from_slice(chunk));
    one.freeze()
}

/// A place within what is in memory.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it lies within content that is in memory")
}

#[cfg(test)]
mod tests;
