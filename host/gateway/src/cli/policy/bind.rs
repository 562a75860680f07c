//! `sandbar policy bind`, `unbind` and `rollback`: which policy answers in a running gateway.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::Method;
use sandbar_policy::{BIND_DEADLINE, BoundInfo};
use serde::Deserialize;
use serde_json::{Value, json};

use super::component::read;
use super::list::shown;
use super::{BindArgs, RoleArgs, RollbackArgs};
use crate::cli::admin_client::{AdminClient, NoAnswer, segment};
use crate::cli::{Failure, Output};

/// How long an answer may take: the gateway has [`BIND_DEADLINE`] to compile and try a policy, and then says whether
/// the policy is bound.
const ANSWER_DEADLINE: Duration = BIND_DEADLINE.saturating_add(Duration::from_secs(150));

/// Wait after a lost answer: by then the gateway has noticed that its client is gone.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

pub(super) async fn bind(args: BindArgs, output: Output) -> Result<(), Failure> {
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
    if let Some(name) = &args.name {
        path.push_str("&name=");
        path.push_str(&segment(name));
    }
    match client.ask(Method::PUT, &path, Some((kind, content))).await {
        Ok(answer) => show(&args.tenant, &answer, output),
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
    Ok((COMPONENT, read(Path::new(&args.policy), SENT_BYTES_MAX)?.into()))
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

pub(super) async fn unbind(args: RoleArgs, output: Output) -> Result<(), Failure> {
    let path = format!("/tenants/{}/policies/{}", segment(&args.tenant), args.role);
    let answer = args.admin.client_for(ANSWER_DEADLINE)?.delete(&path).await?;
    show(&args.tenant, &answer, output)
}

pub(super) async fn roll_back(args: RollbackArgs, output: Output) -> Result<(), Failure> {
    let RollbackArgs { of, to } = args;
    let mut path = format!("/tenants/{}/policies/{}/rollback", segment(&of.tenant), of.role);
    if let Some(to) = to {
        path.push_str(&format!("?to={to}"));
    }
    let answer = of.admin.client_for(ANSWER_DEADLINE)?.ask(Method::POST, &path, None).await?;
    show(&of.tenant, &answer, output)
}

/// Shows the gateway's answer: what is bound now.
fn show(tenant: &str, answer: &Value, output: Output) -> Result<(), Failure> {
    let bound = BoundInfo::deserialize(answer).context("the gateway speaks another version")?;
    output.answer(answer, || shown(tenant, &bound))?;
    Ok(())
}
