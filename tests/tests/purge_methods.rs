//! `PURGE` and `SOFTPURGE` on the hosts of a tenant: who may, what goes, and whose it is.

use sandbar::tenant::token::TokenHash;
use sandbar_tests::gateway::TestGateway;
use sandbar_tests::origin::{Origin, Reply};
use serde_json::Value;

/// An origin whose pages say which of its answers they are, and what it was asked.
async fn origin() -> anyhow::Result<Origin> {
    Origin::start(|seen| {
        Reply::ok(format!("{} {}", seen.method, seen.number))
            .field("cache-control", "max-age=600, stale-while-revalidate=600")
            .field("surrogate-key", if seen.path() == "/b" { "b all" } else { "all" })
    })
    .await
}

/// A gateway with two tenants, of which the first has tokens.
async fn gateway(origin: &Origin) -> anyhow::Result<TestGateway> {
    let token = |name: &str, token: &str, rest: &str| {
        let hash = TokenHash::of(token.as_bytes());
        format!("[[tenant.token]]\nname = {name:?}\nscopes = [\"purge\"]\nhash = \"{hash}\"\n{rest}\n")
    };
    let tenant =
        |name: &str| format!("[[tenant]]\nname = {name:?}\nhosts = [\"{name}.test\"]\norigin = {:?}\n", origin.url());
    let tokens = [
        token("ci", "sesame", ""),
        token("old", "stale", "expires = \"2020-01-01T00:00:00Z\""),
        token("next", "open", "expires = \"2099-01-01T00:00:00Z\""),
    ];
    TestGateway::start(&format!("{}{}{}{}", "[l2]\nkind = \"none\"\n", tenant("shop"), tokens.concat(), tenant("news")))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_goes_or_becomes_stale_and_others_stay() -> anyhow::Result<()> {
    let (origin, key) = (origin().await?, ("authorization", "Bearer sesame"));
    let gateway = gateway(&origin).await?;
    let mut shop = gateway.client("shop.test");
    let (a, b) = (shop.get("/a?x=1").await?.text(), shop.get("/b").await?.text());
    let answer = shop.send("PURGE", "/a?x=1", &[key], "").await?;
    let report: Value = serde_json::from_slice(&answer.body)?;
    assert_eq!(
        (answer.status.as_u16(), &report["recorded"], &report["pending"]),
        (200, &1.into(), &0.into()),
        "{report}"
    );
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_ne!(shop.get("/a?x=1").await?.text(), a);
    assert_eq!(shop.get("/b").await?.text(), b);
    let answer = shop.send("SOFTPURGE", "/b", &[("authorization", "bearer open")], "").await?;
    assert_eq!(answer.status, 200);
    let stale = shop.get("/b").await?;
    assert_eq!((stale.text(), stale.is_hit()), (b, true), "it is served while it is refreshed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn surrogate_keys_go_instead_of_the_target() -> anyhow::Result<()> {
    let (origin, key) = (origin().await?, ("authorization", "Bearer sesame"));
    let gateway = gateway(&origin).await?;
    let mut shop = gateway.client("shop.test");
    let (a, b) = (shop.get("/a").await?.text(), shop.get("/b").await?.text());
    assert_eq!(shop.send("PURGE", "/a", &[key, ("surrogate-key", "b  other")], "").await?.status, 200);
    assert_eq!(shop.get("/a").await?.text(), a);
    assert_ne!(shop.get("/b").await?.text(), b);
    let many = (0..1001).map(|n| format!("k{n}")).collect::<Vec<_>>().join(" ");
    for wrong in ["", " ", &many] {
        let answer = shop.send("PURGE", "/a", &[key, ("surrogate-key", wrong)], "").await?;
        assert_eq!(answer.status, 400, "{wrong:.20}");
    }
    assert_eq!(shop.get("/a").await?.text(), a);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_purges_without_a_token_of_the_tenant() -> anyhow::Result<()> {
    let origin = origin().await?;
    let gateway = gateway(&origin).await?;
    let mut shop = gateway.client("shop.test");
    let a = shop.get("/a").await?.text();
    let asked = origin.requests();
    for (authorization, reason) in [
        (None, "token-unknown"),
        (Some("Bearer"), "token-unknown"),
        (Some("Bearer wrong"), "token-unknown"),
        (Some("Basic sesame"), "token-unknown"),
        (Some("Bearer stale"), "token-expired"),
    ] {
        let fields: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        for method in ["PURGE", "SOFTPURGE"] {
            let answer = shop.send(method, "/a", &fields, "").await?;
            assert_eq!(
                (answer.status.as_u16(), answer.field("www-authenticate")),
                (401, Some("Bearer")),
                "{authorization:?}"
            );
            assert_eq!(answer.cache_status().value("detail"), Some(reason), "{authorization:?}");
        }
    }
    assert_eq!(
        (shop.get("/a").await?.text(), origin.requests()),
        (a, asked),
        "nothing has gone, and the origin was not asked"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_without_tokens_has_no_such_methods() -> anyhow::Result<()> {
    let (origin, key) = (origin().await?, ("authorization", "Bearer sesame"));
    let gateway = gateway(&origin).await?;
    let (mut shop, mut news) = (gateway.client("shop.test"), gateway.client("news.test"));
    let (of_shop, of_news) = (shop.get("/a").await?.text(), news.get("/a").await?.text());
    let answer = news.send("PURGE", "/a", &[key], "").await?;
    assert!(answer.text().starts_with("PURGE "), "the origin may know it: {}", answer.text());
    assert_ne!(news.get("/a").await?.text(), of_news, "to a cache it is an unsafe method");
    assert_eq!(shop.get("/a").await?.text(), of_shop, "the token's own tenant was not named");
    // The host in the target decides, and a token is of one tenant: the other one keeps what it has.
    let again = news.get("/a").await?.text();
    assert_eq!(shop.send("PURGE", "/a", &[key, ("surrogate-key", "all")], "").await?.status, 200);
    assert_eq!(news.get("/a").await?.text(), again);
    Ok(())
}
