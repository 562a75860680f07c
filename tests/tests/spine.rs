//! One request's way through real tiers, over real sockets with a real Redis: and what is left of it when Redis is not
//! there.

use std::time::Duration;

use sandbar_tests::client::{Answer, Client};
use sandbar_tests::gateway::{TestGateway, one_tenant_over};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::{eventually, in_time, settled};

const HOST: &str = "shop.test";
/// Deadline of a call of Redis.
const L2_DEADLINE: Duration = Duration::from_millis(1000);

async fn origin() -> anyhow::Result<Origin> {
    Origin::start(|request| {
        let etag = format!("\"{}\"", request.path());
        Reply::ok(format!("content of {}", request.path())).field("cache-control", "max-age=600").field("etag", etag)
    })
    .await
}

async fn gateway(redis: &RedisServer, origin: &Origin) -> anyhow::Result<TestGateway> {
    let l2 = format!(
        "[l2]\nkind = \"redis\"\n[l2.redis]\nurl = \"{}\"\ndeadline = \"{} ms\"\n",
        redis.url(),
        L2_DEADLINE.as_millis()
    );
    TestGateway::start(&one_tenant_over(&l2, &origin.url(), "")).await
}

/// Asks, and checks that the answer is right, whoever gave it.
async fn get(client: &mut Client, target: &str) -> anyhow::Result<Answer> {
    let answer = client.get(target).await?;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, format!("content of {target}")), "{:?}", answer.fields);
    Ok(answer)
}

/// Asks for something that no tier has: it must come from the origin, whatever Redis does just now.
async fn get_from_origin(client: &mut Client, target: &str, origin: &Origin) -> anyhow::Result<()> {
    let answer = in_time("the origin's answer", get(client, target)).await?;
    assert!(!answer.is_hit(), "{target}: {}", answer.cache_status().as_str());
    assert_eq!(origin.requests_for(target), 1, "{target}");
    Ok(())
}

/// Whether Redis has so many entries; what the nodes tell each other through it is none.
async fn is_stored_in_redis(redis: &RedisServer, entries: usize) -> bool {
    let stored = async {
        let client = redis::Client::open(redis.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("KEYS").arg("sandbar:{*}:e:*").query_async::<Vec<String>>(&mut connection).await
    };
    stored.await.is_ok_and(|stored| stored.len() >= entries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_through_the_tiers_and_redis_may_come_and_go() -> anyhow::Result<()> {
    let mut redis = RedisServer::start()?;
    let origin = origin().await?;
    let gateway = gateway(&redis, &origin).await?;
    let mut client = gateway.client(HOST);
    // What it fetched before is given up when it begins to hear.
    let bus = gateway.cache().fleet().expect("it has joined").bus();
    eventually("it hears the bus", async || bus.stats().deaf_partitions == 0).await;

    // Miss, and stored.
    let answer = get(&mut client, "/a").await?;
    assert_eq!(answer.cache_status().value("fwd"), Some("uri-miss"));
    eventually("L1 has it", async || gateway.is_in_l1(HOST, "/a")).await;
    let answer = get(&mut client, "/a").await?;
    assert_eq!((answer.is_hit(), answer.cache_status().value("detail")), (true, Some("l1")));
    eventually("Redis has it", async || is_stored_in_redis(&redis, 1).await).await;

    // L1 dropped: L2 answers, and the entry is promoted.
    gateway.drop_l1();
    let answer = get(&mut client, "/a").await?;
    assert_eq!((answer.is_hit(), answer.cache_status().value("detail")), (true, Some("redis")));
    assert!(answer.field("age").is_some());
    let answer = get(&mut client, "/a").await?;
    assert_eq!(answer.cache_status().value("detail"), Some("l1"));
    assert_eq!(origin.requests(), 1);

    // Redis hangs: what L1 has is served, the rest comes from the origin within the deadline of L2.
    redis.pause()?;
    assert_eq!(get(&mut client, "/a").await?.cache_status().value("detail"), Some("l1"));
    for target in ["/paused/1", "/paused/2", "/paused/3"] {
        get_from_origin(&mut client, target, &origin).await?;
    }
    redis.resume()?;

    // Redis is killed: the same.
    redis.kill();
    assert_eq!(get(&mut client, "/a").await?.cache_status().value("detail"), Some("l1"));
    for target in ["/dead/1", "/dead/2", "/dead/3"] {
        get_from_origin(&mut client, target, &origin).await?;
    }
    assert!(get(&mut client, "/dead/1").await?.is_hit(), "L1 works without Redis");

    // Redis is back, empty: nobody has to restart anything.
    redis.restart_empty()?;
    let mut round = 0;
    eventually("L2 answers again", async || {
        round += 1;
        let target = format!("/back/{round}");
        get(&mut client, &target).await.expect("an answer");
        settled(gateway.cache()).await;
        gateway.drop_l1();
        let answer = get(&mut client, &target).await.expect("an answer");
        answer.cache_status().value("detail") == Some("redis")
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_starts_and_serves_while_redis_is_down() -> anyhow::Result<()> {
    let mut redis = RedisServer::prepare(&[])?;
    let origin = origin().await?;
    let gateway = gateway(&redis, &origin).await?;
    let mut client = gateway.client(HOST);
    get_from_origin(&mut client, "/a", &origin).await?;
    assert!(get(&mut client, "/a").await?.is_hit());
    redis.restart()?;
    let mut round = 0;
    eventually("L2 is found when it comes up", async || {
        round += 1;
        get(&mut client, &format!("/late/{round}")).await.expect("an answer");
        is_stored_in_redis(&redis, 1).await
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_tier_survives_a_restart() -> anyhow::Result<()> {
    let origin = origin().await?;
    let settings = one_tenant_over("[l2]\nkind = \"disk\"\n[l2.disk]\ncapacity = \"16MiB\"\n", &origin.url(), "");
    let gateway = TestGateway::start(&settings).await?;
    get(&mut gateway.client(HOST), "/kept").await?;
    let gateway = gateway.restart().await?;
    let answer = get(&mut gateway.client(HOST), "/kept").await?;
    assert_eq!((answer.is_hit(), answer.cache_status().value("detail")), (true, Some("disk")));
    assert_eq!(origin.requests(), 1);
    Ok(())
}
