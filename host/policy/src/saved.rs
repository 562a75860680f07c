//! Bindings that were made over the API, kept on disk so that they survive a restart: for each tenant a directory with
//! a file per role, and the components that these files name by digest.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sandbar_base::clock::{Clock, SystemClock, Timestamp};
use sandbar_base::disk_trouble::{DiskReport, DiskTrouble};
use sandbar_base::replace::{replace_file, sync_dir};
use serde::{Deserialize, Serialize};

use super::history::{self, PastBinding, PolicyOrigin};
use super::{BindError, Binding, Digest, Role, Source};

/// The bindings of one tenant that are kept on disk.
#[derive(Debug)]
pub(super) struct SavedBindings {
    dir: PathBuf,
    trouble: DiskTrouble,
}

/// A binding as its file holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedBinding {
    /// Version of the file's format.
    format: u32,
    role: Role,
    policy: SavedSource,
    #[serde(default)]
    settings: serde_json::Value,
    #[serde(default)]
    native: bool,
    since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SavedSource {
    /// A stock policy by its name.
    Stock(String),
    /// A component by its digest, and the name under which it was bound.
    Component { digest: Digest, name: String },
}

/// A binding that was read from its file.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) binding: Binding,
    /// The name under which the policy was bound; none for a stock policy, whose name is in the binding.
    pub(super) name: Option<String>,
    pub(super) since: Timestamp,
}

/// What to keep of a binding that is being made.
#[derive(Debug)]
pub(super) struct ToSave<'a> {
    pub(super) binding: &'a Binding,
    /// The component's bytes; none where it is a stock policy.
    pub(super) component: Option<&'a [u8]>,
    pub(super) name: &'a str,
    pub(super) since: Timestamp,
}

const FORMAT: u32 = 1;

impl SavedBindings {
    /// The bindings of `tenant` below `data_dir`. No directory is made until a binding is to be kept.
    pub(super) fn new(data_dir: &Path, tenant: &str) -> Self {
        let dir = data_dir.join("policies").join(file_name(tenant));
        let trouble = DiskTrouble::new("bound policies", &dir, "what is bound over the API is refused");
        Self { dir, trouble }
    }

    /// Bindings that the disk refused to keep.
    pub(super) fn disk_report(&self) -> DiskReport {
        self.trouble.report(SystemClock.now())
    }

