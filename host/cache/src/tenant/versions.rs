//! The newest versions that a node knows of, for one tenant: older ones are neither stored nor served.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandbar_http::entry::Version;
use sandbar_http::key::KeyHash;

/// Keys whose newest version is remembered; the least recently used are forgotten first. Their versions are still
/// compared in L2.
const KEYS_MAX: u64 = 65_536;
/// A version that was not heard of for so long is forgotten.
const IDLE: Duration = Duration::from_secs(3600);

/// A version, and the purge sequence that it was fetched under: after a purge above that, the version does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The newest version that is known.
    pub version: Version,
    /// The purge sequence that the version was fetched under.
    pub sequence: u64,
}

/// The newest versions, and the clock that orders fills.
pub struct Versions {
    seen_us: AtomicU64,
    newest: mini_moka::sync::Cache<KeyHash, Known>,
}

impl Default for Versions {
    fn default() -> Self {
        let newest = mini_moka::sync::Cache::builder().max_capacity(KEYS_MAX).time_to_idle(IDLE).build();
        Self { seen_us: AtomicU64::new(0), newest }
    }
}

impl Versions {
    /// What the tenant's hybrid logical clock shows at least for a fill that begins now, in microseconds: more than
    /// that of any version that was seen, on whichever node it was made.
    pub fn floor_us(&self) -> u64 {
        self.seen_us.load(Ordering::Acquire).saturating_add(1)
    }

    /// Notes the clock of a version that was seen.
    pub fn saw(&self, clock_us: u64) {
        self.seen_us.fetch_max(clock_us, Ordering::AcqRel);
    }

    /// Notes a version that was stored or heard of, unless a newer one is known. Known versions that were fetched below
    /// `barrier`, the highest hard barrier over the key, do not count.
    pub fn learn(&self, key: KeyHash, known: Known, barrier: u64) {
        self.saw(known.version.clock_us);
        if !self.is_outdated(key, known.version, barrier) {
            self.newest.insert(key, known);
        }
    }

    /// Whether a newer version is known that was not fetched below `barrier`.
    pub fn is_outdated(&self, key: KeyHash, version: Version, barrier: u64) -> bool {
        self.newest.get(&key).is_some_and(|known| known.version > version && known.sequence >= barrier)
    }
}

impl std::fmt::Debug for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Versions").field("seen_us", &self.seen_us).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyHash = KeyHash(7);

    fn version(number: u64) -> Version {
        Version { number, clock_us: 0 }
    }

    #[test]
    fn newest_version_counts_until_a_purge_forgets_it() {
        let versions = Versions::default();
        assert!(!versions.is_outdated(KEY, version(0), 0));
        versions.learn(KEY, Known { version: version(5), sequence: 10 }, 0);
        versions.learn(KEY, Known { version: version(4), sequence: 11 }, 0);
        assert!(versions.is_outdated(KEY, version(4), 0) && versions.is_outdated(KEY, version(4), 10));
        assert!(!versions.is_outdated(KEY, version(5), 0));
        assert!(!versions.is_outdated(KEY, version(4), 11), "the purge 11 has forgotten it");
        versions.learn(KEY, Known { version: version(2), sequence: 11 }, 11);
        assert!(versions.is_outdated(KEY, version(1), 11) && !versions.is_outdated(KEY, version(2), 11));
    }

    #[test]
    fn clock_is_above_every_version_that_was_seen() {
        let versions = Versions::default();
        versions.learn(KEY, Known { version: Version { number: 0, clock_us: 500 }, sequence: 0 }, 0);
        versions.saw(400);
        assert_eq!(versions.floor_us(), 501);
    }
}
