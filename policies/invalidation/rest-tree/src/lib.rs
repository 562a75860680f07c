//! A write to a resource purges the collection that it is in, with its pages, and what is below the resource.
//!
//! Of `PUT /shops/1/products/7` these go: `/shops/1/products` and `/shops/1/products/`, each with any query; and everything below
//! `/shops/1/products/7/`. With `"parents": 2`, `/shops/1` as well, and so on. A `POST` makes a resource whose place is in `Location`:
//! what it was sent to is the collection.

use sandbar_guest::invalidation::{Invalidation, Purge, Scope, Written};
use serde::Deserialize;

/// Purges along the tree of paths.
#[derive(Debug)]
pub struct RestTree {
    settings: Settings,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// How many levels up are purged: 1 is the collection.
    parents: usize,
    /// Whether what is below the resource goes too.
    below: bool,
    /// Whether entries stay, but stale.
    soft: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { parents: 1, below: true, soft: false }
    }
}

/// The most levels that can be set.
const PARENTS_MAX: usize = 16;

impl RestTree {
    fn purge(&self, scope: Scope) -> Purge {
        Purge { scope, soft: self.settings.soft }
    }

    /// A path with or without a slash at its end, and with any query.
    fn with_pages(&self, path: &str) -> Vec<Purge> {
        let bare = path.trim_end_matches('/');
        let mut scopes = vec![Scope::Target(format!("{bare}/")), Scope::Prefix(format!("{bare}/?"))];
        // The root is a path with its slash alone.
        if !bare.is_empty() {
            scopes.extend([Scope::Target(bare.to_owned()), Scope::Prefix(format!("{bare}?"))]);
        }
        scopes.into_iter().map(|scope| self.purge(scope)).collect()
    }
}

impl Invalidation for RestTree {
    fn configure(settings: &str, _seed: u64) -> Result<Self, String> {
        let settings: Settings = sandbar_guest::settings::parse(settings)?;
        if settings.parents > PARENTS_MAX {
            return Err(format!("setting `parents`: {} is more than {PARENTS_MAX}", settings.parents));
        }
        Ok(Self { settings })
    }

    fn purges(&mut self, _now_ms: u64, written: &Written) -> Vec<Purge> {
        let resource = written.path().trim_end_matches('/');
        let mut purges = self.with_pages(resource);
        if self.settings.below && !resource.is_empty() {
            purges.push(self.purge(Scope::Prefix(format!("{resource}/"))));
        }
        let mut path = resource;
        for _ in 0..self.settings.parents {
            let Some((parent, _)) = path.rsplit_once('/') else { break };
            purges.extend(self.with_pages(parent));
            path = parent;
        }
        purges
    }
}

sandbar_guest::export_invalidation!(RestTree);

#[cfg(test)]
mod tests {
    use super::*;

    fn purged(settings: &str, target: &str) -> Vec<Scope> {
        let mut policy = RestTree::configure(settings, 1).unwrap();
        let written = Written { method: "PUT".into(), target: target.into(), ..Written::default() };
        policy.purges(0, &written).into_iter().map(|purge| purge.scope).collect()
    }

    fn target(target: &str) -> Scope {
        Scope::Target(target.to_owned())
    }

    fn prefix(prefix: &str) -> Scope {
        Scope::Prefix(prefix.to_owned())
    }

    #[test]
    fn the_collection_goes_with_its_pages_and_what_is_below() {
        let purged = purged("", "/shops/1/products/7?draft=1");
        for scope in [
            target("/shops/1/products/7"),
            prefix("/shops/1/products/7?"),
            prefix("/shops/1/products/7/"),
            target("/shops/1/products"),
            target("/shops/1/products/"),
            prefix("/shops/1/products?"),
            prefix("/shops/1/products/?"),
        ] {
            assert!(purged.contains(&scope), "{scope:?} is not in {purged:?}");
        }
        assert!(!purged.contains(&target("/shops/1")), "one level up by default");
        assert!(!purged.contains(&prefix("/shops/1/products/")), "no other product");
    }

    #[test]
    fn as_many_levels_as_wanted_and_no_more_than_there_are() {
        let up = purged(r#"{"parents": 9, "below": false}"#, "/a/b");
        assert!(up.contains(&target("/a")) && up.contains(&target("/")), "{up:?}");
        assert!(!up.contains(&prefix("/a/b/")) && !up.contains(&prefix("/")), "{up:?}");
        let root = purged("", "/");
        assert!(
            root.contains(&target("/")) && !root.contains(&prefix("/")),
            "a write to / is not a purge of everything: {root:?}"
        );
        assert_eq!(purged("", "/"), [target("/"), prefix("/?")]);
        assert_eq!(purged(r#"{"parents": 0}"#, "/a/b").len(), 5);
    }

    #[test]
    fn purges_are_soft_where_that_is_set() {
        let mut policy = RestTree::configure(r#"{"soft": true}"#, 1).unwrap();
        let written = Written { target: "/a/b".into(), ..Written::default() };
        assert!(policy.purges(0, &written).iter().all(|purge| purge.soft));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        for (settings, name) in
            [(r#"{"parents": 17}"#, "parents"), (r#"{"parent": 1}"#, "parent"), (r#"{"soft": 1}"#, "soft")]
        {
            assert!(RestTree::configure(settings, 1).unwrap_err().contains(name));
        }
    }
}
