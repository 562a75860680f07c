//! Follows the register of the fleet: what was made, changed or removed over another node's API is applied here, at the start,
//! whenever the bus tells of it or may have missed it, and now and then besides.
//!
//! What can't be applied (a file is missing here, a host is another tenant's) leaves the tenant as it is; it is told, and
//! tried again.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sandbar::fleet::{Record, Register, Standing, Unapplied};
use sandbar::tier::TierError;
use sandbar_base::clock::Timestamp;
use tokio::task::AbortHandle;

use super::step::{Step, To};
use super::{Reloads, State};
use crate::tenants::GONE_FOR;

/// How often the register is read where nothing is heard, and what could not be applied is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the start waits for the register.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// How long the start waits for the server of the register.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// How many records are applied at once, at most: so many are held in memory.
const BATCH_LEN: usize = 1024;
/// How many tenants that can't be applied are told of at most.
const UNAPPLIED_MAX: usize = 100;

/// Up to where a node has read the register.
#[derive(Debug, Default)]
pub(super) struct Place {
    order: u64,
    /// Whether all of it was read once.
    is_known: bool,
}

impl Place {
    /// The order of the last record that was read.
    pub(super) const fn order(&self) -> u64 {
        self.order
    }
}

/// Follows the register until it is dropped.
pub(crate) struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reloads {
    /// The register of the fleet; none where there is no fleet.
    pub(super) fn register(&self) -> Option<&Register> {
        self.cache.fleet().map(sandbar::fleet::Fleet::register)
    }

    /// Reads the register as far as that can be done soon, and follows it from then on.
    pub(crate) async fn follow_register(self: &Arc<Self>) -> Option<Following> {
        let fleet = self.cache.fleet()?;
        if fleet.ready(CONNECT_DEADLINE).await {
            let reading = Arc::clone(self);
            let reading = tokio::spawn(async move { reading.look(false).await });
            let _ = tokio::time::timeout(START_DEADLINE, reading).await;
        } else {
            tracing::warn!(
                "the Redis of the fleet can't be reached yet: this node knows the tenants of its last run alone"
            );
        }
        let (news, reloads) = (Arc::clone(fleet.register().news()), Arc::downgrade(self));
        let following = tokio::spawn(async move {
            loop {
                let is_doubtful = news.wait(LOOK_EVERY).await;
                let Some(reloads) = Weak::upgrade(&reloads) else { return };
                // A task of its own: what is begun is brought to its end, and no panic ends the following.
                let _ = tokio::spawn(async move { reloads.look(is_doubtful).await }).await;
            }
        });
        Some(Following(following.abort_handle()))
    }

    async fn look(&self, is_doubtful: bool) {
        let mut state = self.state.lock().await;
        if let Err(error) = self.read_register(&mut state, is_doubtful).await {
            tracing::debug!(%error, "the register of the fleet could not be read");
        }
    }

    /// Reads the register where it was never read: before that nobody knows what a change would change.
    pub(super) async fn first_reading(&self, state: &mut State) -> Result<(), super::ReloadError> {
        if self.register().is_none() || state.place.is_known {
            return Ok(());
        }
        self.read_register(state, false).await.map_err(super::ReloadError::fleet)
    }

    /// Reads what is new in the register, and applies it. Where it `is_doubtful` that the register has kept all that it had,
    /// and where it is another one, it is given first what this node knows.
    pub(super) async fn read_register(&self, state: &mut State, is_doubtful: bool) -> Result<(), TierError> {
        let Some(register) = self.register() else { return Ok(()) };
        let before = state.place.order;
        if let Err(error) = self.read_from(state, register, is_doubtful).await {
            // What was read and is not applied yet has to be read again.
            state.place.order = before;
            if is_doubtful {
                register.news().doubt_again();
            }
            return Err(error);
        }
        register.note_applied(state.place.order, state.unapplied.values().cloned().collect()).await
    }

    async fn read_from(&self, state: &mut State, register: &Register, is_doubtful: bool) -> Result<(), TierError> {
        let mut page = register.read(state.tenants.epoch(), state.place.order).await?;
        let is_other = page.epoch != state.tenants.epoch();
        if is_other || is_doubtful || state.tenants.has_unrecorded() {
            let ours = state.tenants.records(register.node(), self.clock.now());
            if !ours.is_empty() {
                register.restore(&ours).await?;
            }
            state.place.order = 0;
            page = register.read("", 0).await?;
        }
        let epoch = page.epoch.clone();
        let mut whole = (state.place.order == 0).then(HashSet::new);
        let mut records = Vec::new();
        while !page.records.is_empty() {
            for (name, record) in page.records {
                whole.iter_mut().for_each(|whole| _ = whole.insert(name.clone()));
                records.push((name, record));
            }
            state.place.order = page.order;
            if records.len() >= BATCH_LEN {
                self.apply_records(state, std::mem::take(&mut records)).await;
            }
            page = register.read(&epoch, page.order).await?;
            if page.epoch != epoch {
                return Err(TierError::Failed { tier: "fleet", reason: "its register changes".to_owned() });
            }
        }
        if let Some(whole) = whole.filter(|_| !is_other && !is_doubtful) {
            records.extend(self.forgotten(state, &whole));
        }
        let again: Vec<_> =
            state.unapplied.keys().filter(|name| records.iter().all(|(other, _)| other != *name)).cloned().collect();
        for name in again {
            match register.read_one(&name).await? {
                Some(record) => records.push((name, record)),
                None => _ = state.unapplied.remove(&name),
            }
        }
        self.apply_records(state, records).await;
        state.place.is_known = true;
        if let Err(error) = state.tenants.keep_epoch(&epoch) {
            tracing::warn!(%error, "it is not kept which register of the fleet was read");
        }
        Ok(())
    }

    /// Records for tenants that a register has no record of any more, which is still the one that they were read from: where they
    /// are so old, they were removed so long ago that the record of that is gone too.
    fn forgotten(&self, state: &State, whole: &HashSet<String>) -> Vec<(String, Result<Record, Unapplied>)> {
        let names = state.tenants.registered().filter(|name| !whole.contains(*name));
        let record = |name: &str| {
            let made = state.tenants.made(name)?;
            let (name, incarnation, at) = (name.to_owned(), made.incarnation, self.clock.now());
            let version = state.tenants.version(&name);
            if Timestamp::from_millis(version).saturating_add(GONE_FOR) > at {
                return None;
            }
            let version = version.saturating_add(1);
            let standing = Standing::Gone { is_back: false };
            Some((name.clone(), Ok(Record { name, version, incarnation, at, node: String::new(), standing })))
        };
        names.filter_map(record).collect()
    }

    /// Applies records, each newer than what is applied here: all at once or, where that can't be, one by one as far as they can.
    async fn apply_records(&self, state: &mut State, records: Vec<(String, Result<Record, Unapplied>)>) {
        let mut steps = BTreeMap::new();
        for (name, record) in records {
            match record {
                Ok(record) if record.version <= state.tenants.version(&name) => _ = state.unapplied.remove(&name),
                Ok(record) => match self.step(&name, to(state, &record)).await {
                    // Of two records of one tenant the later one counts.
                    Ok(step) => _ = steps.insert(name, (record.version, step)),
                    Err(error) => state.not_applied(&name, record.version, &error),
                },
                Err(unread) => state.not_applied(&name, unread.version, &unread.reason),
            }
        }
        let mut steps: Vec<(u64, Step)> = steps.into_values().collect();
        steps.sort_by_key(|(version, _)| *version);
        let (versions, steps): (Vec<u64>, Vec<Step>) = steps.into_iter().unzip();
        if steps.is_empty() || self.apply_steps(state, &versions, &steps).await.is_ok() {
            return;
        }
        let mut left: Vec<(u64, Step)> = versions.into_iter().zip(steps).collect();
        loop {
            let (tried, mut failed) = (left.len(), Vec::new());
            for (version, step) in left {
                let steps = [step];
                if let Err(error) = self.apply_steps(state, &[version], &steps).await {
                    let [step] = steps;
                    failed.push((version, step, error));
                }
            }
            if failed.is_empty() || failed.len() == tried {
                failed.iter().for_each(|(version, step, error)| state.not_applied(&step.name, *version, error));
                return;
            }
            left = failed.into_iter().map(|(version, step, _)| (version, step)).collect();
        }
    }

    async fn apply_steps(&self, state: &mut State, versions: &[u64], steps: &[Step]) -> Result<(), super::ReloadError> {
        self.fits(steps)?;
        self.take(steps).await?;
        for (version, step) in versions.iter().zip(steps) {
            if let Err(error) = self.keep(state, step, *version) {
                tracing::warn!(%error, "a tenant is in the register of the fleet, and not kept here");
            }
            state.unapplied.remove(&step.name);
            tracing::info!(tenant = step.name, "a tenant was made, changed or removed over another node's admin API");
        }
        Ok(())
    }
}

