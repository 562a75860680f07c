//! `sandbar policy`: policies seen, bound, unbound, built and checked.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::admin_client::{AdminArgs, AdminClient, segment};
use super::{Failure, block_on};
use crate::policy::{BoundBy, BoundInfo, Role, State};

/// Arguments of `sandbar policy`.
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// See what is bound in a gateway that runs.
    List(ListArgs),
    /// Bind a policy in a gateway that runs, without a restart.
    Bind(BindArgs),
    /// Go back to the configured policy, or to the native default.
    Unbind(UnbindArgs),
    /// Build a component from the source of a policy.
    Build(BuildArgs),
    /// Check a component: its imports, its roles, its types.
    Check(CheckArgs),
    /// See the stock policies that can be bound by name.
    Stock,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Only this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct BindArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Whose policy.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Which role it takes.
    #[arg(long)]
    role: Role,
    /// Name of a stock policy, or path of a component.
    policy: String,
    /// Its settings, as JSON.
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    settings: Option<Value>,
    /// Run a stock policy compiled in, rather than as a guest.
    #[arg(long)]
    native: bool,
    /// Plan stored entries again before they are next used (role freshness).
    #[arg(long)]
    replan: bool,
}

#[derive(Debug, Args)]
struct UnbindArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Whose policy.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Which role.
    #[arg(long)]
    role: Role,
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// Directory of the policy's crate. With `--stock`, the root of Sandbar's source tree; the current one by default.
    #[arg(required_unless_present = "stock")]
    dir: Option<PathBuf>,
    /// File or directory that the component goes to; by default it lies beside the crate's Cargo.toml.
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
struct CheckArgs {
    /// The component.
    component: PathBuf,
}

fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("that is no JSON: {error}; write it like '{{\"probability\": 0.1}}'"))
}

pub(super) fn run(args: PolicyArgs) -> Result<(), Failure> {
    match args.command {
        PolicyCommand::List(args) => block_on(list(args)),
        PolicyCommand::Bind(args) => block_on(bind(args)),
        PolicyCommand::Unbind(args) => block_on(unbind(args)),
        PolicyCommand::Build(args) => build(&args),
        PolicyCommand::Check(args) => check(&args.component),
        PolicyCommand::Stock => {
            stock();
            Ok(())
        }
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let client = args.admin.client()?;
    let tenants = match args.tenant {
        Some(tenant) => vec![tenant],
        None => tenants(&client).await?,
    };
    let mut all = serde_json::Map::new();
    for tenant in tenants {
        let bound = client.get(&format!("/tenants/{}/policies", segment(&tenant))).await?;
        all.insert(tenant, bound);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&all).context("the list makes no JSON")?);
        return Ok(());
    }
    for (tenant, bound) in all {
        let bound: Vec<BoundInfo> = serde_json::from_value(bound).context("the gateway speaks another version")?;
        for bound in bound {
            println!("{}", line(&tenant, &bound));
        }
    }
    Ok(())
}

async fn tenants(client: &AdminClient) -> anyhow::Result<Vec<String>> {
    let answer = client.get("/tenants").await?;
    let tenants = answer["tenants"].as_array().ok_or_else(|| anyhow!("the gateway speaks another version"))?;
    Ok(tenants.iter().filter_map(|tenant| tenant["name"].as_str().map(str::to_owned)).collect())
}

/// One line per binding: who, which role, which policy, who bound it, since when, and how it does.
fn line(tenant: &str, bound: &BoundInfo) -> String {
    let by = match bound.by {
        BoundBy::Default => "native default",
        BoundBy::Config => "from the configuration",
        BoundBy::Api => "over the API",
    };
    let digest = bound.digest.map_or("native".into(), |digest| digest.to_string()[..12].to_owned());
    let state = match bound.state {
        State::Active => "active".into(),
        State::Quarantined { until } => format!("quarantined until {until}"),
    };
    let since = httpdate::fmt_http_date(bound.since.into());
    format!(
        "{tenant:<16} {:<12} {:<16} {digest:<12} {by}, since {since}, {state}: {} calls, {} faults, {} clamped",
        bound.role.name(),
        bound.name,
        bound.calls,
        bound.faults,
        bound.clamped
    )
}

async fn bind(args: BindArgs) -> Result<(), Failure> {
    let client = args.admin.client()?;
    let mut path = format!("/tenants/{}/policies/{}?replan={}", segment(&args.tenant), args.role, args.replan);
    let answer = if is_file(&args.policy) {
        if args.native {
            return Err(Failure::Usage(anyhow!("--native is for stock policies: a component always runs as a guest")));
        }
        let component = std::fs::read(&args.policy)
            .map_err(|error| Failure::Usage(anyhow!("can't read the component {}: {error}", args.policy)))?;
        if let Some(settings) = &args.settings {
            path.push_str("&settings=");
            path.push_str(&segment(&settings.to_string()));
        }
        client.ask(Method::PUT, &path, Some(("application/wasm", component.into()))).await?
    } else {
        let choice = json!({ "stock": args.policy, "settings": args.settings, "native": args.native });
        client.send_json(Method::PUT, &path, &choice).await?
    };
    tell(&args.tenant, answer)
}

/// A stock policy's name has neither slash nor dot.
fn is_file(policy: &str) -> bool {
    policy.contains('/') || policy.contains('.')
}

async fn unbind(args: UnbindArgs) -> Result<(), Failure> {
    let path = format!("/tenants/{}/policies/{}", segment(&args.tenant), args.role);
    let answer = args.admin.client()?.delete(&path).await?;
    tell(&args.tenant, answer)
}

fn tell(tenant: &str, answer: Value) -> Result<(), Failure> {
    let bound: BoundInfo = serde_json::from_value(answer).context("the gateway speaks another version")?;
    println!("{}", line(tenant, &bound));
    Ok(())
}

fn build(args: &BuildArgs) -> Result<(), Failure> {
    let dir = args.dir.as_deref().unwrap_or(Path::new("."));
    if args.stock {
        return build_stock(dir, args);
    }
    let built = crate::policy::build::build(dir, args.out.as_deref())?;
    println!("{}: {}", built.path.display(), describe(&built.checked));
    Ok(())
}

fn build_stock(root: &Path, args: &BuildArgs) -> Result<(), Failure> {
    use crate::policy::build::stock;
    let show = |component: &stock::Component| {
        println!("{:<12} {:<16} {}", component.role, component.name, component.component);
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

fn check(path: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::Usage(anyhow!("can't read the component {}: {error}", path.display())))?;
    let checked = crate::policy::check(&bytes)
        .map_err(|error| Failure::Usage(anyhow!("{} is no policy: {error}", path.display())))?;
    println!("{} is a policy: {}", path.display(), describe(&checked));
    Ok(())
}

fn describe(checked: &crate::policy::Checked) -> String {
    let roles: Vec<_> = checked.roles.iter().map(|role| role.name()).collect();
    format!("{}; {} bytes, digest {}", roles.join(", "), checked.size_bytes, checked.digest)
}

fn stock() {
    for stock in sandbar_policies::stock() {
        println!("{:<12} {:<16} {}", stock.role, stock.name, stock.summary);
    }
}
