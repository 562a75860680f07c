//! Every setting there is, given every kind of value that makes no sense: it is refused with the file, the key and what
//! would be right, or it is taken for a reason that is written down here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use sandbar::consistency::Consistency;
use sandbar::origin::http::HealthCheckConfig;
use sandbar::setting::{Count, MIB, Size, Span};
use sandbar::strategy::Strategy;
use sandbar::tenant::config::{ClassConfig, WriteConfig};
use sandbar::tenant::token::{TokenConfig, TokenHash, TokenScope};
use sandbar_http::key::KeyRules;
use sandbar_http::origin_view::ForwardRules;
use sandbar_policy::freshness::Grant;
use sandbar_policy::{Choice, Role};
use toml::Value;

use super::super::*;

/// A configuration with every setting. Of two settings that exclude each other, `second` chooses which one is set.
fn everything(second: bool, token_file: &std::path::Path) -> GatewayConfig {
    let mut config = GatewayConfig::default();
    config.gateway.trusted_proxies = ["10.0.0.0/8".parse().expect("a network")].into_iter().collect();
    config.gateway.proxy_protocol_from = ["10.0.0.0/8".parse().expect("a network")].into_iter().collect();
    let tls = |port: u16| TlsConfig {
        listen: ([127, 0, 0, 1], port).into(),
        only: second,
        client_ca_file: Some("ca.pem".into()),
        certificates: vec![CertificateFiles { cert_file: "own.pem".into(), key_file: "own.key".into() }],
    };
    (config.gateway.tls, config.admin.tls) = (Some(tls(8443)), Some(tls(8444)));
    config.admin.token = (!second).then(|| Secret::new("sesame"));
    config.admin.token_file = second.then(|| token_file.to_owned());
    config.log.access.file = Some("access.log".into());
    config.memory.total = Some(Size::of(1 << 30));
    config.l2.kind = L2Kind::Redis;
    config.l2.disk.path = Some("l2".into());
    config.l2.redis.ca_file = Some("ca.pem".into());
    config.journal.path = Some("journal".into());
    config.fleet.control_url = Some(Secret::new("redis://control"));
    config.fleet.node = Some("edge-1".into());
    let mut origin = OriginConfig::new("https://127.0.0.1:3000".parse().expect("a URL"));
    origin.servers = vec!["10.0.0.1:8080".parse().expect("a server")];
    origin.health_check = Some(HealthCheckConfig::new("/healthz".parse().expect("a path")));
    origin.tls_ca_file = Some("ca.pem".into());
    origin.tls_cert_file = Some("edge.pem".into());
    origin.tls_key_file = Some("edge.key".into());
    let class = ClassConfig {
        name: "images".into(),
        path: "/img/**".into(),
        store_set_cookie: true,
        upgrade: vec!["websocket".into()],
        consistency: Some(Consistency::Versioned),
        version_field: Some("x-version".into()),
        lifetime_jitter_percent: Some(Count::of(10)),
        strategy: Some(Strategy::Invalidate),
        write: vec![WriteConfig {
            methods: vec!["POST".into()],
            field: Some("prefer".into()),
            value: Some("respond-async".into()),
            strategy: if second { Strategy::Ttl } else { Strategy::WriteThrough },
        }],
        // Of these settings each goes with a strategy, and none with versions.
        ttl_invalidates: second.then_some(false),
        put_lifetime: None,
        held_status: None,
        blind: Vec::new(),
        absorb: None,
    };
    let class = if second {
        let write =
            [Strategy::Ttl, Strategy::WriteThrough].map(|strategy| WriteConfig { strategy, ..class.write[0].clone() });
        let behind = WriteConfig { methods: vec!["PUT".into()], strategy: Strategy::WriteBehind, ..write[0].clone() };
        let write: Vec<_> = write.into_iter().chain([behind]).collect();
        ClassConfig {
            consistency: Some(Consistency::Eventual),
            version_field: None,
            put_lifetime: Some(Span::of(Duration::from_secs(60))),
            write,
            held_status: Some(204),
            blind: vec!["PATCH".into()],
            absorb: Some(false),
            ..class
        }
    } else {
        class
    };
    let params = |wanted: bool| if wanted { vec!["page".to_owned()] } else { Vec::new() };
    let key = KeyRules {
        ignore_params: params(!second),
        keep_params: params(second),
        fields: vec!["x-device".into()],
        cookies: vec!["lang".into()],
        ..KeyRules::default()
    };
    let choice = |stock: bool| Choice {
        stock: stock.then(|| "lru".to_owned()),
        file: (!stock).then(|| "policy.wasm".into()),
        settings: serde_json::json!({ "window": 1 }),
        native: stock,
    };
    config.tenants = vec![TenantConfig {
        name: "shop".into(),
        hosts: vec!["shop.example".into()],
        origin: Some(origin),
        body_max: Some(Size::of(MIB)),
        consistency: Consistency::Bus,
        key,
        forward: ForwardRules { pass: vec!["x_request_id".into()], ..ForwardRules::default() },
        targets: vec!["cdn-cache-control".into()],
        grants: [Grant::MissingLifetime].into(),
        classes: vec![class],
        tokens: vec![TokenConfig {
            name: "ci".into(),
            scopes: [TokenScope::Purge].into(),
            hash: TokenHash::of(b"sesame"),
            expires: Some("2099-01-31T00:00:00Z".parse().expect("a moment")),
        }],
        policy: [(Role::Eviction, choice(true)), (Role::Freshness, choice(false))].into(),
        ..TenantConfig::default()
    }];
    config
}

