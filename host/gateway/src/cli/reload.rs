//! `sandbar reload`: has a running gateway read its settings again.

use clap::Args;
use http::Method;
use serde_json::Value;

use super::admin_client::AdminArgs;
use super::{Failure, Output};
use crate::reload::Reloaded;

/// Arguments of `sandbar reload`.
#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) async fn run(args: ReloadArgs, output: Output) -> Result<(), Failure> {
    let answer = args.admin.client()?.send_json(Method::POST, "/reload", &Value::Null).await?;
    let reloaded: Reloaded = serde_json::from_value(answer)?;
    output.answer(&reloaded, || reloaded.to_string())?;
    Ok(())
}
