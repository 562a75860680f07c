//! Events of other systems: the tenant's invalidation policy says what they make invalid, and that is purged.

use std::sync::Arc;

use sandbar_policy::invalidation::{Event, NoAnswer};

use super::Cache;
use crate::purge::PurgeReport;
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// Bytes of a topic at most.
const TOPIC_BYTES_MAX: usize = 256;
/// Bytes of a payload at most: it is copied into the policy's memory.
const PAYLOAD_BYTES_MAX: usize = 256 << 10;

/// Why an event has purged nothing, or not for sure: whoever sends it tries again, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The topic can't be one. To send it again is of no use.
    #[error("a topic has 1 to {TOPIC_BYTES_MAX} visible characters of ASCII")]
    Topic,
    /// The payload is too large. To send it again is of no use.
    #[error("the payload has {0} bytes, and may have {PAYLOAD_BYTES_MAX}; send what names the change, not the change")]
    TooLarge(usize),
    /// The tenant has no policy that could be asked. To send it again is of no use until it has one.
    #[error("{0}; bind one to the role invalidation, such as event-map")]
    NoPolicy(NoAnswer),
    /// The policy gave no answer.
    #[error("{0}: what the event makes invalid is not known; send it again")]
    Unanswered(NoAnswer),
    /// What it makes invalid is purged here, and not recorded where that outlives this node, or not told to the others.
    #[error("its purges are not recorded for other nodes yet ({}); send it again", .0.reason.as_deref().unwrap_or("no reason given"))]
    Pending(PurgeReport),
}

impl Cache {
    /// Asks the tenant's invalidation policy what an event of another system makes invalid, and purges that. Once this returns a report,
    /// the purges are recorded where they outlive this node, and told to the other nodes as the classes that they reach promise; so a sender
    /// that repeats an event until then delivers it at least once.
    ///
    /// # Errors
    /// Where that is not so; what was purged stays purged.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn event(&self, tenant: &Arc<Tenant>, topic: &str, payload: &[u8]) -> Result<PurgeReport, EventError> {
        if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || !topic.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(EventError::Topic);
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(EventError::TooLarge(payload.len()));
        }
        count(&tenant.counters.events);
        let event = Event { topic, payload, key: &tenant.settings.key };
        let purges = tenant.policies.event_purges(&event).map_err(|none| match none {
            NoAnswer::NoPolicy => EventError::NoPolicy(none),
            _ => {
                count(&tenant.counters.events_unanswered);
                EventError::Unanswered(none)
            }
        })?;
        let report = self.purge(tenant, &purges).await;
        if report.pending > 0 { Err(EventError::Pending(report)) } else { Ok(report) }
    }
}
