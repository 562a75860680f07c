//! Many wait for one fetch, and what comes is for one of them (RFC 9111 sections 3, 3.5, 5.2.2).

use sandbar_tests::visitors::Audience::{self, Everybody, ItsRequest, WhoAskedBefore};
use sandbar_tests::visitors::{Says, Visitor, crowd, visitor};

use crate::on_every_arrangement;

const VISITORS: usize = 6;

/// All ask at once for what nobody has asked for before; then the same again, and somebody who comes late.
async fn cold(visitors: &[Visitor], fields: &'static str, audience: Audience) -> anyhow::Result<()> {
    on_every_arrangement(async |stage| {
        stage.origin.says(move |_| Says::page(fields).to(audience));
        let mut got = Vec::new();
        for page in ["/a", "/b"] {
            got.extend(stage.together(page, visitors).await);
            got.extend(stage.together(page, visitors).await);
            stage.forget();
            got.extend(stage.together(page, visitors).await);
            got.push(stage.ask(1, page, &visitor("late")).await);
        }
        got
    })
    .await
}

async fn cookies(fields: &'static str, audience: Audience) -> anyhow::Result<()> {
    cold(&crowd(VISITORS, "cookie", "session={who}"), fields, audience).await
}

async fn credentials(fields: &'static str, audience: Audience) -> anyhow::Result<()> {
    cold(&crowd(VISITORS, "authorization", "Bearer {who}"), fields, audience).await
}

#[tokio::test]
async fn private_page_is_for_its_request() -> anyhow::Result<()> {
    cookies("cache-control: private, max-age=60\netag: \"{who}\"", ItsRequest).await
}

#[tokio::test]
async fn page_that_may_not_be_stored_is_for_its_request() -> anyhow::Result<()> {
    cookies("cache-control: no-store\netag: \"{who}\"", ItsRequest).await
}

#[tokio::test]
async fn page_with_a_cookie_is_for_its_request() -> anyhow::Result<()> {
    cookies("cache-control: public, max-age=60\nset-cookie: s={who}", ItsRequest).await
}

#[tokio::test]
async fn page_whose_cookie_alone_is_private_is_for_everybody_without_it() -> anyhow::Result<()> {
    cookies("cache-control: max-age=60, private=\"set-cookie\"\nset-cookie: s={who}", Everybody).await?;
    cookies("cache-control: max-age=60, no-cache=\"set-cookie\"\nset-cookie: s={who}", Everybody).await
}

#[tokio::test]
async fn page_that_varies_on_everything_is_for_its_request() -> anyhow::Result<()> {
    cookies("cache-control: max-age=60\nvary: *", ItsRequest).await
}

#[tokio::test]
async fn page_to_be_validated_each_time_is_for_those_who_had_asked_before() -> anyhow::Result<()> {
    cookies("cache-control: no-cache", WhoAskedBefore).await
}

#[tokio::test]
async fn page_for_an_authorized_request_is_for_it() -> anyhow::Result<()> {
    credentials("cache-control: max-age=60", ItsRequest).await?;
    credentials("cache-control: max-age=60, no-cache\netag: \"a\"", ItsRequest).await?;
    credentials("cache-control: max-age=60, proxy-revalidate", ItsRequest).await?;
    credentials("cache-control: max-age=0, must-revalidate\netag: \"a\"", ItsRequest).await
}

#[tokio::test]
async fn page_for_an_authorized_request_with_an_exception_is_for_everybody() -> anyhow::Result<()> {
    credentials("cache-control: public, max-age=60", Everybody).await?;
    credentials("cache-control: s-maxage=60", Everybody).await?;
    credentials("cache-control: max-age=60, must-revalidate", Everybody).await
}

#[tokio::test]
async fn page_that_varies_on_authorization_is_for_who_sends_the_same() -> anyhow::Result<()> {
    credentials("cache-control: public, max-age=60\nvary: authorization", Everybody).await
}

/// Some have credentials; what comes for them is not for those without, and the other way round it may be. Nor is it where
/// it may be stored, to be validated for each request: the origin has yet to see that these have none.
#[tokio::test]
async fn page_for_an_authorized_request_is_not_for_those_without_credentials() -> anyhow::Result<()> {
    let mut visitors = crowd(VISITORS, "authorization", "Bearer {who}");
    for visitor in visitors.iter_mut().skip(1).step_by(2) {
        visitor.fields.clear();
    }
    let (first, rest) = visitors.split_at(1);
    for fields in ["max-age=60", "max-age=0, must-revalidate", "max-age=60, no-cache", "public, no-cache"] {
        on_every_arrangement(async |stage| {
            stage.origin.says(move |heard| {
                let audience = if heard.field("authorization").is_empty() { Everybody } else { ItsRequest };
                Says::page(&format!("cache-control: {fields}\netag: \"{{who}}\"")).to(audience)
            });
            let mut got = Vec::new();
            for page in ["/a", "/b", "/c"] {
                got.extend(stage.one_after_the_other(page, &[first, rest]).await);
                stage.forget();
                got.extend(stage.together(page, &visitors).await);
            }
            got
        })
        .await?;
    }
    Ok(())
}

/// What is private comes in the place of what was public and stale.
#[tokio::test]
async fn page_that_has_become_private_is_for_its_request() -> anyhow::Result<()> {
    let visitors = crowd(VISITORS, "cookie", "session={who}");
    for fields in [
        "cache-control: private, max-age=60",
        "cache-control: no-store",
        "cache-control: max-age=60\nset-cookie: s={who}",
    ] {
        on_every_arrangement(async |stage| {
            let mut got = Vec::new();
            for in_l1 in [true, false] {
                let target = format!("/page/{in_l1}");
                stage.origin.says(|_| Says::page("cache-control: max-age=60\nage: 70\netag: \"a\""));
                stage.ask(0, &target, &visitor("first")).await;
                if !in_l1 {
                    stage.forget();
                }
                stage.origin.says(move |_| Says::page(fields).to(ItsRequest));
                got.extend(stage.together(&target, &visitors).await);
                got.extend(stage.together(&target, &visitors).await);
            }
            got
        })
        .await?;
    }
    Ok(())
}
