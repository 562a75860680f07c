use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const LATER: Timestamp = Timestamp::from_millis(2_000_000);
const SEGMENT_BYTES: u64 = 64 << 10;
const CAPACITY_BYTES: u64 = 1 << 20;

fn open(dir: &Path, now: Timestamp) -> (Log, Arc<Index>) {
    let index = Arc::new(Index::default());
    let limits = LogLimits {
        dir: dir.to_owned(),
        capacity_bytes: CAPACITY_BYTES,
        segment_bytes: SEGMENT_BYTES,
        entries_max: 10_000,
    };
    (Log::open(limits, Arc::clone(&index), Arc::default(), now).unwrap(), index)
}

fn key(n: u64) -> KeyHash {
    KeyHash(u128::from(n))
}

fn value(n: u64, bytes: usize) -> Vec<u8> {
    n.to_le_bytes().iter().copied().cycle().take(bytes).collect()
}

fn read(index: &Index, n: u64, now: Timestamp) -> Option<Vec<u8>> {
    let (segment, place) = index.find(key(n), now)?;
    segment.value(u64::from(place.offset), place.value_bytes).ok()
}

/// As `du -B1` counts.
fn du(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let own = std::fs::metadata(dir).unwrap().blocks();
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().metadata().unwrap().blocks());
    (own + files.sum::<u64>()) * 512
}

#[test]
fn bound_holds_after_ten_times_as_much_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, index) = open(dir.path(), NOW);
    let (mut written, mut n) = (0, 0);
    while written < 10 * CAPACITY_BYTES {
        let bytes = 1 + (n * 7919 % 9000) as usize;
        log.put(key(n), &value(n, bytes), LATER, NOW).unwrap();
        written += bytes as u64;
        n += 1;
        assert!(du(dir.path()) <= CAPACITY_BYTES, "{} bytes on disk", du(dir.path()));
    }
    assert!(du(dir.path()) > CAPACITY_BYTES * 3 / 4, "room is used: {}", du(dir.path()));
    assert!(read(&index, n - 1, NOW).is_some() && read(&index, 0, NOW).is_none());
}

#[test]
fn what_is_read_outlives_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, index) = open(dir.path(), NOW);
    for n in 0..2000 {
        log.put(key(n), &value(n, 4000), LATER, NOW).unwrap();
        assert_eq!(read(&index, 0, NOW), Some(value(0, 4000)), "after {n} puts");
    }
    assert!(log.gauges.kept_again.load(Ordering::Relaxed) > 0);
    assert_eq!(read(&index, 1, NOW), None);
}

#[test]
fn expired_values_are_not_answered_and_their_segments_go() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, index) = open(dir.path(), NOW);
    for n in 0..100 {
        log.put(key(n), &value(n, 4000), LATER, NOW).unwrap();
    }
    assert_eq!(read(&index, 5, LATER), None);
    log.tidy(LATER).unwrap();
    assert_eq!(log.segments.len(), 1);
    drop(log);
    assert_eq!(open(dir.path(), LATER).1.len(), 0);
}

#[test]
fn newest_value_and_removals_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path(), NOW);
    log.put(key(1), b"old", LATER, NOW).unwrap();
    log.put(key(2), b"removed", LATER, NOW).unwrap();
    log.put(key(1), b"new", LATER, NOW).unwrap();
    log.remove(key(2), NOW).unwrap();
    log.put(key(3), b"short-lived", NOW.saturating_add(std::time::Duration::from_secs(1)), NOW).unwrap();
    drop(log);
    let (mut log, index) = open(dir.path(), NOW.saturating_add(std::time::Duration::from_secs(2)));
    assert_eq!(read(&index, 1, NOW).as_deref(), Some(&b"new"[..]));
    assert_eq!((read(&index, 2, NOW), read(&index, 3, NOW)), (None, None));
    log.put(key(4), b"goes on", LATER, NOW).unwrap();
    assert_eq!(log.segments.len(), 1, "the last segment is continued");
}

#[test]
fn torn_write_costs_the_torn_record_alone_at_every_offset() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path(), NOW);
    for n in 0..3 {
        log.put(key(n), &value(n, 60), LATER, NOW).unwrap();
    }
    let path = dir.path().join(format!("{:016x}.seg", 0));
    drop(log);
    let whole = std::fs::read(&path).unwrap();
    let record_bytes = 60 + HEADER_BYTES as usize;
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let (mut log, index) = open(dir.path(), NOW);
        assert_eq!(index.len(), cut / record_bytes, "cut at {cut}");
        log.put(key(99), b"next", LATER, NOW).unwrap();
        drop(log);
        let (_, index) = open(dir.path(), NOW);
        assert_eq!(index.len(), cut / record_bytes + 1, "what is written after a torn record is found again");
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn value_larger_than_a_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, index) = open(dir.path(), NOW);
    let error = log.put(key(1), &vec![0; SEGMENT_BYTES as usize], LATER, NOW).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(index.len(), 0);
}

#[test]
fn number_of_entries_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, index) = open(dir.path(), NOW);
    log.limits.entries_max = 100;
    for n in 0..5000 {
        log.put(key(n), b"small", LATER, NOW).unwrap();
        assert!(index.len() <= 100);
    }
    assert!(read(&index, 4999, NOW).is_some());
    for _ in 0..5000 {
        log.put(key(4999), b"small", LATER, NOW).unwrap();
        assert!(log.records() <= 201, "{} keys are in memory", log.records());
    }
    assert!(read(&index, 4999, NOW).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is damaged, the log opens, goes on working, and answers nothing that was never written.
    #[test]
    fn damage_anywhere_is_survived(damage in prop::collection::vec((0..20_000_u64, any::<u8>()), 1..20), cut in 0..20_000_u64) {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path(), NOW);
        for n in 0..100 {
            log.put(key(n), &value(n, 150), LATER, NOW).unwrap();
        }
        drop(log);
        let file = OpenOptions::new().write(true).open(dir.path().join(format!("{:016x}.seg", 0))).unwrap();
        for (at, byte) in damage {
            file.write_all_at(&[byte], at).unwrap();
        }
        file.set_len(cut).unwrap();
        let (mut log, index) = open(dir.path(), NOW);
        for n in 0..100 {
            // A damaged value is found out by its own checksum, one level up; here its length must be right.
            prop_assert!(read(&index, n, NOW).is_none_or(|found| found.len() == 150));
        }
        log.put(key(500), b"goes on", LATER, NOW).unwrap();
        prop_assert_eq!(read(&index, 500, NOW), Some(b"goes on".to_vec()));
    }
}
