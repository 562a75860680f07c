//! `sandbar:policy@0.1.0`, the first release of the contract, but for the role `warming`, which is not served yet.

use sandbar_base::clock::Timestamp;
use sandbar_guest::eviction::Knowledge;
use sandbar_http::key::{Target, TargetPrefix};
use sandbar_http::purge::{Purge, PurgeMode, Scope};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Result, Store};

use super::super::GuestState;
use super::{Configured, Contract, Eviction, Fields, Freshness, Invalidation};
use crate::{freshness, invalidation};

/// How the functions of this version are found.
pub(super) const CONTRACT: Contract = Contract {
    link_log,
    freshness: Some(|compiled, store, instance| {
        Ok(Box::new(FreshnessPolicyIndices::new(&compiled.pre)?.load(store, instance)?))
    }),
    invalidation: Some(|compiled, store, instance| {
        Ok(Box::new(InvalidationPolicyIndices::new(&compiled.pre)?.load(store, instance)?))
    }),
    eviction: Some(|compiled, store, instance| {
        Ok(Box::new(EvictionPolicyIndices::new(&compiled.pre)?.load(store, instance)?))
    }),
};

mod freshness_world {
    wasmtime::component::bindgen!({
        path: "wit/0.1.0",
        world: "freshness-policy",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

mod eviction_world {
    wasmtime::component::bindgen!({
        path: "wit/0.1.0",
        world: "eviction-policy",
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "sandbar:policy/log": super::freshness_world::sandbar::policy::log },
    });
}

mod invalidation_world {
    wasmtime::component::bindgen!({
        path: "wit/0.1.0",
        world: "invalidation-policy",
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "sandbar:policy/log": super::freshness_world::sandbar::policy::log },
    });
}

use eviction_world::exports::sandbar::policy::eviction as e;
use eviction_world::{EvictionPolicy, EvictionPolicyIndices};
use freshness_world::exports::sandbar::policy::freshness as f;
use freshness_world::sandbar::policy::log;
use freshness_world::{FreshnessPolicy, FreshnessPolicyIndices};
use invalidation_world::exports::sandbar::policy::invalidation as i;
use invalidation_world::{InvalidationPolicy, InvalidationPolicyIndices};

/// Makes the log callable.
fn link_log(linker: &mut Linker<GuestState>) -> Result<()> {
    log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl log::Host for GuestState {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => tracing::Level::DEBUG,
            log::Level::Info => tracing::Level::INFO,
            log::Level::Warn => tracing::Level::WARN,
            log::Level::Error => tracing::Level::ERROR,
        };
        self.log(level, &message);
    }
}

impl Eviction for EvictionPolicy {
    fn configure(
        &self,
        store: &mut Store<GuestState>,
        settings: &str,
        capacity_bytes: u64,
        seed: u64,
    ) -> Result<Configured<()>> {
        self.sandbar_policy_eviction().call_configure(store, settings, capacity_bytes, seed)
    }

    fn advance(
        &self,
        store: &mut Store<GuestState>,
        now_ms: u64,
        events: &[u64],
        reclaim_bytes: u64,
    ) -> Result<Vec<u32>> {
        self.sandbar_policy_eviction().call_advance(store, now_ms, events, reclaim_bytes)
    }

    fn order(&self, store: &mut Store<GuestState>, after: Option<u32>, limit: u32) -> Result<Vec<u32>> {
        self.sandbar_policy_eviction().call_order(store, after.unwrap_or(u32::MAX), limit)
    }

    fn hand_over(&self, store: &mut Store<GuestState>) -> Result<Knowledge> {
        let e::KnowledgeResult { reads, ghosts, private } = self.sandbar_policy_eviction().call_hand_over(store)?;
        Ok(Knowledge::unpack(reads, &ghosts, private))
    }

    fn take_over(&self, store: &mut Store<GuestState>, predecessor: &Knowledge) -> Result<()> {
        let (reads, private) = (predecessor.reads.as_slice(), predecessor.private.as_slice());
        let ghosts = predecessor.packed_ghosts();
        let predecessor = e::KnowledgeParam { reads, ghosts: &ghosts, private };
        self.sandbar_policy_eviction().call_take_over(store, predecessor)
    }
}

impl Freshness for FreshnessPolicy {
    fn configure(&self, store: &mut Store<GuestState>, settings: &str, seed: u64) -> Result<Configured<Vec<String>>> {
        self.sandbar_policy_freshness().call_configure(store, settings, seed)
    }