/// Values that somebody might write by mistake. The last stands for an unknown key in a table.
const WRONG: [&str; 16] = [
    "0",
    "-1",
    "9223372036854775807",
    "1.5",
    "nan",
    "true",
    "\"\"",
    "\"0\"",
    "\"0s\"",
    "\"-1\"",
    "\"5\"",
    "\"999999999999999999 years\"",
    "\"99999999EiB\"",
    "\"64 quux\"",
    "[[]]",
    "{ unknown-key = 1 }",
];

/// Keys that take some of the values of [`WRONG`]: the key, those values, and why. `[]` stands for an element of a
/// list.
const TAKEN: &[(&str, &[&str], &str)] = &[
    ("gateway.default_host", ONE_WORD, "they are labels of host names"),
    ("data_dir", ANY_TEXT, "a directory may have any name"),
    ("log.access.file", ANY_TEXT, "a file may have any name"),
    ("admin.metrics_tenants_max", &["0"], "all are summed"),
    ("journal.path", ANY_TEXT, "a directory may have any name"),
    ("journal.dead_capacity", &["\"0\""], "with one dead letter nothing more is held"),
    ("journal.delay", ZERO, "each write is sent at once"),
    ("journal.drain", ZERO, "what is held is delivered after the next start"),
    ("tenant.class.blind[]", ONE_WORD, "they are names of methods"),
    ("tenant.class.absorb", &["true"], "it is so by default"),
    ("l2.disk.path", ANY_TEXT, "a directory may have any name"),
    ("l2.redis.ca_file", ANY_TEXT, "whether it can be read is seen when it is"),
    ("gateway.tls.client_ca_file", ANY_TEXT, "whether it can be read is seen when it is"),
    ("gateway.tls.certificate.cert_file", ANY_TEXT, "whether it can be read is seen when it is"),
    ("gateway.tls.certificate.key_file", ANY_TEXT, "whether it can be read is seen when it is"),
    ("admin.tls.client_ca_file", ANY_TEXT, "whether it can be read is seen when it is"),
    ("admin.tls.certificate.cert_file", ANY_TEXT, "whether it can be read is seen when it is"),
    ("admin.tls.certificate.key_file", ANY_TEXT, "whether it can be read is seen when it is"),
    ("tenant.origin.tls_ca_file", ANY, "whether it can be read is seen when it is"),
    ("tenant.policy.eviction.stock", ANY, "whether there is one is seen when it is bound"),
    ("tenant.policy.freshness.file", ANY, "whether it can be read is seen when it is bound"),
    ("tenant.policy.eviction.settings.window", ANY, "a policy's own settings are the policy's to refuse"),
    ("tenant.policy.freshness.settings.window", ANY, "a policy's own settings are the policy's to refuse"),
    ("admin.token", ONE_WORD, "a token is any word"),
    ("fleet.node", ONE_WORD, "a node has any name"),
    ("tenant.name", &["\"0\"", "\"0s\"", "\"-1\"", "\"5\""], "a tenant has any name of such letters"),
    ("tenant.hosts[]", ONE_WORD, "they are labels of host names"),
    ("tenant.targets[]", ONE_WORD, "they are names of fields"),
    ("tenant.key.ignore_params[]", ONE_WORD, "they are names of parameters"),
    ("tenant.key.keep_params[]", ONE_WORD, "they are names of parameters"),
    ("tenant.key.fields[]", ONE_WORD, "they are names of fields"),
    ("tenant.key.cookies[]", ONE_WORD, "they are names of cookies"),
    ("tenant.class.upgrade[]", ONE_WORD, "they are names of protocols"),
    ("tenant.class.name", ANY_TEXT, "a class has any name"),
    ("tenant.token.name", ANY_TEXT, "a token has any name"),
    ("tenant.class.ttl_invalidates", &["true"], "it is so by default"),
    ("tenant.class.write.methods[]", ONE_WORD, "they are names of methods"),
    ("tenant.class.write.field", ONE_WORD, "they are names of fields"),
    ("tenant.class.write.value", TEXT, "a field has any value"),
    ("tenant.class.version_field", ONE_WORD, "they are names of fields"),
    ("memory.pressure.low_percent", &["0"], "L1 grows back when nothing is used"),
    ("fleet.deaf_age_max", ZERO, "a deaf node serves nothing from memory"),
    ("fleet.wait_replicas", &["0"], "a purge waits for none"),
    ("policy.core_share_percent", &["0"], "no limit"),
    ("policy.compiled_max", &["\"0\""], "none are kept"),
    ("limits.grace", ZERO, "what is under way is cut"),
    ("tenant.origin.tls_cert_file", ANY, "whether it can be read is seen when it is"),
    ("tenant.origin.tls_key_file", ANY, "whether it can be read is seen when it is"),
    ("tenant.origin.servers[]", ONE_WORD, "they are labels of host names"),
    ("tenant.origin.eject.share_max_percent", &["0"], "only what can't be connected to is left out"),
    ("tenant.origin.keep_idle", ZERO, "no connection is kept"),
    ("tenant.origin.idle_connections_max", &["0"], "no connection is kept"),
    ("tenant.fetch_soft_deadline", ZERO, "stale is served at once where it may be"),
    ("tenant.l1", &["\"0\""], "it lives on what the shares of the others leave"),
    ("tenant.heuristic_max", ZERO, "no lifetime is guessed"),
    ("tenant.keep_for_validation", ZERO, "nothing is kept"),
    ("tenant.lifetime_jitter_percent", &["0"], "no jitter"),
    ("tenant.class.lifetime_jitter_percent", &["0"], "no jitter"),
    ("tenant.protect.queue_max", &["0"], "nobody waits"),
    ("tenant.protect.retry.times_max", &["0"], "nothing is sent again"),
    ("tenant.protect.retry.share_percent", &["0"], "nothing is sent again but the burst"),
    ("tenant.protect.retry.burst", &["0"], "nothing is saved up"),
    ("tenant.protect.retry.pause", ZERO, "it is sent again at once"),
];

