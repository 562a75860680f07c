//! The program: its message and its exit code when something is wrong, and that it ends well on a signal.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

fn sandbar(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
    for variable in ["SANDBAR_ADMIN_TOKEN", "SANDBAR_ADMIN", "SANDBAR_LOG"] {
        command.env_remove(variable);
    }
    command.args(arguments).output().expect("it runs")
}

/// Checks that the program ends with `code` and says `part` on standard error.
fn check(arguments: &[&str], code: i32, part: &str) {
    let output = sandbar(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(part), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

fn one_sentence(arguments: &[&str], code: i32, part: &str) {
    check(arguments, code, part);
    let said = String::from_utf8_lossy(&sandbar(arguments).stderr).into_owned();
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

#[test]
fn what_is_wrong_is_said_in_one_sentence_and_with_a_code() {
    let dir = TempDir::new().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let data = dir.path().join("data").display().to_string();
    let typo = file("typo.toml", "[gateway]\nlisen = \"127.0.0.1:1\"\n");
    let no_component = file("no.wasm", "this is no component");

    one_sentence(&["serve"], 2, "there is no tenant, so nobody would be answered; give --origin URL");
    one_sentence(&["serve", "--config", "/no/such.toml"], 2, "can't read the configuration file /no/such.toml");
    one_sentence(
        &["serve", "--config", &typo],
        2,
        "typo.toml:2:1: gateway.lisen = \"127.0.0.1:1\": unknown field `lisen`",
    );
    one_sentence(&["config", "--check", &typo], 2, "unknown field `lisen`, expected one of `listen`, `scheme`");
    let serve = ["serve", "--origin", "http://127.0.0.1:1", "--data-dir", &data];
    one_sentence(&[&serve[..], &["--admin", "0.0.0.0:0"]].concat(), 2, "set admin.token_file or SANDBAR_ADMIN_TOKEN");
    check(&["serve", "--origin", "localhost:3000"], 2, "\"localhost:3000\" is not the URL of an origin");
    check(&["serve", "--origin", "http://a", "--l2", "tape"], 2, "write disk, none, or a URL such as redis://");
    check(&["serve", "--origin", "http://a", "--listen", "8080"], 2, "write an IP address and a port");
    check(&["policy", "bind", "--role", "colour", "lru"], 2, "there is no role `colour`");
    one_sentence(&["policy", "check", &no_component], 2, "can't be bound: it is not a valid component");
    one_sentence(&["policy", "check", "/no/such.wasm"], 2, "can't read the component /no/such.wasm");
    one_sentence(&["policy", "list", "--admin", "http://127.0.0.1:1"], 1, "is a gateway running there?");
    let trace = file("trace.csv", "time,key,size\n1,1,1\n2,1,1\n");
    check(&["replay", "--trace", &trace, "--policy", "lru,no-such"], 2, "no-such: there is no stock eviction policy");
    let said = sandbar(&["replay", "--trace", &trace, "--policy", "lru,no-such"]);
    assert!(said.stdout.is_empty(), "a wrong policy is told before the first has run");
    check(&["purge", "--admin", "http://127.0.0.1:1"], 2, "--everything");

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let in_use = format!("another program listens at {address} already; stop it, or choose another address");
    one_sentence(&[&serve[..], &["--listen", &address]].concat(), 1, &in_use);
}

/// Runs `sandbar serve` until it listens, and then kills it (no code), or until it ends by itself; with what it said.
fn serve(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
    let mut process = command.arg("serve").args(arguments).stderr(Stdio::piped()).spawn().expect("it runs");
    let (mut lines, mut said) = (BufReader::new(process.stderr.take().expect("standard error")), String::new());
    while lines.read_line(&mut said).expect("a line") > 0 {
        if said.contains("Listening at") {
            let _ = process.kill();
            let _ = process.wait();
            return (None, said);
        }
    }
    (process.wait().expect("an end").code(), said)
}

/// Whether no part of a sentence, if it is of some length, is said twice.
fn says_nothing_twice(said: &str) -> bool {
    let parts: Vec<&str> = said.split([':', ';']).map(str::trim).filter(|part| part.len() > 12).collect();
    let mut once = parts.clone();
    once.sort_unstable();
    once.dedup();
    once.len() == parts.len()
}

#[test]
fn a_check_refuses_what_a_start_refuses_in_the_same_words() {
    let dir = TempDir::new().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let file = |name: &str, text: &[u8]| std::fs::write(dir.path().join(name), text).expect("written");
    file("a-file", b"");
    file("no.wasm", b"this is no component");
    let tenant = "[[tenant]]\norigin = \"http://127.0.0.1:1\"\n";
    let (a_file, no_wasm, no_such) = (path("a-file"), path("no.wasm"), path("no-such"));
    let key = rcgen::KeyPair::generate().expect("a key");
    let signed = rcgen::CertificateParams::new(vec!["a".to_owned()]).and_then(|params| params.self_signed(&key));
    file("a.pem", signed.expect("a certificate").pem().as_bytes());
    file("other.key", rcgen::KeyPair::generate().expect("a key").serialize_pem().as_bytes());
    let (certificate, other_key) = (path("a.pem"), path("other.key"));
    let tls = |cert: &str, key: &str| {
        let files = format!("[[gateway.tls.certificate]]\ncert_file = {cert:?}\nkey_file = {key:?}\n");
        format!("[gateway.tls]\nlisten = \"127.0.0.1:8443\"\n{files}{tenant}")
    };
    let cases = [
        ("", "there is no tenant"),
        (
            &*format!("[log]\nlevel = \"waarn\"\n{tenant}"),
            "log.level = \"waarn\": \"waarn\" is no log level; write one of off",
        ),
        (&format!("[log]\nlevel = \"\"\n{tenant}"), "is no log level"),
        (&format!("[l2.disk]\ncapacity = \"2MiB\"\n{tenant}"), "2MiB is too little; set 8MiB to"),
        (&format!("[policy]\ncall_budget = \"0s\"\n{tenant}"), "policy.call_budget = \"0s\""),
        (&format!("[policy]\ninstances_max = 0\n{tenant}"), "policy.instances_max = 0"),
        (&format!("[policy]\nfaults_max = 0\n{tenant}"), "policy.faults_max = 0"),
        (&format!("{tenant}waiter_deadline = \"0s\"\n"), "tenant.waiter_deadline = \"0s\""),
        (&format!("{tenant}body_max = \"100MiB\"\n"), "memory could not hold such a body"),
        (&format!("{tenant}key = {{ ignore_params = [\"a\"], keep_params = [\"b\"] }}\n"), "leave one of them out"),
        (&format!("data_dir = {a_file:?}\n{tenant}"), "is no directory; make it writable"),
        (&format!("data_dir = \"\"\n{tenant}"), "it names nothing"),
        (&format!("[l2.disk]\npath = {a_file:?}\n{tenant}"), "l2.disk.path"),
        (&format!("[l2]\nkind = \"redis\"\nredis.url = \"redis://h:port\"\n{tenant}"), "l2.redis.url = …"),
        (&format!("[l2]\nkind = \"redis\"\nredis.ca_file = {no_such:?}\n{tenant}"), "l2.redis.ca_file"),
        (&format!("[admin]\ntoken_file = {no_such:?}\n{tenant}"), "admin.token_file"),
        (&format!("[admin]\nlisten = \"127.0.0.1:8080\"\n{tenant}"), "clients are listened to at the same address"),
        (
            &format!("[admin]\ntoken = \"t\"\nlisten = \"0.0.0.0:8080\"\n{tenant}"),
            "clients are listened to at the same address",
        ),
        (&format!("{tenant}policy.eviction.stock = \"lfru\"\n"), "there is no stock eviction policy `lfru`"),
        (&format!("{tenant}policy.eviction.file = {no_wasm:?}\n"), "not a valid component"),
        (&format!("{tenant}policy.eviction.file = {no_such:?}\n"), "can't read the component"),
        (
            &format!("{tenant}policy.eviction = {{ stock = \"lru\", settings = {{ colour = 1 }} }}\n"),
            "tenant.policy.eviction",
        ),
        (&format!("{tenant}policy.colour.stock = \"lru\"\n"), "unknown variant `colour`, expected one of `freshness`"),
        ("[[tenant]]\norigin = { url = \"https://a\", tls_ca_file = \"/no/such\" }\n", "tenant.origin.tls_ca_file"),
        (
            "[[tenant]]\norigin = { url = \"http://a\", servers = [\"unix:app.sock\"] }\n",
            "\"unix:app.sock\" names no server: the path of a socket is absolute",
        ),
        (
            "[[tenant]]\norigin = { url = \"https://a\", tls_cert_file = \"a.pem\" }\n",
            "tenant.origin.tls_cert_file = \"a.pem\"",
        ),
        (&tls(&no_such, &no_such), "gateway.tls.certificate.cert_file"),
        (&tls(&no_such, &no_such), "it can't be read: No such file"),
        (&tls(&a_file, &no_such), "there is no certificate in it; name a file with the certificate in PEM form"),
        (&tls(&certificate, &a_file), "gateway.tls.certificate.key_file"),
        (&tls(&certificate, &other_key), "it is not the key of the certificate in"),
        ("[[tenant]]\norigin = \"http://127.0.0.1:8080\"\n", "requests would go round in circles"),
        ("[[tenant]]\norigin = \"https://\"\n", "is not the URL of an origin"),
        ("[[tenant]]\norigin = \"http://a/?x=1\"\n", "it has a query"),
        (&format!("{tenant}[[tenant.class]]\nname = \"c\"\npath = \"/a?b=*\"\n"), "only paths are compared"),
        (&format!("[memory]\ntotal = \"64MiB\"\n{tenant}"), "memory.total = \"64MiB\""),
        ("[[tenant]\n", "sandbar.toml:1:"),
    ];
    let config = path("sandbar.toml");
    for (text, part) in cases {
        std::fs::write(&config, text).expect("written");
        let check = sandbar(&["config", "--check", &config]);
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        assert_eq!(check.status.code(), Some(2), "{text}: {said}");
        assert!(said.contains(part), "{text}: {said}");
        assert!(said.contains("sandbar.toml"), "the file is named: {said}");
        assert!(says_nothing_twice(&said), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "one sentence: {said}");
        assert_eq!(serve(&["--config", &config]), (Some(2), said), "{text}");
    }
    assert!(!dir.path().join("sandbar-data").exists() && !std::path::Path::new("sandbar-data").exists());
}

#[test]
fn a_check_takes_the_flags_of_a_start_and_leaves_nothing_behind() {
    let dir = TempDir::new().expect("a directory");
    let config = dir.path().join("sandbar.toml").display().to_string();
    let data = dir.path().join("some/where/data");
    std::fs::write(&config, "[gateway]\nscheme = \"https\"\n[fleet]\npartitions = 8\n").expect("written");
    let flags = ["--origin", "http://127.0.0.1:1", "--data-dir", &data.display().to_string()];
    let check = sandbar(&[&["config", "--check", &config][..], &flags].concat());
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(check.status.success(), "{said}");
    assert!(said.contains("note: [fleet] is not used"), "{said}");
    assert!(!dir.path().join("some").exists(), "nothing was made");
    let wrong = ["--origin", "http://127.0.0.1:1", "--data-dir", &config];
    check_both(&config, &wrong, "--data-dir: data_dir = ");
    check_both(&config, &["--origin", "http://127.0.0.1:1", "--admin", "0.0.0.0:0"], "--admin: admin.listen");
    check_both(&config, &["--origin", "http://127.0.0.1:1", "--log", "loud"], "is no log level; write one of");
}

#[test]
fn a_certificate_that_has_expired_is_told_and_taken() {
    let dir = TempDir::new().expect("a directory");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let write = |name: &str, text: String| {
        std::fs::write(dir.path().join(name), text).expect("written");
        dir.path().join(name).display().to_string()
    };
    let certificate = write("a.pem", params.self_signed(&key).expect("a certificate").pem());
    let key = write("a.key", key.serialize_pem());
    let text = format!(
        "[gateway.tls]\nlisten = \"127.0.0.1:8443\"\n[[gateway.tls.certificate]]\ncert_file = {certificate:?}\n\
         key_file = {key:?}\n[[tenant]]\norigin = \"http://127.0.0.1:1\"\n"
    );
    let config = write("sandbar.toml", text);
    let data = dir.path().join("data").display().to_string();
    let check = sandbar(&["config", "--check", &config, "--data-dir", &data]);
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(check.status.success(), "{said}");
    assert!(said.contains("note: gateway.tls.certificate: number 1 (shop.test) has expired"), "{said}");
}

fn check_both(config: &str, flags: &[&str], part: &str) {
    check(&[&["config", "--check", config][..], flags].concat(), 2, part);
    check(&[&["serve", "--config", config][..], flags].concat(), 2, part);
}

#[test]
fn a_log_level_that_is_none_is_refused_wherever_it_is_said() {
    let dir = TempDir::new().expect("a directory");
    let config = dir.path().join("sandbar.toml").display().to_string();
    std::fs::write(&config, "[[tenant]]\norigin = \"http://127.0.0.1:1\"\n").expect("written");
    for arguments in [["serve", "--config", &config], ["config", "--check", &config]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
        let output = command.args(arguments).env("SANDBAR_LOG", "waarn").output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("SANDBAR_LOG = \"waarn\"") && said.contains("off, error, warn, info, debug, trace"),
            "{said}"
        );
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
    let output = command.args(["config", "--check", &config]).env("SANDBAR_LOGS", "info").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("the environment's SANDBAR_LOGS is not read"), "{said}");
}

#[test]
fn a_reader_who_has_left_ends_a_command_quietly() {
    for arguments in [&["config"][..], &["policy", "stock"], &["demo", "--seconds", "1"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = command.args(arguments).stdout(writer).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.as_str()), (Some(141), ""), "{arguments:?}");
    }
}

#[test]
fn a_gateway_goes_on_where_nobody_reads_its_log() {
    let dir = TempDir::new().expect("a directory");
    let mut serving =
        Serving::start(&["--data-dir", &dir.path().display().to_string(), "--l2", "none", "--access-log"]);
    serving.until(&["Dashboard"]);
    let address = serving.address().to_owned();
    // From now on writing to the log fails.
    serving.lines = None;
    for _ in 0..3 {
        let mut client = TcpStream::connect(&address).expect("a connection");
        client.write_all(b"GET / HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        BufReader::new(client).read_line(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    }
    kill_process(Pid::from_child(&serving.process), Signal::TERM).expect("a signal");
    assert!(serving.process.wait().expect("an end").success());
}

#[test]
fn a_check_of_settings_tries_the_policies_as_a_start_does() {
    let dir = TempDir::new().expect("a directory");
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.display().to_string()
    };
    // A component that exports the role's interface, but none of its functions.
    let hollow = r#"(component (instance $i) (export "sandbar:policy/freshness@0.1.0" (instance $i)))"#;
    let hollow = file("hollow.wasm", &wat::parse_str(hollow).expect("text"));
    check(&["policy", "check", &hollow], 2, "hollow.wasm can't be bound");
    let large = file("large.wasm", &vec![0; 9 << 20]);
    one_sentence(&["policy", "check", &large], 2, "the component has 9437184 bytes, the limit is 8388608");
    let data = dir.path().join("data").display().to_string();
    for (policy, part) in [
        ("[tenant.policy.eviction]\nstock = \"nonesuch\"\n".to_owned(), "there is no stock eviction policy `nonesuch`"),
        ("[tenant.policy.eviction]\nstock = \"lru\"\nsettings = { nonesuch = 1 }\n".to_owned(), "nonesuch"),
        ("[tenant.policy.warming]\nstock = \"popular\"\n".to_owned(), "nothing asks a warming policy yet"),
        (format!("[tenant.policy.freshness]\nfile = {hollow:?}\n"), "configure"),
        (format!("[tenant.policy.freshness]\nfile = {large:?}\n"), "the limit is 8388608"),
        ("[tenant.policy.freshness]\nfile = \"/no/such.wasm\"\n".to_owned(), "can't read the component /no/such.wasm"),
    ] {
        let settings = format!("data_dir = {data:?}\n[[tenant]]\norigin = \"http://127.0.0.1:1\"\n{policy}");
        let settings = file("policy.toml", settings.as_bytes());
        check(&["config", "--check", &settings], 2, part);
        check(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config", &settings], 2, part);
    }
}

#[test]
fn who_waits_for_a_gateway_is_told_of_a_gateway() {
    // A server that accepts, and closes the connection without an answer.
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", deaf.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for client in deaf.incoming().flatten() {
            let mut lines = BufReader::new(client);
            let _ = lines.read_line(&mut String::new());
        }
    });
    let said = sandbar(&["policy", "bind", "--admin", &url, "--role", "eviction", "lru"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("the gateway at") && said.contains("broke off before it had answered"), "{said}");
    assert!(!said.contains("origin"), "{said}");
}

#[test]
fn the_default_settings_are_printed_and_can_be_read_again() {
    let output = sandbar(&["config"]);
    assert!(output.status.success());
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("sandbar.toml");
    let tenant = "[[tenant]]\norigin = \"http://127.0.0.1:3000\"\n";
    std::fs::write(&path, [&output.stdout[..], tenant.as_bytes()].concat()).expect("written");
    let checked = sandbar(&["config", "--check", &path.display().to_string()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// A gateway as a process; killed where the test fails.
struct Serving {
    process: Child,
    answers: BufReader<ChildStdout>,
    lines: Option<BufReader<ChildStderr>>,
    said: String,
}

impl Serving {
    fn start(more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
        let arguments =
            ["serve", "--origin", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        command.args(arguments).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("it runs");
        let answers = BufReader::new(process.stdout.take().expect("standard output"));
        let lines = process.stderr.take().map(BufReader::new);
        Self { process, answers, lines, said: String::new() }
    }

    /// Reads the log until all of `parts` were said.
    fn until(&mut self, parts: &[&str]) {
        let lines = self.lines.as_mut().expect("standard error");
        while !parts.iter().all(|part| self.said.contains(part)) {
            assert_ne!(lines.read_line(&mut self.said).expect("a line"), 0, "it ended: {}", self.said);
        }
    }

    fn address(&self) -> &str {
        let rest = self.said.split_once("Listening at http://").expect("its address").1;
        rest.split_once(".\n").expect("an end").0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn it_starts_with_origin_and_redis_down_and_ends_well_on_a_signal() {
    let dir = TempDir::new().expect("a directory");
    let mut serving = Serving::start(&["--data-dir", &dir.path().display().to_string(), "--l2", "redis://127.0.0.1:1"]);
    serving.until(&["Dashboard", "the origin can't be reached", "Redis can't be reached"]);
    kill_process(Pid::from_child(&serving.process), Signal::TERM).expect("a signal");
    serving.until(&["Stopping"]);
    assert!(serving.process.wait().expect("an end").success(), "{}", serving.said);
}

#[test]
fn each_request_is_told_on_standard_output_where_that_is_wanted() {
    let dir = TempDir::new().expect("a directory");
    let mut serving =
        Serving::start(&["--data-dir", &dir.path().display().to_string(), "--l2", "none", "--access-log"]);
    serving.until(&["Dashboard"]);
    let mut client = TcpStream::connect(serving.address()).expect("a connection");
    client.write_all(b"GET /told?x=1 HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n").expect("sent");
    let mut line = String::new();
    serving.answers.read_line(&mut line).expect("a line");
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.ends_with("+0000] \"GET /told?x=1 HTTP/1.1\" 502 19 \"-\" \"-\"\n"), "{line}");
}

#[test]
fn it_reads_its_file_again_on_a_hang_up_and_on_request() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("sandbar.toml");
    let write = |text: &str| std::fs::write(&file, format!("l2.kind = \"none\"\n{text}")).expect("written");
    write("log.level = \"info\"");
    let (data, config) = (dir.path().display().to_string(), file.display().to_string());
    let mut serving = Serving::start(&["--data-dir", &data, "--config", &config]);
    serving.until(&["Dashboard"]);
    let hang_up = |serving: &Serving| kill_process(Pid::from_child(&serving.process), Signal::HUP).expect("a signal");
    write("limits.head_deadline = \"3s\"\nlog.level = \"sandbar=debug,warn\"\n[policy]\nidle = \"9s\"");
    hang_up(&serving);
    serving.until(&["Reloaded: changed: limits.head_deadline, log.level; needs a restart: policy.idle.\n"]);
    write("limits.head_deadline = \"soon\"");
    hang_up(&serving);
    serving.until(&["the settings of before hold", "sandbar.toml:2:8: limits.head_deadline = \"soon\""]);

    write("limits.head_deadline = \"4s\"");
    let admin = serving.said.split_once("admin API at ").expect("its address").1.split_once(".\n").expect("an end").0;
    let reload = sandbar(&["reload", "--admin", admin]);
    let said = String::from_utf8_lossy(&reload.stdout).into_owned();
    assert_eq!(said, "changed: limits.head_deadline, log.level\n", "{}", String::from_utf8_lossy(&reload.stderr));
    write("no toml");
    check(&["reload", "--admin", admin], 1, "sandbar.toml:2:4: `no toml`");
}
