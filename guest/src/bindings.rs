//! The exports of a component, generated from the contract, and their translation into the traits of the roles.
#![allow(unsafe_code, missing_docs, unreachable_pub, reason = "generated")]

use std::marker::PhantomData;

use crate::log::Level;
use crate::panics;

/// Where a component keeps the instance of one of its policies.
pub trait Home {
    type Policy;

    fn keep(policy: Self::Policy);

    fn with<R>(ask: impl FnOnce(&mut Self::Policy) -> R) -> R;
}

pub struct FreshnessOf<H>(PhantomData<H>);
pub struct EvictionOf<H>(PhantomData<H>);
pub struct InvalidationOf<H>(PhantomData<H>);
pub struct WarmingOf<H>(PhantomData<H>);

macro_rules! generate {
    ($role:ident, $world:literal) => {
        pub mod $role {
            wit_bindgen::generate!({
                path: "wit/0.1.0",
                world: $world,
                pub_export_macro: true,
                runtime_path: "::wit_bindgen::rt",
            });
        }
    };
}
generate!(freshness, "freshness-policy");
generate!(eviction, "eviction-policy");
generate!(invalidation, "invalidation-policy");
generate!(warming, "warming-policy");

pub fn write(level: Level, message: &str) {
    use freshness::sandbar::policy::log;
    let level = match level {
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::write(level, message);
}

mod freshness_exports {
    use super::freshness::exports::sandbar::policy::freshness as wit;
    use super::{FreshnessOf, Home, panics};
    use crate::freshness::{EarlyRefresh, Freshness, Plan, Request, Response};

    impl<H: Home<Policy: Freshness> + 'static> wit::Guest for FreshnessOf<H> {
        fn configure(settings: String, seed: u64) -> Result<Vec<String>, String> {
            panics::tell_host();
            let policy = H::Policy::configure(&settings, seed)?;
            let fields = policy.fields();
            H::keep(policy);
            Ok(fields)
        }

        fn amend(now_ms: u64, request: wit::Request, response: wit::Response, standard: wit::Plan) -> wit::Plan {
            let wit::Request { method, site, target, class, fields } = request;
            let request = Request { method, site, target, class, fields };
            let wit::Response { status, body_bytes, fetch_ms, fields } = response;
            let response = Response { status, body_bytes, fetch_ms, fields };
            H::with(|policy| policy.plan(now_ms, &request, &response, standard.into())).into()
        }
    }

    impl From<wit::Plan> for Plan {
        fn from(plan: wit::Plan) -> Self {
            Self {
                l1: plan.tiers.bits() & wit::Tiers::L1.bits() != 0,
                l2: plan.tiers.bits() & wit::Tiers::L2.bits() != 0,
                freshness_lifetime_ms: plan.freshness_lifetime_ms,
                stale_while_revalidate_ms: plan.stale_while_revalidate_ms,
                stale_if_error_ms: plan.stale_if_error_ms,
                early_refresh: match plan.early_refresh {
                    wit::EarlyRefresh::Never => EarlyRefresh::Never,
                    wit::EarlyRefresh::Window(wit::RefreshWindow { window_ms, odds_ppm }) => {
                        EarlyRefresh::Window { window_ms, odds_ppm }
                    }
                    wit::EarlyRefresh::Xfetch(wit::Xfetch { fetch_ms, beta_milli }) => {
                        EarlyRefresh::Xfetch { fetch_ms, beta_milli }
                    }
                },
                surrogate_keys: plan.surrogate_keys,
            }
        }
    }

    impl From<Plan> for wit::Plan {
        fn from(plan: Plan) -> Self {
            let tier = |may: bool, tier| if may { tier } else { wit::Tiers::empty() };
            Self {
                tiers: tier(plan.l1, wit::Tiers::L1) | tier(plan.l2, wit::Tiers::L2),
                freshness_lifetime_ms: plan.freshness_lifetime_ms,
                stale_while_revalidate_ms: plan.stale_while_revalidate_ms,
                stale_if_error_ms: plan.stale_if_error_ms,
                early_refresh: match plan.early_refresh {
                    EarlyRefresh::Never => wit::EarlyRefresh::Never,
                    EarlyRefresh::Window { window_ms, odds_ppm } => {
                        wit::EarlyRefresh::Window(wit::RefreshWindow { window_ms, odds_ppm })
                    }
                    EarlyRefresh::Xfetch { fetch_ms, beta_milli } => {
                        wit::EarlyRefresh::Xfetch(wit::Xfetch { fetch_ms, beta_milli })
                    }
                },
                surrogate_keys: plan.surrogate_keys,
            }
        }
    }
}

