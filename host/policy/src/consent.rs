//! Whether a binding that is being prepared is still wanted once it is ready.
//!
//! Compiling a policy can't be interrupted, and the caller who asked for the binding may give up or go away meanwhile.
//! The compiled policy is then thrown away: nothing is bound after the caller was told that it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The right to bind: taken by the task that binds, or withdrawn by the caller who asked for it, whichever comes first.
#[derive(Clone, Debug, Default)]
pub struct Consent(Arc<AtomicU8>);

/// The caller's side of a [`Consent`]: withdraws it when it is dropped.
#[derive(Debug)]
pub struct Asker(Consent);

const OPEN: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Consent {
    /// A consent that is neither taken nor withdrawn, and the caller's side of it.
    pub fn new() -> (Self, Asker) {
        let consent = Self::default();
        (consent.clone(), Asker(consent))
    }

    /// Takes the consent, once: from now on it can't be withdrawn. False where it was withdrawn, or taken before.
    pub fn take(&self) -> bool {
        self.settle(TAKEN)
    }

    fn settle(&self, as_what: u8) -> bool {
        self.0.compare_exchange(OPEN, as_what, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Asker {
    /// Withdraws the consent. False where it was taken, or withdrawn before.
    pub fn withdraw(&self) -> bool {
        self.0.settle(WITHDRAWN)
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_first_decides() {
        let (consent, asker) = Consent::new();
        assert!(consent.take() && !asker.withdraw());
        let (consent, asker) = Consent::new();
        assert!(asker.withdraw() && !consent.take());
    }

    #[test]
    fn who_goes_away_withdraws() {
        let (consent, asker) = Consent::new();
        drop(asker);
        assert!(!consent.take());
    }
}
