//! What a purge reaches, by the key rules that a tenant has by default.

use sandbar::barrier::Scope;
use sandbar::http::key::{KeyRules, Target, TargetPrefix};

/// The target of a URL.
///
/// # Panics
/// When that is none.
pub fn target(url: &str) -> Scope {
    Scope::Target(Target::of_url(&KeyRules::default(), url).expect("the URL of a target"))
}

/// What begins so, on one site or on all.
///
/// # Panics
/// When the site is none.
pub fn prefix(site: Option<&str>, prefix: &str) -> Scope {
    Scope::Prefix(TargetPrefix::new(site, prefix).expect("a site"))
}
