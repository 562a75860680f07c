//! `sandbar purge`: purges stored responses in a running gateway.

use clap::{Args, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::admin_client::{AdminArgs, segment};
use super::{Failure, Output};

/// Arguments of `sandbar purge`.
#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Tenant whose responses are purged.
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    scopes: Scopes,
    /// Hard: the responses are gone. Soft: they are stale (served while they are validated, or when the origin fails).
    #[arg(long, value_enum, default_value = "hard")]
    mode: Mode,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Scopes {
    /// This URL, with all its variants. May be repeated, like the other scopes.
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Everything with this surrogate key.
    #[arg(long, value_name = "KEY")]
    surrogate_key: Vec<String>,
    /// Everything whose path (on all sites) or URL (on one site) begins with this.
    #[arg(long, value_name = "PATH|URL")]
    prefix: Vec<String>,
    /// Everything the tenant has.
    #[arg(long)]
    everything: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Hard,
    Soft,
}

pub(super) async fn run(args: PurgeArgs, output: Output) -> Result<(), Failure> {
    let mode = match args.mode {
        Mode::Hard => "hard",
        Mode::Soft => "soft",
    };
    let urls = args.scopes.url.iter().map(|url| json!({ "scope": "key", "url": url, "mode": mode }));
    let keys =
        args.scopes.surrogate_key.iter().map(|key| json!({ "scope": "surrogate-key", "key": key, "mode": mode }));
    let prefixes = args.scopes.prefix.iter().map(|prefix| json!({ "scope": "prefix", "prefix": prefix, "mode": mode }));
    let everything = args.scopes.everything.then(|| json!({ "scope": "everything", "mode": mode }));
    let purges: Value = urls.chain(keys).chain(prefixes).chain(everything).collect();
    let path = format!("/tenants/{}/purge", segment(&args.tenant));
    let report = args.admin.client()?.send_json(Method::POST, &path, &purges).await?;
    output.answer(&report, || text(&report))?;
    Ok(())
}

fn text(report: &Value) -> String {
    match report["pending"].as_u64() {
        Some(0) | None => "purged".to_owned(),
        Some(pending) => format!(
            "purged here; {pending} purges are not recorded for other nodes yet ({}), they follow as soon as that works",
            report["reason"].as_str().unwrap_or("no reason given")
        ),
    }
}
