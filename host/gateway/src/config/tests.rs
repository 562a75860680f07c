mod every_setting;

use super::*;

/// The error with which `text`, read as the file `sandbar.toml`, is refused.
fn refusal(text: &str) -> String {
    let read = GatewayConfig::from_toml(text, "sandbar.toml");
    read.and_then(|config| config.validate()).expect_err("a refusal").to_string()
}

const TENANT: &str = "[[tenant]]\norigin = \"http://127.0.0.1:3000\"\n";

/// A table with the files of a certificate.
fn certificate(section: &str) -> String {
    format!("[[{section}.tls.certificate]]\ncert_file = \"a.pem\"\nkey_file = \"a.key\"\n")
}

#[test]
fn tls_may_take_the_place_of_what_is_without_it() {
    let read = |text: &str| GatewayConfig::from_toml(text, "sandbar.toml").and_then(|config| config.validate());
    let gateway = format!("[gateway.tls]\nlisten = \"127.0.0.1:8080\"\nonly = true\n{}", certificate("gateway"));
    assert_eq!(read(&format!("{gateway}{TENANT}")), Ok(()));
    assert!(refusal(&format!("{}{TENANT}", gateway.replace("true", "false"))).contains("at the same address"));
    let open =
        "[admin]\nlisten = \"0.0.0.0:8081\"\n[admin.tls]\nlisten = \"0.0.0.0:8444\"\nclient_ca_file = \"ca.pem\"\n";
    let admin = format!("{open}only = true\n{}", certificate("admin"));
    assert_eq!(read(&format!("{admin}{TENANT}")), Ok(()), "a certificate of each client stands for the token");
    assert!(
        refusal(&format!("{}{TENANT}", admin.replace("true", "false"))).contains("admin.listen = \"0.0.0.0:8081\"")
    );
    assert!(refusal(&format!("{gateway}{}", TENANT.replace("3000", "8080"))).contains("clients are listened to"));
}

#[test]
fn the_file_in_the_binary_says_what_the_defaults_are() {
    let read = GatewayConfig::from_toml(DEFAULT_TOML, "default.toml").expect("the defaults");
    assert_eq!(read, GatewayConfig::default());
}

#[test]
fn every_setting_is_in_the_file_in_the_binary() {
    fn missing(value: &toml::Value, path: &str, absent: &mut Vec<String>) {
        if let toml::Value::Table(table) = value {
            for (key, value) in table {
                let is_there =
                    DEFAULT_TOML.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")));
                let is_of_tables = value.as_array().and_then(|array| array.first()).is_some_and(toml::Value::is_table);
                let is_section = (value.is_table() || is_of_tables) && DEFAULT_TOML.contains(&format!("[{path}{key}]"));
                if !is_there && !is_section {
                    absent.push(format!("{path}{key}"));
                }
                missing(value, &format!("{path}{key}."), absent);
            }
        }
    }
    let mut defaults = GatewayConfig::default();
    defaults.admin.token = Some(Secret::new("t"));
    defaults.memory.total = Some(sandbar::setting::Size::of(1 << 30));
    defaults.admin.token_file = Some("f".into());
    defaults.l2.disk.path = Some("p".into());
    defaults.journal.path = Some("p".into());
    defaults.fleet.control_url = Some(Secret::new("redis://h"));
    defaults.fleet.node = Some("n".into());
    defaults.gateway.tls = Some(TlsConfig {
        listen: ([127, 0, 0, 1], 8443).into(),
        only: false,
        client_ca_file: Some("c".into()),
        certificates: vec![CertificateFiles { cert_file: "c".into(), key_file: "k".into() }],
    });
    defaults.admin.tls = defaults.gateway.tls.clone();
    let mut all = toml::Value::try_from(defaults).expect("TOML");
    all.as_table_mut().expect("a table").remove("tenant");
    let mut absent = Vec::new();
    missing(&all, "", &mut absent);
    assert_eq!(absent, Vec::<String>::new());
}

