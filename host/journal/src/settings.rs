//! The bounds of a journal.

use std::time::Duration;

/// The bounds of a journal. Bytes are those of a write's record: its content, its key and some 60 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A file is closed, and the next one begun, once it has so many bytes.
    pub segment_bytes: u32,
    /// Bytes that one `fsync` covers at most; one write is always taken, whatever its size.
    pub batch_bytes: u32,
    /// Bytes of one write at most.
    pub write_bytes_max: u32,
    /// Bytes that wait in memory for the disk at most. Past that [`append`](crate::Journal::append) is refused.
    pub queued_bytes_max: u64,
    /// Bytes of all writes that are held, dead letters included. The files take at most twice that and four segments.
    pub bytes_max: u64,
    /// How many writes are held at most, dead letters included: each takes
    /// [`WRITE_OVERHEAD_BYTES`](crate::WRITE_OVERHEAD_BYTES) of memory.
    pub writes_max: usize,
    /// Bytes of writes that are kept in memory as well, so that handing them out and reading them asks no disk.
    pub held_bytes_max: u64,
    /// The bounds of each tenant that [`bound_tenant`](crate::Journal::bound_tenant) gave no others.
    pub tenant: TenantBounds,
    /// For how long to wait where the disk does not keep up, or refuses.
    pub retry_after_busy: Duration,
    /// For how long to wait where the journal is full: until the origin has taken some of it.
    pub retry_after_full: Duration,
}

/// The bounds of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantBounds {
    /// Bytes of the tenant's writes, dead letters included. Once half of them are used, one client has an eighth at most.
    pub bytes_max: u64,
    /// How many writes of the tenant are held at most, dead letters included. Once there are half as many, one client has
    /// an eighth at most.
    pub writes_max: usize,
    /// Bytes of the tenant's dead letters. Once there are so many, its new writes are refused until some are retried or
    /// dropped; a write that can't be delivered becomes a dead letter all the same, since `bytes_max` counts it
    /// already.
    pub dead_bytes_max: u64,
    /// How many dead letters the tenant has at most, in the same way.
    pub dead_writes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            batch_bytes: 4 << 20,
            write_bytes_max: 8 << 20,
            queued_bytes_max: 32 << 20,
            bytes_max: 1 << 30,
            writes_max: 500_000,
            held_bytes_max: 64 << 20,
            tenant: TenantBounds::default(),
            retry_after_busy: Duration::from_secs(1),
            retry_after_full: Duration::from_secs(10),
        }
    }
}

impl Default for TenantBounds {
    fn default() -> Self {
        Self { bytes_max: 256 << 20, writes_max: 125_000, dead_bytes_max: 64 << 20, dead_writes_max: 31_250 }
    }
}

impl Settings {
    /// Says which bound makes no sense, and what to do about it.
    pub(crate) fn check(&self) -> Result<(), String> {
        const LARGEST: u32 = 1 << 30;
        for (name, value) in [
            ("segment_bytes", self.segment_bytes),
            ("batch_bytes", self.batch_bytes),
            ("write_bytes_max", self.write_bytes_max),
        ] {
            if !(512..=LARGEST).contains(&value) {
                return Err(format!("{name} is {value}: give from 512 bytes to 1 GiB"));
            }
        }
        if u64::from(self.write_bytes_max) > self.bytes_max.min(self.queued_bytes_max) {
            let (write, all, queued) = (self.write_bytes_max, self.bytes_max, self.queued_bytes_max);
            return Err(format!(
                "write_bytes_max ({write}) is more than bytes_max ({all}) or queued_bytes_max ({queued}): lower it, \
                 or raise these"
            ));
        }
        if self.writes_max == 0 {
            return Err("writes_max is 0: give one write at least".into());
        }
        Ok(())
    }
}
