//! The contract between host and guests: one module per released version, which translates between the types of that
//! version and the host's own and decides nothing. A component runs under the version that it was built against for as
//! long as the host speaks that version ([`ContractVersion`]).

#[cfg(test)]
mod tests;
#[cfg(test)]
mod v0_0_9;
mod v0_1_0;

use sandbar_base::clock::Timestamp;
use sandbar_guest::eviction::Knowledge;
use sandbar_http::purge::Purge;
use wasmtime::component::{Instance, Linker};
use wasmtime::{Result, Store};

use super::{Compiled, GuestState};
use crate::{ContractVersion, Role, freshness, invalidation};

/// A guest's answer when it is given its settings: what it wants to be shown, or what is wrong with the settings.
pub(crate) type Configured<T> = std::result::Result<T, String>;
/// Header fields, names in lower case.
pub(crate) type Fields<'a> = [(&'a str, &'a str)];

/// The functions by which the host speaks a version of the contract.
pub(crate) struct Contract {
    /// Makes the version's log callable.
    link_log: fn(&mut Linker<GuestState>) -> Result<()>,
    freshness: Find<dyn Freshness>,
    invalidation: Find<dyn Invalidation>,
    eviction: Find<dyn Eviction>,
}

const fn contract(version: ContractVersion) -> &'static Contract {
    match version {
        ContractVersion::V0_1_0 => &v0_1_0::CONTRACT,
        #[cfg(test)]
        ContractVersion::V0_0_9 => &v0_0_9::CONTRACT,
    }
}

/// Looks up the functions of a role in an instance. None where the version of the contract does not have the role.
type Find<R> = Option<fn(&Compiled, &mut Store<GuestState>, &Instance) -> Result<Box<R>>>;

/// Makes the log of each version callable.
pub(crate) fn link_log(linker: &mut Linker<GuestState>) -> Result<()> {
    ContractVersion::ALL.iter().try_for_each(|version| (contract(*version).link_log)(linker))
}

/// The functions of the role `freshness`, whatever version of the contract the component was built against.
pub(crate) fn freshness(
    compiled: &Compiled,
    store: &mut Store<GuestState>,
    instance: &Instance,
) -> Result<Box<dyn Freshness>> {
    find(compiled, Role::Freshness, |contract| contract.freshness)?(compiled, store, instance)
}

/// The functions of the role `invalidation`, whatever version of the contract the component was built against.
pub(crate) fn invalidation(
    compiled: &Compiled,
    store: &mut Store<GuestState>,
    instance: &Instance,
) -> Result<Box<dyn Invalidation>> {
    find(compiled, Role::Invalidation, |contract| contract.invalidation)?(compiled, store, instance)
}

/// The functions of the role `eviction`, whatever version of the contract the component was built against.
pub(crate) fn eviction(
    compiled: &Compiled,
    store: &mut Store<GuestState>,
    instance: &Instance,
) -> Result<Box<dyn Eviction>> {
    find(compiled, Role::Eviction, |contract| contract.eviction)?(compiled, store, instance)
}

fn find<F>(compiled: &Compiled, role: Role, of: impl Fn(&'static Contract) -> Option<F>) -> Result<F> {
    let version = compiled.checked.contract(role);
    version.map(contract).and_then(of).ok_or_else(|| wasmtime::Error::msg(format!("it does not have the role {role}")))
}

/// The functions of the role `freshness`.
pub(crate) trait Freshness: Send {
    /// Hands the guest its settings and a seed. It answers with the names of the header fields that it wants to see.
    fn configure(&self, store: &mut Store<GuestState>, settings: &str, seed: u64) -> Result<Configured<Vec<String>>>;

    /// Asks for the plan of a response. `fields` are those that the policy wants to see: of the request, of the
    /// response.
    fn plan(
        &self,
        store: &mut Store<GuestState>,
        now: Timestamp,
        fill: &freshness::Fill<'_>,
        fields: (&Fields<'_>, &Fields<'_>),
        standard: &freshness::Plan,
    ) -> Result<freshness::Plan>;
}

/// The functions of the role `invalidation`.
pub(crate) trait Invalidation: Send {
    /// As [`Freshness::configure`].
    fn configure(&self, store: &mut Store<GuestState>, settings: &str, seed: u64) -> Result<Configured<Vec<String>>>;

    /// Asks what to purge because of a write. A purge that names no valid target is `None`.
    fn purges(
        &self,
        store: &mut Store<GuestState>,
        now: Timestamp,
        written: &invalidation::Written<'_>,
        fields: &Fields<'_>,
    ) -> Result<Vec<Option<Purge>>>;

    /// Asks what to purge because of an event, in the same way.
    fn event_purges(
        &self,
        store: &mut Store<GuestState>,
        now: Timestamp,
        event: &invalidation::Event<'_>,
    ) -> Result<Vec<Option<Purge>>>;
}

/// The functions of the role `eviction`.
pub(crate) trait Eviction: Send {
    /// Hands the guest its settings, the capacity of its shard and a seed.
    fn configure(
        &self,
        store: &mut Store<GuestState>,
        settings: &str,
        capacity_bytes: u64,
        seed: u64,
    ) -> Result<Configured<()>>;

    /// Hands over packed events and asks for victims worth `reclaim_bytes` beside those that arrivals make necessary.
    fn advance(
        &self,
        store: &mut Store<GuestState>,
        now_ms: u64,
        events: &[u64],
        reclaim_bytes: u64,
    ) -> Result<Vec<u32>>;

    /// Up to `limit` slots in the order of eviction, from behind the slot `after`, or from the coldest.
    fn order(&self, store: &mut Store<GuestState>, after: Option<u32>, limit: u32) -> Result<Vec<u32>>;

    /// What the policy has learnt, for its successor.
    fn hand_over(&self, store: &mut Store<GuestState>) -> Result<Knowledge>;

    /// Hands over what the predecessor has learnt.
    fn take_over(&self, store: &mut Store<GuestState>, predecessor: &Knowledge) -> Result<()>;
}
