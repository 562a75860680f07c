//! The fleet's register: the tenants that were made over the admin API, for nodes that are late or were away. Each record has
//! a version, so that of two changes at once one is refused; a tenant that was removed leaves a record that says so, for as
//! long as anything of it may be in an L2.
//!
//! A node reads the register in the order in which its records were written, and goes on where it stopped. Where the server
//! has lost records, every node writes back those that it knows; the newest version counts.

mod record;
mod scripts;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::Value;

use self::record::RECORD_BYTES_MAX;
pub use self::record::{Record, Standing, Unapplied};
pub use self::scripts::Page;
use super::asking::until_settled;
use super::bus::Bus;
use super::hearing::Partition;
use super::members;
use super::news::News;
use super::{FleetConfig, millis, random_name};
use crate::fleet::scripts::member_keys;
use crate::tier::TierError;
use crate::tier::redis::link::Link;

/// For how long a removed tenant leaves a record: longer than anything of it stays in an L2, which is 30 days.
#[doc(hidden)]
pub const GONE_FOR: Duration = Duration::from_secs(31 * 86_400);
/// Records in the register at most.
const TENANTS_MAX: usize = 100_000;
/// Records that one reading brings at most.
const PAGE_LEN: usize = 256;
/// Bytes of records that one reading brings, about.
const PAGE_BYTES: usize = 1 << 20;
/// Records that are written back in one step.
const RESTORE_LEN: usize = 32;
/// Versions that could not be applied and are told to other nodes.
const FAILED_TOLD_MAX: usize = 32;
/// How long a node pauses before it asks again who has applied a change.
const PAUSES: RangeInclusive<Duration> = Duration::from_millis(2)..=Duration::from_millis(64);

/// The register as one node reaches it.
#[derive(Debug)]
pub struct Register {
    bus: Arc<Bus>,
    link: Arc<Link>,
    news: Arc<News>,
    node: String,
    partitions: u32,
    deadline: Duration,
    member_timeout: Duration,
    unapplied: Mutex<Vec<Unapplied>>,
}

/// What became of a change of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is recorded under this version.
    Recorded(u64),
    /// There was another change before it.
    Overtaken {
        /// The node over whose API that was made, as far as it can be read.
        by: String,
    },
}

impl Register {
    pub(super) fn new(config: &FleetConfig, bus: Arc<Bus>, link: Arc<Link>, news: Arc<News>) -> Self {
        let FleetConfig { partitions, publish_deadline: deadline, member_timeout, .. } = *config;
        let (node, unapplied) = (config.node.clone(), Mutex::default());
        Self { bus, link, news, node, partitions, deadline, member_timeout, unapplied }
    }

    /// Says when there is something to read.
    pub const fn news(&self) -> &Arc<News> {
        &self.news
    }

