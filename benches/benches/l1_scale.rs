//! How does L1 scale? What a hit and an insert cost from a thousand to ten million entries, what an entry costs in
//! memory beside its key and value, and what an idle tenant costs.
//!
//! ```sh
//! cargo bench -p sandbar-benches --bench l1_scale -- [--entries 1000,1000000] [--policy tide|lru|...] [--tenants 10000]
//! ```
//! Each row is measured in a process of its own, in the production layout (read buffers and shards by size).
//! Reads draw their keys evenly, which is the worst case: nothing is found in a processor's cache that did not fit into
//! it. Inserts are measured while the tier fills, and when it is full and each insert evicts an entry. One thread, in
//! processor time; the tables and the values are warm.
//!
//! Bytes are resident memory as the kernel counts it, before and after the tier was filled. A value is an `Arc` of the
//! key's text, 32 bytes; what the allocator takes for it is subtracted. The tables, the slots and the policy are left:
//! once the tier is filled, and once two million more inserts have each evicted an entry: then a policy has ghosts.

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sandbar::body::{Body, BoxError};
use sandbar::clock::{SystemClock, Timestamp, thread_cpu_time};
use sandbar::http::key::KeyHash;
use sandbar::memory::native::{DEFAULT_EVICTION, NativeEviction};
use sandbar::memory::{ENTRY_OVERHEAD_BYTES, Facts, Memory, MemoryConfig};
use sandbar::origin::loader::Loader;
use sandbar::policy::TenantPolicies;
use sandbar::tenant::Tenant;
use sandbar::tenant::config::TenantConfig;

const SIZES: &str = "1000,10000,100000,1000000,3000000,10000000";

/// Reads and inserts that are measured: enough to go over a small tier many times.
const OPERATIONS: u64 = 2_000_000;

/// A key's text and nothing more.
type Value = Arc<[u8; 32]>;

/// What glibc takes for a value: 48 bytes with its two counts, and 16 of its own.
const VALUE_BYTES: u64 = 64;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const FACTS: Facts = Facts { weight_bytes: 32, fetch_cost_us: 1000, expires: Timestamp::from_millis(u64::MAX) };

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        Some(words.get(at + 1).unwrap_or_else(|| panic!("{name} takes a value")).clone())
    };
    let policy = value("--policy").unwrap_or_else(|| DEFAULT_EVICTION.to_owned());
    if let Some(entries) = value("--one-size") {
        return one_size(entries.parse().expect("a number of entries"), &policy);
    }
    if let Some(tenants) = value("--idle") {
        return idle(tenants.parse().expect("a number of tenants"));
    }
    println!(
        "{policy}, one thread\n| entries | shards | ns per hit | ns per insert, filling | full | bytes per entry, filled | churned |"
    );
    println!("|---|---|---|---|---|---|---|");
    for entries in value("--entries").as_deref().unwrap_or(SIZES).split(',') {
        in_a_process(&["--one-size", entries, "--policy", &policy]);
    }
    in_a_process(&["--idle", value("--tenants").as_deref().unwrap_or("10000")]);
}

/// Measures a row in a process of its own, which has no memory that another row left behind. Freed tables go back to
/// the system at once there, as they do sooner or later with the allocator of the program.
fn in_a_process(words: &[&str]) {
    let own = std::env::current_exe().expect("a path of its own");
    let mut process = Command::new(own);
    process.args(words).env("MALLOC_MMAP_THRESHOLD_", "131072");
    let status = process.status().expect("it can be started again");
    assert!(status.success(), "{words:?} failed: {status}");
}

fn one_size(entries: u64, policy: &str) {
    let capacity_bytes = entries * (FACTS.weight_bytes + ENTRY_OVERHEAD_BYTES);
    let native = NativeEviction::new(policy, "").unwrap_or_else(|| panic!("{policy} is no stock policy"));
    let memory = Memory::new(
        &MemoryConfig { capacity_bytes, ..MemoryConfig::default() },
        Arc::new(native.expect("the settings are its own")),
    );
    let before = resident_bytes();
    let filling = time(entries, |number| insert(&memory, number));
    let bytes_each =
        |entries: u64| resident_bytes().saturating_sub(before) as f64 / entries as f64 - VALUE_BYTES as f64;
    let filled_bytes = bytes_each(memory.stats().entries);
    let mut random = Random(1);
    let mut hits = 0;
    let hit = time(OPERATIONS, |_| hits += u64::from(black_box(memory.get(key(random.below(entries)), NOW)).is_some()));
    // The shards are not filled to the same level: some turn a few entries away before all are in.
    assert!(hits * 100 > OPERATIONS * 95, "{hits} hits of {OPERATIONS}");
    let full = time(OPERATIONS, |number| insert(&memory, entries + number));
    let churned_bytes = bytes_each(memory.stats().entries);
    let shards = memory.stats().shards;
    let times = format!("| {entries} | {shards} | {hit:.0} | {filling:.0} | {full:.0}");
    if entries < 100_000 {
        println!("{times} | | |");
    } else {
        println!("{times} | {filled_bytes:.0} | {churned_bytes:.0} |");
    }
}

fn insert(memory: &Memory<Value>, number: u64) {
    memory.insert(key(number), Arc::new([7; 32]), FACTS, NOW);
}

/// Nanoseconds of processor time per turn.
fn time(turns: u64, mut turn: impl FnMut(u64)) -> f64 {
    let began = thread_cpu_time();
    (0..turns).for_each(&mut turn);
    per(thread_cpu_time() - began, turns)
}

fn per(time: Duration, turns: u64) -> f64 {
    time.as_nanos() as f64 / turns as f64
}

/// Measures tenants with the default settings: as they are made, and when each holds an entry that was read.
fn idle(tenants: u64) {
    let origin = Arc::new(Loader::new("none", async |_| Err::<http::Response<Body>, BoxError>("none".into())));
    let clock = Arc::new(SystemClock);
    let before = resident_bytes();
    let tenant = |number| {
        let config = TenantConfig { name: format!("t{number}"), ..TenantConfig::default() };
        let policies = TenantPolicies::native(&config.name);
        Tenant::new(&config, policies, Arc::clone(&origin) as _, Arc::clone(&clock) as _)
            .expect("the defaults are right")
    };
    let tenants: Vec<_> = (0..tenants).map(tenant).collect();
    let each = |before: u64| resident_bytes().saturating_sub(before) as f64 / tenants.len() as f64 / 1024.0;
    println!("\n{} idle tenants: {:.1} KiB each", tenants.len(), each(before));
    let before = resident_bytes();
    let tiers: Vec<Memory<Value>> =
        tenants.iter().map(|_| Memory::new(&MemoryConfig::default(), NativeEviction::default_policy())).collect();
    println!("of that the memory tier: {:.1} KiB", each(before));
    for tier in &tiers {
        insert(tier, 1);
        assert!(tier.get(key(1), NOW).is_some());
    }
    println!("the memory tier with an entry that was read once: {:.1} KiB", each(before));
}

/// The key of a number: 128 well-mixed bits.
fn key(number: u64) -> KeyHash {
    let mut random = Random(number);
    KeyHash(u128::from(random.next()) << 64 | u128::from(random.next()))
}

/// Memory of this process that is resident, in bytes.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second word is a number");
    pages * rustix::param::page_size() as u64
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}
