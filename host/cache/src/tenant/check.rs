//! Checks a tenant's settings, each for itself and against each other, before the tenant serves anybody.

use std::collections::BTreeSet;

use http::HeaderName;
use http::header::CACHE_CONTROL;
use sandbar_http::entry::VersionKind;
use sandbar_http::key::spelled;
use sandbar_http::semantics::twin::twin_name;
use sandbar_http::semantics::upgrade::may_allow;
use sandbar_http::semantics::vary::selects_nothing;

use super::class::Classes;
use super::config::{ClassConfig, TenantConfig};
use super::token::TokenHash;
use super::write_rules::WriteRules;
use crate::consistency::Consistency;
use crate::origin::http::{OriginConfig, Protocol};
use crate::setting::{KIB, Key, MIB, size_text};

/// Why a tenant's settings are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tenant {tenant:?}: {key} = {value}: {reason}")]
pub struct SettingsError {
    /// The tenant.
    pub tenant: String,
    /// The setting that is wrong, below the tenant's table.
    pub key: Key,
    /// The value of that setting.
    pub value: String,
    /// What is wrong with the value, and what would be right.
    pub reason: String,
}

/// What a stored response takes in L1 beside its body at most: its head.
const HEAD_BYTES: u64 = 64 << 10;

/// The smallest share of L1 but none.
const SHARE_BYTES_MIN: u64 = 64 * KIB;

/// The largest body that is stored by default.
const BODY_BYTES_MAX: u64 = 16 * MIB;

/// The largest body that is stored by default of a tenant without a share of L1.
const SHARELESS_BODY_BYTES: u64 = MIB;

/// The largest body that is stored: what is set, or what L1 can hold, up to 16 MiB.
pub(super) fn body_bytes_max(config: &TenantConfig) -> u64 {
    let by_default = match config.l1.bytes() {
        0 => SHARELESS_BODY_BYTES,
        share => BODY_BYTES_MAX.min(share.saturating_sub(HEAD_BYTES).max(1)),
    };
    config.body_max.map_or(by_default, |body| body.bytes())
}

/// What each shard of L1 must be able to hold.
pub(super) fn shard_bytes_min(config: &TenantConfig) -> u64 {
    sandbar_memory::SHARD_BYTES_MIN.max(body_bytes_max(config).saturating_add(HEAD_BYTES))
}

/// Checks a tenant's settings.
///
/// # Errors
/// For the first setting that can't work.
pub(super) fn check(config: &TenantConfig) -> Result<Classes, SettingsError> {
    let found = name(config)
        .and_then(|()| share(config))
        .and_then(|()| bodies(config))
        .and_then(|()| deadlines(config))
        .and_then(|()| key_rules(config))
        .and_then(|()| targets(config))
        .and_then(|()| origin(config))
        .and_then(|()| protect(config))
        .and_then(|()| forward(config))
        .and_then(|()| tunnels(config))
        .and_then(|()| tokens(config))
        .and_then(|()| classes(config));
    found.map_err(|Wrong { key, value, reason }| SettingsError { tenant: config.name.clone(), key, value, reason })
}

struct Wrong {
    key: Key,
    value: String,
    reason: String,
}

fn wrong<T>(key: impl Into<Key>, value: impl std::fmt::Display, reason: &str, remedy: &str) -> Result<T, Wrong> {
    Err(Wrong { key: key.into(), value: value.to_string(), reason: format!("{reason}; {remedy}") })
}

fn name(config: &TenantConfig) -> Result<(), Wrong> {
    if TenantConfig::is_name(&config.name) {
        return Ok(());
    }
    wrong("name", format!("{:?}", config.name), "it can't be part of a key", "use 1 to 64 of a-z, 0-9, \"-\" and \"_\"")
}

fn share(config: &TenantConfig) -> Result<(), Wrong> {
    if config.l1.bytes() == 0 || config.l1.bytes() >= SHARE_BYTES_MIN {
        return Ok(());
    }
    let remedy = "set 64KiB or more, or \"0\": then the tenant lives on what the shares of the others leave";
    wrong("l1", format!("\"{}\"", config.l1), "a share so small holds nothing", remedy)
}

fn bodies(config: &TenantConfig) -> Result<(), Wrong> {
    let Some(body) = config.body_max else { return Ok(()) };
    if config.l1.bytes() == 0 {
        if body.bytes() <= BODY_BYTES_MAX {
            return Ok(());
        }
        let reason = "a tenant without a share of L1 stores no larger body than 16MiB";
        return wrong("body_max", format!("\"{body}\""), reason, "set 16MiB or less, or give it a share with l1");
    }
    if body.bytes().saturating_add(HEAD_BYTES) <= config.l1.bytes() {
        return Ok(());
    }
    let reason = format!("memory could not hold such a body: the tenant's l1 has {}", config.l1);
    let remedy = format!(
        "set {} or less, or raise l1 to {} or more",
        size_text(config.l1.bytes().saturating_sub(HEAD_BYTES)),
        size_text(body.bytes().saturating_add(HEAD_BYTES))
    );
    wrong("body_max", format!("\"{body}\""), &reason, &remedy)
}

