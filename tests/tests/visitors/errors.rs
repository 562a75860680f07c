//! Error statuses: stored ones are variants like all others, the rest is for the request that brought it.

use sandbar_tests::visitors::Audience::{Everybody, ItsRequest};
use sandbar_tests::visitors::{Says, crowd, visitor};

use crate::on_every_arrangement;

const VISITORS: usize = 6;

#[tokio::test]
async fn stored_404_is_for_whom_it_selects() -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "cookie", "session={who}");
    for status in [404, 410] {
        on_every_arrangement(async |stage| {
            stage.origin.says(move |_| Says::status(status, "cache-control: public, max-age=60\nvary: cookie"));
            let mut got = Vec::new();
            for page in 0..6 {
                let target = format!("/gone/{page}");
                got.extend(stage.together(&target, &visitors).await);
                stage.forget();
                got.extend(stage.together(&target, &visitors).await);
            }
            got
        })
        .await?;
    }
    Ok(())
}

/// Some find something at the same place, others nothing.
#[tokio::test]
async fn page_for_some_is_no_404_for_them() -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "cookie", "session={who}");
    on_every_arrangement(async |stage| {
        let knows = |who: &str| who.ends_with(['0', '2', '4']);
        stage.origin.says(move |heard| {
            let status = if knows(heard.visitor()) { 200 } else { 404 };
            Says::status(status, "cache-control: public, max-age=60\nvary: cookie")
        });
        let mut got = Vec::new();
        for page in 0..6 {
            let target = format!("/inbox/{page}");
            got.extend(stage.together(&target, &visitors).await);
            stage.forget();
            got.extend(stage.together(&target, &visitors).await);
        }
        for got in &got {
            let right = (got.status == 200) == knows(&got.visitor.name);
            stage.expect(right, || format!("the wrong status: {got:?}"));
        }
        got
    })
    .await
}

#[tokio::test]
async fn error_that_is_not_stored_is_for_its_request() -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "cookie", "session={who}");
    for status in [400, 401, 403, 429, 500, 502, 503, 504] {
        on_every_arrangement(async |stage| {
            stage.origin.says(move |_| Says::status(status, "").to(ItsRequest));
            let mut got = stage.together("/a", &visitors).await;
            got.extend(stage.together("/a", &visitors).await);
            stage.expect(got.iter().all(|got| got.status == status), || format!("not {status}: {got:?}"));
            got
        })
        .await?;
    }
    Ok(())
}

/// The origin fails: each is shown their own stale page, and nobody another's, nor the error page of another.
#[tokio::test]
async fn stale_page_in_place_of_an_error_is_the_visitors_own() -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "cookie", "session={who}");
    on_every_arrangement(async |stage| {
        let mut got = Vec::new();
        for page in 0..6 {
            let target = format!("/page/{page}");
            let fields =
                "cache-control: public, max-age=60, stale-if-error=600\nage: 70\nvary: cookie\netag: \"{who}\"";
            stage.origin.says(move |_| Says::page(fields));
            for (number, visitor) in visitors.iter().enumerate() {
                stage.ask(number, &target, visitor).await;
            }
            let lost = stage.tiers == sandbar_tests::visitors::Tiers::Memory;
            if page % 2 == 0 && !lost {
                stage.forget();
            }
            stage.origin.says(|_| Says::status(500, "x-secret: {who}").to(ItsRequest));
            let round = stage.together(&target, &visitors).await;
            for got in &round {
                stage.expect(got.status == 200, || format!("nothing stale was shown: {got:?}"));
            }
            got.extend(round);
        }
        got
    })
    .await
}

/// The same where there is a stale page for some alone.
#[tokio::test]
async fn who_has_no_stale_page_gets_the_error_of_their_own_request() -> anyhow::Result<()> {
    let known = crowd(2, "cookie", "session={who}");
    let all = [known.clone(), vec![visitor("eve").with("cookie", "eve"), visitor("mallory").with("cookie", "mallory")]];
    let all = all.concat();
    on_every_arrangement(async |stage| {
        let mut got = Vec::new();
        for page in 0..6 {
            let target = format!("/page/{page}");
            let fields =
                "cache-control: public, max-age=60, stale-if-error=600\nage: 70\nvary: cookie\netag: \"{who}\"";
            stage.origin.says(move |_| Says::page(fields));
            for (number, visitor) in known.iter().enumerate() {
                stage.ask(number, &target, visitor).await;
            }
            if page % 2 == 0 {
                stage.forget();
            }
            stage.origin.says(|_| Says::status(503, "").to(ItsRequest));
            got.extend(stage.together(&target, &all).await);
        }
        got
    })
    .await
}

/// A private error page answers a validation, while a stale page is there that may not be shown.
#[tokio::test]
async fn error_in_place_of_a_validation_is_for_its_request() -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "cookie", "session={who}");
    for status in [401, 403, 500, 503] {
        on_every_arrangement(async |stage| {
            let mut got = Vec::new();
            for in_l1 in [true, false] {
                let target = format!("/page/{in_l1}");
                stage.origin.says(|_| Says::page("cache-control: public, max-age=60\nage: 70\netag: \"a\""));
                stage.ask(0, &target, &visitor("first")).await;
                if !in_l1 {
                    stage.forget();
                }
                stage.origin.says(move |_| Says::status(status, "").to(ItsRequest));
                got.extend(stage.together(&target, &visitors).await);
            }
            got
        })
        .await?;
    }
    Ok(())
}

/// A page is stored; one visitor asks for it in a way that the origin refuses, or that forbids to store the answer. Others
/// still ask as one when they next have to.
#[tokio::test]
async fn mistake_of_one_does_not_make_others_ask_one_by_one() -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "cookie", "session={who}");
    on_every_arrangement(async |stage| {
        let mut got = Vec::new();
        for (status, reload) in [
            (400, "no-cache"),
            (403, "no-cache"),
            (429, "no-cache"),
            (503, "no-cache"),
            (200, "no-cache, no-store"),
            (304, "no-cache, no-store"),
        ] {
            let target = format!("/page/{status}");
            stage.origin.says(|_| Says::page("cache-control: max-age=60\netag: \"a\""));
            stage.ask(0, &target, &visitor("first")).await;
            let fields = "cache-control: max-age=60\netag: \"a\"";
            stage.origin.says(move |_| Says::status(status, if status < 400 { fields } else { "" }).to(ItsRequest));
            let mallory = visitor("mallory").with("cache-control", reload).with("cookie", "broken");
            stage.ask(0, &target, &mallory).await;
            // What has become stale by now has to be validated.
            stage.origin.says(|heard| Says::renewed(heard, "cache-control: max-age=60").to(Everybody));
            let before = stage.origin.heard();
            let insisting: Vec<_> =
                visitors.iter().map(|visitor| visitor.clone().with("cache-control", "max-age=0")).collect();
            got.extend(stage.together(&target, &insisting).await);
            let asked = stage.origin.heard() - before;
            stage.expect(asked <= 2, || format!("after {status} to {reload}: asked {asked} times"));
        }
        got
    })
    .await
}