    /// The binding that is kept for a role, if there is one.
    ///
    /// # Errors
    /// With a sentence, where the kept binding can't be read.
    pub(super) fn find(&self, role: Role) -> Result<Option<Restored>, String> {
        let path = self.record(role);
        let shown = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(shown(&error)),
        };
        let record: SavedBinding = serde_json::from_slice(&bytes).map_err(|error| shown(&error))?;
        if record.format != FORMAT || record.role != role {
            return Err(shown(&format!("format {} for the role {}", record.format, record.role)));
        }
        let (source, name) = match record.policy {
            SavedSource::Stock(name) => (Source::Stock(name), None),
            SavedSource::Component { digest, name } => (Source::Component(self.component(digest)?.into()), Some(name)),
        };
        let binding = Binding { role, source, settings: record.settings, native: record.native, name: None };
        Ok(Some(Restored { binding, name, since: record.since }))
    }

    /// Keeps a binding in the place of the one that is kept for its role. The answer can undo that.
    pub(super) fn put(&self, keep: &ToSave<'_>) -> Result<Undo<'_>, BindError> {
        let role = keep.binding.role;
        let policy = match (&keep.binding.source, keep.component) {
            (_, Some(bytes)) => SavedSource::Component { digest: Digest::of(bytes), name: keep.name.to_owned() },
            (Source::Stock(name), None) => SavedSource::Stock(name.clone()),
            (Source::Component(_) | Source::File(_) | Source::Own(_), None) => {
                return Err(self.failed(io::Error::other("the component is gone")));
            }
        };
        let settings = keep.binding.settings.clone();
        let record =
            SavedBinding { format: FORMAT, role, policy, settings, native: keep.binding.native, since: keep.since };
        let text = serde_json::to_vec_pretty(&record).map_err(|error| self.failed(error.into()))?;
        let undo = self.undo(role)?;
        self.write(&record, keep.component, &text).map_err(|error| self.failed(error))?;
        Ok(undo)
    }

    /// Removes the binding that is kept for a role, if there is one. The answer can undo that.
    pub(super) fn remove(&self, role: Role) -> Result<Undo<'_>, BindError> {
        let undo = self.undo(role)?;
        match fs::remove_file(self.record(role)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            Err(_) => Ok(undo),
            Ok(()) => sync_dir(&self.dir).map(|()| undo).map_err(|error| self.failed(error)),
        }
    }

    /// Removes all that is kept of the tenant.
    pub(super) fn forget(&self) {
        match fs::remove_dir_all(&self.dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let dir = self.dir.display();
                tracing::warn!(%dir, %error, "the policies of a tenant that is gone could not be removed; remove them by hand");
            }
        }
    }

    /// The last bindings of a role, oldest first.
    ///
    /// # Errors
    /// When the history can't be read.
    pub(super) fn history(&self, role: Role) -> Result<Vec<PastBinding>, BindError> {
        let path = history::file(&self.dir, role);
        history::read(&path).map_err(|error| BindError::NoPast(format!("{}: {error}", path.display())))
    }

    /// Adds a binding to its role's history. The binding holds also where the disk refuses that, which is counted and told.
    pub(super) fn remember(&self, role: Role, replaced: PastBinding, present: PastBinding) {
        let path = history::file(&self.dir, role);
        if let Err(error) = history::add(&path, replaced, present) {
            self.trouble.refused(&error, SystemClock.now());
            tracing::warn!(%error, path = %path.display(), "a binding is missing in the history of its role");
        }
    }

    /// Removes the components that neither a kept binding names nor a history.
    pub(super) fn tidy(&self) {
        let mut named = Vec::new();
        for role in Role::ALL {
            match fs::read(self.record(role)).map(|bytes| serde_json::from_slice::<SavedBinding>(&bytes)) {
                Ok(Ok(SavedBinding { policy: SavedSource::Component { digest, .. }, .. })) => {
                    named.push(self.path(digest))
                }
                Ok(Ok(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // A file that can't be read may name any of the components: none is removed.
                Ok(Err(_)) | Err(_) => return,
            }
        }
        for role in Role::ALL {
            let Ok(bindings) = history::read(&history::file(&self.dir, role)) else { return };
            let components = bindings.iter().filter(|past| past.origin == PolicyOrigin::Component);
            named.extend(components.filter_map(|past| past.digest).map(|digest| self.path(digest)));
        }
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.extension().is_some_and(|kind| kind == "wasm") && !named.contains(&path) {
                // A component that stays takes room on the disk and does no other harm.
                let _ = fs::remove_file(path);
            }
        }
    }

    fn write(&self, record: &SavedBinding, component: Option<&[u8]>, text: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        if let (SavedSource::Component { digest, .. }, Some(bytes)) = (&record.policy, component) {
            replace_file(&self.path(*digest), bytes)?;
        }
        replace_file(&self.record(record.role), text)
    }

    fn undo(&self, role: Role) -> Result<Undo<'_>, BindError> {
        match fs::read(self.record(role)) {
            Ok(before) => Ok(Undo { kept: self, role, before: Some(before) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Undo { kept: self, role, before: None }),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The bytes of a component that is kept.
    ///
    /// # Errors
    /// With a sentence, where it can't be read or was altered.
    pub(super) fn component(&self, digest: Digest) -> Result<Vec<u8>, String> {
        let path = self.path(digest);
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(format!("{}: it was altered", path.display())) }
    }

    fn record(&self, role: Role) -> PathBuf {
        self.dir.join(format!("{role}.json"))
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{digest}.wasm"))
    }

    fn failed(&self, error: io::Error) -> BindError {
        self.trouble.refused(&error, SystemClock.now());
        BindError::NotKept { path: self.dir.clone(), error }
    }
}

/// Can bring the file of a role back to what it was before a change.
#[derive(Debug)]
pub(super) struct Undo<'a> {
    kept: &'a SavedBindings,
    role: Role,
    before: Option<Vec<u8>>,
}

