//! The crates as they would be published. What takes minutes, building them from their archives, is
//! `scripts/check-packages`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What cargo answers, in the source tree and without the network.
fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(arguments).arg("--offline").current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn packages() -> Vec<Value> {
    let mut metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked"])).expect("JSON");
    match metadata["packages"].take() {
        Value::Array(packages) => packages,
        other => panic!("{other}"),
    }
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// Whether a package may be published: to any registry where none is named.
fn is_published(package: &Value) -> bool {
    package["publish"].is_null()
}

/// What is missing of the data that a registry and its readers want.
fn missing(package: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    let mut want = |is_there: bool, what: &str| {
        if !is_there {
            missing.push(format!("{}: {what}", text(package, "name")));
        }
    };
    want(text(package, "description").len() > 20, "description");
    want(text(package, "license") == "Apache-2.0 OR MIT", "license");
    want(!text(package, "rust_version").is_empty(), "rust-version");
    let count = |key: &str| package[key].as_array().map_or(0, Vec::len);
    want((1..=5).contains(&count("keywords")), "one to five keywords");
    want((1..=5).contains(&count("categories")), "one to five categories");
    want(package["metadata"]["docs"]["rs"].is_object(), "[package.metadata.docs.rs]");
    let readme = Path::new(text(package, "manifest_path")).with_file_name("README.md");
    let readme = std::fs::read_to_string(readme).unwrap_or_default();
    want(text(package, "readme") == "README.md", "readme");
    want(readme.starts_with(&format!("# {}\n", text(package, "name"))), "a README of its own");
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let is_ours = !dependency["path"].is_null() && dependency["kind"] != "dev";
        want(!is_ours || dependency["req"] == "=0.1.0", &format!("the version of {}", dependency["name"]));
    }
    missing
}

#[test]
fn each_crate_says_what_a_registry_shows() {
    let packages = packages();
    let (published, kept): (Vec<_>, Vec<_>) = packages.iter().partition(|package| is_published(package));
    let kept: BTreeSet<_> = kept.into_iter().map(|package| text(package, "name")).collect();
    assert_eq!(kept, BTreeSet::from(["sandbar-benches", "sandbar-tests"]));
    let missing: Vec<String> = published.into_iter().flat_map(missing).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The files of a crate's archive.
fn archive(package: &str) -> Vec<String> {
    cargo(&["package", "--list", "--allow-dirty", "--package", package]).lines().map(str::to_owned).collect()
}

#[test]
fn archives_have_what_is_read_at_compile_time() {
    let contract: Vec<String> = ["eviction", "freshness", "invalidation", "log", "warming"]
        .map(|interface| format!("wit/0.1.0/{interface}.wit"))
        .to_vec();
    let stock = sandbar_policies::stock().iter();
    let components = stock.map(|stock| format!("components/{}-{}.wasm", stock.role, stock.name));
    for (package, wanted) in [
        ("sandbar-guest", contract.clone()),
        ("sandbar-policy", contract),
        ("sandbar-policies", components.chain(["components/table.rs".to_owned()]).collect()),
        ("sandbar-gateway", ["src/default.toml", "src/admin/dashboard.html"].map(str::to_owned).to_vec()),
    ] {
        let files = archive(package);
        let missing: Vec<_> = wanted.iter().filter(|file| !files.contains(file)).collect();
        assert!(missing.is_empty(), "{package} lacks {missing:?}");
    }
}

#[test]
fn a_program_that_embeds_the_cache_does_not_build_the_gateway() {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--package",
        "sandbar",
        "--no-default-features",
        "--features",
        "wasm,disk",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p} [{f}]",
    ]);
    let has = |name: &str| tree.lines().find(|line| line.split(' ').next() == Some(name));
    assert!(has("wasmtime").is_some() && has("redb").is_some(), "{tree}");
    for of_the_gateway in ["clap", "ratatui", "plotters", "axum", "redis", "prometheus-client", "tikv-jemallocator"] {
        assert_eq!(has(of_the_gateway), None);
    }
    let hyper = has("hyper").expect("the vocabulary of connections");
    assert!(!hyper.contains("server"), "{hyper}");
}