fn deadlines(config: &TenantConfig) -> Result<(), Wrong> {
    let (hard, soft) = (config.fetch_hard_deadline, config.fetch_soft_deadline);
    if hard.get() >= soft.get() {
        return Ok(());
    }
    let reason = format!("it is shorter than fetch_soft_deadline ({soft})");
    wrong("fetch_hard_deadline", format!("\"{hard}\""), &reason, "set fetch_soft_deadline or more")
}

fn key_rules(config: &TenantConfig) -> Result<(), Wrong> {
    let rules = &config.key;
    if !rules.ignore_params.is_empty() && !rules.keep_params.is_empty() {
        let reason = "keep_params drops all other parameters already, so one of the two says nothing or the opposite";
        return wrong("key.ignore_params", format!("{:?}", rules.ignore_params), reason, "leave one of them out");
    }
    for (key, names) in [("key.ignore_params", &rules.ignore_params), ("key.keep_params", &rules.keep_params)] {
        for (index, name) in names.iter().enumerate() {
            let plain = name.strip_suffix('*').unwrap_or(name);
            let can_match = !name.is_empty() && !plain.contains(['*', '&', '=', '?', '#', ' ']);
            if can_match && spelled(name) != *name {
                let remedy = format!("write it {:?}", spelled(name));
                let reason = "names are compared without the escapes that they don't need, so it never matches";
                return wrong(Key::from(key).at(index), format!("{name:?}"), reason, &remedy);
            }
            if !can_match {
                let remedy = "write the name alone, such as \"page\", or its beginning and an asterisk: \"utm_*\"";
                return wrong(
                    Key::from(key).at(index),
                    format!("{name:?}"),
                    "no query parameter has that name",
                    remedy,
                );
            }
        }
    }
    for (index, name) in rules.fields.iter().enumerate() {
        let key = Key::from("key.fields").at(index);
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(parsed) if selects_nothing(&twin_name(&parsed)) => {
                let reason =
                    "it is for this gateway alone, and the origin never sees it, so it tells no requests apart";
                return wrong(key, format!("{name:?}"), reason, "leave it out");
            }
            Ok(_) => {}
            Err(_) => {
                let remedy = "write one such as \"accept-language\"";
                return wrong(key, format!("{name:?}"), "it is not a header field name", remedy);
            }
        }
    }
    for (index, name) in rules.cookies.iter().enumerate() {
        // A cookie-name is a token (RFC 6265 section 4.1.1), as a field name is.
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            let (key, remedy) = (Key::from("key.cookies").at(index), "write the name alone, such as \"lang\"");
            return wrong(key, format!("{name:?}"), "no cookie can have that name", remedy);
        }
    }
    Ok(())
}

fn targets(config: &TenantConfig) -> Result<(), Wrong> {
    for (index, target) in config.targets.iter().enumerate() {
        if target.eq_ignore_ascii_case(CACHE_CONTROL.as_str()) {
            let reason = "it is no targeted field, and counts in any case where none of these is there";
            return wrong(Key::from("targets").at(index), format!("{target:?}"), reason, "leave it out");
        }
        if HeaderName::from_bytes(target.as_bytes()).is_err() {
            let (key, remedy) = (Key::from("targets").at(index), "write one such as \"cdn-cache-control\"");
            return wrong(key, format!("{target:?}"), "it is not a header field name", remedy);
        }
    }
    Ok(())
}

fn classes(config: &TenantConfig) -> Result<Classes, Wrong> {
    WriteRules::of(config, &ClassConfig::default())
        .or_else(|(at, value, reason, remedy)| wrong(at, value, &reason, remedy))?;
    let mut names = BTreeSet::new();
    for (index, class) in config.classes.iter().enumerate() {
        let key = |name: &str| Key::from("class").at(index).then(name);
        if class.name.is_empty() || !names.insert(&class.name) {
            let (reason, remedy) = ("each class needs a name of its own", "name it as no other class is named");
            return wrong(key("name"), format!("{:?}", class.name), reason, remedy);
        }
        WriteRules::of(config, class).or_else(|(at, value, reason, remedy)| {
            wrong(Key::from("class").at(index).within(&at), value, &reason, remedy)
        })?;
        let versions = VersionKind::parse(class.version_field.as_deref());
        let Some(field) = &class.version_field else { continue };
        if let Err(reason) = versions {
            let remedy = "write the name of a field, or \"last-modified\"";
            return wrong(key("version_field"), format!("{field:?}"), &reason, remedy);
        }
        let consistency = class.consistency.unwrap_or(config.consistency);
        if consistency != Consistency::Versioned {
            let reason = format!("nothing compares versions where consistency is \"{consistency}\"");
            let remedy = "set consistency = \"versioned\", or leave it out";
            return wrong(key("version_field"), format!("{field:?}"), &reason, remedy);
        }
    }
    Classes::new(config).map_err(|error| Wrong {
        key: Key::from("class").at(error.index).then("path"),
        value: format!("{:?}", error.path),
        reason: error.reason,
    })
}

