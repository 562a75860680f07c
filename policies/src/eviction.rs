//! The stock eviction policies, compiled in.

use sandbar_guest::eviction::{Eviction, advance};

/// A stock policy of one shard, whichever it is. Events are packed as `sandbar_guest::eviction` packs them.
pub trait NativeEviction: Send {
    /// Takes in a batch of events and pushes the victims, coldest first.
    fn advance(&mut self, now_ms: u64, events: &[u64], reclaim_bytes: u64, victims: &mut Vec<u32>);

    /// Up to `limit` slots in eviction order, from behind `after` or from the coldest.
    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32>;
}

impl<E: Eviction + Send> NativeEviction for E {
    fn advance(&mut self, now_ms: u64, events: &[u64], reclaim_bytes: u64, victims: &mut Vec<u32>) {
        advance(self, now_ms, events, reclaim_bytes, victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        Eviction::order(self, after, limit)
    }
}

/// A policy, or what is wrong with its settings.
pub type Made = Result<Box<dyn NativeEviction>, String>;

/// A policy that can be compiled in.
#[derive(Clone, Copy)]
pub struct Native {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    make: fn(&str, u64, u64) -> Made,
}

impl Native {
    /// The policy for one shard.
    ///
    /// # Errors
    /// When the settings (JSON, or an empty text) are wrong; says which.
    pub fn make(&self, settings: &str, capacity_bytes: u64, seed: u64) -> Made {
        (self.make)(settings, capacity_bytes, seed)
    }
}

/// All of them.
pub const NATIVE: &[Native] = &[
    entry::<sandbar_policy_lru::Lru>("lru", "The entry read longest ago leaves first."),
    entry::<sandbar_policy_s3_fifo::S3Fifo>(
        "s3-fifo",
        "New entries are on probation in a small queue; what is read there stays.",
    ),
];

/// The policy `name` for one shard of `capacity_bytes`; none where there is no such policy, an error where the settings
/// (JSON, or an empty text) are wrong.
pub fn native(name: &str, settings: &str, capacity_bytes: u64, seed: u64) -> Option<Made> {
    let native = NATIVE.iter().find(|native| native.name == name)?;
    Some(native.make(settings, capacity_bytes, seed))
}

const fn entry<E: Eviction + Send + 'static>(name: &'static str, summary: &'static str) -> Native {
    Native {
        name,
        summary,
        make: |settings, capacity_bytes, seed| Ok(Box::new(E::configure(settings, capacity_bytes, seed)?)),
    }
}