    fn plan(
        &self,
        store: &mut Store<GuestState>,
        now: Timestamp,
        fill: &freshness::Fill<'_>,
        fields: (&Fields<'_>, &Fields<'_>),
        standard: &freshness::Plan,
    ) -> Result<freshness::Plan> {
        let request = f::Request {
            method: fill.method.as_str(),
            site: fill.site,
            target: fill.target,
            class: fill.class,
            fields: fields.0,
        };
        let response = f::Response {
            status: fill.status.as_u16(),
            body_bytes: fill.body_bytes,
            fetch_ms: u32::try_from(fill.fetch_time.as_millis()).unwrap_or(u32::MAX),
            fields: fields.1,
        };
        let keys: Vec<&str> = standard.surrogate_keys.iter().map(String::as_str).collect();
        let standard = f::PlanParam {
            tiers: tiers(standard),
            freshness_lifetime_ms: standard.freshness_lifetime_ms,
            stale_while_revalidate_ms: standard.stale_while_revalidate_ms,
            stale_if_error_ms: standard.stale_if_error_ms,
            early_refresh: lowered(standard.early_refresh),
            surrogate_keys: &keys,
        };
        let plan = self.sandbar_policy_freshness().call_amend(store, now.as_millis(), request, response, standard)?;
        Ok(freshness::Plan {
            l1: plan.tiers.contains(f::Tiers::L1),
            l2: plan.tiers.contains(f::Tiers::L2),
            freshness_lifetime_ms: plan.freshness_lifetime_ms,
            stale_while_revalidate_ms: plan.stale_while_revalidate_ms,
            stale_if_error_ms: plan.stale_if_error_ms,
            early_refresh: lifted(plan.early_refresh),
            surrogate_keys: plan.surrogate_keys,
        })
    }
}

fn tiers(plan: &freshness::Plan) -> f::Tiers {
    let tier = |may: bool, tier| if may { tier } else { f::Tiers::empty() };
    tier(plan.l1, f::Tiers::L1) | tier(plan.l2, f::Tiers::L2)
}

fn lowered(early_refresh: freshness::EarlyRefresh) -> f::EarlyRefresh {
    match early_refresh {
        freshness::EarlyRefresh::Never => f::EarlyRefresh::Never,
        freshness::EarlyRefresh::Window { window_ms, odds_ppm } => {
            f::EarlyRefresh::Window(f::RefreshWindow { window_ms, odds_ppm })
        }
        freshness::EarlyRefresh::Xfetch { fetch_ms, beta_milli } => {
            f::EarlyRefresh::Xfetch(f::Xfetch { fetch_ms, beta_milli })
        }
    }
}

fn lifted(early_refresh: f::EarlyRefresh) -> freshness::EarlyRefresh {
    match early_refresh {
        f::EarlyRefresh::Never => freshness::EarlyRefresh::Never,
        f::EarlyRefresh::Window(f::RefreshWindow { window_ms, odds_ppm }) => {
            freshness::EarlyRefresh::Window { window_ms, odds_ppm }
        }
        f::EarlyRefresh::Xfetch(f::Xfetch { fetch_ms, beta_milli }) => {
            freshness::EarlyRefresh::Xfetch { fetch_ms, beta_milli }
        }
    }
}

impl Invalidation for InvalidationPolicy {
    fn configure(&self, store: &mut Store<GuestState>, settings: &str, seed: u64) -> Result<Configured<Vec<String>>> {
        self.sandbar_policy_invalidation().call_configure(store, settings, seed)
    }

    fn purges(
        &self,
        store: &mut Store<GuestState>,
        now: Timestamp,
        written: &invalidation::Written<'_>,
        fields: &Fields<'_>,
    ) -> Result<Vec<Option<Purge>>> {
        let named = |purge| purge_of(purge, written);
        let written = i::Written {
            method: written.method.as_str(),
            site: written.site,
            target: written.target,
            status: written.status.as_u16(),
            fields,
        };
        let purges = self.sandbar_policy_invalidation().call_purges(store, now.as_millis(), written)?;
        Ok(purges.into_iter().map(named).collect())
    }

    fn event_purges(
        &self,
        store: &mut Store<GuestState>,
        now: Timestamp,
        event: &invalidation::Event<'_>,
    ) -> Result<Vec<Option<Purge>>> {
        let told = i::Event { topic: event.topic, payload: event.payload };
        let purges = self.sandbar_policy_invalidation().call_event_purges(store, now.as_millis(), told)?;
        Ok(purges.into_iter().map(|purge| event_purge_of(purge, event)).collect())
    }
}

/// The purge that a guest named because of an event; none where its text is no URL.
fn event_purge_of(purge: i::Purge, event: &invalidation::Event<'_>) -> Option<Purge> {
    let scope = match purge.scope {
        i::Scope::Target(url) => Scope::Target(Target::of_url(event.key, &url).ok()?),
        i::Scope::Prefix(path) if path.starts_with('/') => Scope::Prefix(TargetPrefix::new(None, &path).ok()?),
        i::Scope::Prefix(url) => Scope::Prefix(TargetPrefix::of_url(&url).ok()?),
        i::Scope::SurrogateKey(key) => Scope::SurrogateKey(key),
        i::Scope::Everything => Scope::Everything,
    };
    Some(Purge { scope, mode: mode_of(purge.mode) })
}

fn mode_of(mode: i::Mode) -> PurgeMode {
    match mode {
        i::Mode::Hard => PurgeMode::Hard,
        i::Mode::Soft => PurgeMode::Soft,
    }
}

/// The purge that a guest named; none where its text is no target.
fn purge_of(purge: i::Purge, written: &invalidation::Written<'_>) -> Option<Purge> {
    let scope = match purge.scope {
        i::Scope::Target(target) => Scope::Target(Target::on_site(written.key, written.site, &target).ok()?),
        i::Scope::Prefix(prefix) => Scope::Prefix(TargetPrefix::new(Some(written.site), &prefix).ok()?),
        i::Scope::SurrogateKey(key) => Scope::SurrogateKey(key),
        i::Scope::Everything => Scope::Everything,
    };
    Some(Purge { scope, mode: mode_of(purge.mode) })
}
