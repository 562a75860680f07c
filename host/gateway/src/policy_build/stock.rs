//! The components of the stock policies: built all at once, and kept in the source tree beside a manifest that says
//! what each was built from, so that nobody needs the WebAssembly target to run them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sandbar_policy::{BindError, Digest, Role};
use serde::{Deserialize, Serialize};

use super::{BuildError, cargo, componentise, read, sources, write};

/// A stock component as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The one role it is bound to.
    pub role: Role,
    /// The name that it is bound by: that of its crate's directory.
    pub name: String,
    /// What the policy does, in one sentence: the description of its crate.
    pub summary: String,
    /// Digest of the component's bytes.
    pub component: Digest,
    /// Digest of the sources that it was built from, in hexadecimal.
    pub sources: String,
    /// Version of the compiler that built it; empty if unknown.
    #[serde(default)]
    pub rustc: String,
}

/// A stock policy's crate.
struct Crate {
    role: Role,
    name: String,
    dir: PathBuf,
    package: String,
    summary: String,
}

/// The path of a component, relative to the root of the source tree.
pub fn path(role: Role, name: &str) -> PathBuf {
    PathBuf::from(format!("policies/components/{role}-{name}.wasm"))
}

/// Builds the component of every crate under `policies/ROLE/NAME` of the source tree at `root`, and writes the manifest
/// and the table that `sandbar-policies` includes. Calls `progress` for each component. Components whose sources have
/// not changed are left alone unless `all`.
///
/// # Errors
/// With the first policy that can't be built.
pub fn rebuild(root: &Path, all: bool, mut progress: impl FnMut(&Component)) -> Result<Vec<Component>, BuildError> {
    let known = manifest(root).unwrap_or_default();
    let mut components = Vec::new();
    for policy in crates(root)? {
        let component = match current(root, &policy, &known)? {
            Some(component) if !all => component,
            _ => build(root, &policy)?,
        };
        progress(&component);
        components.push(component);
    }
    write(&root.join(MANIFEST), &pretty(&components))?;
    write(&root.join(TABLE), table(&components).as_bytes())?;
    Ok(components)
}

/// Builds every component from source, writes nothing, and returns a sentence for each fault of the shipped components:
/// those that [`stale`] finds, and components of which the same compiler makes other bytes. Another compiler's bytes
/// differ and prove nothing: then only that the source builds is checked.
///
/// # Errors
/// With the first policy that can't be built.
pub fn verify(root: &Path, mut progress: impl FnMut(&Component)) -> Result<Vec<String>, BuildError> {
    let mut wrong = stale(root)?;
    let known = manifest(root)?;
    for policy in crates(root)? {
        let (built, _) = make(root, &policy)?;
        progress(&built);
        let shipped = known.iter().find(|one| one.role == built.role && one.name == built.name);
        if shipped.is_some_and(|shipped| shipped.rustc == built.rustc && shipped.component != built.component) {
            wrong.push(format!("the component of {}/{} is not what its source gives", built.role, built.name));
        }
    }
    Ok(wrong)
}

/// What is wrong with the components in the source tree at `root`: a sentence for each that is missing, left over,
/// altered, or older than its sources.
///
/// # Errors
/// When the sources can't be read.
pub fn stale(root: &Path) -> Result<Vec<String>, BuildError> {
    let known = manifest(root)?;
    let mut wrong = Vec::new();
    let crates = crates(root)?;
    for policy in &crates {
        let label = format!("{}/{}", policy.role, policy.name);
        match known.iter().find(|component| component.role == policy.role && component.name == policy.name) {
            None => wrong.push(format!("{label} has no component")),
            Some(component) if component.sources != sources::digest(root, &policy.dir, &policy.package)? => {
                wrong.push(format!("{label} has changed since its component was built"));
            }
            Some(component) if is_altered(root, component) => {
                wrong.push(format!("the component of {label} is not the one that the manifest names"));
            }
            Some(_) => {}
        }
    }
    let has_crate = |known: &&Component| crates.iter().any(|one| one.role == known.role && one.name == known.name);
    let left_over = known.iter().filter(|component| !has_crate(component));
    wrong.extend(left_over.map(|component| format!("{}/{} has no source", component.role, component.name)));
    Ok(wrong)
}

