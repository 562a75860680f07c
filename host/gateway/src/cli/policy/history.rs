//! `sandbar policy history`: what was bound to a role before.

use anyhow::Context;
use sandbar_policy::{BoundBy, PastBinding};
use serde::Deserialize;

use super::RoleArgs;
use crate::cli::admin_client::segment;
use crate::cli::{Failure, Output};

pub(super) async fn history(args: RoleArgs, output: Output) -> Result<(), Failure> {
    let path = format!("/tenants/{}/policies/{}/history", segment(&args.tenant), args.role);
    let answer = args.admin.client()?.get(&path).await?;
    let bindings = Vec::<PastBinding>::deserialize(&answer).context("the gateway speaks another version")?;
    output.answer(&answer, || bindings.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    Ok(())
}

/// A binding in one line: its number, policy, who bound it, since when, and its settings.
fn line(past: &PastBinding) -> String {
    let by = match past.by {
        BoundBy::Default => "native default",
        BoundBy::Config => "from the configuration",
        BoundBy::Api => "over the API",
    };
    let digest = past.digest.map_or("native".into(), |digest| digest.to_string()[..12].to_owned());
    let since = httpdate::fmt_http_date(past.since.into());
    let settings = if past.settings.is_null() { String::new() } else { format!(", settings {}", past.settings) };
    format!("{:>4} {:<16} {digest:<12} {by}, since {since}{settings}", past.number, past.name)
}
