//! The demo, run as a process.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn demo(arguments: &[&str], temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
    command.arg("demo").args(arguments).env("TMPDIR", temporary).stdin(Stdio::null());
    command
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).expect("a directory").next().is_none()
}

#[test]
fn a_short_demo_swaps_a_policy_fails_no_request_and_its_counts_agree() {
    let temporary = tempfile::tempdir().expect("a directory");
    let output = demo(&["--seconds", "6", "--json"], temporary.path()).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("standard output is JSON and nothing else");
    assert_eq!(summary["failed_requests"], 0, "{told}");
    assert_eq!(summary["swaps"], 1);
    assert_eq!(summary["swap"]["to"], "s3-fifo (guest)");

    let count = |value: &Value| value.as_u64().expect("a count");
    let requests = count(&summary["requests"]);
    assert!(requests > 500, "{requests}");
    let (mut answered, mut fetched) = (0, 0);
    for tenant in ["shop", "media"] {
        let tenant = &summary["tenants"][tenant];
        let hits = count(&tenant["l1"]["hits"]) + count(&tenant["l2"]["hits"]);
        assert!(hits > 0);
        assert_eq!(count(&tenant["l1"]["hits"]) + count(&tenant["l1"]["misses"]), count(&tenant["requests"]));
        answered += hits + count(&tenant["collapsed"]) + count(&tenant["origin_fetches"]);
        fetched += count(&tenant["origin_fetches"]) + count(&tenant["origin_refreshes"]);
    }
    assert_eq!(answered, requests, "hits + origin fetches + collapsed = requests");
    assert_eq!(fetched, count(&summary["origin_requests"]), "by the origin's own count");
    assert_eq!(summary["reconciliation"]["balanced"], true);
    assert!(is_empty(temporary.path()), "its data is left behind");
}

#[test]
fn a_demo_without_end_ends_well_when_told() {
    use std::io::{BufRead, BufReader};

    let temporary = tempfile::tempdir().expect("a directory");
    let mut child = demo(&[], temporary.path()).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("curl ")), "it says what to try");
    assert!(lines.any(|line| line.contains("req/s")), "it says what happens");
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    assert!(lines.any(|line| line.contains("they agree")), "it says what it came to");
    assert!(child.wait().expect("it ends").success());
    assert!(is_empty(temporary.path()), "its data is left behind");
}
