//! `sandbar:policy@0.0.9`, a made-up older version of the contract, for tests. The parts of a plan that it does not
//! know are those of the standard plan.

use sandbar_base::clock::Timestamp;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Result, Store};

use super::super::GuestState;
use super::{Configured, Contract, Fields, Freshness};
use crate::freshness::{Fill, Plan};

wasmtime::component::bindgen!({
    path: "tests/wit/0.0.9",
    world: "freshness-policy",
});

use sandbar::policy::log;

/// How the functions of this version are found.
pub(super) const CONTRACT: Contract = Contract {
    link_log,
    freshness: Some(|compiled, store, instance| {
        Ok(Box::new(FreshnessPolicyIndices::new(&compiled.pre)?.load(store, instance)?))
    }),
    invalidation: None,
    eviction: None,
};

fn link_log(linker: &mut Linker<GuestState>) -> Result<()> {
    log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl log::Host for GuestState {
    fn write(&mut self, message: String) {
        self.log(tracing::Level::INFO, &message);
    }
}

impl Freshness for FreshnessPolicy {
    fn configure(&self, store: &mut Store<GuestState>, settings: &str, _seed: u64) -> Result<Configured<Vec<String>>> {
        let taken = self.sandbar_policy_freshness().call_configure(store, settings)?;
        Ok(taken.map(|()| Vec::new()))
    }

    fn plan(
        &self,
        store: &mut Store<GuestState>,
        _now: Timestamp,
        fill: &Fill<'_>,
        _fields: (&Fields<'_>, &Fields<'_>),
        standard: &Plan,
    ) -> Result<Plan> {
        let standard_s = standard.freshness_lifetime_ms / 1000;
        let freshness = self.sandbar_policy_freshness();
        let lifetime_s = freshness.call_lifetime(store, fill.site, fill.target, fill.status.as_u16(), standard_s)?;
        Ok(match lifetime_s {
            Some(lifetime_s) => Plan { freshness_lifetime_ms: lifetime_s.saturating_mul(1000), ..standard.clone() },
            None => Plan { l1: false, l2: false, ..standard.clone() },
        })
    }
}
