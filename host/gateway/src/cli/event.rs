//! `sandbar event`: tells a running gateway of an event of another system.

use std::io::Read;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use http::Method;
use serde_json::Value;

use super::admin_client::{AdminArgs, segment};
use super::{Failure, Output};

/// Bytes of a payload that are sent at most: more than a gateway takes.
const PAYLOAD_BYTES_MAX: u64 = 1 << 20;

/// Arguments of `sandbar event`.
#[derive(Debug, Args)]
pub(super) struct EventArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Tenant whose invalidation policy is asked.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// What the event is about, such as product.changed.
    topic: String,
    /// What it says: a text, often JSON.
    #[arg(long, conflicts_with = "file")]
    data: Option<String>,
    /// A file that holds that; `-` for standard input.
    #[arg(long)]
    file: Option<PathBuf>,
}

pub(super) async fn run(args: EventArgs, output: Output) -> Result<(), Failure> {
    let payload = match (&args.data, &args.file) {
        (Some(data), _) => data.clone().into_bytes(),
        (None, Some(file)) => read(file)?,
        (None, None) => Vec::new(),
    };
    let path = format!("/tenants/{}/events/{}", segment(&args.tenant), segment(&args.topic));
    let client = args.admin.client()?;
    let report = client.ask(Method::POST, &path, Some(("application/octet-stream", payload.into()))).await?;
    output.answer(&report, || text(&report))?;
    Ok(())
}

fn read(file: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| Failure::Usage(anyhow!("can't read {}: {error}", file.display()));
    let mut payload = Vec::new();
    let from: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(unreadable)?)
    };
    from.take(PAYLOAD_BYTES_MAX).read_to_end(&mut payload).map_err(unreadable)?;
    Ok(payload)
}

fn text(report: &Value) -> String {
    match report["recorded"].as_u64() {
        Some(0) | None => "the policy purges nothing because of it".to_owned(),
        Some(1) => "one purge".to_owned(),
        Some(purges) => format!("{purges} purges"),
    }
}
