//! What checks say of an address.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::config::HealthCheckConfig;

/// What the checks say of an address. It counts as healthy until they say otherwise: a start is no outage.
#[derive(Debug)]
pub(super) struct Health {
    is_healthy: AtomicBool,
    /// Checks in a row that say the opposite.
    contrary: Mutex<u32>,
}

impl Health {
    pub(super) const fn good() -> Self {
        Self { is_healthy: AtomicBool::new(true), contrary: Mutex::new(0) }
    }

    pub(super) fn is_good(&self) -> bool {
        self.is_healthy.load(Ordering::Relaxed)
    }

    /// Notes the result of a check; a change is returned.
    pub(super) fn note(&self, passed: bool, config: &HealthCheckConfig) -> Option<bool> {
        let mut contrary = self.contrary.lock();
        if passed == self.is_good() {
            *contrary = 0;
            return None;
        }
        *contrary += 1;
        let enough = if passed { config.healthy.get() } else { config.unhealthy.get() };
        if *contrary < enough {
            return None;
        }
        *contrary = 0;
        self.is_healthy.store(passed, Ordering::Relaxed);
        Some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_checks_in_a_row_change_the_health() {
        let config = HealthCheckConfig::new("/healthz".parse().expect("a path"));
        let health = Health::good();
        let note = |passed| health.note(passed, &config);
        assert_eq!([false, false, true, false, false, false].map(note), [None, None, None, None, None, Some(false)]);
        assert_eq!([true, false, true, true].map(note), [None, None, None, Some(true)]);
    }
}