/// What a record makes of a tenant on this node.
fn to(state: &State, record: &Record) -> To {
    let incarnation = record.incarnation;
    match &record.standing {
        Standing::Made(settings) => To::Made((**settings).clone()),
        Standing::Gone { is_back } => {
            // The file's tenant goes on as the one that was removed, or is the next of that name.
            let next = incarnation.saturating_add(u32::from(!is_back));
            let next = if state.tenants.made(&record.name).is_some() {
                next
            } else {
                next.max(state.tenants.incarnation(&record.name))
            };
            To::Gone { incarnation, back: Reloads::of_file(state, &record.name, next) }
        }
    }
}

impl State {
    /// The version of a tenant's record that this node knows, applied or not; 0 where there is none.
    pub(super) fn known_version(&self, name: &str) -> u64 {
        let unapplied = self.unapplied.get(name).map_or(0, |one| one.version);
        unapplied.max(self.tenants.version(name))
    }

    fn not_applied(&mut self, name: &str, version: u64, reason: &impl std::fmt::Display) {
        let (tenant, reason) = (name.to_owned(), reason.to_string());
        let one = Unapplied::new(tenant, version, reason);
        if self.unapplied.get(name) == Some(&one) {
            return;
        }
        let Unapplied { tenant, reason, .. } = &one;
        tracing::warn!(
            tenant,
            reason,
            "the fleet's register has a tenant that can't be applied here: it stays as it is"
        );
        if self.unapplied.len() < UNAPPLIED_MAX || self.unapplied.contains_key(name) {
            self.unapplied.insert(name.to_owned(), one);
        }
    }
}
