//! `sandbar purge`: purges stored responses in a running gateway.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use http::Method;
use sandbar::setting::size_text;
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
    /// Purge nothing: say what would be reached on this node.
    #[arg(long)]
    dry_run: bool,
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
    if args.dry_run {
        let preview = args.admin.client()?.send_json(Method::POST, &format!("{path}/preview"), &purges).await?;
        output.answer(&preview, || would(&preview, mode))?;
        return Ok(());
    }
    let report = args.admin.client()?.send_json(Method::POST, &path, &purges).await?;
    output.answer(&report, || text(&report))?;
    Ok(())
}

/// What a purge would do, in words.
fn would(preview: &Value, mode: &str) -> String {
    let reach = |of: &Value| {
        let (entries, bytes) = (of["entries"].as_u64().unwrap_or(0), of["bytes"].as_u64().unwrap_or(0));
        format!("{entries} {} of {}", if entries == 1 { "response" } else { "responses" }, size_text(bytes))
    };
    let (does, all) = (if mode == "soft" { "would be stale" } else { "would go" }, &preview["is_everything"]);
    let mut text = format!("{does} on this node: {} in memory, exactly", reach(&preview["l1"]));
    if preview["l2_at_least"].is_object() {
        let _ = write!(text, "; {} in the L2 at least", reach(&preview["l2_at_least"]));
    }
    if all == &Value::Bool(true) {
        text.push_str("\nso many scopes purge everything that the tenant has");
    }
    for hot in preview["hottest"].as_array().into_iter().flatten() {
        let url = hot["url"].as_str().unwrap_or_default();
        let _ = write!(text, "\nhot: {url} ({})", size_text(hot["bytes"].as_u64().unwrap_or(0)));
    }
    text
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
