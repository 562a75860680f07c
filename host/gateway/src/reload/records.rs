//! Applies records of the register: what was made, changed or removed over another node's API. What can't be applied (a file is
//! missing here, a host is another tenant's) leaves the tenant as it is; it is told.

use std::collections::BTreeMap;

use sandbar::fleet::{Record, Standing, Unapplied};

use super::step::{Step, To};
use super::{ReloadError, Reloads, State};

/// How many tenants that can't be applied are told of at most.
const UNAPPLIED_MAX: usize = 1000;
/// How much is told of why one can't be applied, in characters: a record may hold anything.
const REASON_LEN_MAX: usize = 500;

/// A tenant's name, and its record as far as that makes sense.
pub(super) type Found = (String, Result<Record, Unapplied>);

impl Reloads {
    /// Applies records, each newer than what is applied here: all at once or, where that can't be, one by one as far as they can.
    pub(super) async fn apply_records(&self, state: &mut State, records: Vec<Found>) {
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

    async fn apply_steps(&self, state: &mut State, versions: &[u64], steps: &[Step]) -> Result<(), ReloadError> {
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
        let reason = reason.to_string().chars().take(REASON_LEN_MAX).collect();
        let one = Unapplied::new(name.to_owned(), version, reason);
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
