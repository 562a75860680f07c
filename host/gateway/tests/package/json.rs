//! `--json` and the exit codes, in every command.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Serving, answer, sandbar};

/// The answer of a command as JSON: standard output has that and nothing else.
fn value(arguments: &[&str]) -> Value {
    let text = answer(&[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

fn file(dir: &TempDir, name: &str, content: &[u8]) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, content).expect("written");
    path.display().to_string()
}

#[test]
fn commands_without_a_gateway_answer_in_json() {
    let dir = TempDir::new().expect("a directory");
    assert_eq!(value(&["config"])["gateway"]["listen"], "127.0.0.1:8080");
    let settings =
        file(&dir, "sandbar.toml", b"[fleet]\npartitions = 8\n[[tenant]]\norigin = \"http://127.0.0.1:1\"\n");
    let checked = value(&["config", "--check", &settings]);
    assert_eq!((&checked["fine"], &checked["tenants"], &checked["file"]), (&json!(true), &json!(1), &json!(settings)));
    assert!(checked["notes"][0].as_str().is_some_and(|note| note.contains("[fleet] is not used")), "{checked}");

    let stock = value(&["policy", "stock"]);
    let all = stock.as_array().expect("a list");
    assert!(all.iter().any(|stock| stock["role"] == "eviction" && stock["name"] == "lru"), "{stock}");
    let lru = sandbar_policies::find("eviction", "lru").expect("a stock policy").component;
    let component = file(&dir, "lru.wasm", lru);
    let checked = value(&["policy", "check", &component]);
    assert_eq!((&checked["roles"], &checked["size_bytes"]), (&json!(["eviction"]), &json!(lru.len())));
    assert_eq!((&checked["wants_settings"], &checked["not_served"]), (&json!({}), &json!([])), "{checked}");

    let trace = file(&dir, "trace.csv", b"time,key,size\n1,1,1\n2,1,1\n");
    let rows = answer(&["replay", "--json", "--trace", &trace, "--policy", "lru,fifo", "--native", "--capacity", "10"]);
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    assert_eq!(rows.iter().map(|row| &row["policy"]).collect::<Vec<_>>(), ["lru", "fifo"]);
    assert_eq!(rows[0]["misses"], 1);
}

#[test]
fn commands_that_ask_a_gateway_answer_in_json() {
    let serving = Serving::start();
    let asked = |arguments: &[&str]| value(&[arguments, &["--admin", &serving.admin]].concat());
    let bound = asked(&["policy", "bind", "--role", "eviction", "--native", "fifo"]);
    assert_eq!((&bound["role"], &bound["name"], &bound["by"]), (&json!("eviction"), &json!("fifo"), &json!("api")));
    let list = asked(&["policy", "list"]);
    assert!(list["default"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "fifo")), "{list}");
    assert_ne!(asked(&["policy", "unbind", "--role", "eviction"])["name"], "fifo");
    assert_eq!(asked(&["purge", "--everything"])["pending"], 0);
    let dir = TempDir::new().expect("a directory");
    let out = dir.path().join("trace.csv").display().to_string();
    let recorded = asked(&["record", "--seconds", "1", "--out", &out]);
    assert_eq!(recorded, json!({ "file": out, "recorded": 0, "dropped": 0, "interrupted": false }));
    assert!(Path::new(&out).is_file());
}

/// Checks that a command fails with this exit code, and says so and why in JSON: one line, the last.
fn check(arguments: &[&str], code: i32, part: &str) {
    let arguments = [arguments, &["--json"]].concat();
    let output = sandbar(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let last = said.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"));
    assert_eq!(error["exit_code"], code, "{said}");
    assert!(error["error"].as_str().is_some_and(|error| error.contains(part)), "{arguments:?}: {said}");
}

#[test]
fn errors_are_json_with_the_exit_code_of_their_kind() {
    let dir = TempDir::new().expect("a directory");
    let nobody = ["--admin", "http://127.0.0.1:1"];
    let trace = file(&dir, "trace.csv", b"time,key,size\n1,1,1\n");
    let folder = dir.path().display().to_string();
    check(&["serve"], 2, "there is no tenant");
    check(&["serve", "--listen", "8080"], 2, "write an IP address and a port");
    check(&["demo", "--seconds", "0"], 2, "0 is not in 1..=86400");
    check(&["config", "--check", "/no/such.toml"], 2, "can't read the configuration file");
    check(&["policy", "check", "/no/such.wasm"], 2, "can't read the component");
    check(&["policy", "build", "/no/such"], 2, "holds no crate");
    check(&["policy", "bind", "--role", "colour", "lru"], 2, "there is no role `colour`");
    check(&["replay", "--trace", "/no/such.csv", "--policy", "lru"], 2, "/no/such.csv");
    check(&["replay", "--trace", &trace, "--policy", "no-such"], 2, "there is no stock eviction policy");
    check(&["replay", "--trace", &trace, "--policy", "lru", "--plot", &folder], 2, "can't plot");
    check(&["record", "--out", "/no/such/trace.csv"], 2, "can't write");
    check(&["purge"], 2, "--everything");
    check(&["completions", "tcsh"], 2, "invalid value 'tcsh'");
    check(&["man", "--dir", &trace], 1, "can't write manual pages");
    check(&["nonesuch"], 2, "unrecognized subcommand");
    for command in [
        &["policy", "list"][..],
        &["policy", "bind", "--role", "eviction", "lru"],
        &["policy", "unbind", "--role", "eviction"],
        &["purge", "--everything"],
        &["record", "--out", &dir.path().join("none.csv").display().to_string()],
    ] {
        check(&[command, &nobody].concat(), 1, "is a gateway running there?");
    }
    let serving = Serving::start();
    check(&["purge", "--everything", "--tenant", "nobody", "--admin", &serving.admin], 1, "nobody");
}

#[test]
fn what_is_behind_two_dashes_is_no_flag() {
    let output = sandbar(&["purge", "--", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.starts_with("error: "), "{said}");
}

#[test]
fn the_exit_codes_are_documented_in_one_table() {
    let help = answer(&["--help"]);
    let codes = help.split_once("Exit codes:\n").expect("the table").1;
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md")).expect("docs");
    let mut seen = Vec::new();
    for line in codes.lines().filter(|line| !line.trim().is_empty()) {
        let (code, meaning) = line.trim().split_once(' ').expect("a code and its meaning");
        let row = format!("| {code} | {} |", meaning.trim());
        assert!(docs.contains(&row), "docs/operating.md lacks {row}");
        seen.push(code.parse::<u8>().expect("a code"));
    }
    assert_eq!(seen, [0, 1, 2, 141]);
}
