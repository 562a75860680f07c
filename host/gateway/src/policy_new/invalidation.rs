//! An invalidation policy: what a write makes invalid, beside its own target.
//!
//! With this one a write to `/products/7` purges `/products` as well, in which that product may be listed.

use sandbar_guest::invalidation::{Invalidation, Purge, Scope, Written};
use sandbar_guest::settings::NoSettings;

/// The policy.
#[derive(Debug)]
pub struct Policy;

impl Invalidation for Policy {
    fn configure(settings: &str, _seed: u64) -> Result<Self, String> {
        let NoSettings {} = sandbar_guest::settings::parse(settings)?;
        Ok(Self)
    }

    fn purges(&mut self, _now_ms: u64, written: &Written) -> Vec<Purge> {
        match written.path().rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => {
                vec![Purge { scope: Scope::Target(parent.to_owned()), soft: false }]
            }
            _ => Vec::new(),
        }
    }
}

sandbar_guest::export_invalidation!(Policy);

#[cfg(test)]
mod tests {
    use super::*;

    fn purged(target: &str) -> Vec<Scope> {
        let mut policy = Policy::configure("", 1).expect("it takes no settings");
        let written = Written { method: "PUT".into(), target: target.into(), ..Written::default() };
        policy.purges(0, &written).into_iter().map(|purge| purge.scope).collect()
    }

    #[test]
    fn the_collection_is_purged_with_what_is_in_it() {
        assert_eq!(purged("/products/7?x=1"), [Scope::Target("/products".to_owned())]);
        assert_eq!(purged("/products"), []);
    }
}
