//! One visitor insists on what is new (RFC 9111 sections 5.2.1.1 and 5.2.1.4) while others wait for what comes.

use sandbar_tests::visitors::Audience::{Everybody, ItsRequest};
use sandbar_tests::visitors::{Says, Visitor, crowd, visitor};

use crate::on_every_arrangement;

fn reloading(name: &str) -> Visitor {
    visitor(name).with("cache-control", "no-cache")
}

/// A fetch is under way when the reload comes: it does not answer that one.
#[tokio::test]
async fn reload_is_not_answered_by_what_was_under_way() -> anyhow::Result<()> {
    let (early, late) = (crowd(3, "x-who", "{who}"), crowd(3, "x-who", "late-{who}"));
    let reloads = [reloading("reload"), reloading("another-reload")];
    on_every_arrangement(async |stage| {
        stage.origin.says(|_| Says::page("cache-control: max-age=60"));
        let got = stage.one_after_the_other("/a", &[&early, &reloads, &late]).await;
        let heard = stage.origin.heard();
        stage.expect(heard <= 3, || format!("{heard} fetches for one page and two reloads"));
        got
    })
    .await
}

/// The same where the page is stale, and is being validated.
#[tokio::test]
async fn reload_is_not_answered_by_a_validation_that_was_under_way() -> anyhow::Result<()> {
    let (early, late) = (crowd(3, "x-who", "{who}"), crowd(3, "x-who", "late-{who}"));
    let insisting = [reloading("reload"), visitor("at-once").with("cache-control", "max-age=0")];
    on_every_arrangement(async |stage| {
        let mut got = Vec::new();
        for in_l1 in [true, false] {
            let target = format!("/page/{in_l1}");
            stage.origin.says(|_| Says::page("cache-control: max-age=60\nage: 70\netag: \"a\""));
            stage.ask(0, &target, &visitor("first")).await;
            if !in_l1 {
                stage.forget();
            }
            stage.origin.says(|heard| Says::renewed(heard, "cache-control: max-age=60"));
            got.extend(stage.one_after_the_other(&target, &[&early, &insisting, &late]).await);
        }
        got
    })
    .await
}

/// A reload of a private or an authorized visitor renews nothing for the others.
#[tokio::test]
async fn reload_by_one_is_no_answer_to_all() -> anyhow::Result<()> {
    let others = crowd(4, "cookie", "session={who}");
    let reload = reloading("owner").with("cookie", "session=owner").with("authorization", "Bearer owner");
    on_every_arrangement(async |stage| {
        let mut got = Vec::new();
        for stale in [false, true] {
            let target = format!("/page/{stale}");
            let age = if stale { "\nage: 70" } else { "" };
            stage.origin.says(move |_| Says::page(&format!("cache-control: max-age=60\netag: \"a\"{age}")));
            stage.ask(0, &target, &visitor("first")).await;
            stage.origin.says(|heard| {
                let audience = if heard.visitor() == "owner" { ItsRequest } else { Everybody };
                Says::renewed(heard, "cache-control: max-age=60").to(audience)
            });
            got.extend(stage.one_after_the_other(&target, &[std::slice::from_ref(&reload), &others]).await);
            got.extend(stage.together(&target, &others).await);
            stage.forget();
            got.extend(stage.together(&target, &others).await);
        }
        got
    })
    .await
}

/// Reloads of different variants at once.
#[tokio::test]
async fn reloads_bring_each_their_own_variant() -> anyhow::Result<()> {
    let visitors: Vec<Visitor> =
        crowd(6, "cookie", "session={who}").into_iter().map(|one| one.with("cache-control", "no-cache")).collect();
    on_every_arrangement(async |stage| {
        stage.origin.says(|_| Says::page("cache-control: public, max-age=60\nvary: cookie\netag: \"{who}\""));
        let mut got = Vec::new();
        for page in 0..6 {
            let target = format!("/page/{page}");
            got.extend(stage.together(&target, &visitors).await);
            stage.forget();
            got.extend(stage.together(&target, &visitors).await);
        }
        got
    })
    .await
}
