//! `sandbar policy`: lists, binds, unbinds, builds and checks policies.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::Method;
use sandbar_policy::{
    BIND_DEADLINE, BindError, BindingState, BoundBy, BoundInfo, Engine, EngineConfig, FaultReport, Role,
};
use serde_json::{Value, json};

use super::admin_client::{AdminArgs, AdminClient, NoAnswer, segment};
use super::{Failure, block_on};
use crate::config::{GatewayConfig, PolicyConfig};
use crate::stdout::say;

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
    Unbind(UnbindArgs),
    /// Build a component from the source of a policy.
    Build(BuildArgs),
    /// Check a component: compile it and try it in each of its roles, as binding it would.
    Check(CheckArgs),
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
    /// Print JSON.
    #[arg(long)]
    json: bool,
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
    /// Plan stored entries again before they are next used (role freshness).
    #[arg(long)]
    replan: bool,
}

#[derive(Debug, Args)]
struct UnbindArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Tenant whose policy is unbound.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Role whose policy is unbound.
    #[arg(long)]
    role: Role,
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// Directory of the policy's crate. With `--stock`, the root of Sandbar's source tree; the current one by default.
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
struct CheckArgs {
    /// File of the component.
    component: PathBuf,
    /// Settings to try it with, as JSON.
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    settings: Option<Value>,
    /// Take the limits of guests from the section [policy] of this file; the defaults without it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
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
        PolicyCommand::Check(args) => check(&args),
        PolicyCommand::Stock => stock(),
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
        say(serde_json::to_string_pretty(&all).context("the list makes no JSON")?)?;
        return Ok(());
    }
    for (tenant, bound) in all {
        let bound: Vec<BoundInfo> = serde_json::from_value(bound).context("the gateway speaks another version")?;
        bound.iter().try_for_each(|bound| show(&tenant, bound))?;
    }
    Ok(())
}

async fn tenants(client: &AdminClient) -> anyhow::Result<Vec<String>> {
    let answer = client.get("/tenants").await?;
    let tenants = answer["tenants"].as_array().ok_or_else(|| anyhow!("the gateway speaks another version"))?;
    Ok(tenants.iter().filter_map(|tenant| tenant["name"].as_str().map(str::to_owned)).collect())
}

/// Prints a binding: a line of its own, then why it took over nothing from its predecessor, then its last faults.
fn show(tenant: &str, bound: &BoundInfo) -> std::io::Result<()> {
    say(line(tenant, bound))?;
    if let Some(disinherited) = &bound.disinherited {
        let (name, from, fault) = (&bound.name, &disinherited.from, &disinherited.fault);
        say(format_args!(
            "  {name} has nothing of what {from} had learnt: what {from} handed over made it fail: {fault}"
        ))?;
    }
    bound.last_faults.iter().try_for_each(|report| say(format_args!("  {}", fault_line(report))))
}

/// A fault in one line: when it happened last, how often, and what it was.
fn fault_line(report: &FaultReport) -> String {
    let last = httpdate::fmt_http_date(report.last.into());
    let times = if report.times == 1 { String::new() } else { format!(" ({} times)", report.times) };
    format!("{last}{times}: {}", report.fault)
}