/// Texts of [`WRONG`] that are a duration of 0.
const ZERO: &[&str] = &["\"0\"", "\"0s\""];
/// Texts of [`WRONG`] without a space.
const ONE_WORD: &[&str] = &["\"0\"", "\"0s\"", "\"-1\"", "\"5\"", "\"99999999EiB\""];
/// Texts of [`WRONG`] that are not empty.
const ANY_TEXT: &[&str] =
    &["\"0\"", "\"0s\"", "\"-1\"", "\"5\"", "\"999999999999999999 years\"", "\"99999999EiB\"", "\"64 quux\""];
/// Texts of [`WRONG`].
const TEXT: &[&str] =
    &["\"\"", "\"0\"", "\"0s\"", "\"-1\"", "\"5\"", "\"999999999999999999 years\"", "\"99999999EiB\"", "\"64 quux\""];
/// All values that the type allows: the setting is checked later, when it is used.
const ANY: &[&str] = &WRONG;

fn is_taken(key: &str, wrong: &str) -> bool {
    TAKEN.iter().any(|(taken, values, _)| *taken == key && values.contains(&wrong))
}

/// Whether a value listed in [`TAKEN`] must be taken. With [`ANY`] it need not be, as the type refuses some.
fn must_be_taken(key: &str, wrong: &str) -> bool {
    TAKEN.iter().any(|(taken, values, _)| *taken == key && values.len() < WRONG.len() && values.contains(&wrong))
}