    /// The name of this node, for records.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Writes a record in the place of the one of version `expected` (0 where there is none), and tells the other nodes. The
    /// record's own version is not looked at: the register gives it one.
    ///
    /// # Errors
    /// When it could not be written; it may have been all the same unless the record is too long or there are too many.
    pub async fn change(&self, record: &Record, expected: u64) -> Result<Changed, TierError> {
        let text = record.encode().map_err(|reason| self.link.failed(reason))?;
        let gone_for = match record.standing {
            Standing::Made(_) => 0,
            Standing::Gone { .. } => millis(GONE_FOR),
        };
        let add = |script: &mut redis::ScriptInvocation<'_>| {
            script.key(scripts::STATE).key(scripts::ORDER).key(scripts::RECORDS).key(scripts::GONE);
            script.arg(&record.name).arg(expected).arg(&text).arg(gone_for).arg(TENANTS_MAX);
        };
        let answer: Vec<Value> = self.bus.register(&record.name, &scripts::CHANGE, add).await?;
        self.changed(&record.name, answer)
    }

    fn changed(&self, name: &str, answer: Vec<Value>) -> Result<Changed, TierError> {
        let mut answer = answer.into_iter();
        let mut number = || answer.next().and_then(|value| redis::from_redis_value::<u64>(value).ok());
        match (number(), number()) {
            (Some(1), Some(version)) => Ok(Changed::Recorded(version)),
            (Some(0), Some(_)) => {
                let text: Vec<u8> =
                    answer.next().and_then(|value| redis::from_redis_value(value).ok()).unwrap_or_default();
                let by = Record::read(name, &text).map_or_else(|_| "another node".to_owned(), |record| record.node);
                Ok(Changed::Overtaken { by })
            }
            (Some(2), _) => Err(self.link.failed(format!("there are {TENANTS_MAX} tenants in it, which is the most"))),
            _ => Err(self.nonsense()),
        }
    }

    /// Reads the records that were written after `order`; all from the beginning where the epoch is another one.
    ///
    /// # Errors
    /// When they could not be read.
    pub async fn read(&self, epoch: &str, order: u64) -> Result<Page, TierError> {
        let mut script = scripts::READ.key(scripts::STATE);
        script.key(scripts::ORDER).key(scripts::RECORDS);
        // The version stands before the record proper.
        script.arg(epoch).arg(order).arg(PAGE_LEN).arg(RECORD_BYTES_MAX + 32).arg(PAGE_BYTES);
        let calling = |mut to| async move { script.invoke_async(&mut to).await };
        let answer = self.link.call_within(self.deadline, calling).await?;
        scripts::page(answer).ok_or_else(|| self.nonsense())
    }

    /// Reads the record of one tenant, if there is one; within it why it makes no sense.
    ///
    /// # Errors
    /// When it could not be read.
    pub async fn read_one(&self, name: &str) -> Result<Option<Result<Record, Unapplied>>, TierError> {
        let mut script = scripts::ONE.key(scripts::RECORDS);
        script.arg(name).arg(RECORD_BYTES_MAX + 32);
        let calling = |mut to| async move { script.invoke_async::<Option<Vec<u8>>>(&mut to).await };
        let bytes = self.link.call_within(self.deadline, calling).await?;
        Ok(bytes.map(|bytes| Record::read(name, &bytes)))
    }

    /// Writes records where the register has none that is as new, and makes the register where there is none. Those of version
    /// 0 get one. Mends what the register has lost of itself, also where there is no record to write.
    ///
    /// # Errors
    /// When they could not be written, or some of them not.
    pub async fn restore(&self, records: &[Record]) -> Result<(), TierError> {
        let nothing: &[Record] = &[];
        let chunks = records.chunks(RESTORE_LEN).chain(records.is_empty().then_some(nothing));
        for some in chunks {
            let mut script = scripts::RESTORE.key(scripts::STATE);
            script.key(scripts::ORDER).key(scripts::RECORDS).key(scripts::GONE).arg(random_name());
            for record in some {
                let text = record.encode().map_err(|reason| self.link.failed(reason))?;
                let gone_at = match record.standing {
                    Standing::Made(_) => 0,
                    Standing::Gone { .. } => record.at.as_millis(),
                };
                script.arg(&record.name).arg(record.version).arg(text).arg(gone_at);
            }
            let calling = |mut to| async move { script.invoke_async::<()>(&mut to).await };
            self.link.call_within(self.deadline, calling).await?;
        }
        Ok(())
    }

    /// The records that this node can't apply at present.
    pub fn unapplied(&self) -> Vec<Unapplied> {
        self.unapplied.lock().clone()
    }

    /// Tells the other nodes up to which order this one has applied the register, and the versions that it could not apply. Where
    /// these are too many to be told, it counts as having applied nothing.
    ///
    /// # Errors
    /// When it could not be told.
    pub async fn note_applied(&self, order: u64, unapplied: Vec<Unapplied>) -> Result<(), TierError> {
        let noted = noted(order, &unapplied);
        *self.unapplied.lock() = unapplied;
        let [members, _] = member_keys(0);
        let mut script = scripts::NOTE.key(scripts::APPLIED);
        script.key(members).arg(self.bus.run()).arg(noted);
        self.link.call_within(self.deadline, |mut to| async move { script.invoke_async::<()>(&mut to).await }).await
    }

    /// Waits until every live node has applied the record of a version, for `patience` at the longest. Returns the names of those
    /// that have not.
    ///
    /// # Errors
    /// When the server could not be asked.
    pub async fn behind(&self, tenant: &str, version: u64, patience: Duration) -> Result<Vec<String>, TierError> {
        let is_settled = |behind: &Result<Vec<_>, _>| !behind.as_ref().is_ok_and(|behind| !behind.is_empty());
        until_settled(PAUSES, patience, is_settled, || self.behind_now(tenant, version)).await
    }

    async fn behind_now(&self, tenant: &str, version: u64) -> Result<Vec<String>, TierError> {
        let [members, _] = member_keys(Partition::of_tenant(tenant, self.partitions).index);
        let mut script = scripts::BEHIND.key(members);
        script.key(scripts::APPLIED).arg(version).arg(millis(self.member_timeout)).arg(self.bus.run());
        let calling = |mut to| async move { script.invoke_async::<Vec<String>>(&mut to).await };
        let runs = self.link.call_within(self.deadline, calling).await?;
        Ok(runs.iter().map(|run| members::name(run)).collect())
    }

    fn nonsense(&self) -> TierError {
        self.link.failed("the register of tenants answers nonsense".to_owned())
    }
}

/// What is told of the records that a node has applied.
fn noted(order: u64, unapplied: &[Unapplied]) -> String {
    let versions: Vec<u64> = unapplied.iter().map(|one| one.version).filter(|version| *version > 0).collect();
    if versions.len() > FAILED_TOLD_MAX {
        return "0".to_owned();
    }
    let numbers: Vec<String> = [order].iter().chain(&versions).map(u64::to_string).collect();
    numbers.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_not_apply_more_than_can_be_told_has_applied_nothing() {
        let unapplied = |count| (0..count).map(|n| Unapplied::new(format!("t{n}"), n, 0, String::new()));
        assert_eq!(noted(7, &unapplied(3).collect::<Vec<_>>()), "7 1 2", "one that can't be read has no version");
        assert_eq!(noted(7, &unapplied(33).collect::<Vec<_>>()).split(' ').count(), 33);
        assert_eq!(noted(7, &unapplied(34).collect::<Vec<_>>()), "0");
    }
}
