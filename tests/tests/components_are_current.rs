//! The stock components that travel with `sandbar-policies` are those that its sources give.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::Path;

use sandbar::policy::{Role, check};
use sandbar_gateway::policy_build::stock;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn every_component_was_built_from_its_present_source() {
    let stale = stock::stale(root()).unwrap();
    assert!(stale.is_empty(), "{stale:#?}\nmend it with: cargo run --release -- policy build --stock");
}

#[test]
fn every_component_is_a_policy_of_its_role_and_is_small() {
    for stock in sandbar_policies::stock() {
        let checked = check(stock.component).unwrap_or_else(|error| panic!("{}: {error}", stock.name));
        let role: Role = stock.role.parse().unwrap();
        assert_eq!(checked.roles, [role], "{}", stock.name);
        assert!(checked.size_bytes < 256 << 10, "{}: {} bytes", stock.name, checked.size_bytes);
        assert!(!stock.summary.is_empty());
    }
}

#[test]
fn a_stock_component_can_say_why_it_panicked() {
    for stock in sandbar_policies::stock() {
        let has_log = stock.component.windows(18).any(|bytes| bytes == b"sandbar:policy/log");
        assert!(has_log, "{} does not import the log", stock.name);
    }
}

#[test]
fn every_eviction_policy_is_compiled_in_too() {
    let native: Vec<_> = sandbar_policies::eviction::NATIVE.iter().map(|native| native.name).collect();
    let guests: Vec<_> = sandbar_policies::stock().iter().filter(|stock| stock.role == "eviction").collect();
    assert_eq!(guests.iter().map(|stock| stock.name).collect::<Vec<_>>(), native);
}

#[test]
fn a_changed_source_makes_its_component_stale() {
    let copy = tempfile::tempdir().unwrap();
    for part in ["policies", "guest", "wit"] {
        copy_tree(&root().join(part), &copy.path().join(part));
    }
    std::fs::copy(root().join("Cargo.lock"), copy.path().join("Cargo.lock")).unwrap();
    let before = stock::stale(copy.path()).unwrap();
    let lru = copy.path().join("policies/eviction/lru/src/lib.rs");
    std::fs::write(&lru, [&std::fs::read(&lru).unwrap()[..], b"// other\n"].concat()).unwrap();
    std::fs::write(copy.path().join(stock::path(Role::Freshness, "standard")), b"other").unwrap();
    let mut after = stock::stale(copy.path()).unwrap();
    after.retain(|sentence| !before.contains(sentence));
    assert_eq!(
        after,
        [
            "the component of freshness/standard is not the one that the manifest names",
            "eviction/lru has changed since its component was built",
        ]
    );
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
