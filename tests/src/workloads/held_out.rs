//! Patterns that were written after `tide` and that none of its constants was chosen by: for judging it, not for making
//! it better. Whoever tunes to one of them has to write a new one.

mod changing;
mod correlated;
mod scanned;
mod shared;

use super::Workload;

pub(super) fn all() -> Vec<Workload> {
    [changing::WORKLOADS, correlated::WORKLOADS, scanned::WORKLOADS, shared::WORKLOADS].concat()
}
