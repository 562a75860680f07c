//! The stored parts of a representation: runs of its bytes, with a gap between any two of them (RFC 9110 section
//! 15.3.7.3, RFC 9111 section 3.4).
//!
//! A run is a list of chunks. A new part is put beside the stored chunks, and bytes are copied only where many small
//! chunks lie side by side: a file that is read piece by piece costs time linear in the number of pieces and its
//! length. No chunk keeps a larger buffer alive than it has bytes.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::byte_range::ByteRange;

/// Parts of one representation.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    complete: Option<u64>,
    /// The runs, sorted by position. At least one, at most [`Parts::RUNS_MAX`].
    runs: Vec<Run>,
}

/// Consecutive bytes, from position `first` on.
#[derive(Clone, Debug)]
struct Run {
    first: u64,
    bytes: u64,
    chunks: Vec<Bytes>,
}

/// A chunk of at least so many bytes is never copied again.
const BLOCK_BYTES: usize = 64 << 10;

/// How many chunks of less than [`BLOCK_BYTES`] may lie side by side: one more, and they are joined into one. So adding
/// a part copies on average no more than a kibibyte besides it, or no byte more than once.
const SMALL_CHUNKS_MAX: usize = 64;

/// What a chunk takes in memory besides its bytes: its place in the list, and its reference count.
const CHUNK_OVERHEAD_BYTES: usize = size_of::<Bytes>() + 112;

impl Parts {
    /// How many runs are kept: enough for a player, for instance, that reads an index at the end of a file and seeks.
    pub const RUNS_MAX: usize = 8;

    /// Parts made of these runs, each with the position of its first byte; `complete` is the length of the
    /// representation, where it is known. None where there are no runs, or too many, or one is empty, out of order, not
    /// apart from the run before, or beyond the end.
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

    /// How many bytes are stored.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes).sum()
    }

    /// What the parts take in memory, in bytes.
    pub fn weight_bytes(&self) -> usize {
        let runs = size_of::<Self>() + self.runs.len() * size_of::<Run>();
        self.chunks().fold(runs, |sum, chunk| sum + chunk.len() + CHUNK_OVERHEAD_BYTES)
    }

    /// The ranges of bytes that are stored, sorted by position.
    pub fn ranges(&self) -> impl Iterator<Item = ByteRange> {
        self.runs.iter().map(Run::range)
    }

    /// The content of all runs, one after the other.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        self.runs.iter().flat_map(|run| &run.chunks)
    }

    /// Whether all bytes of a range are stored.
    pub fn hold(&self, range: ByteRange) -> bool {
        self.run_with(range).is_some()
    }

    /// The bytes of a range, in chunks; none where one of them is not stored.
    pub fn slice(&self, range: ByteRange) -> Option<Vec<Bytes>> {
        self.run_with(range).map(|run| run.slice(range))
    }

    /// The range of the run that holds all of `range`; none where no run does.
    pub fn around(&self, range: ByteRange) -> Option<ByteRange> {
        self.run_with(range).map(Run::range)
    }

    fn run_with(&self, range: ByteRange) -> Option<&Run> {
        self.runs.iter().find(|run| run.first <= range.first && range.last < run.end())
    }

    /// The one gap in a wanted range; none where nothing of it is missing, everything is, or there are several gaps.
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

    /// The whole representation, where no byte of it is missing.
    pub fn whole(&self) -> Option<Bytes> {
        match self.runs.as_slice() {
            [run] if run.first == 0 && self.complete == Some(run.bytes) => Some(joined(&run.chunks)),
            _ => None,
        }
    }

    /// These parts with one part more, whose representation has `complete` bytes where that is known. None where the
    /// lengths differ, or a byte would lie beyond the end.
    ///
    /// Stored bytes stay, and of the new part only missing bytes are taken: they are of one representation. Where that
    /// makes one run too many, the smallest run other than the part's is dropped: so the least has to be fetched again,
    /// and clients that read a few bytes here and there don't displace long runs.
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

    /// How many bytes [`Self::with`] would store with a part of this range.
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

/// Where there are more than [`Parts::RUNS_MAX`] runs, the index of the shortest one other than `kept`.
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

    /// The bytes of a range that lies in this run.
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

    /// Joins a part of one chunk and the runs that it overlaps or touches into one run.
    fn joined(touched: &[Self], added: Self) -> Self {
        let (first, end) = (added.first, added.end());
        if let Some(around) = touched.iter().find(|run| run.first <= first && end <= run.end()) {
            return around.clone();
        }
        // Runs between the first and the last lie within the part, which has all their bytes in one chunk.
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

    /// Joins the small chunks around the new one at `at` into one, where there are more than [`SMALL_CHUNKS_MAX`].
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

/// Runs are equal where position and bytes are, however these are divided into chunks.
impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |run: &Self| run.chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect::<Vec<u8>>();
        self.first == other.first && self.bytes == other.bytes && bytes(self) == bytes(other)
    }
}

/// Some bytes of a chunk: copied, unless they are the whole chunk, so that they don't keep a larger buffer alive.
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

/// A position within content that is in memory, as an index.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it lies within content that is in memory")
}

#[cfg(test)]
mod tests;
