//! The files in which the tenants are kept, each written beside its place and then moved there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sandbar::fleet::GONE_FOR;
use sandbar::tenant::config::TenantConfig;
use sandbar_base::clock::Timestamp;
use sandbar_base::replace::replace_file;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Why the tenants can't be kept, or what is kept of them not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}; {remedy}", path.display())]
pub struct KeptError {
    path: PathBuf,
    reason: String,
    remedy: &'static str,
}

/// What is kept of a tenant of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfFile {
    #[serde(default)]
    pub(super) incarnation: u32,
    /// The hash of its key rules.
    pub(super) key: String,
    /// The version of its record in the fleet's register; 0 where it has none.
    #[serde(default)]
    pub(super) version: u64,
}

/// A tenant that was made over the API, as its file holds it.
#[derive(Debug, Serialize, Deserialize)]
struct MadeFile {
    incarnation: u32,
    #[serde(default)]
    version: u64,
    settings: TenantConfig,
}

/// A tenant that was made over the API.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// The version of its record in the fleet's register; 0 where it has none.
    pub(super) version: u64,
    pub(super) settings: TenantConfig,
}

/// What is kept of a tenant that is gone.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Gone {
    pub(super) incarnation: u32,
    /// The version of its record in the fleet's register; 0 where it has none.
    #[serde(default)]
    pub(super) version: u64,
    pub(super) since: Timestamp,
}

/// Which register of a fleet was read last.
#[derive(Serialize, Deserialize)]
struct Register {
    epoch: String,
}

#[derive(Debug)]
pub(super) struct Kept {
    dir: PathBuf,
}

impl Kept {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { dir: data_dir.join("tenants") }
    }

    pub(super) fn made(&self) -> Result<BTreeMap<String, Made>, KeptError> {
        let mut made = BTreeMap::new();
        for path in files(&self.dir.join("made"), Some("json"))? {
            let MadeFile { incarnation, version, settings } = read(&path)?;
            if path.file_stem().is_none_or(|stem| stem != &*settings.name) {
                return Err(unreadable(&path, format!("it holds the tenant {:?}", settings.name)));
            }
            let settings = TenantConfig { incarnation, ..settings };
            made.insert(settings.name.clone(), Made { version, settings });
        }
        Ok(made)
    }

    pub(super) fn of_file(&self) -> Result<BTreeMap<String, OfFile>, KeptError> {
        let path = self.dir.join("file.json");
        if path.exists() { read(&path) } else { Ok(BTreeMap::new()) }
    }

    /// The epoch of the fleet's register that was read last; empty where none was.
    pub(super) fn epoch(&self) -> Result<String, KeptError> {
        let path = self.dir.join("register.json");
        if path.exists() { read(&path).map(|Register { epoch }| epoch) } else { Ok(String::new()) }
    }

    /// Tenants that are gone. What is too old to matter is removed.
    pub(super) fn gone(&self, now: Timestamp) -> Result<BTreeMap<String, Gone>, KeptError> {
        let mut gone = BTreeMap::new();
        for path in files(&self.dir.join("gone"), None)? {
            let noted: Gone = read(&path)?;
            if noted.since.saturating_add(GONE_FOR) <= now {
                let _ = fs::remove_file(&path);
                continue;
            }
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            gone.insert(name.unwrap_or_default(), noted);
        }
        Ok(gone)
    }

    pub(super) fn write_file(&self, tenants: &BTreeMap<String, OfFile>) -> Result<(), KeptError> {
        write(&self.dir.join("file.json"), tenants)
    }

    pub(super) fn write_epoch(&self, epoch: &str) -> Result<(), KeptError> {
        write(&self.dir.join("register.json"), &Register { epoch: epoch.to_owned() })
    }

    pub(super) fn write_made(&self, made: &Made) -> Result<(), KeptError> {
        let Made { version, settings } = made.clone();
        let path = self.made_path(&settings.name);
        write(&path, &MadeFile { incarnation: settings.incarnation, version, settings })
    }

    pub(super) fn remove_made(&self, name: &str) -> Result<(), KeptError> {
        let path = self.made_path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(&path, &error)),
            _ => Ok(()),
        }
    }

    pub(super) fn write_gone(&self, name: &str, gone: Gone) -> Result<(), KeptError> {
        write(&self.dir.join("gone").join(name), &gone)
    }

    /// Removes the note that a tenant is gone. Where that fails, its next making has a higher number than it need have.
    pub(super) fn remove_gone(&self, name: &str) {
        let _ = fs::remove_file(self.dir.join("gone").join(name));
    }

    fn made_path(&self, name: &str) -> PathBuf {
        self.dir.join("made").join(format!("{name}.json"))
    }
}

/// The files of a directory that is there or not, but those that are still being written.
fn files(dir: &Path, extension: Option<&str>) -> Result<Vec<PathBuf>, KeptError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(dir, error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>().map_err(|error| unreadable(dir, error))?;
    paths.retain(|path| path.extension().and_then(|kind| kind.to_str()) == extension);
    Ok(paths)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, KeptError> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, error))?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable(path, error))
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), KeptError> {
    let failed = |error: io::Error| unwritable(path, &error);
    let text = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).and_then(|()| replace_file(path, &text)).map_err(failed)
}

fn unreadable(path: &Path, reason: impl ToString) -> KeptError {
    let remedy = "mend or remove it: it holds tenants that were made over the admin API, and which of them are gone";
    KeptError { path: path.to_owned(), reason: reason.to_string(), remedy }
}

fn unwritable(path: &Path, error: &io::Error) -> KeptError {
    let remedy = "make room, or make the data directory writable";
    KeptError { path: path.to_owned(), reason: error.to_string(), remedy }
}
