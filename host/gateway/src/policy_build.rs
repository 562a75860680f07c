//! `sandbar policy build`: from the source of a policy to a component, with nothing installed but Rust.
//!
//! Cargo compiles the crate to a core module for `wasm32-unknown-unknown`; [`wit_component`] makes a component of it in
//! process, from the types that the export macros of `sandbar-guest` left in the module.

mod cargo;
mod sources;
pub mod stock;

use std::path::{Path, PathBuf};

use sandbar_policy::{BindError, Checked, check};

/// A component built from a policy's source.
#[derive(Clone, Debug)]
pub struct Built {
    /// The file that it was written to.
    pub path: PathBuf,
    /// The component itself.
    pub component: Vec<u8>,
    /// Its roles, size and digest.
    pub checked: Checked,
}

/// Why no component was built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The directory has no `Cargo.toml`.
    #[error("{} holds no crate: it has no Cargo.toml", .0.display())]
    NoCrate(PathBuf),
    /// The file is no core module of WebAssembly.
    #[error("{} is no core module of WebAssembly: build it for a target like wasm32-unknown-unknown", .0.display())]
    NoModule(PathBuf),
    /// `cargo` or `rustc` can't be run.
    #[error("can't run `{program}`: {error}; install Rust from https://rustup.rs")]
    NoCargo {
        /// The program that was to be run.
        program: String,
        /// Why it could not be run.
        error: std::io::Error,
    },
    /// Rust's standard library for WebAssembly is not installed.
    #[error("Rust lacks the target {}; install it with `rustup target add {}`", cargo::TARGET, cargo::TARGET)]
    NoTarget,
    /// The source does not compile.
    #[error("{} does not compile; cargo says:\n{message}", dir.display())]
    Compile {
        /// The directory of the crate.
        dir: PathBuf,
        /// What cargo wrote to standard error.
        message: String,
    },
    /// The module can't be made a component.
    #[error("the module can't be made a component: {0}")]
    Componentise(String),
    /// The component can't be bound as a policy.
    #[error("it compiles, but is no policy: {0}")]
    Refused(BindError),
    /// A file can't be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why reading or writing failed.
        error: std::io::Error,
    },
    /// A file, or cargo's answer about it, can't be understood.
    #[error("{}: {reason}", path.display())]
    Garbled {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<BindError> for BuildError {
    fn from(error: BindError) -> Self {
        Self::Refused(error)
    }
}

/// Builds the policy crate in `from`, or makes a component of the core module in the file `from`, which any language's tools may have
/// made: the types of the contract are in a custom section of it, as wit-bindgen leaves them. The component is written to the file
/// `out`; or, under the name of the crate or of the module, into the directory `out`. Where `out` is none, it is written beside
/// `Cargo.toml`, or as `NAME.component.wasm` beside the module.
///
/// # Errors
/// When the crate can't be compiled or is no policy; each error is a sentence for the policy's author.
pub fn build(from: &Path, out: Option<&Path>) -> Result<Built, BuildError> {
    let (module, beside) = if from.is_file() {
        let module = module_in(from)?;
        let beside = from.with_extension("component.wasm");
        (module, beside)
    } else {
        let module = cargo::compile(from, cargo::Lock::AsNeeded)?;
        let beside = from.join(format!("{}.wasm", module.name));
        (module, beside)
    };
    let (component, checked) = componentise(&module.bytes)?;
    let path = match out {
        None => beside,
        Some(out) if out.is_dir() => out.join(format!("{}.wasm", module.name)),
        Some(out) => out.to_owned(),
    };
    write(&path, &component)?;
    Ok(Built { path, component, checked })
}

/// How a core module begins: the magic number, version 1, and the layer of modules.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// The core module in a file.
fn module_in(file: &Path) -> Result<cargo::Module, BuildError> {
    let bytes = read(file)?;
    if !bytes.starts_with(CORE_MODULE) {
        return Err(BuildError::NoModule(file.to_owned()));
    }
    let name = file.file_stem().map_or_else(|| "policy".to_owned(), |stem| stem.to_string_lossy().into_owned());
    Ok(cargo::Module { name, bytes })
}

/// Makes a component of a core module and checks that it is a policy.
fn componentise(module: &[u8]) -> Result<(Vec<u8>, Checked), BuildError> {
    let failed = |error: anyhow::Error| BuildError::Componentise(format!("{error:#}"));
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .map_err(failed)?
        .encode()
        .map_err(failed)?;
    let checked = check(&component)?;
    Ok((component, checked))
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|error| BuildError::File { path: path.to_owned(), error })
}

/// Replaces a file in one step, and only if its content changes.
fn write(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let failed = |error| BuildError::File { path: path.to_owned(), error };
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(failed)?;
    let mut file = tempfile::Builder::new().permissions(readable()).tempfile_in(dir).map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(unix)]
fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}
