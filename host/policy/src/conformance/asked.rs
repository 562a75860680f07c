//! The rules of policies that are asked and answer: freshness and invalidation.

use std::time::Duration;

use http::{Method, Uri};
use sandbar_base::clock::Timestamp;
use sandbar_http::key::KeyRules;
use sandbar_http::semantics::{RequestHead, ResponseHead, StoreRules, Times, standard};

use super::eviction::without_faults;
use super::inputs::{Exchange, exchanges};
use super::{Broken, Finding};
use crate::freshness::Fill;
use crate::invalidation::Written;
use crate::{OpenError, Role, TenantPolicies};

const SITE: &str = "https://shop.example";
/// When all of it happens: 2023-11-14.
const NOW_MS: u64 = 1_700_000_000_000;

type Open<'a> = &'a dyn Fn() -> Result<TenantPolicies, OpenError>;

pub(super) fn freshness(open: Open<'_>) -> Vec<Finding> {
    let inputs = exchanges(&[Method::GET, Method::HEAD, Method::POST]);
    examine(Role::Freshness, open, |policies| inputs.iter().map(|exchange| plan(policies, exchange)).collect())
}

pub(super) fn invalidation(open: Open<'_>) -> Vec<Finding> {
    let inputs = exchanges(&[Method::POST, Method::PUT, Method::DELETE, Method::PATCH]);
    examine(Role::Invalidation, open, |policies| inputs.iter().map(|exchange| purges(policies, exchange)).collect())
}

fn examine(role: Role, open: Open<'_>, answers: impl Fn(&TenantPolicies) -> Vec<String>) -> Vec<Finding> {
    let answered = || {
        let policies = open()?;
        let first = answers(&policies);
        without_faults(&policies, role)?;
        Ok::<_, Broken>((first, narrowed(&policies, role)))
    };
    let (first, second) = (answered(), answered());
    let same = match (&first, &second) {
        (Ok((first, _)), Ok((second, _))) => match first.iter().zip(second).position(|(a, b)| a != b) {
            Some(nth) => {
                Err(Broken(format!("a second instance answered otherwise: {} and {}", first[nth], second[nth])))
            }
            None => Ok(()),
        },
        _ => Err(Broken("it failed before that could be seen".to_owned())),
    };
    let within = match &first {
        Ok((_, 0)) => Ok(()),
        Ok((_, narrowed)) => Err(Broken(format!("{narrowed} parts of its answers were narrowed or dropped"))),
        Err(_) => Err(Broken("it failed before that could be seen".to_owned())),
    };
    vec![
        Finding::of("answers whatever is asked, without a fault", first.map(drop)),
        Finding::of("decides the same from the same inputs", same),
        Finding::of("asks for nothing that the host would drop, under the grants that it has", within),
    ]
}

fn narrowed(policies: &TenantPolicies, role: Role) -> u64 {
    policies.list().into_iter().filter(|bound| bound.role == role).map(|bound| bound.clamped).sum()
}

fn plan(policies: &TenantPolicies, exchange: &Exchange) -> String {
    let now = Timestamp::from_millis(NOW_MS);
    let uri = Uri::try_from(&*exchange.target).unwrap_or_default();
    let asked = RequestHead::new(&exchange.method, &uri, &exchange.request);
    let got = ResponseHead { status: exchange.status, fields: &exchange.response };
    let standard = standard(&asked, &got, Times { requested: now, received: now }, &StoreRules::default());
    let fill = Fill {
        method: &exchange.method,
        site: SITE,
        target: &exchange.target,
        class: "",
        request: &exchange.request,
        status: exchange.status,
        response: &exchange.response,
        body_bytes: Some(exchange.target.len() as u64),
        fetch_time: Duration::from_millis(80),
    };
    format!("{:?} for {}", policies.plan(&fill, &standard).plan, exchange.target)
}

fn purges(policies: &TenantPolicies, exchange: &Exchange) -> String {
    let written = Written {
        method: &exchange.method,
        site: SITE,
        target: &exchange.target,
        key: &KeyRules::default(),
        status: exchange.status,
        request: &exchange.request,
        response: &exchange.response,
    };
    format!("{:?} for {}", policies.purges(&written), exchange.target)
}
