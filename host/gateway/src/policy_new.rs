//! `sandbar policy new`: a crate that is a policy, with a test of its own, to begin from.

use std::path::{Path, PathBuf};

use sandbar_policy::Role;

/// Why no crate was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewError {
    /// The name can't be a crate's.
    #[error("`{0}` can't name a policy: take small letters, digits and `-`, and a letter first")]
    Name(String),
    /// There is something in the place of the crate.
    #[error("{} is there already, and stays as it is: take another name, or another directory with --dir", .0.display())]
    Taken(PathBuf),
    /// There is no SDK where one was said to be.
    #[error("{} is not the source of `sandbar-guest`: it has no Cargo.toml that says so", .0.display())]
    NoGuest(PathBuf),
    /// Nothing can be written for the role.
    #[error("there is no crate to begin from for the role {0}")]
    NotServed(Role),
    /// A file can't be written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why writing failed.
        error: std::io::Error,
    },
}

impl NewError {
    /// Whether it is the caller's mistake, rather than the disk's.
    pub(crate) const fn is_usage(&self) -> bool {
        !matches!(self, Self::File { .. })
    }
}

/// Makes the crate `name` of a policy in a new directory of that name in `dir`, and returns the directory. It depends on the
/// released SDK, or on its source in `guest`.
///
/// # Errors
/// When the name or the SDK's source can't be used, or a file can't be written.
pub fn create(role: Role, name: &str, dir: &Path, guest: Option<&Path>) -> Result<PathBuf, NewError> {
    if !is_name(name) {
        return Err(NewError::Name(name.to_owned()));
    }
    let source = source(role).ok_or(NewError::NotServed(role))?;
    let manifest = manifest(role, name, &dependency(guest)?);
    let root = dir.join(name);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| NewError::File { path, error }
    };
    std::fs::create_dir_all(dir).map_err(failed(dir))?;
    // Fails where it is there, so that nobody's work is written over.
    std::fs::create_dir(&root).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => NewError::Taken(root.clone()),
        _ => failed(&root)(error),
    })?;
    let src = root.join("src");
    std::fs::create_dir(&src).map_err(failed(&src))?;
    for (path, content) in [
        (root.join("Cargo.toml"), manifest.as_str()),
        (root.join(".gitignore"), "/target\n/*.wasm\n"),
        (src.join("lib.rs"), source),
    ] {
        std::fs::write(&path, content).map_err(failed(&path))?;
    }
    Ok(root)
}

/// Whether cargo takes it as the name of a crate, and no code is needed to say it.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !RESERVED.contains(&name)
}

/// Names that cargo refuses, as they are the compiler's or would hide a crate that the policy needs.
const RESERVED: [&str; 12] =
    ["test", "core", "std", "alloc", "proc-macro", "sandbar-guest", "serde", "crate", "self", "super", "fn", "mod"];

fn source(role: Role) -> Option<&'static str> {
    match role {
        Role::Freshness => Some(include_str!("policy_new/freshness.rs")),
        Role::Eviction => Some(include_str!("policy_new/eviction.rs")),
        Role::Invalidation => Some(include_str!("policy_new/invalidation.rs")),
        Role::Warming => None,
    }
}

/// What the manifest says of the SDK.
fn dependency(guest: Option<&Path>) -> Result<String, NewError> {
    let version = env!("CARGO_PKG_VERSION");
    let Some(guest) = guest else { return Ok(format!("sandbar-guest = \"{version}\"")) };
    let no_guest = || NewError::NoGuest(guest.to_owned());
    let manifest = std::fs::read_to_string(guest.join("Cargo.toml")).map_err(|_| no_guest())?;
    if !manifest.contains("name = \"sandbar-guest\"") {
        return Err(no_guest());
    }
    let path = guest.canonicalize().map_err(|_| no_guest())?;
    // A TOML string needs the same escapes as one of JSON.
    let path = serde_json::Value::from(path.to_string_lossy());
    Ok(format!("sandbar-guest = {{ version = \"{version}\", path = {path} }}"))
}

fn manifest(role: Role, name: &str, sdk: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\ndescription = \"A {role} policy for Sandbar.\"\nversion = \"0.1.0\"\nedition = \
         \"2024\"\npublish = false\n\n[dependencies]\n{sdk}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\n# A \
         workspace of its own, wherever the crate is.\n[workspace]\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_cargo_takes() {
        for name in ["brief", "my-lru", "a1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "Brief", "a b", "../a", "a/b", "test", "-a", "ä", &"a".repeat(65)] {
            assert!(!is_name(name), "{name}");
            let dir = tempfile::tempdir().unwrap();
            let refused = create(Role::Eviction, name, dir.path(), None).unwrap_err();
            assert!(matches!(refused, NewError::Name(_)), "{refused}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine"), "notes").unwrap();
        let refused = create(Role::Eviction, "mine", dir.path(), None).unwrap_err();
        assert!(matches!(refused, NewError::Taken(_)), "{refused}");
        assert_eq!(std::fs::read_to_string(dir.path().join("mine")).unwrap(), "notes");
    }

    #[test]
    fn the_source_of_the_sdk_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let refused = create(Role::Eviction, "mine", dir.path(), Some(dir.path())).unwrap_err();
        assert!(matches!(refused, NewError::NoGuest(_)), "{refused}");
        assert!(!dir.path().join("mine").exists());
    }
}
