//! The log: segments in the order they were written, the newest open for writing. Synchronous, single writer, `now` an
//! argument.
//!
//! When there is no room, the oldest segment is dropped as a whole (FIFO). That costs one `unlink` and no write, keeps
//! files contiguous, and makes the bound exact. FIFO alone would evict values that are read all the time as early as
//! values that are never read. So, as in CLOCK, values that were read since they were written move to the head, up to a
//! quarter of a segment each time.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sandbar_base::clock::Timestamp;
use sandbar_http::key::KeyHash;

use super::index::{Index, Location};
use super::segment::{HEADER_BYTES, Header, Kind, Segment};

/// A file takes whole blocks, and its inode's share of the directory.
const BLOCK_BYTES: u64 = 4096;
/// For the directory itself, the lock file and rounding.
const SLACK_BYTES: u64 = 64 << 10;

/// Bounds of a log.
#[derive(Clone, Debug)]
pub(super) struct LogLimits {
    pub(super) dir: PathBuf,
    /// All files in the directory together, as `du` counts.
    pub(super) capacity_bytes: u64,
    pub(super) segment_bytes: u64,
    pub(super) entries_max: usize,
}

/// Figures of the log that are read without asking its writer.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// Bytes of all segments, in whole blocks.
    pub(super) stored_bytes: AtomicU64,
    /// Segments dropped for lack of room.
    pub(super) evicted_segments: AtomicU64,
    /// Values moved to the head because they had been read.
    pub(super) kept_again: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Log {
    limits: LogLimits,
    index: Arc<Index>,
    gauges: Arc<Gauges>,
    /// Oldest first; the last one is written to.
    segments: VecDeque<Written>,
}

#[derive(Debug)]
struct Written {
    segment: Arc<Segment>,
    bytes: u64,
    keys: Vec<KeyHash>,
    /// The latest `until` of its values.
    useless_after: Timestamp,
}

impl Log {
    /// Opens the segments in the directory. A torn record at the end of a segment is cut off; a segment that can't be
    /// read is dropped.
    pub(super) fn open(limits: LogLimits, index: Arc<Index>, gauges: Arc<Gauges>, now: Timestamp) -> io::Result<Self> {
        let mut ids: Vec<u64> =
            std::fs::read_dir(&limits.dir)?.filter_map(|file| Segment::id_of(&file.ok()?.path())).collect();
        ids.sort_unstable();
        let mut log = Self { limits, index, gauges, segments: VecDeque::new() };
        for id in ids {
            log.adopt(id, now)?;
        }
        while log.segments.len() > 1 && log.records() > log.limits.entries_max.saturating_mul(2) {
            log.drop_front()?;
        }
        if log.segments.back().is_none_or(|last| last.bytes >= log.limits.segment_bytes) {
            log.start_segment()?;
        }
        log.tidy(now)?;
        Ok(log)
    }

