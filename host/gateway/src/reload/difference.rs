//! What differs between two configurations, by the names of the settings; values are not told, some are secret.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::config::{GatewayConfig, TlsConfig};

/// The settings in which `to` differs from `from`, tenants aside.
pub(super) fn settings(from: &GatewayConfig, to: &GatewayConfig) -> Vec<String> {
    let bare = |config: &GatewayConfig| json(&config.without_tenants());
    let mut names = Vec::new();
    walk("", &bare(from), &bare(to), &mut names);
    names
}

/// The settings in which two tenants, or other values, differ.
pub(super) fn of(from: &impl Serialize, to: &impl Serialize) -> Vec<String> {
    let mut names = Vec::new();
    walk("", &json(from), &json(to), &mut names);
    names
}

/// `to`, tenants aside, but for what is read at the start alone: that is as in `from`.
pub(super) fn what_applies(from: &GatewayConfig, to: &GatewayConfig) -> GatewayConfig {
    let mut mixed = to.without_tenants();
    mixed.data_dir.clone_from(&from.data_dir);
    mixed.gateway.listen = from.gateway.listen;
    mixed.gateway.scheme = from.gateway.scheme;
    mixed.admin.enabled = from.admin.enabled;
    mixed.admin.listen = from.admin.listen;
    mixed.gateway.tls = listener(&from.gateway.tls, &to.gateway.tls);
    mixed.admin.tls = listener(&from.admin.tls, &to.admin.tls);
    mixed.admin.metrics_tenants_max = from.admin.metrics_tenants_max;
    mixed.memory = from.memory.clone();
    mixed.l2 = from.l2.clone();
    mixed.journal = from.journal.clone();
    mixed.fleet = from.fleet.clone();
    mixed.policy = from.policy.clone();
    mixed.log.format = from.log.format;
    mixed.limits.admin_body_max = from.limits.admin_body_max;
    mixed
}

/// A listener over TLS is opened at the start alone, or not; its certificates may change.
fn listener(from: &Option<TlsConfig>, to: &Option<TlsConfig>) -> Option<TlsConfig> {
    match (from, to) {
        (Some(from), Some(to)) => Some(TlsConfig { listen: from.listen, only: from.only, ..to.clone() }),
        _ => from.clone(),
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn walk(name: &str, from: &Value, to: &Value, names: &mut Vec<String>) {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let keys: BTreeSet<_> = from.keys().chain(to.keys()).collect();
            for key in keys {
                let below = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                walk(&below, from.get(key).unwrap_or(&Value::Null), to.get(key).unwrap_or(&Value::Null), names);
            }
        }
        _ if from == to => {}
        _ => names.push(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings, or sections, that only a start reads. All others are applied by a reload.
    const AT_START: [&str; 17] = [
        "data_dir",
        "gateway.listen",
        "gateway.scheme",
        "gateway.tls.listen",
        "gateway.tls.only",
        "admin.enabled",
        "admin.listen",
        "admin.tls.listen",
        "admin.tls.only",
        "admin.metrics_tenants_max",
        "memory",
        "l2",
        "journal",
        "fleet",
        "policy",
        "log.format",
        "limits.admin_body_max",
    ];

    /// Sections that are there from the start on, or never; what is in them may change.
    const LISTENERS: [&str; 2] = ["gateway.tls", "admin.tls"];

    /// Whether a setting is read at the start alone.
    fn is_read_at_start(name: &str) -> bool {
        LISTENERS.contains(&name)
            || AT_START
                .iter()
                .any(|known| name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    fn config(text: &str) -> GatewayConfig {
        GatewayConfig::from_toml(text, "test").expect("settings")
    }

    #[test]
    fn settings_that_differ_are_named_and_those_of_the_start_are_known() {
        let before = config("[limits]\nhead_deadline = \"5s\"");
        let after = config(
            "data_dir = \"other\"\n[limits]\nhead_deadline = \"6s\"\n[admin]\ntoken = \"secret\"\n[l2.redis]\ndeadline = \"1s\"",
        );
        let names = settings(&before, &after);
        assert_eq!(names, ["admin.token", "data_dir", "l2.redis.deadline", "limits.head_deadline"]);
        let at_start: Vec<_> = names.iter().filter(|name| is_read_at_start(name)).collect();
        assert_eq!(at_start, ["data_dir", "l2.redis.deadline"]);
    }

    /// Else a setting would be told to need a restart and be applied all the same, or the other way round.
    #[test]
    fn what_is_read_at_the_start_alone_is_kept_and_all_else_is_taken() {
        let over_tls = |port: u16, only: bool, cert: &str| {
            let section = |name: &str| {
                format!(
                    "[{name}.tls]\nlisten = \"127.0.0.1:{port}\"\nonly = {only}\nclient_ca_file = \"{cert}\"\n\
                     [[{name}.tls.certificate]]\ncert_file = \"{cert}\"\nkey_file = \"{cert}\"\n"
                )
            };
            format!("{}{}", section("gateway"), section("admin"))
        };
        let after = config(&format!("{AFTER}{}", over_tls(2, true, "b")));
        for before in [GatewayConfig::default(), config(&over_tls(1, false, "a"))] {
            let mixed = what_applies(&before, &after);
            for name in settings(&before, &mixed) {
                assert!(!is_read_at_start(&name), "{name} is applied");
            }
            for name in settings(&mixed, &after) {
                assert!(is_read_at_start(&name), "{name} is not applied");
            }
            let (applied, left) = (settings(&before, &mixed).len(), settings(&mixed, &after).len());
            assert_eq!(applied + left, settings(&before, &after).len());
        }
        let before = config(&over_tls(1, false, "a"));
        let applied = settings(&before, &what_applies(&before, &after));
        for name in ["gateway.tls.certificate", "gateway.tls.client_ca_file", "gateway.proxy_protocol_from"] {
            assert!(applied.contains(&name.to_owned()), "{applied:?}");
        }
    }

    /// Settings of which each differs from its default.
    const AFTER: &str = r#"
        data_dir = "other"
        [gateway]
        listen = "127.0.0.1:1"
        scheme = "https"
        default_host = "other.invalid"
        interim_responses = false
        trusted_proxies = ["10.0.0.0/8"]
        proxy_protocol_from = ["10.0.0.0/8"]
        [admin]
        enabled = false
        listen = "127.0.0.1:2"
        token = "secret"
        metrics_tenants_max = 7
        [l1]
        total = "2GiB"
        [memory]
        total = "3GiB"
        [l2]
        kind = "none"
        [journal]
        in_flight = 3
        [fleet]
        enabled = false
        [policy]
        instances_max = 3
        [limits]
        connections_max = 3
        head_max = "32KiB"
        fields_max = 64
        head_deadline = "3s"
        streams_max = 3
        admin_body_max = "1MiB"
        grace = "3s"
        upgrade_deadline = "3s"
        [log]
        level = "debug"
        format = "json"
        access = true
    "#;
}
