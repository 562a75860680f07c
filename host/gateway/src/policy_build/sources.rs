//! The digest of everything that a stock component is built from, by which a test can tell whether the component is
//! still current without building it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::cargo::{FEATURES, PROFILE};
use super::{BuildError, read};

/// The digest of a policy crate's sources, in hexadecimal: its own files, those of the guest crate with the contract in
/// it, the locked versions of what they depend on, the profile and the features.
pub(super) fn digest(root: &Path, dir: &Path, package: &str) -> Result<String, BuildError> {
    let mut files = Vec::new();
    for tree in [dir.to_owned(), root.join("guest")] {
        collect(&tree, &mut files)?;
    }
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let bytes = read(&path)?;
        hasher.update(format!("{name}\0{}\0", bytes.len()).as_bytes()).update(&bytes);
    }
    for line in locked(root, package)? {
        hasher.update(line.as_bytes()).update(b"\n");
    }
    for (name, value) in PROFILE {
        hasher.update(format!("{name}={value}\n").as_bytes());
    }
    hasher.update(FEATURES.as_bytes());
    Ok(hasher.finalize().to_string())
}

/// Collects the source files below a directory, and the manifests that say how to compile them.
fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), BuildError> {
    let failed = |error| BuildError::File { path: dir.to_owned(), error };
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_source = path.extension().is_some_and(|kind| ["rs", "wit", "toml"].iter().any(|known| kind == *known));
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files)?;
        } else if is_source {
            files.push(path);
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct LockFile {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    #[serde(default)]
    checksum: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// Name, version and checksum of every locked package that `package` is built with, and of those that make the
/// component.
fn locked(root: &Path, package: &str) -> Result<BTreeSet<String>, BuildError> {
    let path = root.join("Cargo.lock");
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    let lock: LockFile =
        toml::from_str(&text).map_err(|error| BuildError::Garbled { path, reason: error.to_string() })?;
    let mut wanted = vec![package.to_owned(), "wit-component".to_owned()];
    let mut lines = BTreeSet::new();
    while let Some(wish) = wanted.pop() {
        // A dependency is written as its name, followed by its version where several are locked.
        let (name, version) = wish.split_once(' ').map_or((&*wish, None), |(name, version)| (name, Some(version)));
        let found = |locked: &&Locked| locked.name == name && version.is_none_or(|version| locked.version == version);
        for locked in lock.package.iter().filter(found) {
            if lines.insert(format!("{} {} {}", locked.name, locked.version, locked.checksum)) {
                wanted.extend(locked.dependencies.iter().cloned());
            }
        }
    }
    Ok(lines)
}