const MANIFEST: &str = "policies/components/manifest.json";
const TABLE: &str = "policies/components/table.rs";

fn build(root: &Path, policy: &Crate) -> Result<Component, BuildError> {
    let (component, bytes) = make(root, policy)?;
    write(&root.join(path(policy.role, &policy.name)), &bytes)?;
    Ok(component)
}

fn make(root: &Path, policy: &Crate) -> Result<(Component, Vec<u8>), BuildError> {
    let module = cargo::compile(&policy.dir, cargo::Lock::Kept)?;
    let (bytes, checked) = componentise(&module.bytes)?;
    if !checked.roles.contains(&policy.role) {
        return Err(BindError::LacksRole { role: policy.role, roles: checked.roles }.into());
    }
    let component = Component {
        role: policy.role,
        name: policy.name.clone(),
        summary: policy.summary.clone(),
        component: checked.digest,
        sources: sources::digest(root, &policy.dir, &policy.package)?,
        rustc: cargo::compiler()?,
    };
    Ok((component, bytes))
}

/// A policy's component in the manifest, if its sources and its file are still those that the manifest names.
fn current(root: &Path, policy: &Crate, known: &[Component]) -> Result<Option<Component>, BuildError> {
    let sources = sources::digest(root, &policy.dir, &policy.package)?;
    let found = known.iter().find(|one| one.role == policy.role && one.name == policy.name && one.sources == sources);
    Ok(found.filter(|component| !is_altered(root, component)).cloned())
}

fn is_altered(root: &Path, component: &Component) -> bool {
    std::fs::read(root.join(path(component.role, &component.name)))
        .map_or(true, |bytes| Digest::of(&bytes) != component.component)
}

fn manifest(root: &Path) -> Result<Vec<Component>, BuildError> {
    let path = root.join(MANIFEST);
    serde_json::from_slice(&read(&path)?).map_err(|error| BuildError::Garbled { path, reason: error.to_string() })
}

fn pretty(components: &[Component]) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(components).expect("names and digests are text");
    text.push(b'\n');
    text
}

/// The table of stock policies, as Rust source.
fn table(components: &[Component]) -> String {
    let mut text = "// Written by `sandbar policy build --stock`.\n&[\n".to_owned();
    for Component { role, name, summary, .. } in components {
        writeln!(
            text,
            "    Stock {{\n        role: {:?},\n        name: {name:?},\n        component: \
             include_bytes!(\"../components/{role}-{name}.wasm\"),\n        summary: {summary:?},\n    }},",
            role.name(),
        )
        .expect("a string takes everything");
    }
    text + "]\n"
}

/// The crates of the stock policies, in the order of their roles and names.
fn crates(root: &Path) -> Result<Vec<Crate>, BuildError> {
    let mut crates = Vec::new();
    for role in Role::ALL {
        let dir = root.join("policies").join(role.name());
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        let mut dirs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        dirs.sort();
        for dir in dirs.into_iter().filter(|dir| dir.join("Cargo.toml").is_file()) {
            crates.push(describe(role, dir)?);
        }
    }
    Ok(crates)
}

fn describe(role: Role, dir: PathBuf) -> Result<Crate, BuildError> {
    #[derive(Deserialize)]
    struct Manifest {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        #[serde(default)]
        description: String,
    }
    let path = dir.join("Cargo.toml");
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    let Manifest { package } =
        toml::from_str(&text).map_err(|error| BuildError::Garbled { path, reason: error.to_string() })?;
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Crate { role, name, dir, package: package.name, summary: package.description })
}
