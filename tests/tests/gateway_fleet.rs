//! Gateways that act together, set up as an operator would: by `sandbar.toml`, watched over the admin API.

use sandbar::tenant::token::TokenHash;
use sandbar_tests::client::{Answer, Client};
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant_over};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;
use serde_json::Value;

/// No deadline that a machine with other things to do would miss; what comes next are more settings of the fleet.
const UNHURRIED: &str = "deadline = \"10s\"\n\
    [fleet]\nheartbeat = \"50ms\"\nsilence_max = \"4s\"\nmember_timeout = \"8s\"\nconfirm_deadline = \"20s\"\n";

fn settings(l2: &str, more: &str, origin: &Origin, consistency: &str) -> String {
    let l2 = format!("[l2]\nkind = \"redis\"\n[l2.redis]\nurl = \"{l2}\"\n{UNHURRIED}{more}");
    one_tenant_over(&l2, &origin.url(), &format!("consistency = \"{consistency}\""))
}

async fn numbers() -> anyhow::Result<Origin> {
    Origin::start(|request| Reply::ok(request.number.to_string()).field("cache-control", "max-age=600")).await
}

fn admin(gateway: &TestGateway) -> Client {
    Client::new(gateway.admin_address(), "localhost")
}

async fn purge_everything(gateway: &TestGateway) -> anyhow::Result<u16> {
    Ok(answer_to_purge(gateway).await?.status.as_u16())
}

