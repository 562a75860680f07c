//! Follows the register of the fleet: what was made, changed or removed over another node's API is applied here, at the start,
//! whenever the bus tells of it or may have missed it, and now and then besides.
//!
//! What can't be applied is tried again.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sandbar::fleet::{GONE_FOR, Record, Register, Standing};
use sandbar::tier::TierError;
use sandbar_base::clock::Timestamp;
use tokio::sync::OwnedRwLockReadGuard;
use tokio::task::AbortHandle;

use super::records::Found;
use super::{ReloadError, Reloads, State};

/// How often the register is read where nothing is heard, and what could not be applied is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the start waits for the register.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// How long the start waits for the server of the register.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// How many records that could not be applied are tried again in one reading.
const AGAIN_LEN: usize = 100;
/// How often all of the register is read while more can't be applied than is kept in mind.
const PASSED_OVER_EVERY: Duration = Duration::from_secs(60);
/// How many records are applied at once, at most: so many are held in memory.
const BATCH_LEN: usize = 1024;

/// Up to where a node has read the register.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    order: u64,
    /// Whether all of it was read once.
    is_known: bool,
    /// The last tenant whose record was tried again.
    tried_again: String,
    /// Since when records are not applied that are not kept in mind either: they have to be read again.
    passed_over: Option<Timestamp>,
}

impl Place {
    /// The order of the last record that was read.
    pub(super) const fn order(&self) -> u64 {
        self.order
    }

    /// Notes that a record could neither be applied nor kept in mind.
    pub(super) fn has_passed_over(&mut self, now: Timestamp) {
        self.passed_over.get_or_insert(now);
    }

