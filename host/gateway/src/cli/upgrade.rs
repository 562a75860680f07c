//! `sandbar upgrade`: has a new process take a running gateway's place.

use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::admin_client::AdminArgs;
use super::{Failure, Output};
use crate::Upgraded;

/// Longer than any `limits.upgrade_deadline`.
const DEADLINE: Duration = Duration::from_secs(2 * 3600);

/// Arguments of `sandbar upgrade`.
#[derive(Debug, Args)]
pub(super) struct UpgradeArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) async fn run(args: UpgradeArgs, output: Output) -> Result<(), Failure> {
    let answer = args.admin.client_for(DEADLINE)?.send_json(Method::POST, "/upgrade", &Value::Null).await?;
    let upgraded: Upgraded = serde_json::from_value(answer)?;
    output.answer(&upgraded, || upgraded.to_string())?;
    Ok(())
}
