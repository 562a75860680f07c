//! `sandbar policy test`: whether a policy keeps to what every policy of its role has to keep to.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::anyhow;
use sandbar_base::clock::{ManualClock, Timestamp};
use sandbar_policy::conformance::{Finding, examine};
use sandbar_policy::{Binding, Engine, Role, TenantPolicies};
use serde_json::json;

use super::TestArgs;
use super::component::{engine_config, read};
use crate::cli::{Failure, Output};

/// The tenant that the policy is bound for; its name gives the seed.
const TENANT: &str = "test";

pub(super) fn test(args: &TestArgs, output: Output) -> Result<(), Failure> {
    let path = args.component.display();
    let mut config = engine_config(args.config.as_deref())?;
    // What is examined is what it decides, however busy it is.
    config.core_share_percent = 0;
    let bytes = read(&args.component, config.component_bytes_max)?;
    let engine = Engine::new(&config)?;
    let tried = sandbar_policy::try_component(&engine, &bytes, args.settings.as_ref())
        .map_err(|error| Failure::Usage(anyhow!("{path} can't be bound: {error}")))?;
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
