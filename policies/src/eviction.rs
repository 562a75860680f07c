//! The stock eviction policies, compiled in.

use sandbar_guest::eviction::{Eviction, Knowledge, Shard, advance};

/// Any of the stock policies, for one shard. Events are packed as `sandbar_guest::eviction` packs them.
pub trait NativeEviction: Send {
    /// Takes in a batch of events and pushes the victims, coldest first.
    fn advance(&mut self, now_ms: u64, events: &[u64], reclaim_bytes: u64, victims: &mut Vec<u32>);

    /// Up to `limit` slots in eviction order, from behind `after` or from the coldest.
    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32>;

    /// What the policy has learnt beside that order, within the bound of a hand-over.
    fn hand_over(&self) -> Knowledge;

    /// Takes in what the policy that it replaces has learnt.
    fn take_over(&mut self, knowledge: &Knowledge);
}

impl<E: Eviction + Send> NativeEviction for E {
    fn advance(&mut self, now_ms: u64, events: &[u64], reclaim_bytes: u64, victims: &mut Vec<u32>) {
        advance(self, now_ms, events, reclaim_bytes, victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        Eviction::order(self, after, limit)
    }

    fn hand_over(&self) -> Knowledge {
        Eviction::hand_over(self).bounded()
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        Eviction::take_over(self, knowledge);
    }
}

/// A policy, or what is wrong with its settings.
pub type Made = Result<Box<dyn NativeEviction>, String>;

/// A stock policy that is compiled in.
#[derive(Clone, Copy)]
pub struct Native {
    /// The name under which the policy is bound.
    pub name: &'static str,
    /// What the policy does, in a sentence.
    pub summary: &'static str,
    make: fn(&str, u64, u64) -> Made,
}

impl Native {
    /// Makes the policy of one shard.
    ///
    /// # Errors
    /// When the settings (JSON, or an empty text) are wrong; the sentence says which.
    pub fn make(&self, settings: &str, capacity_bytes: u64, seed: u64) -> Made {
        (self.make)(settings, capacity_bytes, seed)
    }
}

/// All stock eviction policies, by name.
pub const NATIVE: &[Native] = &[
    entry::<sandbar_policy_2q::TwoQ>(
        "2q",
        "What is asked for again after it left the queue of new entries is kept by recency.",
    ),
    entry::<sandbar_policy_arc::Arc>(
        "arc",
        "Learns from what it evicted too early how much room recent and frequent entries need.",
    ),
    entry::<Shard<sandbar_policy_clock::Clock>>("clock", "First in, first out, but what was read gets another round."),
    entry::<Shard<sandbar_policy_fifo::Fifo>>("fifo", "The entry that arrived first leaves first."),
    entry::<sandbar_policy_gdsf::Gdsf>("gdsf", "What is read often, costs much to fetch and is small stays."),
    entry::<Shard<sandbar_policy_lfu::Lfu>>("lfu", "The entry that was read least leaves first; old popularity ages."),
    entry::<sandbar_policy_lru::Lru>("lru", "The entry that was read longest ago leaves first."),
    entry::<Shard<sandbar_policy_random::AnyOne>>("random", "Any entry leaves, each as likely as another."),
    entry::<sandbar_policy_s3_fifo::S3Fifo>(
        "s3-fifo",
        "New entries are on probation in a small queue; what is read there stays.",
    ),
    entry::<sandbar_policy_sieve::Sieve>(
        "sieve",
        "A hand moves over the queue and takes what was not read since it passed.",
    ),
    entry::<sandbar_policy_tide::Tide>(
        "tide",
        "Pools by experience and worth, under the view that hits most: the house policy.",
    ),
    entry::<Shard<sandbar_policy_ttl::Ttl>>("ttl", "The entry that expires soonest leaves first."),
    entry::<sandbar_policy_w_tinylfu::WTinyLfu>(
        "w-tinylfu",
        "A newcomer has to be asked for more often than what it would replace.",
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
