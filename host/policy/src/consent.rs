//! Whether something that is being prepared is still wanted when it could be done.
//!
//! Compiling a policy can't be interrupted, and whoever asked for it may give up or go away meanwhile. What comes of it is
//! then thrown away: nothing is bound that somebody was told is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The right to do it: taken by who does it, or withdrawn by who wanted it, whichever comes first.
#[derive(Clone, Debug, Default)]
pub struct Consent(Arc<AtomicU8>);

/// Who wants it; withdraws the consent when it is dropped.
#[derive(Debug)]
pub struct Asker(Consent);

const OPEN: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Consent {
    /// A consent, and who can withdraw it.
    pub fn new() -> (Self, Asker) {
        let consent = Self::default();
        (consent.clone(), Asker(consent))
    }

    /// Takes it, once: from now on it can't be withdrawn. False where it was withdrawn.
    pub fn take(&self) -> bool {
        self.settle(TAKEN)
    }

    fn settle(&self, as_what: u8) -> bool {
        self.0.compare_exchange(OPEN, as_what, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Asker {
    /// Withdraws it. False where it was taken.
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
