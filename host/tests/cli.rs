//! The program: what it says and with which code it ends when something is wrong, and that it ends well on a signal.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

fn sandbar(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
    command.args(arguments).env_remove("SANDBAR_ADMIN_TOKEN").env_remove("SANDBAR_ADMIN").output().expect("it runs")
}

/// It ends with `code`, and one line on standard error that holds `part`.
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
    one_sentence(&["serve", "--config", &typo], 2, "line 2, `lisen = \"127.0.0.1:1\"`: unknown field `lisen`");
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
    check(&["replay", "--trace", &trace, "--policy", "lru,no-such"], 1, "no-such: there is no stock eviction policy");
    let said = sandbar(&["replay", "--trace", &trace, "--policy", "lru,no-such"]);
    assert!(said.stdout.is_empty(), "a wrong policy is told before the first has run");
    check(&["purge", "--admin", "http://127.0.0.1:1"], 2, "--everything");

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let in_use = format!("another program listens at {address} already; stop it, or choose another address");
    one_sentence(&[&serve[..], &["--listen", &address]].concat(), 1, &in_use);
}

#[test]
fn a_check_of_settings_tries_the_policies_as_a_start_does() {
    let dir = TempDir::new().expect("a directory");
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.display().to_string()
    };
    // It checks as a component of the role, and has none of its functions.
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
    // It accepts, and never answers but by closing.
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
    lines: BufReader<ChildStderr>,
    said: String,
}

impl Serving {
    fn start(more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
        let arguments =
            ["serve", "--origin", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let mut process = command.args(arguments).args(more).stderr(Stdio::piped()).spawn().expect("it runs");
        let lines = BufReader::new(process.stderr.take().expect("standard error"));
        Self { process, lines, said: String::new() }
    }

    /// Reads what it says until it has said all of this.
    fn until(&mut self, parts: &[&str]) {
        while !parts.iter().all(|part| self.said.contains(part)) {
            assert_ne!(self.lines.read_line(&mut self.said).expect("a line"), 0, "it ended: {}", self.said);
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
fn each_request_is_told_where_that_is_wanted() {
    let dir = TempDir::new().expect("a directory");
    let mut serving =
        Serving::start(&["--data-dir", &dir.path().display().to_string(), "--l2", "none", "--access-log"]);
    serving.until(&["Dashboard"]);
    let mut client = TcpStream::connect(serving.address()).expect("a connection");
    client.write_all(b"GET /told?x=1 HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n").expect("sent");
    serving.until(&["sandbar::access", "method=GET", "target=\"/told?x=1\"", "status=502", "tenant=\"default\""]);
}
