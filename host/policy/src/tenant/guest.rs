//! Compiles a component and opens it as a policy of its role.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use sandbar_base::panic_text;

use super::TenantPolicies;
use super::bound::Answer;
use crate::engine::Maker;
use crate::guest::{EvictionGuest, FreshnessGuest, InvalidationGuest};
use crate::ledger::Ledger;
use crate::{BindError, Digest, GuestText, Role};

impl TenantPolicies {
    pub(super) fn guest(
        &self,
        (bytes, is_stock): (&[u8], bool),
        role: Role,
        settings: String,
        ledger: &Arc<Ledger>,
    ) -> Result<(Answer, Digest), BindError> {
        let engine = self.engine.clone().ok_or(BindError::NoEngine)?;
        let seed = seed(&self.tenant, role);
        caught(|| {
            let compiled = engine.compile(bytes, role)?;
            let digest = compiled.checked.digest;
            let maker = Maker { engine, compiled, ledger: Arc::clone(ledger) };
            let answer = match role {
                Role::Freshness => Answer::Freshness(Box::new(FreshnessGuest::open(maker, settings, seed)?)),
                Role::Eviction => Answer::Eviction(Arc::new(EvictionGuest::open(maker, settings, is_stock)?)),
                Role::Invalidation => Answer::Invalidation(Box::new(InvalidationGuest::open(maker, settings, seed)?)),
                Role::Warming => return Err(BindError::NotServed(role)),
            };
            Ok((answer, digest))
        })
    }
}

/// Runs the work in which a component alone can make the host panic: compiling, linking and the first instance. A panic
/// there is a refusal of the component, and has no other effect: what the work has made until then is dropped.
fn caught<T>(work: impl FnOnce() -> Result<T, BindError>) -> Result<T, BindError> {
    let done = std::panic::catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|panic| Err(BindError::Panicked(panicked(&*panic))))
}

/// The message of a panic.
fn panicked(panic: &(dyn Any + Send)) -> GuestText {
    panic_text(panic).unwrap_or("it panicked").into()
}

/// The seed of a guest: the same each time a policy is bound to this role of this tenant.
fn seed(tenant: &str, role: Role) -> u64 {
    let digest = Digest::of(format!("{tenant}\0{role}").as_bytes());
    digest.0.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_compiler_is_a_refusal() {
        let refused = caught::<()>(|| panic!("invalid adapter module {}", 7)).unwrap_err();
        assert_eq!(refused.to_string(), "the host failed on it: invalid adapter module 7");
        assert!(refused.is_tenants());
        assert!(caught(|| Ok(())).is_ok());
    }
}
