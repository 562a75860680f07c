//! Scopes of purges, by the default key rules of a tenant.

use sandbar::barrier::Scope;
use sandbar::http::key::{KeyRules, Target, TargetPrefix};

/// The scope of a URL's target.
///
/// # Panics
/// When `url` has no target.
pub fn target(url: &str) -> Scope {
    Scope::Target(Target::of_url(&KeyRules::default(), url).expect("the URL of a target"))
}

/// The scope of all targets that begin with `prefix`, on one site or on all.
///
/// # Panics
/// When `site` is not a site.
pub fn prefix(site: Option<&str>, prefix: &str) -> Scope {
    Scope::Prefix(TargetPrefix::new(site, prefix).expect("a site"))
}
