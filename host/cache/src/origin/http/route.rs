//! The way of a request: the addresses that it may go to, one after the other.

use std::sync::Arc;

use tokio::time::Instant;

use super::HttpOrigin;
use super::balance::choose;
use super::endpoint::Endpoint;
use super::servers::{Addresses, Servers};
use super::visit::Visit;
use crate::origin::{OriginError, Progress};

/// Addresses that a request is tried at, where no connection to the one before could be made.
const TRIES_MAX: usize = 3;

/// The addresses that a request may go to.
pub(super) struct Route {
    servers: Arc<Servers>,
    addresses: Addresses,
    left: usize,
    been: Progress,
    /// Until when there has to be a connection; `None` where there is only one address.
    connect_until: Option<Instant>,
}

impl Route {
    /// The way of a request that has come so far.
    pub(super) async fn of(origin: &HttpOrigin, progress: Option<Progress>) -> Result<Self, OriginError> {
        let servers = Arc::clone(&origin.servers);
        let addresses = servers.addresses().await.map_err(|reason| origin.unreachable(reason))?;
        let connect_until = (addresses.len() > 1).then(|| Instant::now() + origin.config.connect_deadline.get());
        let been = progress.unwrap_or_default();
        Ok(Self { servers, left: addresses.len().min(TRIES_MAX), addresses, been, connect_until })
    }

    /// Whether there is another address to go to.
    pub(super) const fn has_more(&self) -> bool {
        self.left > 0
    }

    /// Goes to the next address, with a request that `is_sent` with its head, as it has no content.
    pub(super) fn next(&mut self, is_sent: bool) -> Visit {
        self.left = self.left.saturating_sub(1);
        let is_alone = self.connect_until.is_none();
        let was_at = |one: &Endpoint| !is_alone && self.been.was_at(one.number);
        let trial = self.trial(was_at);
        let endpoint = trial.unwrap_or_else(|| choose(&self.addresses, was_at));
        if !is_alone {
            self.been.is_at(endpoint.number);
        }
        let of = is_sent.then(|| self.been.clone());
        Visit::to(Arc::clone(endpoint), Arc::clone(&self.servers), trial.is_some(), of)
    }

    /// An address that was left out for long enough, for this request to try.
    fn trial(&self, was_at: impl Fn(&Endpoint) -> bool) -> Option<&Arc<Endpoint>> {
        let due = |one: &&Arc<Endpoint>| one.is_ejected() && one.health.is_good() && !was_at(one);
        let mut out = self.addresses.iter().filter(due).peekable();
        out.peek()?;
        let (now, config) = (self.servers.clock.monotonic(), &self.servers.config);
        // A request without content has an answer by then, or has failed.
        let lasts = config.connect_deadline.get() + config.first_byte_deadline.get();
        out.find(|one| one.eject(|ejection| ejection.take_trial(now, lasts)))
    }

    /// Until when a connection has to be there, so that as much time is left for each other address; `None` for the last
    /// one, which has all the time that a connection may take.
    pub(super) fn connect_by(&self) -> Option<Instant> {
        let until = self.connect_until.filter(|_| self.has_more())?;
        let (now, tries) = (Instant::now(), u32::try_from(self.left).unwrap_or(u32::MAX).saturating_add(1));
        Some(now + until.saturating_duration_since(now) / tries)
    }
}
