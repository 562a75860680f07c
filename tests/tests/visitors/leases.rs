//! One node waits for what another one fetches: what comes of it is judged for each who waits there too.

use sandbar_tests::visitors::Audience::{self, Everybody, ItsRequest};
use sandbar_tests::visitors::{Says, Tiers, Visitor, crowd, visitor};

use crate::on;

/// At each node the first visitor of a wave leads, and the others wait for that one; one node holds the lease.
async fn behind_a_lease(
    who: (&'static str, &'static str),
    fields: &'static str,
    audience: Audience,
) -> anyhow::Result<()> {
    let visitors = crowd(8, who.0, who.1);
    on(&[Tiers::Fleet], async |stage| {
        let mut got = Vec::new();
        for page in 0..6 {
            let target = format!("/page/{page}");
            stage.origin.says(move |_| Says::page(fields).to(audience));
            let (first, rest) = visitors.split_at(1);
            got.extend(stage.one_after_the_other(&target, &[first, rest]).await);
            let turned: Vec<Visitor> = visitors.iter().rev().cloned().collect();
            got.extend(stage.one_after_the_other(&target, &[&turned]).await);
            stage.forget();
            got.extend(stage.one_after_the_other(&target, &[&visitors[1..3], &visitors[3..]]).await);
        }
        got
    })
    .await
}

#[tokio::test]
async fn for_variants() -> anyhow::Result<()> {
    behind_a_lease(("cookie", "{who}"), "cache-control: public, max-age=60\nvary: cookie", Everybody).await
}

#[tokio::test]
async fn for_private_pages() -> anyhow::Result<()> {
    behind_a_lease(("cookie", "{who}"), "cache-control: private, max-age=60", ItsRequest).await
}

#[tokio::test]
async fn for_pages_with_a_cookie() -> anyhow::Result<()> {
    behind_a_lease(("cookie", "{who}"), "cache-control: max-age=60\nset-cookie: s={who}", ItsRequest).await
}

#[tokio::test]
async fn for_authorized_requests() -> anyhow::Result<()> {
    behind_a_lease(("authorization", "{who}"), "cache-control: max-age=60", ItsRequest).await
}

/// What is stale in the shared tier is validated by one node under a lease, for one of its visitors.
#[tokio::test]
async fn for_a_validation() -> anyhow::Result<()> {
    let visitors = crowd(8, "cookie", "{who}");
    for (fields, audience) in [
        ("cache-control: private, max-age=60", ItsRequest),
        ("cache-control: no-store", ItsRequest),
        ("cache-control: max-age=60\nset-cookie: s={who}", Everybody),
    ] {
        on(&[Tiers::Fleet], async |stage| {
            let mut got = Vec::new();
            for page in 0..6 {
                let target = format!("/page/{page}");
                stage.origin.says(|_| Says::page("cache-control: max-age=60\nage: 70\netag: \"a\""));
                stage.ask(page, &target, &visitor("first")).await;
                stage.origin.says(move |heard| Says::renewed(heard, fields).to(audience));
                let (first, rest) = visitors.split_at(2);
                got.extend(stage.one_after_the_other(&target, &[first, rest]).await);
            }
            got
        })
        .await?;
    }
    Ok(())
}
