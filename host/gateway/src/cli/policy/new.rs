//! `sandbar policy new`: a crate to begin a policy from.

use serde_json::json;

use super::NewArgs;
use crate::cli::{Failure, Output};
use crate::policy_new::{NewError, create};

pub(super) fn new(args: &NewArgs, output: Output) -> Result<(), Failure> {
    let made = create(args.role, &args.name, &args.dir, args.guest.as_deref());
    let root = made.map_err(
        |error: NewError| {
            if error.is_usage() { Failure::usage(error) } else { Failure::Runtime(error.into()) }
        },
    )?;
    let (shown, name) = (root.display(), args.name.replace('-', "_"));
    output.answer(&json!({ "dir": root, "role": args.role }), || {
        format!(
            "{shown}: a policy of the role {role}. What it decides is in {shown}/src/lib.rs. Next:\n  cargo test --manifest-path \
             {shown}/Cargo.toml\n  sandbar policy build {shown}\n  sandbar policy test {shown}/{name}.wasm\n  sandbar policy bind \
             --tenant T --role {role} {shown}/{name}.wasm",
            role = args.role
        )
    })?;
    Ok(())
}