impl Undo<'_> {
    /// Brings the file back, or removes it where there was none.
    pub(super) fn undo(self) {
        let path = self.kept.record(self.role);
        let undone = match &self.before {
            Some(before) => replace_file(&path, before),
            None => fs::remove_file(&path),
        };
        if let Err(error) = undone {
            tracing::error!(%error, path = %path.display(), "can't bring the kept binding back to what it was");
        }
        self.kept.tidy();
    }
}

/// The name of a tenant's directory: safe as a file name, and different for each tenant.
fn file_name(tenant: &str) -> String {
    let mut name = String::with_capacity(tenant.len());
    for byte in tenant.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            // Upper case is escaped too: some file systems do not tell it from lower case.
            byte => write!(name, "%{byte:02x}").expect("a string takes everything"),
        }
    }
    if name.len() > 200 { format!("%{}", Digest::of(tenant.as_bytes())) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep<'a>(binding: &'a Binding, component: Option<&'a [u8]>) -> ToSave<'a> {
        ToSave { binding, component, name: "mine", since: Timestamp::from_millis(7) }
    }

    fn files(kept: &SavedBindings) -> usize {
        fs::read_dir(&kept.dir).map_or(0, Iterator::count)
    }

    #[test]
    fn what_is_kept_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let kept = SavedBindings::new(dir.path(), "shop");
        assert!(kept.find(Role::Eviction).unwrap().is_none());
        let stock = Binding::stock(Role::Eviction, "lru").with_settings(serde_json::json!({ "a": 1 })).native();
        kept.put(&keep(&stock, None)).unwrap();
        let component = Binding::component(Role::Freshness, &b"component"[..]);
        kept.put(&keep(&component, Some(b"component"))).unwrap();
        let found = SavedBindings::new(dir.path(), "shop").find(Role::Eviction).unwrap().unwrap();
        assert_eq!((found.binding, found.name, found.since.as_millis()), (stock, None, 7));
        let found = SavedBindings::new(dir.path(), "shop").find(Role::Freshness).unwrap().unwrap();
        assert_eq!((found.binding, found.name.as_deref()), (component, Some("mine")));
    }

    #[test]
    fn what_was_altered_is_not_found_but_said() {
        let dir = tempfile::tempdir().unwrap();
        let kept = SavedBindings::new(dir.path(), "shop");
        let component = Binding::component(Role::Freshness, &b"component"[..]);
        kept.put(&keep(&component, Some(b"component"))).unwrap();
        fs::write(kept.path(Digest::of(b"component")), b"other").unwrap();
        assert!(kept.find(Role::Freshness).unwrap_err().contains("altered"));
        fs::write(kept.record(Role::Freshness), b"{").unwrap();
        assert!(kept.find(Role::Freshness).unwrap_err().contains("freshness.json"));
    }

    #[test]
    fn a_change_can_be_undone() {
        let dir = tempfile::tempdir().unwrap();
        let kept = SavedBindings::new(dir.path(), "shop");
        let (lru, fifo) = (Binding::stock(Role::Eviction, "lru"), Binding::stock(Role::Eviction, "fifo"));
        let first = kept.put(&keep(&lru, None)).unwrap();
        kept.put(&keep(&fifo, None)).unwrap().undo();
        assert_eq!(kept.find(Role::Eviction).unwrap().unwrap().binding, lru);
        kept.remove(Role::Eviction).unwrap().undo();
        assert_eq!(kept.find(Role::Eviction).unwrap().unwrap().binding, lru);
        first.undo();
        assert!(kept.find(Role::Eviction).unwrap().is_none());
    }

    #[test]
    fn components_that_nobody_names_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let kept = SavedBindings::new(dir.path(), "shop");
        for bytes in [b"one", b"two"] {
            let component = Binding::component(Role::Freshness, &bytes[..]);
            kept.put(&keep(&component, Some(bytes))).unwrap();
        }
        assert_eq!(files(&kept), 3);
        kept.tidy();
        assert_eq!(files(&kept), 2);
        assert!(kept.find(Role::Freshness).unwrap().is_some());
    }

    #[test]
    fn no_tenant_reaches_another_ones_files() {
        let names = ["shop", "SHOP", "../shop", "a/b", "", ".", &"x".repeat(300)].map(file_name);
        assert!(names.iter().all(|name| !name.contains(['/', '.'])), "{names:?}");
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
    }
}