    /// Goes back to the beginning where records were passed over a while ago.
    fn go_back_if_due(&mut self, now: Timestamp) {
        if self.passed_over.is_some_and(|since| since.saturating_add(PASSED_OVER_EVERY) <= now) {
            (self.order, self.passed_over) = (0, None);
        }
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
            // Once it hears the bus the others know of it: a change that is not read now waits for this node.
            let _ = fleet.bus().ready(CONNECT_DEADLINE).await;
            let (reading, right) = (Arc::clone(self), Arc::clone(&self.changing).read_owned().await);
            let reading = tokio::spawn(async move { reading.look(false, right).await });
            if !tokio::time::timeout(START_DEADLINE, reading).await.is_ok_and(|read| read.unwrap_or(false)) {
                tracing::warn!(
                    "the register of the fleet could not be read in time: this node begins with the tenants of its last run"
                );
            }
        } else {
            tracing::warn!(
                "the Redis of the fleet can't be reached yet: this node knows the tenants of its last run alone"
            );
        }
        let news = Arc::clone(fleet.register().news());
        let (changing, reloads) = (Arc::clone(&self.changing), Arc::downgrade(self));
        let following = tokio::spawn(async move {
            loop {
                let is_doubtful = news.wait(LOOK_EVERY).await;
                // While another process takes this one's place it waits, and once that has, for ever: it is the other one's
                // to apply, and to keep.
                let right = Arc::clone(&changing).read_owned().await;
                let Some(reloads) = Weak::upgrade(&reloads) else { return };
                // A task of its own: what is begun is brought to its end, and no panic ends the following.
                let _ = tokio::spawn(async move { reloads.look(is_doubtful, right).await }).await;
            }
        });
        Some(Following(following.abort_handle()))
    }

    /// Reads what is new, with the right to change what is kept; whether that could be done.
    async fn look(&self, is_doubtful: bool, _right: OwnedRwLockReadGuard<()>) -> bool {
        let mut state = self.state.lock().await;
        let read = self.read_register(&mut state, is_doubtful).await;
        if let Err(error) = &read {
            tracing::debug!(%error, "the register of the fleet could not be read");
        }
        read.is_ok()
    }

    /// Reads the register where it was never read: before that nobody knows what a change would change.
    pub(super) async fn first_reading(&self, state: &mut State) -> Result<(), ReloadError> {
        if self.register().is_none() || state.place.is_known {
            return Ok(());
        }
        self.read_register(state, false).await.map_err(ReloadError::Fleet)
    }

    /// Reads what is new in the register, and applies it. Where it `is_doubtful` that the register has kept all that it had,
    /// and where it is another one, it is given first what this node knows.
    pub(super) async fn read_register(&self, state: &mut State, is_doubtful: bool) -> Result<(), TierError> {
        let Some(register) = self.register() else { return Ok(()) };
        let before = state.place.clone();
        state.place.go_back_if_due(self.clock.now());
        if let Err(error) = self.read_from(state, register, is_doubtful).await {
            // What was read and is not applied yet has to be read again.
            state.place = before;
            if is_doubtful {
                register.news().doubt_again();
            }
            return Err(error);
        }
        register.note_applied(state.place.order, state.unapplied.values().cloned().collect()).await
    }

    async fn read_from(&self, state: &mut State, register: &Register, is_doubtful: bool) -> Result<(), TierError> {
        let mut page = register.read(state.tenants.epoch(), state.place.order).await?;
        // One that has lost a part of itself says that it is none.
        let is_other = page.epoch.is_empty() || page.epoch != state.tenants.epoch();
        let has_unrecorded = state.tenants.has_unrecorded(|name| state.unapplied.contains_key(name));
        if is_other || is_doubtful || has_unrecorded {
            register.restore(&state.tenants.records(register.node(), self.clock.now())).await?;
            state.place.order = 0;
            page = register.read("", 0).await?;
        }
        let epoch = page.epoch.clone();
        let mut whole = (state.place.order == 0).then(HashSet::new);
        let mut records = Vec::new();
        loop {
            let is_more = page.order > state.place.order;
            for (name, record) in page.records {
                whole.iter_mut().for_each(|whole| _ = whole.insert(name.clone()));
                records.push((name, record));
            }
            // An order that does not rise makes no sense, and would be read again and again.
            if !is_more {
                break;
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
            let lost = self.lost(state, register, &whole);
            if !lost.is_empty() {
                register.restore(&lost).await?;
            }
        }
        for name in state.due_again() {
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
    fn forgotten(&self, state: &State, whole: &HashSet<String>) -> Vec<Found> {
        let names = state.tenants.registered().filter(|name| !whole.contains(*name));
        let record = |name: &str| {
            let made = state.tenants.made(name)?;
            let (name, incarnation, at) = (name.to_owned(), made.incarnation, self.clock.now());
            let version = state.tenants.version(&name);
            if is_young(version, at) {
                return None;
            }
            let version = version.saturating_add(1);
            let standing = Standing::Gone { is_back: false };
            Some((name.clone(), Ok(Record { name, version, incarnation, at, node: String::new(), standing })))
        };
        names.filter_map(record).collect()
    }

    /// Records that a register has lost: it has none of a tenant, and would have one if that had been removed.
    fn lost(&self, state: &State, register: &Register, whole: &HashSet<String>) -> Vec<Record> {
        let now = self.clock.now();
        let mut ours = state.tenants.records(register.node(), now);
        ours.retain(|record| !whole.contains(&record.name) && is_young(record.version, now));
        ours
    }
}

/// Whether the register can't have forgotten yet that a tenant was removed after the record of this version.
fn is_young(version: u64, now: Timestamp) -> bool {
    Timestamp::from_millis(version).saturating_add(GONE_FOR) > now
}

impl State {
    /// Some of the tenants whose records could not be applied, each in its turn.
    fn due_again(&mut self) -> Vec<String> {
        let after = (Bound::Excluded(self.place.tried_again.as_str()), Bound::Unbounded);
        let again: Vec<String> =
            self.unapplied.range::<str, _>(after).map(|(name, _)| name.clone()).take(AGAIN_LEN).collect();
        self.place.tried_again = again.last().filter(|_| again.len() == AGAIN_LEN).cloned().unwrap_or_default();
        again
    }
}
