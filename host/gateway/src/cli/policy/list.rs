//! `sandbar policy list`: the policies bound in a running gateway, and how a binding is shown.

use anyhow::{Context, anyhow};
use sandbar_policy::{BindingState, BoundBy, BoundInfo, FaultReport};
use serde::Deserialize;

use super::ListArgs;
use crate::cli::admin_client::{AdminClient, segment};
use crate::cli::{Failure, Output};

pub(super) async fn list(args: ListArgs, output: Output) -> Result<(), Failure> {
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
    let mut lines = Vec::new();
    for (tenant, bound) in &all {
        let bound = Vec::<BoundInfo>::deserialize(bound).context("the gateway speaks another version")?;
        lines.extend(bound.iter().map(|bound| shown(tenant, bound)));
    }
    output.answer(&all, || lines.join("\n"))?;
    Ok(())
}

async fn tenants(client: &AdminClient) -> anyhow::Result<Vec<String>> {
    let answer = client.get("/tenants").await?;
    let tenants = answer["tenants"].as_array().ok_or_else(|| anyhow!("the gateway speaks another version"))?;
    Ok(tenants.iter().filter_map(|tenant| tenant["name"].as_str().map(str::to_owned)).collect())
}

/// A binding as text: a line of its own, then why it took over nothing from its predecessor, then its last faults.
pub(super) fn shown(tenant: &str, bound: &BoundInfo) -> String {
    let mut lines = vec![line(tenant, bound)];
    if let Some(disinherited) = &bound.disinherited {
        let (name, from, fault) = (&bound.name, &disinherited.from, &disinherited.fault);
        lines.push(format!(
            "  {name} has nothing of what {from} had learnt: what {from} handed over made it fail: {fault}"
        ));
    }
    lines.extend(bound.last_faults.iter().map(|report| format!("  {}", fault_line(report))));
    lines.join("\n")
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