#[test]
fn the_example_tenant_in_the_file_works() {
    let example = DEFAULT_TOML.split_once("# [[tenant]]").expect("an example").1;
    let lines = example.lines().map(|line| line.strip_prefix("# ").unwrap_or(line.trim_start_matches('#')));
    let text = format!("[l2]\nkind = \"redis\"\n[[tenant]]{}", lines.collect::<Vec<_>>().join("\n"));
    let config = GatewayConfig::from_toml(&text, "example").expect("it can be read");
    config.validate().expect("it makes sense");
    assert_eq!((config.tenants[0].classes.len(), config.tenants[0].policy.len()), (5, 2));
}

#[test]
fn the_example_of_strategies_works() {
    let text = include_str!("../../../../docs/strategies.toml");
    let config = GatewayConfig::from_toml(text, "docs/strategies.toml").expect("it can be read");
    config.validate().expect("it makes sense");
    let strategies = config.tenants[0].classes.iter().filter_map(|class| class.strategy);
    let strategies: Vec<_> = strategies.map(sandbar::strategy::Strategy::as_str).collect();
    assert_eq!(strategies, ["write-through", "ttl", "write-behind", "invalidate"]);
}

#[test]
fn a_wrong_line_is_shown_with_what_would_be_right() {
    for (text, expected) in [
        (
            "[gateway]\nlisen = \"127.0.0.1:1\"\n",
            "sandbar.toml:2:1: gateway.lisen = \"127.0.0.1:1\": unknown field `lisen`, expected one of `listen`, `scheme`, `default_host`",
        ),
        ("[gatway]\n", "sandbar.toml:1:2: gatway: unknown field `gatway`, expected one of `data_dir`, `gateway`"),
        (
            "\n[gateway]\nlisten = \"localhost:8080\"\n",
            "sandbar.toml:3:1: gateway.listen = \"localhost:8080\": \"localhost:8080\" is not an address to listen at; write an IP address",
        ),
        ("[limits]\ngrace = \"2x\"\n", "sandbar.toml:2:1: limits.grace = \"2x\": \"2x\" is no duration: "),
        (
            "[l1]\ntotal = \"1 ZZ\"\n",
            "sandbar.toml:2:1: l1.total = \"1 ZZ\": \"1 ZZ\" is no size: it is not a number and a unit; write one such as",
        ),
        ("[l2]\nkind = \"tape\"\n", "unknown variant `tape`, expected one of `disk`, `redis`, `memcached`, `none`"),
        (
            "[[tenant]]\norigin = \"localhost:3000\"\n",
            "\"localhost:3000\" is not the URL of an origin: the scheme is missing",
        ),
        ("[[tenant]]\norigin = 3000\n", "expected the URL of an origin, or a table"),
        ("[[tenant]]\ncolour = 1\n", "unknown field `colour`, expected one of `name`, `hosts`"),
        ("[tenant.policy\n", "sandbar.toml:1:"),
        ("[admin]\ntoken = 7\n", "sandbar.toml:2:1: admin.token = …: invalid type: integer, expected"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(expected), "{text}: {refusal}");
        assert!(!refusal.contains('\n'), "one sentence: {refusal}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused_with_a_remedy() {
    let twice = "[[tenant]]\nname = \"b\"\norigin = \"http://127.0.0.1:3000\"\nhosts = [\"b.example\"]\n";
    for (text, expected) in [
        (
            String::new(),
            "sandbar.toml: tenant = []: there is no tenant, so nobody would be answered; give --origin URL",
        ),
        ("[[tenant]]\nname = \"a\"\n".into(), "the tenant has no origin to ask; add a line such as origin ="),
        (
            format!("{TENANT}name = \"A B\"\n"),
            "sandbar.toml:3:1: tenant.name = \"A B\" (tenant \"A B\"): it can't be part of a key; use 1 to 64 of a-z",
        ),
        (format!("{TENANT}{TENANT}"), "tenant.name = \"default\": two tenants have it; rename one"),
        (format!("{TENANT}{TENANT}name = \"b\"\n"), "tenant.hosts = \"*\" (tenant \"b\"): is named twice"),
        (format!("{TENANT}hosts = []\n"), "it would answer for no host"),
        (format!("{TENANT}hosts = [\"http://a\"]\n"), "is a URL, not a host name"),
        (format!("{TENANT}hosts = [\"B.example\"]\n{twice}"), "is named twice"),
        (format!("[gateway]\ndefault_host = \"a b\"\n{TENANT}"), "gateway.default_host = \"a b\": it is no host name"),
        (
            format!("[gateway]\ndefault_host = \"a.b.example\"\n{TENANT}hosts = [\"*.B.example\"]\n"),
            "gateway.default_host = \"a.b.example\": a tenant has it",
        ),
        (format!("{TENANT}key.fields = [\"If-None-Match\"]\n"), "tells no requests apart; leave it out"),
        (format!("{TENANT}key.ignore_params = [\"%61*\"]\n"), "it never matches; write it \"a*\""),
        (format!("{TENANT}targets = [\"Cache-Control\"]\n"), "it is no targeted field"),
        (format!("{TENANT}hosts = [\"::1\"]\n"), "write it in brackets"),
        (format!("{TENANT}forward.pass = [\"X_Forwarded_For\"]\n"), "tenant.forward.pass = \"X_Forwarded_For\""),
        (format!("{TENANT}l1 = \"2GiB\"\n"), "l1.total = \"1GiB\": the tenants' shares (l1) add up to 2GiB; raise it"),
        (
            format!("[admin]\nlisten = \"0.0.0.0:8081\"\n{TENANT}"),
            "sandbar.toml:2:1: admin.listen = \"0.0.0.0:8081\": without a token anybody",
        ),
        (
            "[[tenant]]\n[tenant.origin]\nurl = \"http://app\"\nservers = [\"10.0.0.1\", \"10.0.0.1\"]\n".into(),
            "sandbar.toml:4:24: tenant.origin.servers = \"10.0.0.1\": it is named twice; leave",
        ),
        (
            "[[tenant]]\n[tenant.origin]\nurl = \"http://app\"\nservers = [\"127.0.0.1:8080\"]\n".into(),
            "it is where clients are listened to, so requests would go round in circles",
        ),
        (
            "[[tenant]]\norigin = { url = \"http://app\", eject = { pause = \"10m\" } }\n".into(),
            "tenant.origin.eject.pause_max = \"5m\": it is shorter than eject.pause; set",
        ),
        (
            "[[tenant]]\norigin = { url = \"http://app\", health_check = { path = \"/up\", timeout = \"6s\" } }\n"
                .into(),
            "tenant.origin.health_check.timeout = \"6s\": it is longer than health_check.interval; set",
        ),
        (
            "[[tenant]]\norigin = { url = \"http://app\", health_check = { path = \"up\" } }\n".into(),
            "\"up\" is not a path; write one such as \"/healthz\"",
        ),
        (
            "[[tenant]]\norigin = { url = \"https://app\", tls_key_file = \"k.pem\" }\n".into(),
            "tenant.origin.tls_key_file = \"k.pem\": a certificate and its key go together; name",
        ),
        (
            "[[tenant]]\norigin = { url = \"http://app\", tls_cert_file = \"c.pem\", tls_key_file = \"k.pem\" }\n"
                .into(),
            "tenant.origin.tls_cert_file = \"c.pem\": the URL is http, where no certificate is shown",
        ),
        (format!("[admin]\nlisten = \"127.0.0.1:8080\"\n{TENANT}"), "clients are listened to at the same address"),
        (format!("[gateway.tls]\n{TENANT}"), "gateway.tls: missing field `listen`"),
        (
            format!("[gateway.tls]\nlisten = \"127.0.0.1:8443\"\n{TENANT}"),
            "sandbar.toml:1:10: gateway.tls.certificate = []: there is no certificate to serve; add a table [[gateway.tls.certificate]]",
        ),
        (
            format!(
                "[gateway.tls]\nlisten = \"127.0.0.1:8443\"\n{}{TENANT}",
                certificate("gateway").replace("a.key", "")
            ),
            "gateway.tls.certificate.key_file = \"\": it names nothing; write the path of a file in PEM form",
        ),
        (
            format!("[gateway.tls]\nlisten = \"127.0.0.1:8081\"\n{}{TENANT}", certificate("gateway")),
            "gateway.tls.listen = \"127.0.0.1:8081\": operators are listened to at the same address",
        ),
        (
            format!("[admin.tls]\nlisten = \"0.0.0.0:8444\"\n{}{TENANT}", certificate("admin")),
            "admin.tls.listen = \"0.0.0.0:8444\": without a token anybody who reaches this address could purge",
        ),
        (
            format!("[gateway]\nproxy_protocol_from = [\"10.0.0.0/33\"]\n{TENANT}"),
            "\"10.0.0.0/33\" is no network: its prefix is too long; write an IP address",
        ),
        (format!("[admin]\ntoken = \"\"\n{TENANT}"), "admin.token = …: the token is empty"),
        (format!("[admin]\ntoken_file = \"/no/such\"\n{TENANT}"), "admin.token_file = \"/no/such\": No such file"),
        (
            format!("[l2]\nkind = \"redis\"\nredis.url = \"http://u:secret@h\"\n{TENANT}"),
            "l2.redis.url = \"http://…\": it is not",
        ),
        (
            format!("[limits]\nhead_max = \"1KiB\"\n{TENANT}"),
            "limits.head_max = \"1KiB\": 1KiB is too little; set 8KiB to 16MiB",
        ),
        (
            format!("[limits]\nhead_deadline = \"0s\"\n{TENANT}"),
            "limits.head_deadline = \"0s\": 0s is too little; set 1ms to 1h",
        ),
    ] {
        let refusal = refusal(&text);
        assert!(refusal.contains(expected), "{text}: {refusal}");
        assert!(!refusal.contains("secret"), "{refusal}");
    }
}

#[test]
fn a_token_makes_the_admin_api_public() {
    let text = format!("[admin]\nlisten = \"0.0.0.0:8081\"\ntoken = \"abc\"\n{TENANT}");
    let config = GatewayConfig::from_toml(&text, "sandbar.toml").expect("it can be read");
    config.validate().expect("it makes sense");
    assert!(!format!("{config:?}").contains("abc"), "a token is never printed");
}

#[test]
fn the_command_line_names_the_origin_of_the_only_tenant() {
    let url = || "http://127.0.0.1:4000".parse().expect("a URL");
    let mut config = GatewayConfig::default();
    config.set_origin(url()).expect("one tenant");
    assert_eq!((config.tenants.len(), config.tenants[0].hosts.as_slice()), (1, &["*".to_owned()][..]));
    config.validate().expect("it makes sense");

    let table = "[[tenant]]\norigin = { url = \"http://a\", host_header = \"origin\" }\n";
    let mut config = GatewayConfig::from_toml(table, "sandbar.toml").expect("it can be read");
    config.set_origin(url()).expect("one tenant");
    let origin = config.tenants[0].origin.as_ref().expect("an origin");
    assert_eq!((origin.url.to_string(), origin.host_header), (url_text(), sandbar::origin::http::HostHeader::Origin));

    let mut config = GatewayConfig::from_toml(&format!("{TENANT}{TENANT}"), "sandbar.toml").expect("it can be read");
    assert!(config.set_origin(url()).expect_err("two tenants").to_string().contains("--origin"));
}

fn url_text() -> String {
    "http://127.0.0.1:4000".into()
}

#[test]
fn a_tier_is_chosen_on_the_command_line() {
    let mut l2 = L2Config::default();
    l2.choose("none".parse().expect("a tier"));
    assert_eq!(l2.kind, L2Kind::None);
    l2.choose("redis://cache:6379/1".parse().expect("a tier"));
    assert_eq!((l2.kind, l2.redis.url.expose()), (L2Kind::Redis, "redis://cache:6379/1"));
    l2.choose("memcached://a:1,b:2".parse().expect("a tier"));
    assert_eq!((l2.kind, l2.memcached.servers), (L2Kind::Memcached, vec!["a:1".to_owned(), "b:2".to_owned()]));
    assert!("tape".parse::<L2Choice>().expect_err("no tier").contains("write disk, none, or a URL"));
}

#[test]
fn over_memcached_nothing_is_promised_about_other_nodes() {
    let memcached = "[l2]\nkind = \"memcached\"\n";
    let control = "[fleet]\ncontrol_url = \"redis://h\"\n";
    for fleet in ["", control] {
        for strict in ["bus", "versioned", "write-all"] {
            let refused = refusal(&format!("{memcached}{fleet}{TENANT}consistency = \"{strict}\"\n"));
            assert!(refused.contains("memcached can't compare") && refused.contains("eventual"), "{refused}");
        }
    }
    let read = |text: &str| GatewayConfig::from_toml(text, "sandbar.toml").expect("it can be read");
    let (alone, told) = (read(&format!("{memcached}{TENANT}")), read(&format!("{memcached}{control}{TENANT}")));
    assert_eq!((alone.validate(), told.validate()), (Ok(()), Ok(())));
    assert!(!alone.has_fleet() && told.has_fleet());
    let unheard = |config: &GatewayConfig| config.notes().iter().any(|note| note.contains("fleet.control_url"));
    assert!(unheard(&alone) && !unheard(&told));
    assert!(read("[l2.memcached]\ndeadline = \"1s\"\n").notes()[0].contains("[l2.memcached] is not used"));
}

#[test]
fn promise_about_other_nodes_needs_a_fleet() {
    let strict = format!("{TENANT}consistency = \"bus\"\n");
    let refused = refusal(&strict);
    assert!(refused.contains("tenant.consistency = \"bus\"") && refused.contains("l2.kind = \"redis\""), "{refused}");
    let redis = "[l2]\nkind = \"redis\"\n";
    let read = |text: &str| GatewayConfig::from_toml(text, "sandbar.toml").and_then(|config| config.validate());
    assert_eq!(read(&format!("{redis}{strict}")), Ok(()));
    let in_a_class = format!("{TENANT}[[tenant.class]]\nname = \"a\"\npath = \"/a\"\nconsistency = \"bus\"\n");
    assert!(refusal(&format!("{redis}[fleet]\nenabled = false\n{in_a_class}")).contains("acts alone"));
    assert!(refusal(&format!("[fleet]\ncontrol_url = \"redis://h\"\n{TENANT}")).contains("fleet.control_url"));
    assert!(refusal(&format!("{redis}[fleet]\nsilence_max = \"100ms\"\n{TENANT}")).contains("fleet.silence_max"));
    let cluster = "[l2]\nkind = \"redis\"\n[l2.redis]\nurl = \"redis-cluster://h:1,h:2\"\n";
    assert_eq!(read(&format!("{cluster}{strict}")), Ok(()));
    let replicas = refusal(&format!("{cluster}[fleet]\nwait_replicas = 1\n{strict}"));
    assert!(replicas.contains("fleet.wait_replicas = 1") && replicas.contains("fleet.control_url"), "{replicas}");
    assert!(refusal(&format!("{TENANT}consistency = \"sometimes\"\n")).contains("`eventual`"));
}
