//! Follows the register of the fleet: what was made, changed or removed over another node's API is applied here, at the start,
//! whenever the bus tells of it or may have missed it, and now and then besides.
//!
//! What can't be applied is tried again.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sandbar::fleet::{Record, Register, Standing};
use sandbar::tier::TierError;
use sandbar_base::clock::Timestamp;
use tokio::sync::OwnedRwLockReadGuard;
use tokio::task::AbortHandle;

use super::records::Found;
use super::{ReloadError, Reloads, State};
use crate::tenants::GONE_FOR;

/// How often the register is read where nothing is heard, and what could not be applied is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the start waits for the register.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// How long the start waits for the server of the register.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// How many records that could not be applied are tried again in one reading.
const AGAIN_LEN: usize = 100;
/// How many records are applied at once, at most: so many are held in memory.
const BATCH_LEN: usize = 1024;

/// Up to where a node has read the register.
#[derive(Debug, Default)]
pub(super) struct Place {
    order: u64,
    /// Whether all of it was read once.
    is_known: bool,
    /// The last tenant whose record was tried again.
    tried_again: String,
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
            let (reading, right) = (Arc::clone(self), Arc::clone(&self.changing).read_owned().await);
            let reading = tokio::spawn(async move { reading.look(false, right).await });
            let _ = tokio::time::timeout(START_DEADLINE, reading).await;
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

    /// Reads the register, with the right to change what is kept.
    async fn look(&self, is_doubtful: bool, _right: OwnedRwLockReadGuard<()>) {
        let mut state = self.state.lock().await;
        if let Err(error) = self.read_register(&mut state, is_doubtful).await {
            tracing::debug!(%error, "the register of the fleet could not be read");
        }
    }

    /// Reads the register where it was never read: before that nobody knows what a change would change.
    pub(super) async fn first_reading(&self, state: &mut State) -> Result<(), ReloadError> {
        if self.register().is_none() || state.place.is_known {
            return Ok(());
        }
        self.read_register(state, false).await.map_err(ReloadError::fleet)
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
            if Timestamp::from_millis(version).saturating_add(GONE_FOR) > at {
                return None;
            }
            let version = version.saturating_add(1);
            let standing = Standing::Gone { is_back: false };
            Some((name.clone(), Ok(Record { name, version, incarnation, at, node: String::new(), standing })))
        };
        names.filter_map(record).collect()
    }
}

impl State {
    /// Some of the tenants whose records could not be applied, each in its turn.
    fn due_again(&mut self) -> Vec<String> {
        let after = (Bound::Excluded(self.place.tried_again.as_str()), Bound::Unbounded);
        let again: Vec<String> = self
            .unapplied
            .range::<str, _>(after)
            .map(|(name, _)| name.clone())
            .filter(|name| is_text(name))
            .take(AGAIN_LEN)
            .collect();
        self.place.tried_again = again.last().filter(|_| again.len() == AGAIN_LEN).cloned().unwrap_or_default();
        again
    }
}

/// Whether a name is as the register has it: one that is no text can't be asked for.
fn is_text(name: &str) -> bool {
    !name.contains(char::REPLACEMENT_CHARACTER)
}