mod eviction_exports {
    use super::eviction::exports::sandbar::policy::eviction as wit;
    use super::{EvictionOf, Home, panics};
    use crate::eviction::{Eviction, Knowledge, advance};

    impl<H: Home<Policy: Eviction> + 'static> wit::Guest for EvictionOf<H> {
        fn configure(settings: String, capacity_bytes: u64, seed: u64) -> Result<(), String> {
            panics::tell_host();
            H::Policy::configure(&settings, capacity_bytes, seed).map(H::keep)
        }

        fn advance(now_ms: u64, events: Vec<u64>, reclaim_bytes: u64) -> Vec<u32> {
            let mut victims = Vec::new();
            H::with(|policy| advance(policy, now_ms, &events, reclaim_bytes, &mut victims));
            victims
        }

        fn order(after: u32, limit: u32) -> Vec<u32> {
            H::with(|policy| policy.order((after != u32::MAX).then_some(after), limit))
        }

        fn hand_over() -> wit::Knowledge {
            let knowledge = H::with(|policy| policy.hand_over()).bounded();
            let ghosts = knowledge.packed_ghosts();
            let Knowledge { reads, private, .. } = knowledge;
            wit::Knowledge { reads, ghosts, private }
        }

        fn take_over(predecessor: wit::Knowledge) {
            let wit::Knowledge { reads, ghosts, private } = predecessor;
            let knowledge = Knowledge::unpack(reads, &ghosts, private);
            H::with(|policy| policy.take_over(&knowledge));
        }
    }
}

mod invalidation_exports {
    use super::invalidation::exports::sandbar::policy::invalidation as wit;
    use super::{Home, InvalidationOf, panics};
    use crate::invalidation::{Event, Invalidation, Purge, Scope, Written};

    impl<H: Home<Policy: Invalidation> + 'static> wit::Guest for InvalidationOf<H> {
        fn configure(settings: String, seed: u64) -> Result<Vec<String>, String> {
            panics::tell_host();
            let policy = H::Policy::configure(&settings, seed)?;
            let fields = policy.fields();
            H::keep(policy);
            Ok(fields)
        }

        fn purges(now_ms: u64, written: wit::Written) -> Vec<wit::Purge> {
            let wit::Written { method, site, target, status, fields } = written;
            let written = Written { method, site, target, status, fields };
            H::with(|policy| policy.purges(now_ms, &written)).into_iter().map(Into::into).collect()
        }

        fn event_purges(now_ms: u64, event: wit::Event) -> Vec<wit::Purge> {
            let wit::Event { topic, payload } = event;
            let event = Event { topic, payload };
            H::with(|policy| policy.event_purges(now_ms, &event)).into_iter().map(Into::into).collect()
        }
    }

    impl From<Purge> for wit::Purge {
        fn from(purge: Purge) -> Self {
            let scope = match purge.scope {
                Scope::Target(target) => wit::Scope::Target(target),
                Scope::Prefix(prefix) => wit::Scope::Prefix(prefix),
                Scope::SurrogateKey(key) => wit::Scope::SurrogateKey(key),
                Scope::Everything => wit::Scope::Everything,
            };
            Self { scope, mode: if purge.soft { wit::Mode::Soft } else { wit::Mode::Hard } }
        }
    }
}

mod warming_exports {
    use super::warming::exports::sandbar::policy::warming as wit;
    use super::{Home, WarmingOf, panics};
    use crate::warming::{Used, Wanted, Warming};

    impl<H: Home<Policy: Warming> + 'static> wit::Guest for WarmingOf<H> {
        fn configure(settings: String, seed: u64) -> Result<(), String> {
            panics::tell_host();
            H::Policy::configure(&settings, seed).map(H::keep)
        }

        fn wanted(now_ms: u64, usage: Vec<wit::Used>, limit: u32) -> Vec<wit::Want> {
            let usage: Vec<_> = usage.into_iter().map(Used::from).collect();
            H::with(|policy| policy.wanted(now_ms, &usage, limit)).into_iter().map(Into::into).collect()
        }
    }

    impl From<wit::Used> for Used {
        fn from(used: wit::Used) -> Self {
            let wit::Used { site, target, requests, last_ms, fetch_cost_us, body_bytes, expires_ms } = used;
            Self { site, target, requests, last_ms, fetch_cost_us, body_bytes, expires_ms }
        }
    }

    impl From<Wanted> for wit::Want {
        fn from(wanted: Wanted) -> Self {
            Self { site: wanted.site, target: wanted.target }
        }
    }
}