/// A binding in one line: tenant, role, policy, who bound it, since when, its state and its counters.
fn line(tenant: &str, bound: &BoundInfo) -> String {
    let by = match bound.by {
        BoundBy::Default => "native default",
        BoundBy::Config => "from the configuration",
        BoundBy::Api => "over the API",
    };
    let digest = bound.digest.map_or("native".into(), |digest| digest.to_string()[..12].to_owned());
    let state = match bound.state {
        BindingState::Active => "active".into(),
        BindingState::Quarantined { until } => format!("quarantined until {until}"),
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

/// How long an answer may take: the gateway has [`BIND_DEADLINE`] to compile and try a policy, and then says whether
/// the policy is bound.
const ANSWER_DEADLINE: Duration = BIND_DEADLINE.saturating_add(Duration::from_secs(150));

/// Wait after a lost answer: by then the gateway has noticed that its client is gone.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

async fn bind(args: BindArgs) -> Result<(), Failure> {
    let (kind, content) = content(&args)?;
    let mut path = format!("/tenants/{}/policies/{}", segment(&args.tenant), args.role);
    let client = args.admin.client_for(ANSWER_DEADLINE)?;
    let before = client.get(&path).await.ok();
    let binding_path = path.clone();
    path.push_str(if args.replan { "?replan=true" } else { "?replan=false" });
    if kind == COMPONENT
        && let Some(settings) = &args.settings
    {
        path.push_str("&settings=");
        path.push_str(&segment(&settings.to_string()));
    }
    match client.ask(Method::PUT, &path, Some((kind, content))).await {
        Ok(answer) => show_answer(&args.tenant, answer),
        Err(error) if error.is::<NoAnswer>() => Err(settle(&client, &binding_path, before, error).await.into()),
        Err(error) => Err(error.into()),
    }
}

const COMPONENT: &str = "application/wasm";

/// The largest component that is sent, in bytes: more than any gateway takes.
const SENT_BYTES_MAX: u64 = 1 << 30;

/// The media type and the content of the request that binds a policy.
fn content(args: &BindArgs) -> Result<(&'static str, Bytes), Failure> {
    if !is_file(&args.policy) {
        let choice = json!({ "stock": args.policy, "settings": args.settings, "native": args.native });
        return Ok(("application/json", choice.to_string().into()));
    }
    if args.native {
        return Err(Failure::Usage(anyhow!("--native is for stock policies: a component always runs as a guest")));
    }
    Ok((COMPONENT, read_component(Path::new(&args.policy), SENT_BYTES_MAX)?.into()))
}

/// Finds out whether a policy is bound whose request had no answer, and adds that to `error`. The gateway binds nothing
/// for a client that is gone, so the policy that is bound a little later stays bound.
async fn settle(client: &AdminClient, path: &str, before: Option<Value>, error: anyhow::Error) -> anyhow::Error {
    tokio::time::sleep(SETTLED_AFTER).await;
    let since = |bound: &Value| bound["since"].clone();
    match (client.get(path).await, before) {
        (Ok(now), Some(before)) if since(&now) == since(&before) => anyhow!("{error}; the policy is not bound"),
        (Ok(now), Some(_)) => anyhow!("{error}; bound is now {} ({})", now["name"], now["digest"]),
        _ => anyhow!("{error}; see `sandbar policy list` for what is bound"),
    }
}

/// A stock policy's name has neither slash nor dot.
fn is_file(policy: &str) -> bool {
    policy.contains('/') || policy.contains('.')
}

async fn unbind(args: UnbindArgs) -> Result<(), Failure> {
    let path = format!("/tenants/{}/policies/{}", segment(&args.tenant), args.role);
    let answer = args.admin.client_for(ANSWER_DEADLINE)?.delete(&path).await?;
    show_answer(&args.tenant, answer)
}

fn show_answer(tenant: &str, answer: Value) -> Result<(), Failure> {
    let bound: BoundInfo = serde_json::from_value(answer).context("the gateway speaks another version")?;
    show(tenant, &bound)?;
    Ok(())
}

fn build(args: &BuildArgs) -> Result<(), Failure> {
    let dir = args.dir.as_deref().unwrap_or(Path::new("."));
    if args.stock {
        return build_stock(dir, args);
    }
    let built = crate::policy_build::build(dir, args.out.as_deref())?;
    say(format_args!("{}: {}", built.path.display(), describe(&built.checked)))?;
    Ok(())
}

fn build_stock(root: &Path, args: &BuildArgs) -> Result<(), Failure> {
    use crate::policy_build::stock;
    // Where nobody reads the output any more, the rest is built all the same.
    let show = |component: &stock::Component| {
        let _ = say(format_args!("{:<12} {:<16} {}", component.role, component.name, component.component));
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

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let path = args.component.display();
    let config = match &args.config {
        Some(file) => GatewayConfig::from_file(file).map_err(Failure::usage)?.policy,
        None => PolicyConfig::default(),
    };
    let config = EngineConfig::from(&config);
    let bytes = read_component(&args.component, config.component_bytes_max)?;
    let engine = Engine::new(&config)?;
    let tried = sandbar_policy::try_component(&engine, &bytes, args.settings.as_ref())
        .map_err(|error| Failure::Usage(anyhow!("{path} can't be bound: {error}")))?;
    say(format_args!("{path} is a policy: {}", describe(&tried.checked)))?;
    for (role, sentence) in &tried.wants_settings {
        say(format_args!("without settings the {role} policy can't be bound: {sentence}; try it with --settings"))?;
    }
    for role in tried.checked.roles.iter().filter(|role| !role.is_served()) {
        say(format_args!("nothing asks a {role} policy yet: it can't be bound to that role"))?;
    }
    Ok(())
}

/// Reads the file of a component, of at most `bytes_max`.
fn read_component(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| Failure::Usage(anyhow!("can't read the component {}: {error}", path.display()));
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > bytes_max {
        let error = BindError::TooLarge { bytes, limit_bytes: bytes_max };
        return Err(Failure::Usage(anyhow!("{} can't be bound: {error}", path.display())));
    }
    std::fs::read(path).map_err(unreadable)
}

fn describe(checked: &sandbar_policy::Checked) -> String {
    let roles: Vec<_> = checked.roles.iter().map(|role| role.name()).collect();
    format!("{}; {} bytes, digest {}", roles.join(", "), checked.size_bytes, checked.digest)
}

fn stock() -> Result<(), Failure> {
    for stock in sandbar_policies::stock() {
        say(format_args!("{:<12} {:<16} {}", stock.role, stock.name, stock.summary))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sandbar_base::clock::Timestamp;
    use sandbar_policy::Fault;

    use super::*;

    #[test]
    fn a_fault_is_shown_with_its_time_its_place_and_the_guests_words() {
        let fault =
            Fault { place: Some("brief::plan".into()), said: Some("no price".into()), ..Fault::trap("unreachable") };
        let (first, last) = (Timestamp::from_millis(0), Timestamp::from_millis(1_800_000_000_000));
        let report = FaultReport { fault, times: 3, first, last };
        assert_eq!(
            fault_line(&report),
            "Fri, 15 Jan 2027 08:00:00 GMT (3 times): trapped: unreachable in brief::plan; it said: no price"
        );
        assert!(!fault_line(&FaultReport { times: 1, ..report }).contains("times"));
    }
}
