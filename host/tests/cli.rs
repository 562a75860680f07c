//! The program: what it says and with which code it ends when something is wrong, and that it ends well on a signal.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

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
    one_sentence(&["config", "--check", &typo], 2, "unknown field `lisen`, expected `listen` or `scheme`");
    let serve = ["serve", "--origin", "http://127.0.0.1:1", "--data-dir", &data];
    one_sentence(&[&serve[..], &["--admin", "0.0.0.0:0"]].concat(), 2, "set admin.token_file or SANDBAR_ADMIN_TOKEN");
    check(&["serve", "--origin", "localhost:3000"], 2, "\"localhost:3000\" is not the URL of an origin");
    check(&["serve", "--origin", "http://a", "--l2", "tape"], 2, "write disk, none, or a URL such as redis://");
    check(&["serve", "--origin", "http://a", "--listen", "8080"], 2, "write an IP address and a port");
    check(&["policy", "bind", "--role", "colour", "lru"], 2, "there is no role `colour`");
    one_sentence(&["policy", "check", &no_component], 2, "is no policy");
    one_sentence(&["policy", "check", "/no/such.wasm"], 2, "can't read the component /no/such.wasm");
    one_sentence(&["policy", "list", "--admin", "http://127.0.0.1:1"], 1, "is a gateway running there?");
    check(&["purge", "--admin", "http://127.0.0.1:1"], 2, "--everything");

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let in_use = format!("another program listens at {address} already; stop it, or choose another address");
    one_sentence(&[&serve[..], &["--listen", &address]].concat(), 1, &in_use);
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
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_starts_with_origin_and_redis_down_and_ends_well_on_a_signal() {
    let dir = TempDir::new().expect("a directory");
    let data = dir.path().display().to_string();
    let arguments = ["serve", "--origin", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
    command.args(arguments).args(["--data-dir", &data, "--l2", "redis://127.0.0.1:1"]).stderr(Stdio::piped());
    let mut serving = Serving(command.spawn().expect("it runs"));
    let mut lines = BufReader::new(serving.0.stderr.take().expect("standard error"));
    let mut said = String::new();
    while !(said.contains("Dashboard") && said.contains("origin can't be reached") && said.contains("Redis can't be")) {
        assert_ne!(lines.read_line(&mut said).expect("a line"), 0, "it ended: {said}");
    }
    let pid = Pid::from_child(&serving.0);
    kill_process(pid, Signal::TERM).expect("a signal");
    lines.read_to_string(&mut said).expect("the rest");
    assert!(serving.0.wait().expect("an end").success(), "{said}");
    assert!(said.contains("Stopping"), "{said}");
}
