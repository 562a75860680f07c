//! Stands for the fleet in a build without the feature `redis`: types that have no values, so that the cache can ask
//! its fleet without knowing whether it was built to have one.

#![allow(dead_code, reason = "what nobody can have is never read")]

use std::sync::Arc;
use std::time::Duration;

use sandbar_http::entry::Version;
use sandbar_http::key::{CacheKey, KeyHash};
use serde::Serialize;

use crate::barrier::Barrier;
use crate::tier::redis::Raising;
use crate::tier::{Recorded, TierError};

/// A node's part in a fleet: without the feature there can't be one.
#[derive(Debug)]
#[doc(hidden)]
pub enum Fleet {}

/// A fleet as an operator sees it: without the feature there can't be one.
#[derive(Clone, Debug, Serialize)]
pub enum FleetReport {}

impl Fleet {
    pub(crate) const fn bus(&self) -> &Arc<Bus> {
        match *self {}
    }

    pub(crate) const fn leases(&self) -> &Leases {
        match *self {}
    }

    pub(crate) const fn report(&self) -> FleetReport {
        match *self {}
    }

    pub(crate) const fn vouches_for(&self, _tenant: &str, _since: Duration) -> bool {
        match *self {}
    }

    pub(crate) const fn confirm_deadline(&self) -> Duration {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Bus {}

impl Bus {
    pub(crate) const fn hearing(&self) -> &Hearing {
        match *self {}
    }

    pub(crate) const fn can_raise(&self, _tenant: &str, _raising: &Raising) -> bool {
        match *self {}
    }

    pub(crate) async fn raise(
        &self,
        _tenant: &str,
        _raising: &Raising,
        _barrier: &Barrier,
        _to_all: bool,
    ) -> Result<(Recorded, Result<Ack, TierError>), TierError> {
        match *self {}
    }

    pub(crate) async fn confirmed_by_all(&self, _ack: &Ack) -> Result<Confirmed, TierError> {
        match *self {}
    }

    pub(crate) async fn publish(&self, _tenant: &str, _barrier: &Barrier) -> Result<Ack, TierError> {
        match *self {}
    }

    pub(crate) async fn publish_to_all(&self, _tenant: &str, _barrier: &Barrier) -> Result<Confirmed, TierError> {
        match *self {}
    }

    pub(crate) async fn announce(&self, _tenant: &str, _newer: &Newer) -> Result<Ack, TierError> {
        match *self {}
    }

    pub(crate) async fn leave(&self) {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Hearing {}

impl Hearing {
    pub(crate) const fn hears(&self, _tenant: &str) -> bool {
        match *self {}
    }
}

pub(crate) struct Ack;

/// Whether all nodes have confirmed a purge: nobody is asked.
pub(crate) enum Confirmed {
    All(Vec<String>),
    Missing,
}

impl Confirmed {
    pub(crate) const fn reason(&self, _within: Duration) -> String {
        String::new()
    }

    pub(crate) fn into_nodes(self) -> (Vec<String>, Vec<String>) {
        (Vec::new(), Vec::new())
    }
}

/// A newer version that other nodes would be told of.
pub(crate) struct Newer {
    pub(crate) key: KeyHash,
    pub(crate) version: Version,
    pub(crate) sequence: u64,
}

pub(crate) enum Leases {}

impl Leases {
    pub(crate) const fn lifetime(&self) -> Duration {
        match *self {}
    }

    pub(crate) async fn try_acquire_as(&self, _standing: PurgeState, _key: &CacheKey, _lifetime: Duration) -> Attempt {
        match *self {}
    }

    pub(crate) async fn clear_unshared(&self, _key: &CacheKey) {
        match *self {}
    }
}

pub(crate) struct PurgeState {
    pub(crate) sequence: u64,
    pub(crate) hidden_below: u64,
}

pub(crate) enum Attempt {
    Mine(Lease),
    Held(LeaseWaiter),
    Unshared,
    Alone(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    Released,
    Expired,
    Deadline,
}

pub(crate) enum Lease {}

impl Lease {
    pub(crate) const fn token(&self) -> u64 {
        match *self {}
    }

    pub(crate) async fn during<T>(&self, _work: impl Future<Output = T>) -> T {
        match *self {}
    }

    pub(crate) async fn release(self) {
        match self {}
    }

    pub(crate) async fn release_unshared(self, _unshared: Duration) {
        match self {}
    }
}

pub(crate) enum LeaseWaiter {}

impl LeaseWaiter {
    pub(crate) async fn wait(self, _deadline: Duration) -> Woken {
        match self {}
    }
}
