//! Many wait for one validation, and the 304 is for one of them (RFC 9111 sections 3.5, 4.3.4, 5.2.2.7).

use sandbar_tests::visitors::Audience::{self, Everybody, ItsRequest, WhoAskedBefore};
use sandbar_tests::visitors::{Got, Says, Stage, Visitor, crowd, visitor};

use crate::on_every_arrangement;

const STALE: &str = "cache-control: max-age=60\nage: 70\netag: \"a\"";
const VISITORS: usize = 6;

/// A public page has become stale; all ask at once, and validation says this. Played with the page in L1, then with it in
/// the tier below alone. Somebody comes later: what was for one request alone is not for them either.
async fn renewed(stage: &Stage, visitors: &[Visitor], fields: &'static str, audience: Audience) -> Vec<Got> {
    let mut got = Vec::new();
    for in_l1 in [true, false] {
        let target = format!("/page/{in_l1}");
        stage.origin.says(|_| Says::page(STALE));
        stage.ask(0, &target, &visitor("first")).await;
        if !in_l1 {
            stage.forget();
        }
        stage.origin.says(move |heard| Says::renewed(heard, fields).to(audience));
        got.extend(stage.together(&target, visitors).await);
        stage.origin.says(|_| Says::page("cache-control: max-age=60\netag: \"b\""));
        for node in 0..2 {
            got.push(stage.ask(node, &target, &visitor("late")).await);
        }
        stage.forget();
        got.push(stage.ask(0, &target, &visitor("later")).await);
    }
    got
}

async fn cookies(fields: &'static str, audience: Audience) -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "cookie", "session={who}");
    on_every_arrangement(async |stage| renewed(stage, &visitors, fields, audience).await).await
}

async fn credentials(fields: &'static str, audience: Audience) -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "authorization", "Bearer {who}");
    on_every_arrangement(async |stage| renewed(stage, &visitors, fields, audience).await).await
}

#[tokio::test]
async fn private_304_is_for_its_request() -> anyhow::Result<()> {
    cookies("cache-control: private, max-age=60", ItsRequest).await
}

#[tokio::test]
async fn private_304_without_a_lifetime_is_for_its_request() -> anyhow::Result<()> {
    cookies("cache-control: private", ItsRequest).await
}

#[tokio::test]
async fn no_store_304_is_for_its_request() -> anyhow::Result<()> {
    cookies("cache-control: no-store, max-age=60", ItsRequest).await
}

#[tokio::test]
async fn no_cache_304_is_for_those_who_had_asked_before() -> anyhow::Result<()> {
    cookies("cache-control: no-cache", WhoAskedBefore).await
}

#[tokio::test]
async fn plain_304_is_for_everybody() -> anyhow::Result<()> {
    cookies("cache-control: max-age=60", Everybody).await
}

#[tokio::test]
async fn authorized_304_is_for_its_request() -> anyhow::Result<()> {
    credentials("cache-control: max-age=60", ItsRequest).await
}

#[tokio::test]
async fn authorized_304_that_must_be_validated_each_time_is_for_its_request() -> anyhow::Result<()> {
    credentials("cache-control: max-age=60, no-cache", ItsRequest).await
}

/// Section 5.2.2.2 lets a shared cache store it, and not be used again without asking: the origin has yet to see the others'
/// credentials.
#[tokio::test]
async fn authorized_304_that_is_stale_and_must_be_revalidated_is_for_its_request() -> anyhow::Result<()> {
    credentials("cache-control: max-age=0, must-revalidate", ItsRequest).await
}

#[tokio::test]
async fn authorized_304_that_only_proxies_must_revalidate_is_for_its_request() -> anyhow::Result<()> {
    credentials("cache-control: max-age=60, proxy-revalidate", ItsRequest).await
}

#[tokio::test]
async fn authorized_304_with_an_exception_is_for_everybody() -> anyhow::Result<()> {
    credentials("cache-control: public, max-age=60", Everybody).await?;
    credentials("cache-control: s-maxage=60", Everybody).await?;
    credentials("cache-control: max-age=60, must-revalidate", Everybody).await
}

