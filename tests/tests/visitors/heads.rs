//! HEAD among GETs (RFC 9110 section 9.3.2, RFC 9111 section 4.3.5).

use sandbar_tests::visitors::Audience::{self, Everybody, ItsRequest};
use sandbar_tests::visitors::{Says, Visitor, crowd, visitor};

use crate::on_every_arrangement;

/// Every other one asks by HEAD.
fn mixed(who: (&'static str, &str)) -> Vec<Visitor> {
    let heads = |(number, visitor): (usize, Visitor)| if number % 2 == 0 { visitor.by_head() } else { visitor };
    crowd(6, who.0, who.1).into_iter().enumerate().map(heads).collect()
}

async fn at_once(who: (&'static str, &'static str), fields: &'static str, audience: Audience) -> anyhow::Result<()> {
    let visitors = mixed(who);
    on_every_arrangement(async |stage| {
        stage.origin.says(move |_| Says::page(fields).to(audience));
        let mut got = Vec::new();
        for page in 0..3 {
            let target = format!("/page/{page}");
            got.extend(stage.together(&target, &visitors).await);
            got.extend(stage.together(&target, &visitors).await);
            stage.forget();
            got.extend(stage.together(&target, &visitors).await);
        }
        for got in &got {
            let by_head = got.visitor.method == http::Method::HEAD;
            stage.expect(by_head == got.body.is_empty(), || format!("{} got {got:?}", got.visitor.method));
        }
        got
    })
    .await
}

#[tokio::test]
async fn for_variants() -> anyhow::Result<()> {
    at_once(("cookie", "{who}"), "cache-control: public, max-age=60\nvary: cookie\netag: \"{who}\"", Everybody).await
}

#[tokio::test]
async fn for_private_pages() -> anyhow::Result<()> {
    at_once(("cookie", "{who}"), "cache-control: private, max-age=60", ItsRequest).await
}

#[tokio::test]
async fn for_pages_with_a_cookie() -> anyhow::Result<()> {
    at_once(("cookie", "{who}"), "cache-control: max-age=60\nset-cookie: s={who}", ItsRequest).await
}

#[tokio::test]
async fn for_authorized_requests() -> anyhow::Result<()> {
    at_once(("authorization", "{who}"), "cache-control: max-age=60", ItsRequest).await
}

/// HEAD freshens what is stored; what it brings for its own visitor is not among that.
#[tokio::test]
async fn that_freshen_what_is_stored() -> anyhow::Result<()> {
    let others = crowd(4, "cookie", "session={who}");
    let head = visitor("looker").with("cookie", "session=looker").with("cache-control", "no-cache").by_head();
    for (fields, audience) in [
        ("cache-control: private, max-age=60", ItsRequest),
        ("cache-control: no-store", ItsRequest),
        ("cache-control: max-age=60\nset-cookie: s={who}", Everybody),
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
                stage.origin.says(move |_| Says::page(&format!("{fields}\netag: \"a\"")).to(audience));
                got.push(stage.ask(0, &target, &head).await);
                stage.origin.says(|heard| Says::renewed(heard, "cache-control: max-age=60"));
                got.extend(stage.together(&target, &others).await);
                stage.forget();
                got.extend(stage.together(&target, &others).await);
            }
            got
        })
        .await?;
    }
    Ok(())
}
