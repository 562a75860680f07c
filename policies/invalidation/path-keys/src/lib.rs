//! A write to a path purges that path, and the surrogate keys that the settings map the path to.
//!
//! ```json
//! {
//!   "keys": {
//!     "/products/{id}": ["product-{id}", "catalogue"],
//!     "/products/{id}/*": ["product-{id}"]
//!   },
//!   "soft": true
//! }
//! ```
//! A pattern is compared with the path segment by segment: `{name}` stands for one segment and may be used in the keys,
//! a last `*` for all that follow, one at least. Every pattern that fits adds its keys.

use std::collections::BTreeMap;

use sandbar_guest::invalidation::{Invalidation, Purge, Scope, Written};
use serde::Deserialize;

/// Maps paths to surrogate keys.
#[derive(Debug)]
pub struct PathKeys {
    rules: Vec<Rule>,
    soft: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Patterns of paths, each with the keys to purge.
    keys: BTreeMap<String, Vec<String>>,
    /// Whether the purges are soft: entries stay, but stale.
    soft: bool,
}

#[derive(Debug)]
struct Rule {
    segments: Vec<Segment>,
    keys: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Named(String),
    Rest,
}

impl Rule {
    fn parse(pattern: &str, keys: Vec<String>) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("setting `keys`: pattern `{pattern}` {why}"));
        let Some(path) = pattern.strip_prefix('/') else { return refuse("does not begin with `/`") };
        let segments: Vec<Segment> = path.split('/').map(segment).collect();
        let is_rest = |segment: &Segment| *segment == Segment::Rest;
        if segments.iter().rev().skip(1).any(is_rest) {
            return refuse("has a `*` that is not its end");
        }
        Ok(Self { segments, keys })
    }

    /// The keys for a path; none where the pattern does not fit.
    fn keys(&self, path: &str) -> Option<impl Iterator<Item = String>> {
        let mut named = Vec::new();
        let mut segments = path.strip_prefix('/')?.split('/');
        for wanted in &self.segments {
            let found = segments.next()?;
            match wanted {
                Segment::Literal(literal) if literal != found => return None,
                Segment::Literal(_) => {}
                Segment::Named(name) => named.push((format!("{{{name}}}"), found.to_owned())),
                Segment::Rest => segments.by_ref().for_each(drop),
            }
        }
        let fits = segments.next().is_none();
        fits.then(|| self.keys.iter().map(move |key| named.iter().fold(key.clone(), |key, (n, v)| key.replace(n, v))))
    }
}

fn segment(text: &str) -> Segment {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(name) => Segment::Named(name.to_owned()),
        None if text == "*" => Segment::Rest,
        None => Segment::Literal(text.to_owned()),
    }
}

impl Invalidation for PathKeys {
    fn configure(settings: &str, _seed: u64) -> Result<Self, String> {
        let Settings { keys, soft } = sandbar_guest::settings::parse(settings)?;
        let rules = keys.into_iter().map(|(pattern, keys)| Rule::parse(&pattern, keys)).collect::<Result<_, _>>()?;
        Ok(Self { rules, soft })
    }

    fn purges(&mut self, _now_ms: u64, written: &Written) -> Vec<Purge> {
        let path = written.path();
        let keys = self.rules.iter().filter_map(|rule| rule.keys(path)).flatten().map(Scope::SurrogateKey);
        let scopes = std::iter::once(Scope::Target(path.to_owned())).chain(keys);
        let mut purges: Vec<Purge> = Vec::new();
        for scope in scopes {
            let purge = Purge { scope, soft: self.soft };
            if !purges.contains(&purge) {
                purges.push(purge);
            }
        }
        purges
    }
}

sandbar_guest::export_invalidation!(PathKeys);

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r#"{"keys": {
        "/products/{id}": ["product-{id}", "catalogue"],
        "/products/{id}/*": ["product-{id}"],
        "/a/b": ["ab"]
    }}"#;

    fn purged(settings: &str, target: &str) -> Vec<Scope> {
        let mut policy = PathKeys::configure(settings, 1).unwrap();
        let written = Written { method: "PUT".into(), target: target.into(), ..Written::default() };
        policy.purges(0, &written).into_iter().map(|purge| purge.scope).collect()
    }

    fn key(key: &str) -> Scope {
        Scope::SurrogateKey(key.to_owned())
    }

    fn target(target: &str) -> Scope {
        Scope::Target(target.to_owned())
    }

    #[test]
    fn a_write_purges_its_path_without_the_query() {
        assert_eq!(purged("", "/a/b?x=1"), [target("/a/b")]);
    }

    #[test]
    fn a_write_purges_the_keys_of_its_path() {
        assert_eq!(purged(SETTINGS, "/a/b"), [target("/a/b"), key("ab")]);
        assert_eq!(purged(SETTINGS, "/products/7"), [target("/products/7"), key("product-7"), key("catalogue")]);
        assert_eq!(purged(SETTINGS, "/products/7/price/eur"), [target("/products/7/price/eur"), key("product-7")]);
    }

    #[test]
    fn a_pattern_fits_whole_paths_only() {
        for path in ["/a", "/a/b/c", "/products", "/x/a/b"] {
            assert_eq!(purged(SETTINGS, path), [target(path)], "{path}");
        }
    }

    #[test]
    fn purges_are_hard_unless_they_are_to_be_soft() {
        let written = Written { target: "/a".into(), ..Written::default() };
        for (settings, soft) in [("", false), (r#"{"soft": true}"#, true)] {
            assert_eq!(PathKeys::configure(settings, 1).unwrap().purges(0, &written)[0].soft, soft);
        }
    }

    #[test]
    fn a_bad_pattern_is_refused_by_name() {
        for pattern in ["products", "/a/*/b"] {
            let refused = PathKeys::configure(&format!(r#"{{"keys": {{"{pattern}": []}}}}"#), 1).unwrap_err();
            assert!(refused.contains(pattern), "{refused}");
        }
    }
}