/// Some have credentials and some have none: who has none may wait for somebody's who has, and is not to profit from it.
#[tokio::test]
async fn authorized_304_is_not_for_those_without_credentials() -> anyhow::Result<()> {
    let mut visitors = crowd(VISITORS, "authorization", "Bearer {who}");
    for visitor in visitors.iter_mut().skip(1).step_by(2) {
        visitor.fields.clear();
    }
    let (first, rest) = visitors.split_at(1);
    for fields in ["max-age=60", "max-age=0, must-revalidate", "max-age=60, no-cache", "public, no-cache"] {
        on_every_arrangement(async |stage| {
            let mut got = Vec::new();
            for in_l1 in [true, false] {
                let target = format!("/page/{in_l1}");
                stage.origin.says(|_| Says::page(STALE));
                stage.ask(0, &target, &visitor("first")).await;
                if !in_l1 {
                    stage.forget();
                }
                stage.origin.says(move |heard| {
                    let audience = if heard.field("authorization").is_empty() { Everybody } else { ItsRequest };
                    Says::renewed(heard, &format!("cache-control: {fields}")).to(audience)
                });
                got.extend(stage.one_after_the_other(&target, &[first, rest]).await);
                got.push(stage.ask(1, &target, &visitor("late")).await);
            }
            got
        })
        .await?;
    }
    Ok(())
}

/// The cookie goes to the one whose request caused it, and the page, which is as good as before, stays for all others.
#[tokio::test]
async fn cookie_of_a_304_reaches_its_request_and_the_page_stays() -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "x-who", "{who}");
    on_every_arrangement(async |stage| {
        let mut got = Vec::new();
        for in_l1 in [true, false] {
            let target = format!("/page/{in_l1}");
            stage.origin.says(|_| Says::page(STALE));
            stage.ask(0, &target, &visitor("first")).await;
            if !in_l1 {
                stage.forget();
            }
            stage.origin.says(|heard| Says::renewed(heard, "cache-control: max-age=60\nset-cookie: s={who}"));
            let before = stage.origin.heard();
            let round = stage.together(&target, &visitors).await;
            let log = stage.origin.log();
            for got in &round {
                let asked = log[before..].iter().any(|said| said.heard.visitor() == got.visitor.name);
                let cookie = format!("s={}", got.visitor.name);
                let has_it = got.field("set-cookie") == cookie;
                stage.expect(asked == has_it, || format!("{target}: asked the origin: {asked}, but {got:?}"));
            }
            got.extend(round);
            if in_l1 || stage.tiers != sandbar_tests::visitors::Tiers::Memory {
                let asked = stage.origin.heard();
                let late = stage.ask(0, &target, &visitor("late")).await;
                stage.expect(late.is_hit() && stage.origin.heard() == asked, || format!("the page is lost: {late:?}"));
                stage.expect(late.field("set-cookie").is_empty(), || format!("stored with its cookie: {late:?}"));
                stage.forget();
                got.push(late);
                got.push(stage.ask(1, &target, &visitor("later")).await);
            }
        }
        got
    })
    .await
}

/// A cookie in a 304 that leaves the page stale: nobody else gets it, however often it is asked for.
#[tokio::test]
async fn cookie_of_a_304_that_must_be_validated_each_time_reaches_its_request() -> anyhow::Result<()> {
    cookies("cache-control: no-cache\nset-cookie: s={who}", WhoAskedBefore).await
}

/// Who asks by HEAD has the page validated too.
#[tokio::test]
async fn private_answer_to_head_is_for_its_request() -> anyhow::Result<()> {
    let mut visitors = crowd(VISITORS, "cookie", "session={who}");
    visitors[0] = visitors[0].clone().by_head();
    visitors[3] = visitors[3].clone().by_head();
    on_every_arrangement(async |stage| {
        renewed(stage, &visitors, "cache-control: private, max-age=60", ItsRequest).await
    })
    .await
}

/// A refresh behind a stale answer is caused by one visitor too.
#[tokio::test]
async fn private_304_of_a_refresh_makes_the_page_unusable_for_all() -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "cookie", "session={who}");
    for fields in ["cache-control: private, max-age=60", "cache-control: no-store, max-age=60"] {
        on_every_arrangement(async |stage| {
            stage
                .origin
                .says(|_| Says::page("cache-control: max-age=60, stale-while-revalidate=600\nage: 70\netag: \"a\""));
            let mut got = vec![stage.ask(0, "/page", &visitor("first")).await];
            stage.origin.says(move |heard| Says::renewed(heard, fields).to(ItsRequest));
            // Whoever comes first is shown the stale one, and causes the refresh.
            got.push(stage.ask(0, "/page", &visitor("second")).await);
            let asked = stage.origin.heard();
            stage.expect(asked == 2, || format!("the origin was asked {asked} times"));
            got.extend(stage.together("/page", &visitors).await);
            stage.forget();
            got.extend(stage.together("/page", &visitors).await);
            let unheard = stage.origin.heard() - asked;
            stage.expect(unheard == 2 * VISITORS, || format!("{unheard} of {} have asked", 2 * VISITORS));
            got
        })
        .await?;
    }
    Ok(())
}
