//! Finds the tenant that answers for a host name: the one that names it exactly, else the one with the longest wildcard
//! that matches it, else the one that has `*`.

use std::net::Ipv6Addr;

use sandbar_http::key::site_of;

use crate::parts::Parts;

/// The longest host name, in bytes, without the dot that may end it.
const NAME_BYTES_MAX: usize = 253;

/// Tenants by host name. A copy is cheap, however many there are, and so is a change of it.
#[derive(Clone, Debug)]
pub struct Hosts<T> {
    exact: Parts<T>,
    /// Tenants with wildcards, by what follows the asterisk, dot included.
    suffixes: Parts<T>,
    default: Option<T>,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self { exact: Parts::default(), suffixes: Parts::default(), default: None }
    }
}

/// Why a host name or pattern can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} {reason}")]
pub struct HostError {
    /// The pattern as it was written.
    pub pattern: String,
    /// Why the pattern can't be used, and what would be right.
    pub reason: String,
}

impl<T: Clone> Hosts<T> {
    /// Makes the map from patterns, each with its tenant.
    ///
    /// # Errors
    /// When a pattern is no host name, or two are the same.
    pub fn new(patterns: impl IntoIterator<Item = (String, T)>) -> Result<Self, HostError> {
        let mut hosts = Self::default();
        for (pattern, tenant) in patterns {
            hosts.add(&pattern, tenant)?;
        }
        Ok(hosts)
    }

    /// Adds a pattern.
    ///
    /// # Errors
    /// When the pattern is no host name, or a tenant has it already; nothing has changed then.
    pub fn add(&mut self, pattern: &str, tenant: T) -> Result<(), HostError> {
        let parsed = parse(pattern)?;
        if self.slot(&parsed).is_some() {
            let reason = "is named twice: each host belongs to one tenant; remove it from the other".into();
            return Err(HostError { pattern: pattern.to_owned(), reason });
        }
        match parsed {
            Pattern::Any => self.default = Some(tenant),
            Pattern::Suffix(suffix) => self.suffixes.insert(suffix.into(), tenant),
            Pattern::Exact(name) => self.exact.insert(name.into(), tenant),
        }
        Ok(())
    }

    /// Takes a pattern away, and returns the tenant that had it.
    pub fn remove(&mut self, pattern: &str) -> Option<T> {
        match parse(pattern).ok()? {
            Pattern::Any => self.default.take(),
            Pattern::Suffix(suffix) => self.suffixes.remove(&suffix),
            Pattern::Exact(name) => self.exact.remove(&name),
        }
    }

    /// The tenant that has just this pattern.
    pub fn named(&self, pattern: &str) -> Option<&T> {
        self.slot(&parse(pattern).ok()?)
    }

    fn slot(&self, pattern: &Pattern) -> Option<&T> {
        match pattern {
            Pattern::Any => self.default.as_ref(),
            Pattern::Suffix(suffix) => self.suffixes.get(suffix),
            Pattern::Exact(name) => self.exact.get(name),
        }
    }

    /// The tenant that answers for `host`: a name in either case, or an IP address, with or without port.
    pub fn find(&self, host: &str) -> Option<&T> {
        let name = normal(host);
        self.exact.get(&name).or_else(|| self.find_suffix(&name)).or(self.default.as_ref())
    }

    /// Whether a tenant has this host by a name or wildcard of its own.
    pub fn is_named(&self, host: &str) -> bool {
        let name = normal(host);
        self.exact.get(&name).is_some() || self.find_suffix(&name).is_some()
    }

    /// Looks up the longest suffix first: for `a.b.example` first `.b.example`, then `.example`. A name that is longer
    /// than a host name can be (RFC 1035 section 2.3.4) matches none: at each of its dots all of its rest would be
    /// hashed.
    fn find_suffix(&self, name: &str) -> Option<&T> {
        if self.suffixes.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        name.match_indices('.').filter(|(dot, _)| *dot > 0).find_map(|(dot, _)| self.suffixes.get(&name[dot..]))
    }
}

enum Pattern {
    Any,
    Suffix(String),
    Exact(String),
}

