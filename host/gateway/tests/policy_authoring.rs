//! From nothing to a policy that keeps every rule, by the commands that an author has.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn sandbar(arguments: &[&str], target: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
    offline(&mut command, target);
    command.args(arguments).output().expect("it runs")
}

/// What the crates depend on was fetched for this workspace: nothing else is.
fn offline(command: &mut Command, target: &Path) {
    command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", target);
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Fails where a command did, with what it said.
#[track_caller]
fn well(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

fn guest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest")
}

#[test]
fn a_new_policy_of_each_role_builds_and_keeps_every_rule() {
    let dir = TempDir::new().expect("a directory");
    let (at, guest, target) =
        (dir.path().display().to_string(), guest().display().to_string(), dir.path().join("target"));
    for role in ["freshness", "eviction", "invalidation"] {
        let name = format!("my-{role}");
        let made = sandbar(&["policy", "new", "--role", role, &name, "--dir", &at, "--guest", &guest], &target);
        assert!(well(&made).contains("sandbar policy build"), "{}", said(&made));

        let root = dir.path().join(&name);
        let mut tests = Command::new(env!("CARGO"));
        offline(&mut tests, &target);
        let tested = tests.args(["test", "--quiet"]).current_dir(&root).output().expect("cargo runs");
        assert!(well(&tested).contains("test result: ok"), "{}", said(&tested));

        let root = root.display().to_string();
        let built = well(&sandbar(&["policy", "build", &root], &target));
        assert!(built.contains("Compiling"), "what cargo does is shown: {built}");
        let component = format!("{root}/my_{role}.wasm");
        let found = well(&sandbar(&["policy", "test", &component], &target));
        assert!(found.contains(&format!("ok      {role}: it decides the same")), "{found}");
        assert!(!found.contains("BROKEN"), "{found}");

        // The module that cargo made, as another language's tools would have made it.
        let module = target.join(format!("policies/wasm32-unknown-unknown/release/my_{role}.wasm"));
        let again = dir.path().join("again.wasm");
        well(&sandbar(
            &["policy", "build", &module.display().to_string(), "-o", &again.display().to_string()],
            &target,
        ));
        assert_eq!(std::fs::read(again).expect("built"), std::fs::read(component).expect("built"));
    }
}

#[test]
fn a_policy_that_breaks_a_rule_is_told_which_and_how() {
    let dir = TempDir::new().expect("a directory");
    let (at, guest, target) =
        (dir.path().display().to_string(), guest().display().to_string(), dir.path().join("target"));
    well(&sandbar(&["policy", "new", "--role", "eviction", "leaky", "--dir", &at, "--guest", &guest], &target));
    let lib = dir.path().join("leaky/src/lib.rs");
    let source = std::fs::read_to_string(&lib).expect("it is there");
    // What was read is never given up.
    let leaky = source.replace("lists.coldest(NEW).or_else(|| lists.coldest(READ))", "lists.coldest(NEW)");
    assert_ne!(source, leaky);
    std::fs::write(&lib, leaky).expect("written");
    let root = dir.path().join("leaky").display().to_string();
    well(&sandbar(&["policy", "build", &root], &target));
    let tested = sandbar(&["policy", "test", &format!("{root}/leaky.wasm")], &target);
    assert_eq!(tested.status.code(), Some(1), "{}", said(&tested));
    let found = said(&tested);
    assert!(found.contains("BROKEN  eviction: it names residents as victims, frees enough"), "{found}");
    assert!(found.contains("leaky.wasm breaks"), "{found}");

    let found = sandbar(&["--json", "policy", "test", &format!("{root}/leaky.wasm")], &target);
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let broken = found["eviction"].as_array().expect("findings").iter().filter(|found| !found["broken"].is_null());
    assert!(broken.count() > 0, "{found}");
}

#[test]
fn what_is_wrong_is_said() {
    let dir = TempDir::new().expect("a directory");
    let at = dir.path().display().to_string();
    let refused = |arguments: &[&str], part: &str| {
        let output = sandbar(arguments, dir.path());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(part), "{arguments:?}: {}", said(&output));
    };
    refused(&["policy", "new", "--role", "eviction", "My policy", "--dir", &at], "`My policy` can't name a policy");
    refused(&["policy", "new", "--role", "warming", "mine", "--dir", &at], "for the role warming");
    refused(
        &["policy", "new", "--role", "eviction", "mine", "--dir", &at, "--guest", &at],
        "not the source of `sandbar-guest`",
    );
    well(&sandbar(&["policy", "new", "--role", "eviction", "mine", "--dir", &at], dir.path()));
    refused(&["policy", "new", "--role", "eviction", "mine", "--dir", &at], "is there already, and stays as it is");
    let text = dir.path().join("mine/Cargo.toml").display().to_string();
    refused(&["policy", "build", &text], "is no core module of WebAssembly");
    refused(&["policy", "test", &text], "can't be bound: it is not a valid component");
}
