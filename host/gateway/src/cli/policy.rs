//! `sandbar policy`: begins, builds, checks, tests, binds and lists policies.

mod bind;
mod component;
mod history;
mod list;
mod new;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sandbar_policy::Role;
use serde_json::{Value, json};

use super::admin_client::AdminArgs;
use super::{Failure, Output, block_on};

/// Arguments of `sandbar policy`.
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// List the policies bound in a running gateway.
    List(ListArgs),
    /// Bind a policy in a running gateway, without a restart.
    Bind(BindArgs),
    /// Go back to the configured policy, or to the native default.
    Unbind(RoleArgs),
    /// Show what was bound to a role before, and with which settings.
    History(RoleArgs),
    /// Go back to what was bound to a role before.
    Rollback(RollbackArgs),
    /// Make a crate to begin a policy from: it builds, and has a test.
    New(NewArgs),
    /// Build a component from the source of a policy, or of a core module that another language's tools have made.
    Build(BuildArgs),
    /// Check a component: compile it and try it in each of its roles, as binding it would.
    Check(TryArgs),
    /// Test a component: whether it keeps to what every policy of its role has to keep to.
    Test(TryArgs),
    /// List the stock policies, which can be bound by name.
    Stock,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Only this tenant.
    #[arg(long)]
    tenant: Option<String>,
}

#[derive(Debug, Args)]
struct BindArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Tenant to bind the policy for.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Role that the policy takes.
    #[arg(long)]
    role: Role,
    /// Name of a stock policy, or path of a component.
    policy: String,
    /// Settings of the policy, as JSON.
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    settings: Option<Value>,
    /// Run a stock policy compiled in, rather than as a guest.
    #[arg(long)]
    native: bool,
    /// Name under which a component is listed, beside its digest.
    #[arg(long)]
    name: Option<String>,
    /// Plan stored entries again before they are next used (role freshness).
    #[arg(long)]
    replan: bool,
}

/// A role of a tenant in a running gateway.
#[derive(Debug, Args)]
struct RoleArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Tenant whose role it is.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// The role.
    #[arg(long)]
    role: Role,
}

#[derive(Debug, Args)]
struct RollbackArgs {
    #[command(flatten)]
    of: RoleArgs,
    /// Number of the binding in the history. Without it, the last one that differs from the present one.
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// Directory of the policy's crate, or file of a core module. With `--stock`, the root of Sandbar's source tree; the current one by default.
    #[arg(required_unless_present = "stock")]
    dir: Option<PathBuf>,
    /// File or directory to write the component to; by default it is written beside the crate's Cargo.toml.
    #[arg(long, short, conflicts_with = "stock")]
    out: Option<PathBuf>,
    /// Build the stock policies whose sources have changed, and the table of them.
    #[arg(long)]
    stock: bool,
    /// Build all stock policies, changed or not.
    #[arg(long, requires = "stock", conflicts_with = "check")]
    all: bool,
    /// Change nothing; fail unless the shipped stock components are what their sources give.
    #[arg(long, requires = "stock")]
    check: bool,
}

#[derive(Debug, Args)]
struct TryArgs {
    /// File of the component.
    component: PathBuf,
    /// Settings to try it with, as JSON.
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    settings: Option<Value>,
    /// Take the limits of guests from the section [policy] of this file; the defaults without it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct NewArgs {
    /// Role that the policy takes.
    #[arg(long)]
    role: Role,
    /// Name of the policy: its crate is made in a new directory of that name.
    name: String,
    /// Where that directory is made.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Depend on this source of the SDK (`guest` in Sandbar's source tree) rather than on the released one.
    #[arg(long, value_name = "DIR")]
    guest: Option<PathBuf>,
}

fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("that is no JSON: {error}; write it like '{{\"probability\": 0.1}}'"))
}

pub(super) fn run(args: PolicyArgs, output: Output) -> Result<(), Failure> {
    match args.command {
        PolicyCommand::List(args) => block_on(list::list(args, output)),
        PolicyCommand::Bind(args) => block_on(bind::bind(args, output)),
        PolicyCommand::Unbind(args) => block_on(bind::unbind(args, output)),
        PolicyCommand::History(args) => block_on(history::history(args, output)),
        PolicyCommand::Rollback(args) => block_on(bind::roll_back(args, output)),
        PolicyCommand::New(args) => new::new(&args, output),
        PolicyCommand::Build(args) => component::build(&args, output),
        PolicyCommand::Check(args) => component::check(&args, output),
        PolicyCommand::Test(args) => test::test(&args, output),
        PolicyCommand::Stock => stock(output),
    }
}

fn stock(output: Output) -> Result<(), Failure> {
    let all = sandbar_policies::stock().iter();
    let all: Vec<Value> =
        all.map(|stock| json!({ "role": stock.role, "name": stock.name, "summary": stock.summary })).collect();
    output.answer(&all, || {
        let all = sandbar_policies::stock().iter();
        let lines = all.map(|stock| format!("{:<12} {:<16} {}", stock.role, stock.name, stock.summary));
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(())
}
