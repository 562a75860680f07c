//! Traffic made by code, to compare eviction policies on.
//!
//! Each workload is one pattern that caches are known to meet, or two of them together, in its purest form: there one
//! fixed policy is far better than another, and a policy that adapts has the most to lose. The same name always gives
//! the same requests.
//!
//! ```
//! let workload = sandbar_tests::workloads::all().into_iter().find(|workload| workload.name == "zipf-0.8").unwrap();
//! assert_eq!(workload.requests(), workload.requests());
//! ```

mod draw;
mod held_out;
mod looping;
mod mixed;
mod popular;
mod recent;
mod sizes;

use draw::Draw;
use sizes::Sizes;

/// Key and size in bytes.
pub type Request = (u64, u64);

/// A pattern of requests, with sizes for its keys.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The workload's name, which also seeds its draws.
    pub name: &'static str,
    /// The pattern, in a few words.
    pub about: &'static str,
    keys: fn(&mut Draw) -> Vec<u64>,
    sizes: Sizes,
}

impl Workload {
    /// The requests, in order. A key has the same size each time.
    pub fn requests(&self) -> Vec<Request> {
        let seed = self
            .name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let keys = (self.keys)(&mut Draw::new(seed));
        self.sizes.give(keys)
    }
}

/// The workloads that `tide` was made with.
pub fn all() -> Vec<Workload> {
    [popular::WORKLOADS, recent::WORKLOADS, looping::WORKLOADS, mixed::WORKLOADS].concat()
}

/// The workloads that were written after `tide`, to test it.
pub fn held_out() -> Vec<Workload> {
    held_out::all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_never_0_and_keep_their_size() {
        for workload in [all(), held_out()].concat() {
            let mut sizes = std::collections::HashMap::new();
            let requests = workload.requests();
            assert!((5_000..=500_000).contains(&requests.len()), "{}: {}", workload.name, requests.len());
            for (key, size) in requests {
                assert!(key > 0 && size > 0, "{}", workload.name);
                assert_eq!(*sizes.entry(key).or_insert(size), size, "{}", workload.name);
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let workloads = [all(), held_out()].concat();
        let names: std::collections::BTreeSet<_> = workloads.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), workloads.len());
    }
}
