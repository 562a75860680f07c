//! The units for systemd that come with the program.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::tool;

const UNITS: [&str; 3] = ["sandbar.service", "sandbar.socket", "sandbar-admin.socket"];

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd")
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(packaging().join(name)).expect("a unit")
}

/// The units as they would be installed, with this program for the one in `/usr/bin`.
fn installed() -> TempDir {
    let dir = TempDir::new().expect("a directory");
    for name in UNITS {
        let text = unit(name).replace("/usr/bin/sandbar", env!("CARGO_BIN_EXE_sandbar"));
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    dir
}

#[test]
fn systemd_takes_the_units() {
    let Some(mut systemd) = tool("systemd-analyze") else { return };
    let dir = installed();
    let units = UNITS.map(|name| dir.path().join(name));
    // The path ends with a colon: and those that systemd knows.
    systemd.args(["verify", "--man=no"]).args(units).env("SYSTEMD_UNIT_PATH", format!("{}:", dir.path().display()));
    let output = systemd.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    // It complains of units that have nothing to do with these, too.
    assert!(!said.lines().any(|line| line.contains("sandbar")), "{said}");
}

#[test]
fn the_service_is_given_little() {
    let Some(mut systemd) = tool("systemd-analyze") else { return };
    let dir = installed();
    systemd.args(["security", "--no-pager", "--offline=true", "--threshold=20"]).arg(dir.path().join(UNITS[0]));
    let output = systemd.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // A threshold of 20 is an exposure of 2.0 of 10.
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_units_say_what_the_program_takes() {
    let service = unit("sandbar.service");
    for line in [
        "Type=notify",
        "RestartPreventExitStatus=2",
        "DynamicUser=yes",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "ExecStop=-/bin/kill -TERM $MAINPID",
    ] {
        assert!(service.lines().any(|it| it == line), "{line}");
    }
    assert!(unit("sandbar.socket").contains("\nFileDescriptorName=gateway\n"));
    assert!(unit("sandbar-admin.socket").contains("\nFileDescriptorName=admin\n"));
}
