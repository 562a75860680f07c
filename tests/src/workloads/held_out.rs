//! Patterns that were written after `tide`, and by which none of its constants was chosen: they test it, and are not
//! for improving it. Where a policy is tuned to one of them, that one has to be replaced by a new one.

mod changing;
mod correlated;
mod scanned;
mod shared;

use super::Workload;

pub(super) fn all() -> Vec<Workload> {
    [changing::WORKLOADS, correlated::WORKLOADS, scanned::WORKLOADS, shared::WORKLOADS].concat()
}