async fn answer_to_purge(gateway: &TestGateway) -> anyhow::Result<Answer> {
    let path = format!("/tenants/{TENANT}/purge");
    let json = [("content-type", "application/json")];
    admin(gateway).send("POST", &path, &json, r#"{"scope": "everything"}"#).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_fetch_once_and_forget_together() -> anyhow::Result<()> {
    let (server, origin) = (RedisServer::start()?, numbers().await?);
    let named = |name: &str| settings(&server.url(), &format!("node = \"{name}\"\n"), &origin, "bus");
    let (a, b) = (TestGateway::start(&named("a")).await?, TestGateway::start(&named("b")).await?);
    let (mut to_a, mut to_b) = (a.client("shop.test"), b.client("shop.test"));
    for gateway in [&a, &b] {
        eventually("it hears the bus", async || {
            let metrics = admin(gateway).get("/metrics").await.map(|answer| answer.text()).unwrap_or_default();
            metrics
                .lines()
                .any(|line| line.starts_with("sandbar_fleet_deaf_partitions{node=") && line.ends_with(" 0.0"))
        })
        .await;
    }
    assert_eq!((to_a.get("/").await?.text(), to_b.get("/").await?.text()), ("0".into(), "0".into()));
    assert_eq!(purge_everything(&a).await?, 200);
    eventually("the other one has heard", async || to_b.get("/").await.is_ok_and(|answer| answer.text() == "1")).await;
    let stats: Value = serde_json::from_slice(&admin(&a).get("/stats").await?.body)?;
    assert_eq!((&stats["fleet"]["node"], &stats["fleet"]["bus"]["published"]), (&"a".into(), &1.into()), "{stats}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_are_not_made_on_a_redis_that_forgets() -> anyhow::Result<()> {
    let origin = numbers().await?;
    let reckless = RedisServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"])?;
    let error = TestGateway::start(&settings(&reckless.url(), "", &origin, "bus")).await.expect_err("it is refused");
    let error = format!("{error:#}");
    assert!(error.contains("allkeys-lru") && error.contains("fleet.control_url"), "{error}");
    let eventual = TestGateway::start(&settings(&reckless.url(), "", &origin, "eventual")).await?;
    // Its connection to Redis may just be made.
    eventually("a purge is recorded", async || purge_everything(&eventual).await.is_ok_and(|status| status == 200))
        .await;

    let control = RedisServer::start()?;
    let second = format!("control_url = \"{}\"\n", control.url());
    let settings = settings(&reckless.url(), &second, &origin, "bus");
    let (a, b) = (TestGateway::start(&settings).await?, TestGateway::start(&settings).await?);
    let (mut to_a, mut to_b) = (a.client("shop.test"), b.client("shop.test"));
    eventually("the control Redis takes purges", async || purge_everything(&a).await.is_ok_and(|status| status == 200))
        .await;
    let first = to_a.get("/").await?.text();
    eventually("L2 is shared", async || to_b.get("/").await.is_ok_and(|answer| answer.text() == first)).await;
    assert_eq!(purge_everything(&a).await?, 200);
    eventually("the other one has heard", async || to_b.get("/").await.is_ok_and(|answer| answer.text() != first))
        .await;
    let second = to_b.get("/").await?.text();
    assert_eq!(to_a.get("/").await?.text(), second, "what L2 had before the purge is not served after it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_put_by_hand_is_new_on_all_nodes_before_it_is_acknowledged() -> anyhow::Result<()> {
    let (server, origin) = (RedisServer::start()?, numbers().await?);
    let named = |name: &str| settings(&server.url(), &format!("node = \"{name}\"\n"), &origin, "write-all");
    let (a, b) = (TestGateway::start(&named("a")).await?, TestGateway::start(&named("b")).await?);
    let (mut to_a, mut to_b) = (a.client("shop.test"), b.client("shop.test"));
    eventually("all confirm", async || purge_everything(&a).await.is_ok_and(|status| status == 200)).await;
    let entry = format!("/tenants/{TENANT}/entries?url=http://shop.test/");
    for round in 0..10 {
        let old = to_b.get("/").await?.text();
        assert_eq!(to_a.get("/").await?.text(), old);
        let (content, fields) = (format!("by hand {round}"), [("cache-control", "max-age=600")]);
        let put = admin(&a).send("PUT", &entry, &fields, content.clone()).await?;
        let report: Value = serde_json::from_slice(&put.body)?;
        assert_eq!(
            (put.status.as_u16(), &report["recorded"], &report["failed"]),
            (200, &1.into(), &0.into()),
            "{report}"
        );
        assert_eq!((to_b.get("/").await?.text(), to_a.get("/").await?.text()), (content.clone(), content));
        let deleted = admin(&b).send("DELETE", &entry, &[], "").await?;
        assert_eq!(deleted.status, 200, "{}", deleted.text());
        assert!(!to_a.get("/").await?.text().starts_with("by hand"), "round {round}");
    }
    Ok(())
}

/// The nodes that a purge's report names as those that have confirmed it, in alphabetical order.
fn confirmed(report: &Answer) -> Vec<String> {
    let report: Value = serde_json::from_slice(&report.body).unwrap_or_default();
    let nodes = report["confirmed"].as_array().into_iter().flatten();
    let mut nodes: Vec<_> = nodes.map(|node| node.as_str().unwrap_or_default().to_owned()).collect();
    nodes.sort();
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_that_all_must_confirm_names_the_other_nodes_that_have() -> anyhow::Result<()> {
    let (server, origin) = (RedisServer::start()?, numbers().await?);
    let hash = TokenHash::of(b"sesame");
    let token = format!("[[tenant.token]]\nname = \"ci\"\nscopes = [\"purge\"]\nhash = \"{hash}\"\n");
    let started = async |name: &str| {
        let settings = settings(&server.url(), &format!("node = \"{name}\"\n"), &origin, "write-all");
        TestGateway::start(&(settings + &token)).await
    };
    let (a, b, c) = (started("a").await?, started("b").await?, started("c").await?);
    eventually("they know each other", async || {
        answer_to_purge(&a).await.is_ok_and(|answer| confirmed(&answer) == ["b", "c"])
    })
    .await;
    let purge = async |gateway: &TestGateway| {
        let fields = [("authorization", "Bearer sesame")];
        gateway.client("shop.test").send("PURGE", "/", &fields, "").await
    };
    for (node, others) in [(&a, ["b", "c"]), (&b, ["a", "c"]), (&c, ["a", "b"])] {
        for answer in [answer_to_purge(node).await?, purge(node).await?] {
            assert_eq!((answer.status.as_u16(), confirmed(&answer)), (200, others.map(str::to_owned).to_vec()));
        }
    }
    // Who has left is neither waited for nor named, and who is alone names nobody.
    c.shut().await;
    for answer in [answer_to_purge(&a).await?, purge(&a).await?] {
        assert_eq!((answer.status.as_u16(), confirmed(&answer)), (200, vec!["b".to_owned()]));
    }
    b.shut().await;
    let answer = answer_to_purge(&a).await?;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"{"recorded":1,"pending":0,"failed":0}"#.to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_put_while_nobody_can_be_told_is_answered_so() -> anyhow::Result<()> {
    let (mut server, origin) = (RedisServer::start()?, numbers().await?);
    let gateway = TestGateway::start(&settings(&server.url(), "", &origin, "write-all")).await?;
    let mut client = gateway.client("shop.test");
    eventually("it is told", async || purge_everything(&gateway).await.is_ok_and(|status| status == 200)).await;
    server.kill();
    let entry = format!("/tenants/{TENANT}/entries?url=http://shop.test/");
    let put = admin(&gateway).send("PUT", &entry, &[("cache-control", "max-age=600")], "by hand").await?;
    let report: Value = serde_json::from_slice(&put.body)?;
    assert_eq!((put.status.as_u16(), &report["pending"], &report["failed"]), (503, &1.into(), &1.into()), "{report}");
    assert!(report["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{report}");
    let refused = admin(&gateway).send("PUT", &entry, &[("cache-control", "no-store")], "never").await?;
    assert_eq!(refused.status, 422, "what may not be stored purges nothing");
    assert_eq!(client.get("/").await?.status, 200);
    Ok(())
}
