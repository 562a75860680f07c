//! The gateway itself over its disk, with all settings at their defaults: it is shut down, started again, and everybody who
//! was there before comes at once.

use std::sync::Arc;

use sandbar_tests::gateway::{TestGateway, one_tenant_over};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::wait::settled;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const HOST: &str = "shop.test";
const PAGES: usize = 60;

/// Each asks for every page, all of them for the same one at the same moment; what they got of somebody else's.
async fn all_at_once(gateway: &TestGateway, field: &'static str, values: &'static [&'static str]) -> Vec<String> {
    let gate = Arc::new(Barrier::new(values.len()));
    let mut visitors = JoinSet::new();
    for &value in values {
        let (gate, mut client) = (Arc::clone(&gate), gateway.client(HOST));
        visitors.spawn(async move {
            let mut wrong = Vec::new();
            for page in 0..PAGES {
                gate.wait().await;
                let answer = client.get_with(&format!("/page/{page}"), &[(field, value)]).await;
                match answer {
                    Ok(answer) if answer.text() == format!("made for {value}") => {}
                    Ok(answer) => wrong.push(format!("{value}: {:?}, {:?}", answer.text(), answer.cache_status())),
                    Err(error) => wrong.push(format!("{value}: {error:#}")),
                }
            }
            wrong
        });
    }
    visitors.join_all().await.concat()
}

async fn come_back(field: &'static str, values: &'static [&'static str]) -> anyhow::Result<()> {
    let origin = Origin::start(move |seen| {
        let value = seen.field(field).unwrap_or("nobody");
        Reply::ok(format!("made for {value}"))
            .field("cache-control", "public, max-age=3600")
            .field("vary", field)
            .field("etag", format!("\"{}-{value}\"", seen.path()))
    })
    .await?;
    let gateway = TestGateway::start(&one_tenant_over("", &origin.url(), "")).await?;
    let wrong = all_at_once(&gateway, field, values).await;
    assert!(wrong.is_empty(), "before: {} of {}: {:?}", wrong.len(), PAGES * values.len(), wrong.first());
    settled(gateway.cache()).await;
    let gateway = gateway.restart().await?;
    let asked = origin.requests();
    let wrong = all_at_once(&gateway, field, values).await;
    assert!(wrong.is_empty(), "after: {} of {}: {:?}", wrong.len(), PAGES * values.len(), wrong.first());
    assert_eq!(origin.requests(), asked, "all was on the disk");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_by_cookie_are_still_each_visitors_own() -> anyhow::Result<()> {
    come_back("cookie", &["alice", "bob"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_by_language_are_still_each_visitors_own() -> anyhow::Result<()> {
    come_back("accept-language", &["de", "en", "fr"]).await
}
