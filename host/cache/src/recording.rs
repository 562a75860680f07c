//! A tenant's traffic as a trace that `sandbar replay` reads.
//!
//! While somebody records, each request that a stored response answered, or that stored one, becomes a row: when, a
//! hash of the key, what its entry weighs, and what fetching it took. Keys are hashed with a salt that is drawn for
//! each recording and never leaves the process, so that nobody can look a key up in a dictionary. A sample takes keys,
//! not requests: all of a key's requests or none.
//!
//! A request never waits for a recording: rows go through a queue of 65,536, and what does not fit is counted as
//! dropped. While nobody records, a request costs one relaxed load.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use sandbar_base::clock::Timestamp;
use sandbar_http::key::KeyHash;

/// How many rows the queue holds between requests and the reader of the recording.
pub const QUEUE_ROWS_MAX: usize = 65_536;

/// A request of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// When it was made, in milliseconds since the recording began.
    pub time_ms: u64,
    /// Salted hash of its key, never 0.
    pub key: u64,
    /// What the entry weighs, without L1's overhead, in bytes.
    pub size_bytes: u64,
    /// How long the response took to fetch, in microseconds.
    pub cost_us: u64,
}

/// Where a tenant's traffic can be recorded; closed while nobody records.
#[derive(Debug, Default)]
pub struct RecordingPoint(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    is_open: AtomicBool,
    session: Mutex<Option<Arc<Session>>>,
}

/// Somebody records this tenant already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this tenant's traffic is being recorded already")]
pub struct Busy;

/// Why a recording can't begin.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The tenant is being recorded already.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The operating system gives no random bytes for the salt.
    #[error("no salt for the keys: {0}")]
    Salt(getrandom::Error),
}

#[derive(Debug)]
struct Session {
    salt: [u8; 32],
    /// A key is recorded if its hash is not above this.
    key_max: u64,
    started: Timestamp,
    rows: mpsc::Sender<Row>,
    dropped: AtomicU64,
}

/// A recording under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Recording {
    switch: Arc<Switch>,
    session: Arc<Session>,
    rows: mpsc::Receiver<Row>,
}

impl RecordingPoint {
    /// Whether somebody records.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.0.is_open.load(Ordering::Relaxed)
    }

    /// Begins to record one key in `sample`.
    ///
    /// # Errors
    /// When somebody records already, or the operating system gives no random bytes for the salt.
    pub fn record(&self, sample: NonZeroU32, now: Timestamp) -> Result<Recording, RecordError> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(RecordError::Salt)?;
        let (sender, rows) = mpsc::channel(QUEUE_ROWS_MAX);
        let key_max = u64::MAX / u64::from(sample.get());
        let session = Arc::new(Session { salt, key_max, started: now, rows: sender, dropped: AtomicU64::new(0) });
        let mut current = self.0.session.lock();
        if current.is_some() {
            return Err(Busy.into());
        }
        *current = Some(Arc::clone(&session));
        self.0.is_open.store(true, Ordering::Relaxed);
        drop(current);
        Ok(Recording { switch: Arc::clone(&self.0), session, rows })
    }

    /// Records a request, if somebody records and the sample takes its key.
    pub fn note(&self, key: KeyHash, size_bytes: u64, cost_us: u64, now: Timestamp) {
        let Some(session) = self.0.session.lock().clone() else { return };
        session.note(key, size_bytes, cost_us, now);
    }
}

impl Session {
    fn note(&self, key: KeyHash, size_bytes: u64, cost_us: u64, now: Timestamp) {
        let key = salted(&self.salt, key);
        if key > self.key_max {
            return;
        }
        let time_ms = now.as_millis().saturating_sub(self.started.as_millis());
        if self.rows.try_send(Row { time_ms, key, size_bytes: size_bytes.max(1), cost_us }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn salted(salt: &[u8; 32], key: KeyHash) -> u64 {
    let hash = blake3::keyed_hash(salt, &key.0.to_le_bytes());
    let mut half = [0; 8];
    half.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(half).max(1)
}

impl Recording {
    /// Waits for rows and moves up to `limit` of them into `rows`.
    pub async fn receive(&mut self, rows: &mut Vec<Row>, limit: usize) {
        self.rows.recv_many(rows, limit).await;
    }

    /// Rows that were dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.session.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.switch.is_open.store(false, Ordering::Relaxed);
        *self.switch.session.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: NonZeroU32 = NonZeroU32::MIN;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn rows(recording: &mut Recording) -> Vec<Row> {
        std::iter::from_fn(|| recording.rows.try_recv().ok()).collect()
    }

    #[test]
    fn a_row_has_its_key_hashed_with_the_recordings_salt() {
        let recording_point = RecordingPoint::default();
        recording_point.note(KeyHash::of("a"), 5, 0, at(0));
        let mut recording = recording_point.record(ALL, at(1_000)).unwrap();
        recording_point.note(KeyHash::of("a"), 5, 70, at(1_020));
        recording_point.note(KeyHash::of("a"), 5, 70, at(1_030));
        let first = rows(&mut recording);
        assert_eq!((first.len(), first[0].time_ms, first[1].time_ms), (2, 20, 30));
        assert_eq!((first[0].size_bytes, first[0].cost_us, first[0].key), (5, 70, first[1].key));
        assert!(matches!(recording_point.record(ALL, at(0)), Err(RecordError::Busy(_))));
        drop(recording);
        assert!(!recording_point.is_open());
        let mut again = recording_point.record(ALL, at(0)).unwrap();
        recording_point.note(KeyHash::of("a"), 5, 0, at(0));
        assert_ne!(rows(&mut again)[0].key, first[0].key, "another recording, another salt");
    }

    #[test]
    fn a_sample_takes_all_of_a_key_or_nothing() {
        let recording_point = RecordingPoint::default();
        let mut recording = recording_point.record(NonZeroU32::new(4).unwrap(), at(0)).unwrap();
        for key in (0..3).flat_map(|_| 0..1_000) {
            recording_point.note(KeyHash::of(&format!("{key}")), 1, 0, at(0));
        }
        let mut counts = std::collections::HashMap::new();
        rows(&mut recording).iter().for_each(|row| *counts.entry(row.key).or_insert(0) += 1);
        assert!((150..350).contains(&counts.len()), "{}", counts.len());
        assert!(counts.values().all(|count| *count == 3));
    }

    #[test]
    fn what_does_not_fit_is_counted_and_holds_nobody_up() {
        let recording_point = RecordingPoint::default();
        let recording = recording_point.record(ALL, at(0)).unwrap();
        (0..QUEUE_ROWS_MAX + 10).for_each(|_| recording_point.note(KeyHash::of("a"), 1, 0, at(0)));
        assert_eq!(recording.dropped(), 10);
    }
}