fn origin(config: &TenantConfig) -> Result<(), Wrong> {
    let checked = config.origin.as_ref().map_or(Ok(()), OriginConfig::check);
    checked.or_else(|(key, value, reason, remedy)| wrong(Key::from("origin").within(&key), value, reason, remedy))
}

fn protect(config: &TenantConfig) -> Result<(), Wrong> {
    let checked = config.protect.check();
    checked.or_else(|(key, value, reason, remedy)| wrong(Key::from("protect").within(&key), value, reason, remedy))
}

fn forward(config: &TenantConfig) -> Result<(), Wrong> {
    match config.forward.wrong_name() {
        None => Ok(()),
        Some((field, reason)) => wrong("forward.pass", format!("{field:?}"), &format!("it {reason}"), "remove it"),
    }
}

fn tunnels(config: &TenantConfig) -> Result<(), Wrong> {
    can_tunnel(config).map_err(|(key, reason)| Wrong { key, value: String::new(), reason })
}

fn tokens(config: &TenantConfig) -> Result<(), Wrong> {
    let mut names = BTreeSet::new();
    for (index, token) in config.tokens.iter().enumerate() {
        let key = |name: &str| Key::from("token").at(index).then(name);
        if token.name.is_empty() || !names.insert(&token.name) {
            let (reason, remedy) = ("each token needs a name of its own", "name it as no other token is named");
            return wrong(key("name"), format!("{:?}", token.name), reason, remedy);
        }
        if token.hash == TokenHash::default() {
            let remedy = "`sandbar token` makes a token and its hash";
            return wrong(key("hash"), "nothing", "nobody knows which token it is", remedy);
        }
        if token.scopes.is_empty() {
            return wrong(key("scopes"), "[]", "the token allows nothing", "write scopes = [\"purge\"]");
        }
    }
    Ok(())
}

/// Checks what the classes of a tenant allow against its tunnels and its origin.
///
/// # Errors
/// The first setting that can't work: its key below the tenant's table, and what is wrong with it.
fn can_tunnel(config: &TenantConfig) -> Result<(), (Key, String)> {
    let allowed = config
        .classes
        .iter()
        .enumerate()
        .flat_map(|(at, class)| class.upgrade.iter().map(move |protocol| (at, protocol)));
    let mut any = false;
    for (at, protocol) in allowed {
        let key = || Key::from("class").at(at).then("upgrade");
        any = true;
        may_allow(protocol).map_err(|why| (key(), format!("{protocol:?}: {why}")))?;
        if config.origin.as_ref().is_some_and(|origin| origin.http == Protocol::Http2) {
            let reason =
                "the origin is spoken to in HTTP/2 alone, which has no Upgrade; set origin.http = \"1.1\" or \"auto\"";
            return Err((key(), reason.to_owned()));
        }
    }
    let places = config.protect.requests_max;
    if any && config.tunnels.max > places {
        let reason = format!("each tunnel holds a place at the origin; set protect.requests_max ({places}) or less");
        return Err((Key::from("tunnels.max"), reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_that_can_not_work_are_refused_with_the_reason() {
        let class = "[[class]]\nname = \"live\"\npath = \"/live/**\"\n";
        for (text, key, reason) in [
            (format!("{class}upgrade = [\"websocket\"]"), "", ""),
            (format!("tunnels = {{ max = 2000 }}\n{class}upgrade = [\"websocket\"]"), "tunnels.max", "requests_max"),
        ] {
            let config: TenantConfig = toml::from_str(&text).expect("a tenant");
            let found = can_tunnel(&config).err().unwrap_or_default();
            assert!(found.0.to_string() == key && found.1.contains(reason), "{text}: {found:?}");
        }
        for wrong in ["tunnels = { max = 0 }", "tunnels = { idle_deadline = \"0s\" }"] {
            assert!(toml::from_str::<TenantConfig>(wrong).is_err(), "{wrong}");
        }
    }
}
