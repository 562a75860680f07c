//! Applies records of the register: what was made, changed or removed over another node's API. What can't be applied (a file is
//! missing here, a host is another tenant's) leaves the tenant as it is; it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use sandbar::fleet::{Record, Standing, Unapplied};
use sandbar::tenant::config::TenantConfig;
use sandbar_base::clock::Timestamp;

use super::step::{Step, To};
use super::{ReloadError, Reloads, State};

/// How many tenants that can't be applied are told of at most.
const UNAPPLIED_MAX: usize = 1000;
/// How much is told of why one can't be applied, in characters: a record may hold anything.
const REASON_LEN_MAX: usize = 500;
/// A version is about a time in milliseconds: one that is further ahead than this was given out by a clock that was wrong.
const AHEAD_MAX: Duration = Duration::from_secs(2 * 86_400);

/// A tenant's name, and its record as far as that makes sense.
pub(super) type Found = (String, Result<Record, Unapplied>);

impl Reloads {
    /// Applies records, each newer than what is applied here: all at once or, where that can't be, one by one as far as they can.
    pub(super) async fn apply_records(&self, state: &mut State, records: Vec<Found>) {
        let mut steps = BTreeMap::new();
        for (name, record) in records {
            match record {
                Ok(record) if self.is_applied(state, &record) => _ = state.unapplied.remove(&name),
                Ok(record) => match self.step(&name, to(state, &record)).await {
                    // Of two records of one tenant the later one counts.
                    Ok(step) => _ = steps.insert(name, (Recorded::of(&record), step)),
                    Err(error) => self.not_applied(state, Recorded::of(&record).unapplied(&name, &error)),
                },
                Err(unread) => self.not_applied(state, unread),
            }
        }
        let mut steps: Vec<(Recorded, Step)> = steps.into_values().collect();
        steps.sort_by_key(|(recorded, _)| recorded.version);
        let (recorded, steps): (Vec<Recorded>, Vec<Step>) = steps.into_iter().unzip();
        if steps.is_empty() || self.apply_steps(state, &recorded, &steps).await.is_ok() {
            return;
        }
        let mut left: Vec<(Recorded, Step)> = recorded.into_iter().zip(steps).collect();
        loop {
            let (tried, mut failed) = (left.len(), Vec::new());
            for (recorded, step) in left {
                let steps = [step];
                if let Err(error) = self.apply_steps(state, &[recorded], &steps).await {
                    let [step] = steps;
                    failed.push((recorded, step, error));
                }
            }
            if failed.is_empty() || failed.len() == tried {
                for (recorded, step, error) in failed {
                    self.not_applied(state, recorded.unapplied(&step.name, &error));
                }
                return;
            }
            left = failed.into_iter().map(|(recorded, step, _)| (recorded, step)).collect();
        }
    }

    /// Whether what a record says, or what a newer one said, is served and kept here.
    fn is_applied(&self, state: &State, record: &Record) -> bool {
        let version = state.tenants.version(&record.name);
        let is_sound = Timestamp::from_millis(version) <= self.clock.now().saturating_add(AHEAD_MAX);
        let is_same = record.version == version && !state.tenants.owes(&record.name);
        is_sound && (record.version < version || is_same)
    }

    async fn apply_steps(&self, state: &mut State, recorded: &[Recorded], steps: &[Step]) -> Result<(), ReloadError> {
        self.fits(steps)?;
        self.take(steps).await?;
        for (recorded, step) in recorded.iter().zip(steps) {
            if self.keep_or_owe(state, step, recorded.version) {
                tracing::info!(
                    tenant = step.name,
                    "a tenant was made, changed or removed over another node's admin API"
                );
            }
        }
        Ok(())
    }

    /// Keeps what has become of a tenant. Where that fails it is owed: tried again with the next reading, and told. Returns
    /// whether it is kept.
    pub(super) fn keep_or_owe(&self, state: &mut State, step: &Step, version: u64) -> bool {
        let kept = self.keep(state, step, version);
        match &kept {
            Ok(()) => _ = state.unapplied.remove(&step.name),
            Err(error) => {
                let reason = format!("it is so on this node, and not kept yet: {error}");
                let recorded = Recorded { version, incarnation: state.tenants.incarnation(&step.name) };
                self.not_applied(state, recorded.unapplied(&step.name, &reason));
            }
        }
        kept.is_ok()
    }

    fn not_applied(&self, state: &mut State, one: Unapplied) {
        let Unapplied { tenant, reason, .. } = &one;
        if state.unapplied.get(tenant) == Some(&one) {
            return;
        }
        tracing::warn!(tenant, reason, "the fleet's register has a tenant that can't be applied here, or not kept");
        if !TenantConfig::is_name(tenant) {
            return;
        }
        if state.unapplied.len() < UNAPPLIED_MAX || state.unapplied.contains_key(tenant) {
            state.unapplied.insert(tenant.clone(), one);
        } else {
            state.place.has_passed_over(self.clock.now());
        }
    }
}

/// What has to be known of a record while it is applied.
#[derive(Clone, Copy)]
struct Recorded {
    version: u64,
    /// Which making of its name the tenant is or, where it is gone, the next one would be.
    incarnation: u32,
}

impl Recorded {
    const fn of(record: &Record) -> Self {
        Self { version: record.version, incarnation: record.next_incarnation() }
    }

    fn unapplied(self, name: &str, reason: &impl std::fmt::Display) -> Unapplied {
        let reason = reason.to_string().chars().take(REASON_LEN_MAX).collect();
        Unapplied::new(name.to_owned(), self.version, self.incarnation, reason)
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

    /// Which making of its name a tenant is by a record that can't be applied here, or the next one would be; 0 where there is none.
    pub(super) fn unapplied_incarnation(&self, name: &str) -> u32 {
        self.unapplied.get(name).map_or(0, |one| one.incarnation)
    }
}