fn parse(pattern: &str) -> Result<Pattern, HostError> {
    let wrong = |reason: &str| HostError { pattern: pattern.to_owned(), reason: reason.to_owned() };
    if pattern == "*" {
        return Ok(Pattern::Any);
    }
    if pattern.contains("://") || pattern.contains('/') {
        return Err(wrong("is a URL, not a host name: write the name alone, such as shop.example"));
    }
    if !pattern.is_ascii() {
        return Err(wrong("is not ASCII: write it as it is sent, in Punycode (xn--…)"));
    }
    if pattern.parse::<Ipv6Addr>().is_ok() {
        return Err(wrong("is an IPv6 address: write it in brackets, such as [::1]"));
    }
    let name = normal(pattern);
    if name.len() < pattern.trim_end_matches('.').len() {
        return Err(wrong("has a port: tenants are chosen by host name alone, leave it out"));
    }
    if name.starts_with('[') {
        let site = site_of(&format!("http://{name}")).map_err(|_| wrong("is no IPv6 address in brackets"))?;
        return Ok(Pattern::Exact(site.trim_start_matches("http://").to_owned()));
    }
    let labels = name.strip_prefix("*.").unwrap_or(&name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if labels.len() > NAME_BYTES_MAX || !labels.split('.').all(is_label) {
        return Err(wrong("is no host name: write shop.example, *.example for all names below, or * for all others"));
    }
    Ok(match name.strip_prefix('*') {
        Some(suffix) => Pattern::Suffix(suffix.to_owned()),
        None => Pattern::Exact(name),
    })
}

/// Lower case, without port and without the dot that ends a fully qualified name.
fn normal(host: &str) -> String {
    let end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    host[..end].trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(patterns: &[&'static str]) -> Result<Hosts<&'static str>, HostError> {
        Hosts::new(patterns.iter().map(|pattern| ((*pattern).to_owned(), *pattern)))
    }

    #[test]
    fn the_closest_pattern_answers() {
        let hosts = hosts(&["shop.example", "*.example", "*.img.example", "[::1]", "[2001:DB8:0::1]", "10.0.0.1", "*"])
            .expect("hosts");
        for (host, expected) in [
            ("shop.example", "shop.example"),
            ("SHOP.Example:8080", "shop.example"),
            ("shop.example.", "shop.example"),
            ("blog.example", "*.example"),
            ("a.b.example", "*.example"),
            ("a.img.example", "*.img.example"),
            ("img.example", "*.example"),
            ("example", "*"),
            (".example", "*"),
            ("[::1]:8080", "[::1]"),
            ("[2001:db8::1]", "[2001:DB8:0::1]"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("other.test", "*"),
            ("", "*"),
        ] {
            assert_eq!(hosts.find(host), Some(&expected), "{host}");
        }
    }

    #[test]
    fn an_unknown_host_has_no_tenant() {
        assert_eq!(hosts(&["shop.example", "*.img.example"]).expect("hosts").find("img.example"), None);
    }

    #[test]
    fn a_host_of_many_labels_costs_what_it_is_long() {
        let hosts = hosts(&["shop.example", "*.img.example", "*"]).expect("hosts");
        let names = |length: usize| "a.".repeat(length / 2);
        crate::proportion::check("a.a.a", 4096, names, |name| assert_eq!(hosts.find(name), Some(&"*")));
    }

    #[test]
    fn wrong_patterns_say_what_would_be_right() {
        for (patterns, part) in [
            (&["a.example", "A.example"][..], "named twice"),
            (&["*", "*"], "named twice"),
            (&["http://a.example"], "is a URL"),
            (&["a.example:80"], "has a port"),
            (&["a.*.example"], "is no host name"),
            (&["*a.example"], "is no host name"),
            (&["a b"], "is no host name"),
            (&[""], "is no host name"),
            (&["müller.example"], "Punycode"),
            (&["[::g]"], "IPv6"),
            (&["::1"], "in brackets"),
            (&["[::1]", "[0::1]"], "named twice"),
        ] {
            let error = hosts(patterns).map(|_| ()).expect_err("wrong").to_string();
            assert!(error.contains(part), "{patterns:?}: {error}");
        }
    }
}
