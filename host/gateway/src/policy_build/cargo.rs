//! Runs cargo, which compiles a policy's crate to a core module.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{BuildError, read};

/// The target that policies are compiled for: it has no system interface, so that a policy imports the host's log at
/// most.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// The profile of the build, which overrides the crate's own: fast code without debug information, but with the names
/// of functions, so that the backtrace of a trap says something.
pub(super) const PROFILE: [(&str, &str); 7] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
];

/// WebAssembly features that policies may use beyond the minimum: vectors, which every node runs.
pub(super) const FEATURES: &str = "-Ctarget-feature=+simd128";

/// Whether cargo may change the lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    /// Cargo may write it.
    AsNeeded,
    /// Cargo fails instead of changing it (`--locked`).
    Kept,
}

/// A compiled core module of WebAssembly.
pub(super) struct Module {
    /// The name of the library target that it was compiled from.
    pub(super) name: String,
    /// The module itself.
    pub(super) bytes: Vec<u8>,
}

/// Compiles the crate in `dir` to a core module.
pub(super) fn compile(dir: &Path, lock: Lock) -> Result<Module, BuildError> {
    let manifest = dir.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(BuildError::NoCrate(dir.to_owned()));
    }
    find_target()?;
    let workspace = workspace(dir, &manifest)?;
    let mut command = Command::new(cargo());
    command
        .args(["rustc", "--lib", "--release", "--target", TARGET, "--crate-type", "cdylib"])
        .args(["--message-format", "json-render-diagnostics", "--color", "never"])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(target_dir(&workspace))
        .envs(PROFILE)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&workspace));
    if lock == Lock::Kept {
        command.arg("--locked");
    }
    let output = run_shown(&mut command)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(BuildError::Compile { dir: dir.to_owned(), message });
    }
    let (name, path) = artifact(&output.stdout)
        .ok_or_else(|| BuildError::Garbled { path: manifest, reason: "cargo made no module of it".to_owned() })?;
    Ok(Module { name, bytes: read(&path)? })
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn run(command: &mut Command) -> Result<Output, BuildError> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| BuildError::NoCargo { program: command.get_program().to_string_lossy().into_owned(), error })
}

/// Like [`run`], and shows what cargo is at meanwhile: a first build fetches and compiles what the policy depends on.
fn run_shown(command: &mut Command) -> Result<Output, BuildError> {
    let no_cargo = |error, command: &Command| BuildError::NoCargo {
        program: command.get_program().to_string_lossy().into_owned(),
        error,
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| no_cargo(error, command))?;
    let stderr = child.stderr.take();
    let showing = std::thread::spawn(move || stderr.map(show_steps).unwrap_or_default());
    let mut output = child.wait_with_output().map_err(|error| no_cargo(error, command))?;
    output.stderr = showing.join().unwrap_or_default();
    Ok(output)
}

/// What cargo does, as the first word of a line; what the compiler has to say is left to the error.
const STEPS: [&str; 7] = ["Updating", "Locking", "Adding", "Blocking", "Downloading", "Downloaded", "Compiling"];

/// Shows the lines that tell of a step as they come, and returns all of them.
fn show_steps(stderr: std::process::ChildStderr) -> Vec<u8> {
    let mut all = Vec::new();
    let mut lines = BufReader::new(stderr);
    loop {
        let begin = all.len();
        match lines.read_until(b'\n', &mut all) {
            Ok(0) | Err(_) => return all,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&all[begin..]);
        if line.split_whitespace().next().is_some_and(|word| STEPS.contains(&word)) {
            // Where nobody reads it, it is lost.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}

fn rustc() -> OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// The version of the compiler: the same version makes the same bytes of the same source.
pub(super) fn compiler() -> Result<String, BuildError> {
    let output = run(Command::new(rustc()).arg("--version"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Checks that the target's standard library is installed.
fn find_target() -> Result<(), BuildError> {
    let output = run(Command::new(rustc()).args(["--print", "target-libdir", "--target", TARGET]))?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && libraries.is_dir() { Ok(()) } else { Err(BuildError::NoTarget) }
}

/// The root of the crate's workspace; without a workspace that is the crate's own directory.
fn workspace(dir: &Path, manifest: &Path) -> Result<PathBuf, BuildError> {
    let mut command = Command::new(cargo());
    command.args(["locate-project", "--workspace", "--message-format", "plain", "--manifest-path"]).arg(manifest);
    let output = run(&mut command)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(BuildError::Compile { dir: dir.to_owned(), message });
    }
    let root = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(root.parent().unwrap_or(dir).to_owned())
}

/// The target directory for policies. It is not the workspace's: as the profiles differ, cargo would rebuild everything
/// each time.
fn target_dir(workspace: &Path) -> PathBuf {
    let shared = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    shared.join("policies")
}

/// The compiler's flags: the features, and those that keep the machine's paths out of the module, so that the same
/// source gives the same component everywhere.
fn flags(workspace: &Path) -> OsString {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let mut flags = OsString::from(FEATURES);
    flags.push("\u{1f}--remap-path-prefix=");
    flags.push(workspace);
    flags.push("=/policy");
    if let Some(home) = home {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(home);
        flags.push("=/cargo");
    }
    flags
}

/// The crate's name and the path of its module, from cargo's JSON messages: the last module is the crate's own.
fn artifact(messages: &[u8]) -> Option<(String, PathBuf)> {
    String::from_utf8_lossy(messages)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| {
            let files = message["filenames"].as_array()?;
            let module = files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".wasm"))?;
            Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(module)))
        })
        .next_back()
}
