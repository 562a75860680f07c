//! `[journal]`: writes that are held until their origin has them (write-behind).

use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbar::owed::{OwedSettings, Settings, TenantBounds};
use sandbar::setting::{Count, DAY, GIB, HOUR, KIB, MIB, MINUTE, MS, SECOND, Size, Span};
use serde::{Deserialize, Serialize};

/// `[journal]`: the journal of held writes. It is opened where a class of some tenant has `strategy = "write-behind"`, or where there
/// is one already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Its directory, which no other process uses. Default: `journal` in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Bytes of all writes that are held, dead letters included. The files take at most twice that and 64 MiB. Default 256 MiB.
    pub capacity: Size<MIB, { 1 << 50 }>,
    /// Bytes that one tenant's writes may take of it. Default 64 MiB.
    pub tenant_capacity: Size<MIB, { 1 << 50 }>,
    /// Bytes of a tenant's dead letters; while there are more, nothing more of the tenant is held. Default 16 MiB.
    pub dead_capacity: Size<0, { 1 << 50 }>,
    /// A write with more goes to the origin first. Default 1 MiB.
    pub write_max: Size<KIB, { 256 * MIB }>,
    /// Writes that are held at most: each takes 600 bytes of memory. Of them a tenant has the part that `tenant_capacity` and
    /// `dead_capacity` are of `capacity`. Default 20,000.
    pub writes_max: Count<1, 10_000_000>,
    /// Bytes of writes that are in memory too, so that delivering and reading them asks no disk; as much again may wait for the
    /// disk. Default 8 MiB.
    pub memory: Size<MIB, { 64 * GIB }>,
    /// Writes of one tenant that are under way to its origin at once. Default 4.
    pub in_flight: Count<1, 1024>,
    /// For how long a write waits for others at most, so that a later one of its target can take its place. Default 0.
    pub delay: Span<0, HOUR>,
    /// The pause after the first attempt that failed, which doubles with each. Default 500 ms.
    pub retry_first: Span<MS, HOUR>,
    /// The longest pause. Default 1 minute.
    pub retry_max: Span<MS, HOUR>,
    /// For how long a write is tried; then it is a dead letter. Default 3 days.
    pub retry_for: Span<SECOND, { 365 * DAY }>,
    /// For how long a gateway that stops goes on delivering, within `limits.grace`. Default 2 s.
    pub drain: Span<0, MINUTE>,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            path: None,
            capacity: Size::of(256 * MIB),
            tenant_capacity: Size::of(64 * MIB),
            dead_capacity: Size::of(16 * MIB),
            write_max: Size::of(MIB),
            writes_max: Count::of(20_000),
            memory: Size::of(8 * MIB),
            in_flight: Count::of(4),
            delay: Span::of(Duration::ZERO),
            retry_first: Span::of(Duration::from_millis(500)),
            retry_max: Span::of(Duration::from_secs(60)),
            retry_for: Span::of(Duration::from_secs(3 * 24 * 3600)),
            drain: Span::of(Duration::from_secs(2)),
        }
    }
}

impl JournalConfig {
    /// Its directory.
    pub fn dir(&self, data_dir: &Path) -> PathBuf {
        self.path.clone().unwrap_or_else(|| data_dir.join("journal"))
    }

    /// What the cache is given.
    pub fn settings(&self, data_dir: &Path) -> OwedSettings {
        // A record holds some bytes beside the content, and a head of its own.
        let write_bytes_max = u32::try_from(self.write_max.bytes() + 128 * KIB).unwrap_or(u32::MAX);
        let queued = self.memory.bytes().max(u64::from(write_bytes_max));
        // A tenant has the same part of the number as it has of the bytes.
        let part = |whole: u64, of: u64| whole.saturating_mul(of) / self.capacity.bytes().max(1);
        let writes = |of: u64| part(self.writes_max.as_usize() as u64, of).clamp(1, self.writes_max.as_usize() as u64);
        let bounds = Settings {
            write_bytes_max,
            queued_bytes_max: queued,
            bytes_max: self.capacity.bytes().max(u64::from(write_bytes_max)),
            writes_max: self.writes_max.as_usize(),
            held_bytes_max: self.memory.bytes(),
            tenant: TenantBounds {
                bytes_max: self.tenant_capacity.bytes(),
                writes_max: usize::try_from(writes(self.tenant_capacity.bytes())).unwrap_or(usize::MAX),
                dead_writes_max: usize::try_from(writes(self.dead_capacity.bytes())).unwrap_or(usize::MAX),
                dead_bytes_max: self.dead_capacity.bytes(),
            },
            ..Settings::default()
        };
        OwedSettings {
            dir: self.dir(data_dir),
            journal: bounds,
            content_bytes_max: self.write_max.bytes(),
            batch: sandbar::owed::Batch { len: self.in_flight.as_usize(), bytes: u64::MAX, age: self.delay.get() },
            backoff: sandbar::owed::Backoff { first: self.retry_first.get(), max: self.retry_max.get() },
            retry_for: self.retry_for.get(),
            drain: self.drain.get(),
        }
    }
}
