//! `sandbar policy build` and `check`: the components of policies, without a gateway.

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use sandbar_policy::{BindError, Checked, Engine, EngineConfig, Role, Tried};
use serde_json::{Value, json};

use super::{BuildArgs, TryArgs};
use crate::cli::{Failure, Output};
use crate::config::{GatewayConfig, PolicyConfig};
use crate::policy_build::{self, BuildError, stock};

pub(super) fn build(args: &BuildArgs, output: Output) -> Result<(), Failure> {
    let dir = args.dir.as_deref().unwrap_or(Path::new("."));
    if args.stock {
        return build_stock(dir, args, output);
    }
    let built = policy_build::build(dir, args.out.as_deref()).map_err(failure)?;
    let answer = described(&built.path, &built.checked);
    output.answer(&answer, || format!("{}: {}", built.path.display(), describe(&built.checked)))?;
    Ok(())
}

/// A folder without a crate, or a file without a module, is named wrongly; all else happens in the build.
fn failure(error: BuildError) -> Failure {
    if matches!(error, BuildError::NoCrate(_) | BuildError::NoModule(_)) {
        Failure::usage(error)
    } else {
        Failure::Runtime(error.into())
    }
}

fn build_stock(root: &Path, args: &BuildArgs, output: Output) -> Result<(), Failure> {
    // Where nobody reads the output any more, the rest is built all the same.
    let show = |component: &stock::Component| {
        let _ =
            output.part(component, || format!("{:<12} {:<16} {}", component.role, component.name, component.component));
    };
    if !args.check {
        stock::rebuild(root, args.all, show)?;
        return Ok(());
    }
    match stock::verify(root, show)?.as_slice() {
        [] => Ok(()),
        wrong => Err(anyhow!("{}; mend it with `sandbar policy build --stock`", wrong.join("; ")).into()),
    }
}

pub(super) fn check(args: &TryArgs, output: Output) -> Result<(), Failure> {
    let path = args.component.display();
    let (.., tried) = tried(args, engine_config(args)?)?;
    let unserved: Vec<Role> = tried.checked.roles.iter().copied().filter(|role| !role.is_served()).collect();
    let mut answer = described(&args.component, &tried.checked);
    answer["wants_settings"] =
        tried.wants_settings.iter().map(|(role, said)| (role.name(), said.to_string())).collect();
    answer["not_served"] = unserved.iter().map(|role| role.name()).collect();
    output.answer(&answer, || {
        let mut lines = vec![format!("{path} is a policy: {}", describe(&tried.checked))];
        lines.extend(tried.wants_settings.iter().map(|(role, said)| {
            format!("without settings the {role} policy can't be bound: {said}; try it with --settings")
        }));
        let unserved = unserved.iter();
        lines.extend(unserved.map(|role| format!("nothing asks a {role} policy yet: it can't be bound to that role")));
        lines.join("\n")
    })?;
    Ok(())
}

/// The limits of guests: those of a configuration file, or the defaults.
pub(super) fn engine_config(args: &TryArgs) -> Result<EngineConfig, Failure> {
    let config = match &args.config {
        Some(file) => GatewayConfig::from_file(file).map_err(Failure::usage)?.policy,
        None => PolicyConfig::default(),
    };
    Ok(EngineConfig::from(&config))
}

/// Reads a component and tries it in each of its roles.
pub(super) fn tried(args: &TryArgs, config: EngineConfig) -> Result<(Arc<Engine>, Vec<u8>, Tried), Failure> {
    let bytes = read(&args.component, config.component_bytes_max)?;
    let engine = Engine::new(&config)?;
    let path = args.component.display();
    let tried = sandbar_policy::try_component(&engine, &bytes, args.settings.as_ref())
        .map_err(|error| Failure::Usage(anyhow!("{path} can't be bound: {error}")))?;
    Ok((engine, bytes, tried))
}

/// Reads the file of a component, of at most `bytes_max`.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| Failure::Usage(anyhow!("can't read the component {}: {error}", path.display()));
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > bytes_max {
        let error = BindError::TooLarge { bytes, limit_bytes: bytes_max };
        return Err(Failure::Usage(anyhow!("{} can't be bound: {error}", path.display())));
    }
    std::fs::read(path).map_err(unreadable)
}

/// Roles, size and digest of a component, as text.
fn describe(checked: &Checked) -> String {
    let roles: Vec<_> = checked.roles.iter().map(|role| role.name()).collect();
    format!("{}; {} bytes, digest {}", roles.join(", "), checked.size_bytes, checked.digest)
}

/// The same for programs, with the component's file.
fn described(file: &Path, checked: &Checked) -> Value {
    let roles: Vec<_> = checked.roles.iter().map(|role| role.name()).collect();
    json!({ "file": file.display().to_string(), "roles": roles, "size_bytes": checked.size_bytes, "digest": checked.digest })
}