/// Calls `each` with the path of every value in a tree of settings; of an array, with that of its first element too.
fn leaves(value: &Value, path: &mut Vec<String>, each: &mut impl FnMut(&[String])) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                path.push(name.clone());
                leaves(value, path, each);
                path.pop();
            }
        }
        Value::Array(array) => {
            if array.first().is_some_and(|first| !first.is_table()) || array.is_empty() {
                each(path);
            }
            if let Some(first) = array.first() {
                path.push("0".into());
                leaves(first, path, each);
                path.pop();
            }
        }
        _ => each(path),
    }
}

fn at<'a>(value: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(value, |value, step| match value {
        Value::Array(array) => &mut array[step.parse::<usize>().expect("an index")],
        value => value.get_mut(step).expect("a key of the tree"),
    })
}

fn as_value(text: &str) -> Value {
    toml::from_str::<BTreeMap<String, Value>>(&format!("v = {text}")).expect("TOML").remove("v").expect("a value")
}

/// The error with which the settings are refused, if they are.
fn refusal(tree: &Value) -> Option<String> {
    let text = toml::to_string(tree).expect("TOML");
    GatewayConfig::from_toml(&text, "all.toml")
        .and_then(|config| config.validate())
        .err()
        .map(|error| error.to_string())
}

#[test]
fn every_setting_refuses_what_makes_no_sense_or_takes_it_for_a_reason() {
    let mut report = String::new();
    let token_file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token_file.path(), "sesame").expect("written");
    for second in [false, true] {
        let tree = Value::try_from(everything(second, token_file.path())).expect("TOML");
        assert_eq!(refusal(&tree), None, "all settings together make sense");
        let mut paths = Vec::new();
        leaves(&tree, &mut Vec::new(), &mut |path| paths.push(path.to_vec()));
        for path in paths {
            let element = if path.last().is_some_and(|last| last == "0") { "[]" } else { "" };
            let names: Vec<&str> = path.iter().map(String::as_str).filter(|step| *step != "0").collect();
            let key = names.join(".") + element;
            for wrong in WRONG {
                let (mut tree, value) = (tree.clone(), as_value(wrong));
                let old = std::mem::replace(at(&mut tree, &path), value.clone());
                // The same value, or the other one of the two booleans.
                if old == value || (old.is_bool() && value.is_bool()) {
                    continue;
                }
                match refusal(&tree) {
                    None if is_taken(&key, wrong) => {}
                    None => _ = writeln!(report, "{key} = {wrong} is taken"),
                    Some(_) if must_be_taken(&key, wrong) => {
                        _ = writeln!(report, "{key} = {wrong} is not taken, as it is said to be");
                    }
                    Some(said) => {
                        let last = path.iter().rfind(|step| *step != "0").expect("a key");
                        let says_where = said.starts_with("all.toml:") && said.contains(last.as_str());
                        let says_what = said.contains("; ") || said.contains("expected");
                        if !says_where || !says_what || said.contains('\n') || said.contains("sesame") {
                            _ = writeln!(report, "{key} = {wrong} is refused badly: {said}");
                        }
                    }
                }
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// What `sandbar config` shows: the lines of the file in the binary without what makes an example a comment.
fn shown() -> Vec<(String, String)> {
    let mut table = String::new();
    let mut lines = Vec::new();
    for line in DEFAULT_TOML.lines() {
        let bare = line.trim_start_matches(['#', ' ']);
        let header = bare.strip_prefix('[').and_then(|name| name.split_once(']'));
        match header {
            Some((name, _)) if !bare.contains(" =") => table = name.trim_start_matches('[').to_owned(),
            _ => lines.push((table.clone(), bare.to_owned())),
        }
    }
    lines
}

#[test]
fn every_setting_is_shown() {
    let lines = shown();
    // A key has a line of its own in its table, or stands in an inline table there (`origin = { url = … }`), or is one of those
    // that a comment lists ("Those settings are: http (…)").
    let is_shown = |table: &str, key: &str| {
        let of_table = |(name, _): &&(String, String)| name == table;
        let (outer, inline) = table.rsplit_once('.').unwrap_or(("", table));
        lines.iter().filter(of_table).any(|(_, line)| line.starts_with(&format!("{key} =")))
            || lines.iter().any(|(name, line)| {
                name == outer && line.starts_with(&format!("{inline} = {{")) && line.contains(&format!("{key} ="))
            })
    };
    let listed: &[&str] = &[
        "connect_deadline",
        "http",
        "idle_body_deadline",
        "idle_connections_max",
        "keep_idle",
        "tls_ca_file",
        "total_deadline",
    ];
    let mut missing = std::collections::BTreeSet::new();
    for second in [false, true] {
        let tree = Value::try_from(everything(second, "token".as_ref())).expect("TOML");
        leaves(&tree, &mut Vec::new(), &mut |path| {
            let names: Vec<&str> = path.iter().map(String::as_str).filter(|step| *step != "0").collect();
            let (key, tables) = names.split_last().expect("a key");
            // Settings of a policy are the policy's own, and any role shows how one is named.
            if tables.last() == Some(&"settings") || tables.starts_with(&["tenant", "policy"]) {
                return;
            }
            let table = tables.join(".");
            let is_listed = table == "tenant.origin" && listed.contains(key) && DEFAULT_TOML.contains(key);
            if !is_shown(&table, key) && !is_listed {
                missing.insert(names.join("."));
            }
        });
    }
    assert!(missing.is_empty(), "`sandbar config` does not show {missing:?}");
}

#[test]
fn an_unknown_key_is_refused_in_every_table() {
    fn tables(value: &Value, path: &mut Vec<String>, each: &mut impl FnMut(&[String])) {
        let inner: Vec<(String, &Value)> = match value {
            Value::Table(table) => {
                each(path);
                table.iter().map(|(name, value)| (name.clone(), value)).collect()
            }
            Value::Array(array) => array.first().map(|first| ("0".to_owned(), first)).into_iter().collect(),
            _ => Vec::new(),
        };
        for (name, value) in inner {
            path.push(name);
            tables(value, path, each);
            path.pop();
        }
    }
    let tree = Value::try_from(everything(false, "token".as_ref())).expect("TOML");
    let mut paths = Vec::new();
    tables(&tree, &mut Vec::new(), &mut |path| paths.push(path.to_vec()));
    for path in paths.iter().filter(|path| path.last().is_none_or(|last| last != "settings")) {
        let mut tree = tree.clone();
        at(&mut tree, path).as_table_mut().expect("a table").insert("colour".into(), Value::Boolean(true));
        let said = refusal(&tree).unwrap_or_default();
        assert!(said.starts_with("all.toml:") && said.contains("colour"), "{path:?}: {said}");
        assert!(said.contains("expected") || said.contains("; "), "{path:?}: {said}");
    }
}