    /// Removes every segment in `dir`, for when the barriers that judge their entries are lost. Returns how many there
    /// were.
    pub(super) fn clear(dir: &std::path::Path) -> io::Result<usize> {
        let mut removed = 0;
        for file in std::fs::read_dir(dir)? {
            let path = file?.path();
            if Segment::id_of(&path).is_some() {
                std::fs::remove_file(path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Stores a value.
    ///
    /// # Errors
    /// When the value does not fit into a segment, or the disk refuses it; the log does not have the value then.
    pub(super) fn put(&mut self, key: KeyHash, value: &[u8], until: Timestamp, now: Timestamp) -> io::Result<()> {
        let record_bytes = value.len() as u64 + u64::from(HEADER_BYTES);
        if record_bytes > self.limits.segment_bytes {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the entry is larger than a segment"));
        }
        if self.active().bytes + record_bytes > self.limits.segment_bytes {
            self.rotate(now)?;
        }
        let is_one_too_many = self.index.len() >= self.limits.entries_max && self.index.peek(key).is_none();
        if is_one_too_many || self.records() >= self.limits.entries_max.saturating_mul(2) {
            self.drop_oldest_for_entries(now)?;
        }
        match self.append(key, value, until) {
            Ok(place) => {
                self.index.set(key, place);
                Ok(())
            }
            Err(error) => {
                // Another program has filled the disk: give some of it back, for the next put.
                if error.kind() == io::ErrorKind::StorageFull && self.segments.len() > 1 {
                    self.drop_front()?;
                }
                Err(error)
            }
        }
    }

    /// How many values the segments hold, replaced ones included: the key of each is in memory.
    fn records(&self) -> usize {
        self.segments.iter().map(|written| written.keys.len()).sum()
    }

    /// Removes a key's value, and writes that down so that it also holds after the next start.
    ///
    /// # Errors
    /// When the disk refuses the write; the value is then gone only until the next start.
    pub(super) fn remove(&mut self, key: KeyHash, now: Timestamp) -> io::Result<()> {
        if !self.index.remove(key) {
            return Ok(());
        }
        if self.active().bytes + u64::from(HEADER_BYTES) > self.limits.segment_bytes {
            self.rotate(now)?;
        }
        let header = Header { key, until: now, value_bytes: 0, kind: Kind::Removed };
        self.write(&header, &[]).map(|_| ())
    }

    /// Drops the oldest segments while all their values are of no further use, or while there is no room for them.
    pub(super) fn tidy(&mut self, now: Timestamp) -> io::Result<()> {
        while self.segments.len() > 1 && self.segments.front().is_some_and(|oldest| oldest.useless_after <= now) {
            self.drop_front()?;
        }
        while self.segments.len() > 1 && self.over(0) {
            self.drop_front()?;
            self.gauges.evicted_segments.fetch_add(1, Ordering::Relaxed);
        }
        self.note_bytes();
        Ok(())
    }

    fn adopt(&mut self, id: u64, now: Timestamp) -> io::Result<()> {
        let segment = Arc::new(Segment::open(&self.limits.dir, id)?);
        let mut keys = Vec::new();
        let mut useless_after = Timestamp::default();
        let end = segment.scan(|offset, header| {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            if header.kind == Kind::Put && header.until > now && offset < u32::MAX {
                let Header { key, until, value_bytes, .. } = header;
                self.index.set(key, Location { segment: id, offset, value_bytes, until, read: false });
                keys.push(key);
                useless_after = useless_after.max(until);
            } else {
                self.index.remove(header.key);
            }
        });
        let whole = end.and_then(|end| Ok((end, segment.file_bytes()?)));
        match whole {
            Ok((end, file_bytes)) => {
                if end < file_bytes {
                    tracing::warn!(segment = id, lost_bytes = file_bytes - end, "cut off a torn or damaged end");
                    segment.truncate(end)?;
                }
                if end == 0 {
                    return segment.delete();
                }
                self.index.add_segment(&segment);
                self.segments.push_back(Written { segment, bytes: end, keys, useless_after });
            }
            Err(error) => {
                tracing::warn!(segment = id, %error, "dropped a segment that can't be read");
                self.index.drop_segment(id, &keys);
                segment.delete()?;
            }
        }
        Ok(())
    }

    fn active(&mut self) -> &mut Written {
        self.segments.back_mut().expect("`open` and `rotate` leave one segment at least")
    }

    fn append(&mut self, key: KeyHash, value: &[u8], until: Timestamp) -> io::Result<Location> {
        let value_bytes = u32::try_from(value.len()).expect("smaller than a segment, which is smaller than 4 GiB");
        let header = Header { key, until, value_bytes, kind: Kind::Put };
        let (segment, offset) = self.write(&header, value)?;
        let active = self.active();
        active.keys.push(key);
        active.useless_after = active.useless_after.max(until);
        Ok(Location { segment, offset, value_bytes, until, read: false })
    }

    fn write(&mut self, header: &Header, value: &[u8]) -> io::Result<(u64, u32)> {
        let active = self.active();
        let offset = u32::try_from(active.bytes).expect("a segment is smaller than 4 GiB");
        // What a failed write left behind is overwritten by the next one, or cut off at the next start.
        active.bytes += active.segment.write(active.bytes, header, value)?;
        let id = active.segment.id;
        self.note_bytes();
        Ok((id, offset))
    }

    /// Starts a new segment, after making room for a whole one.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        let mut again = Vec::new();
        let mut budget = self.limits.segment_bytes / 4;
        while self.segments.len() > 1 && self.over(self.limits.segment_bytes) {
            self.collect_read(&mut again, &mut budget, now);
            self.drop_front()?;
            self.gauges.evicted_segments.fetch_add(1, Ordering::Relaxed);
        }
        self.start_segment()?;
        for (key, value, until) in again {
            let place = self.append(key, &value, until)?;
            self.index.set(key, place);
            self.gauges.kept_again.fetch_add(1, Ordering::Relaxed);
        }
        self.tidy(now)
    }

    /// Reads those values of the oldest segment that were read since they were written, the newest first.
    fn collect_read(&self, again: &mut Vec<(KeyHash, Vec<u8>, Timestamp)>, budget: &mut u64, now: Timestamp) {
        let Some(oldest) = self.segments.front() else { return };
        for &key in oldest.keys.iter().rev() {
            let Some(place) = self.index.peek(key) else { continue };
            let record_bytes = u64::from(place.value_bytes) + u64::from(HEADER_BYTES);
            let wanted = place.segment == oldest.segment.id && place.read && place.until > now;
            if wanted
                && record_bytes <= *budget
                && let Ok(value) = oldest.segment.value(u64::from(place.offset), place.value_bytes)
            {
                *budget -= record_bytes;
                again.push((key, value, place.until));
            }
        }
    }

    fn drop_oldest_for_entries(&mut self, now: Timestamp) -> io::Result<()> {
        if self.segments.len() == 1 {
            self.rotate(now)?;
        }
        self.gauges.evicted_segments.fetch_add(1, Ordering::Relaxed);
        self.drop_front()
    }

    fn drop_front(&mut self) -> io::Result<()> {
        let Some(oldest) = self.segments.pop_front() else { return Ok(()) };
        self.index.drop_segment(oldest.segment.id, &oldest.keys);
        oldest.segment.delete()
    }

    fn start_segment(&mut self) -> io::Result<()> {
        let id = self.segments.back().map_or(0, |last| last.segment.id + 1);
        let segment = Arc::new(Segment::open(&self.limits.dir, id)?);
        segment.truncate(0)?;
        self.index.add_segment(&segment);
        let useless_after = Timestamp::default();
        self.segments.push_back(Written { segment, bytes: 0, keys: Vec::new(), useless_after });
        Ok(())
    }

    /// Whether the directory would be over its bound with `more_bytes` more or, where these are 0, with a full active
    /// segment.
    fn over(&self, more_bytes: u64) -> bool {
        let sealed: u64 = self.segments.iter().rev().skip(1).map(|written| blocks(written.bytes)).sum();
        let active = self
            .segments
            .back()
            .map_or(0, |active| blocks(if more_bytes == 0 { self.limits.segment_bytes } else { active.bytes }));
        sealed + active + blocks(more_bytes) + self.other_bytes() + SLACK_BYTES > self.limits.capacity_bytes
    }

    /// Bytes of the other files in the directory: the barriers, and damaged files that were set aside.
    fn other_bytes(&self) -> u64 {
        let Ok(files) = std::fs::read_dir(&self.limits.dir) else { return 0 };
        files
            .filter_map(Result::ok)
            .filter(|file| Segment::id_of(&file.path()).is_none())
            .filter_map(|file| Some(blocks(file.metadata().ok()?.len())))
            .sum()
    }

    fn note_bytes(&self) {
        let bytes = self.segments.iter().map(|written| blocks(written.bytes)).sum();
        self.gauges.stored_bytes.store(bytes, Ordering::Relaxed);
    }
}

const fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

#[cfg(test)]
mod tests;
