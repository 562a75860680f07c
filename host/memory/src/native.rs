//! Native eviction policies: stock policies that are compiled in. One of them is the default, and stands in when a
//! guest fails.

use std::fmt;
use std::sync::Arc;

use sandbar_base::{Digest, Fault};
use sandbar_guest::eviction::Knowledge;
use sandbar_policies::eviction::{self as stock, Made};

use crate::eviction::{EvictionFactory, EvictionPolicy};

/// The native eviction policy of a tenant that chose none, and of one whose guest has failed.
pub const DEFAULT_EVICTION: &str = "tide";

/// A factory of one stock policy, compiled in, with its settings.
pub struct NativeEviction {
    policy: &'static stock::Native,
    settings: String,
}

impl NativeEviction {
    /// The native default, with its own settings.
    pub fn default_policy() -> Arc<dyn EvictionFactory> {
        let policy = find(DEFAULT_EVICTION).expect("the default is compiled in");
        Arc::new(Self { policy, settings: String::new() })
    }

    /// The policy `name` with these settings (a JSON text, or an empty one); none where no such policy is compiled in.
    ///
    /// # Errors
    /// With the policy's own message where it refuses the settings.
    pub fn new(name: &str, settings: &str) -> Option<Result<Self, String>> {
        let policy = find(name)?;
        let tried = policy.make(settings, 1 << 20, 0);
        Some(tried.map(|_| Self { policy, settings: settings.to_owned() }))
    }
}

fn find(name: &str) -> Option<&'static stock::Native> {
    stock::NATIVE.iter().find(|native| native.name == name)
}

impl EvictionFactory for NativeEviction {
    fn name(&self) -> &str {
        self.policy.name
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn is_stock(&self) -> bool {
        true
    }

    fn make(&self, capacity_bytes: u64, seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault> {
        let made: Made = self.policy.make(&self.settings, capacity_bytes, seed);
        made.map(|policy| Box::new(Shard(policy)) as Box<dyn EvictionPolicy>).map_err(Fault::nonsense)
    }

    fn faulted(&self, fault: &Fault) {
        // A native policy is part of this program: its fault is a bug of ours, not of a tenant.
        #[cfg(feature = "tracing")]
        tracing::error!(policy = self.policy.name, fault = &*fault.to_string(), "a native eviction policy failed");
    }

    fn is_trusted(&self) -> bool {
        true
    }

    fn fallback(&self) -> Arc<dyn EvictionFactory> {
        Self::default_policy()
    }
}

impl fmt::Debug for NativeEviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeEviction").field("name", &self.policy.name).field("settings", &self.settings).finish()
    }
}

struct Shard(Box<dyn stock::NativeEviction>);

impl EvictionPolicy for Shard {
    fn advance(
        &mut self,
        now_ms: u64,
        events: &[u64],
        reclaim_bytes: u64,
        victims: &mut Vec<u32>,
    ) -> Result<(), Fault> {
        self.0.advance(now_ms, events, reclaim_bytes, victims);
        Ok(())
    }

    fn order(&mut self, after: Option<u32>, limit: u32, slots: &mut Vec<u32>) -> Result<(), Fault> {
        slots.extend(self.0.order(after, limit));
        Ok(())
    }

    fn hand_over(&mut self) -> Result<Knowledge, Fault> {
        Ok(self.0.hand_over())
    }

    fn take_over(&mut self, predecessor: &Knowledge) -> Result<(), Fault> {
        self.0.take_over(predecessor);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_compiled_in() {
        assert_eq!(NativeEviction::default_policy().name(), DEFAULT_EVICTION);
    }

    #[test]
    fn settings_are_refused_before_anything_is_made() {
        assert!(NativeEviction::new("lru", "").unwrap().is_ok());
        assert!(NativeEviction::new("lru", r#"{"no such": 1}"#).unwrap().is_err());
        assert!(NativeEviction::new("none", "").is_none());
    }
}
