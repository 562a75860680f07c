//! How many instances this machine can hold, and how many there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Resource, getrlimit};

/// Mappings that an instance of one place costs, rounded up: its memory, its tables and its image.
const MAPPINGS_PER_INSTANCE: u64 = 6;

/// Mappings that the rest of the process is left with, in per cent of the machine's limit.
const MAPPINGS_LEFT_PERCENT: u64 = 50;

/// The kernel's default for `vm.max_map_count`, where that can't be read.
const MAP_COUNT_DEFAULT: u64 = 65_530;

/// Counts the places that instances take in the pool against their bound. Each instance holds a [`Permit`] while it
/// exists.
#[derive(Debug)]
pub(super) struct InstanceLimits {
    instances_max: u32,
    live: Arc<AtomicU32>,
    /// Bytes of address space that the process may have; none where that is not limited.
    address_space_bytes: Option<u64>,
}

/// The right to one instance; its places are free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    live: Arc<AtomicU32>,
    places: u32,
}

impl InstanceLimits {
    /// At most `wanted` instances, fewer where the kernel allows the process too few mappings for them: past that limit
    /// the process could not even unmap.
    pub(super) fn of_this_machine(wanted: u32) -> Self {
        let map_count = std::fs::read_to_string("/proc/sys/vm/max_map_count")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(MAP_COUNT_DEFAULT);
        let instances_max = within_mappings(wanted, map_count);
        if instances_max < wanted {
            tracing::warn!(wanted, instances_max, map_count, "vm.max_map_count allows fewer policy instances");
        }
        Self { instances_max, live: Arc::default(), address_space_bytes: getrlimit(Resource::As).current }
    }

    #[cfg(test)]
    pub(super) fn with_address_space(self, bytes: u64) -> Self {
        Self { address_space_bytes: Some(bytes), ..self }
    }

    pub(super) fn instances_max(&self) -> u32 {
        self.instances_max
    }

    pub(super) fn instances(&self) -> u32 {
        self.live.load(Ordering::Relaxed)
    }

    /// Whether this much address space can be reserved, with as much left for everything else.
    pub(super) fn has_address_space(&self, bytes: u64) -> bool {
        self.address_space_bytes.is_none_or(|limit| bytes <= limit / 2)
    }

    /// The right to one more instance, which takes `places` places; none past the bound.
    pub(super) fn permit(&self, places: u32) -> Option<Permit> {
        let more = |live: u32| live.checked_add(places).filter(|live| *live <= self.instances_max);
        self.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Permit { live: Arc::clone(&self.live), places })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.live.fetch_sub(self.places, Ordering::Relaxed);
    }
}

fn within_mappings(wanted: u32, map_count: u64) -> u32 {
    let mappings = map_count * (100 - MAPPINGS_LEFT_PERCENT) / 100;
    wanted.min(u32::try_from(mappings / MAPPINGS_PER_INSTANCE).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_map_count_lowers_the_bound() {
        assert_eq!(within_mappings(4096, MAP_COUNT_DEFAULT), 4096);
        assert_eq!(within_mappings(4096, 8_400), 700);
    }

    #[test]
    fn past_the_bound_there_is_no_instance_until_one_goes() {
        let limits = InstanceLimits { instances_max: 3, live: Arc::default(), address_space_bytes: None };
        let first = limits.permit(1).unwrap();
        let second = limits.permit(2).unwrap();
        assert_eq!(limits.instances(), 3);
        assert!(limits.permit(1).is_none());
        drop(first);
        assert!(limits.permit(2).is_none());
        drop(second);
        assert!(limits.permit(3).is_some());
    }
}
