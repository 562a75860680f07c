//! `sandbar policy test`: whether a policy keeps to what every policy of its role has to keep to.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::anyhow;
use sandbar_base::clock::{ManualClock, Timestamp};
use sandbar_policy::conformance::{Finding, examine};
use sandbar_policy::{Binding, EngineConfig, Role, TenantPolicies};
use serde_json::json;

use super::TryArgs;
use super::component::{engine_config, tried};
use crate::cli::{Failure, Output};

/// The tenant that the policy is bound for; its name gives the seed.
const TENANT: &str = "test";

pub(super) fn test(args: &TryArgs, output: Output) -> Result<(), Failure> {
    let path = args.component.display();
    // What is examined is what it decides, however busy it is.
    let config = EngineConfig { core_share_percent: 0, ..engine_config(args)? };
    let (engine, bytes, tried) = tried(args, config)?;
    if let Some((role, said)) = tried.wants_settings.first() {
        let how = "give them with --settings";
        return Err(Failure::Usage(anyhow!("the {role} policy refuses to run without settings: {said}; {how}")));
    }
    let mut answer = serde_json::Map::new();
    let (mut lines, mut broken) = (Vec::new(), 0);
    for role in tried.checked.roles.into_iter().filter(|role| role.is_served()) {
        let binding = Binding::component(role, bytes.clone()).with_settings(args.settings.clone().unwrap_or_default());
        let found = examine(role, &|| {
            let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(0)));
            TenantPolicies::open(
                Arc::clone(&engine),
                TENANT,
                std::slice::from_ref(&binding),
                BTreeSet::new(),
                None,
                clock,
            )
        });
        broken += found.iter().filter(|finding| finding.broken.is_some()).count();
        lines.extend(found.iter().map(|finding| line(role, finding)));
        answer.insert(role.name().to_owned(), json!(found));
    }
    output.answer(&answer, || lines.join("\n"))?;
    match broken {
        0 => Ok(()),
        1 => Err(anyhow!("{path} breaks a rule").into()),
        _ => Err(anyhow!("{path} breaks {broken} rules").into()),
    }
}

fn line(role: Role, finding: &Finding) -> String {
    match &finding.broken {
        None => format!("ok      {role}: it {}", finding.rule),
        Some(how) => format!("BROKEN  {role}: it {}\n        {how}", finding.rule),
    }
}
