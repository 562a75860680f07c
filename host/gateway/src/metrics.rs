//! The metrics: each is declared once, in [`tenants`], [`node`] or [`process`], with its meaning and its unit.
//!
//! All names begin with `sandbar_`, but for those that any process has.

mod family;
mod format;
mod journal;
mod node;
mod others;
mod process;
mod tenants;

use std::fmt;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;
use sandbar::cache::Cache;

use self::family::Family;
pub(super) use self::format::Form;
use self::others::Others;
use crate::access::AccessLog;
use crate::opening::Openings;

/// What is kept from one reading of the metrics to the next.
pub(super) struct Metrics {
    others: Mutex<Others>,
}

impl Metrics {
    /// Metrics that name so many tenants at most.
    pub(super) fn new(tenants_max: usize) -> Self {
        Self { others: Mutex::new(Others::new(tenants_max)) }
    }

    /// The metrics as text.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn text(
        &self,
        cache: &Cache,
        access: Option<&AccessLog>,
        openings: &Openings,
        form: Form,
    ) -> Result<String, fmt::Error> {
        let tenants: Vec<_> = cache.tenants().all().iter().map(|tenant| tenant.report()).collect();
        let l2 = cache.l2_health();
        let refused = node::refused_writes(l2.as_ref(), access);
        let mut own = tenants::families(&tenants, &mut self.others.lock(), refused);
        own.extend(node::families(cache, l2.as_ref(), access));
        own.extend(node::of_openings(openings));
        let mut registry = Registry::default();
        registry.sub_registry_with_prefix("sandbar").register_collector(Box::new(Families(own)));
        registry.register_collector(Box::new(Families(process::families())));
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(form.of(out))
    }
}

/// Everything that is measured, at one moment.
#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|family| family.encode(&mut encoder))
    }
}

#[cfg(test)]
mod tests;
