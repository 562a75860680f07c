//! The files of this machine: who may read them, real full and read-only disks, two processes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sandbar_base::clock::SystemClock;
use tempfile::TempDir;

use super::support::{NOW, many, small, write};
use crate::{AppendError, Journal, OpenError, Settings};

fn open(dir: &Path) -> Result<Journal, OpenError> {
    Journal::open(dir, small(), Arc::new(SystemClock)).map(|(journal, _)| journal)
}

/// A small file system in memory, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// None where this user may not mount anything.
    fn small(dir: &Path) -> Option<Self> {
        std::fs::create_dir_all(dir).expect("a directory");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(dir).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(dir.to_owned()));
        }
        eprintln!("SKIPPED: this user may not mount a file system, so no full and no read-only disk was tried");
        None
    }

    fn remount(&self, how: &str) -> bool {
        let remounted = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0).output();
        remounted.is_ok_and(|remounted| remounted.status.success())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn its_owner_alone_can_read_a_journal() {
    let dir = TempDir::new().unwrap();
    let journal_dir = dir.path().join("new/journal");
    let journal = open(&journal_dir).unwrap();
    journal.append(&write("a", "1")).await.unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&journal_dir), mode(journal_dir.parent().unwrap())), (0o700, 0o700));
    for file in std::fs::read_dir(&journal_dir).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    drop(journal);
    std::fs::set_permissions(&journal_dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    open(&journal_dir).unwrap();
    assert_eq!(mode(&journal_dir), 0o700);
}

#[test]
fn a_second_journal_on_the_same_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let _first = open(dir.path()).unwrap();
    let error = open(dir.path()).map(|_| ()).expect_err("it is in use");
    let said = error.to_string();
    assert!(said.contains(dir.path().to_str().unwrap()) && said.contains("stop that one, or name another"), "{said}");
}

#[tokio::test]
async fn a_disk_that_is_really_full_or_read_only_refuses_and_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let Some(disk) = Mounted::small(&dir.path().join("disk")) else { return };
    let home = disk.0.join("journal");
    let settings = Settings { segment_bytes: 16 << 10, ..small() };
    let (journal, _) = Journal::open(&home, settings.clone(), Arc::new(SystemClock)).unwrap();
    let mut held = 0;
    let refused = loop {
        match journal.append(&write(&format!("k{held}"), &"x".repeat(1500))).await {
            Ok(_) => held += 1,
            Err(error) => break error,
        }
    };
    assert!(held > 50 && matches!(refused, AppendError::Refused { .. }), "{held} {refused}");
    assert!(refused.to_string().contains("free some room"), "{refused}");
    for handed in journal.take("shop", &many(held / 2), NOW).await {
        handed.done();
    }
    let mut again = journal.append(&write("again", "1")).await;
    for _ in 0..100 {
        if again.is_ok() {
            break;
        }
        again = journal.append(&write("again", "1")).await;
    }
    again.expect("there is room again");
    if disk.remount("ro") {
        let refused = journal.append(&write("a", "1")).await.expect_err("it is read-only");
        assert!(refused.to_string().contains("mount that file system for writing"), "{refused}");
    }
    drop(journal);
    if disk.remount("ro") {
        let error = open(&home).map(|_| ()).expect_err("it is read-only");
        assert!(error.to_string().contains("mount that file system for writing"), "{error}");
    }
    assert!(disk.remount("rw"));
    let (_journal, found) = Journal::open(&home, settings, Arc::new(SystemClock)).unwrap();
    assert!(found.pending > held - held / 2 && found.damage.is_empty(), "{found:?} of {held}");
}
