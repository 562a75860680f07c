//! Starting and stopping: what can't work says so, and what is under way ends well.

use std::net::TcpListener;
use std::time::Duration;

use http_body_util::BodyExt;
use sandbar_gateway::StartError;
use sandbar_tests::gateway::{TestGateway, config, one_tenant};
use sandbar_tests::origin::{Gate, Origin, Reply};
use sandbar_tests::wait::{eventually, in_time};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_under_way_ends_before_the_gateway_does() -> anyhow::Result<()> {
    let (gate, held) = (Gate::closed(), Gate::closed());
    let (gate_of_origin, held_of_origin) = (gate.clone(), held.clone());
    let origin = Origin::start(move |seen| match seen.path() {
        "/head" => Reply::ok("late head").when(&gate_of_origin),
        _ => Reply::ok("a body in two parts").rest_when(6, &held_of_origin),
    })
    .await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let (address, admin) = (served.address(), served.admin_address());
    let mut head = served.client("shop.test");
    let late = tokio::spawn(async move { head.get("/head").await });
    let mut client = served.client("shop.test");
    let mut body = client.open("GET", "/body", &[], "").await?.into_body();
    assert!(body.frame().await.expect("a part")?.is_data());
    eventually("the origin is asked", async || origin.requests() == 2).await;

    let stopping = tokio::spawn(served.into_gateway().shutdown(LONG));
    let mut probe = sandbar_tests::client::Client::new(admin, &admin.to_string());
    eventually("it says that it stops", async || probe.get("/readyz").await.is_ok_and(|answer| answer.status == 503))
        .await;
    eventually("nobody is let in", async || TcpStream::connect(address).await.is_err()).await;
    assert!(!stopping.is_finished(), "two requests are under way");
    gate.open();
    held.open();
    assert_eq!(late.await??.text(), "late head");
    assert_eq!(body.collect().await?.to_bytes(), " in two parts");
    assert!(in_time("it ends", stopping).await?, "nothing was cut");
    Ok(())
}

/// What a client is answered that has connected and sent its request just when the gateway is told to stop.
async fn asked_at_the_end(before: impl AsyncFnOnce(&TestGateway) -> Option<TcpStream>) -> anyhow::Result<String> {
    let origin = Origin::start(|_| Reply::ok("the last page")).await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let address = served.address();
    let early = before(&served).await;
    let mut client = match early {
        Some(client) => client,
        None => TcpStream::connect(address).await?,
    };
    let stopping = tokio::spawn(served.into_gateway().shutdown(LONG));
    // All that runs without waiting for anything does so now: what is to be closed is closed.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    client.write_all(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\nGET /more HTTP/1.1\r\nhost: shop.test\r\n\r\n").await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    assert!(in_time("it ends", stopping).await?, "nothing was cut");
    Ok(answer)
}

fn is_one_last_answer(answer: &str) -> bool {
    let head = answer.to_ascii_lowercase();
    head.starts_with("http/1.1 200")
        && head.contains("connection: close")
        && answer.matches("the last page").count() == 1
}

#[tokio::test]
async fn who_has_just_connected_is_answered_once() -> anyhow::Result<()> {
    // The gateway has not accepted the connection yet.
    let answer = asked_at_the_end(async |_| None).await?;
    assert!(is_one_last_answer(&answer), "{answer}");
    // It has, and waits for a request.
    let answer = asked_at_the_end(async |served| {
        let client = TcpStream::connect(served.address()).await.expect("it listens");
        // Another one that was answered later: so the first is accepted.
        served.client("shop.test").get("/").await.expect("an answer");
        Some(client)
    })
    .await?;
    assert!(is_one_last_answer(&answer), "{answer}");
    Ok(())
}

#[tokio::test]
async fn who_has_connected_and_asks_nothing_is_not_waited_for() -> anyhow::Result<()> {
    let origin = Origin::start(|_| Reply::ok("page")).await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let mut silent = TcpStream::connect(served.address()).await?;
    served.client("shop.test").get("/").await?;
    assert!(in_time("it ends", served.into_gateway().shutdown(LONG)).await, "nothing was cut");
    assert_eq!(silent.read(&mut [0; 16]).await?, 0, "it was closed");
    Ok(())
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() -> anyhow::Result<()> {
    let never = Gate::closed();
    let gate = never.clone();
    let origin = Origin::start(move |_| Reply::ok("never").when(&gate)).await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let mut client = served.client("shop.test");
    let waiting = tokio::spawn(async move { client.get("/").await });
    eventually("the origin is asked", async || origin.requests() == 1).await;
    let drained = in_time("it ends", served.into_gateway().shutdown(Duration::from_millis(100))).await;
    assert!(!drained, "a request was cut");
    assert!(waiting.await?.is_err(), "and its client knows");
    Ok(())
}

/// Starts a gateway that should not start.
async fn refusal(
    settings: &str,
    change: impl FnOnce(&mut sandbar_gateway::GatewayConfig),
) -> anyhow::Result<StartError> {
    let data_dir = TempDir::new()?;
    let mut config = config(settings, &data_dir)?;
    change(&mut config);
    match sandbar_gateway::start(config).await {
        Ok(_) => anyhow::bail!("it started"),
        Err(error) => Ok(error),
    }
}

#[tokio::test]
async fn what_cannot_work_is_one_sentence_with_what_to_do() -> anyhow::Result<()> {
    let origin = Origin::start(|_| Reply::ok("")).await?;
    let tenant = one_tenant(&origin.url(), "");

    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let error = refusal(&tenant, |config| config.gateway.listen = address).await?;
    let expected = format!(
        "another program listens at {address} already; stop it, or choose another address with gateway.listen or --listen"
    );
    assert_eq!((error.to_string(), error.is_config()), (expected, false));

    let error = refusal(&tenant, |config| config.data_dir = "/proc/nowhere".into()).await?.to_string();
    assert!(error.contains("can't use the data directory /proc/nowhere"), "{error}");
    assert!(error.contains("make it writable, or choose another with data_dir"), "{error}");

    let stock = format!("{tenant}policy.eviction.stock = \"lfru\"\n");
    let error = refusal(&stock, |_| ()).await?;
    assert!(error.is_config());
    assert!(error.to_string().contains("there is no stock eviction policy `lfru`; there are"), "{error}");

    let both = format!("{tenant}policy.eviction = {{ stock = \"lru\", file = \"lru.wasm\" }}\n");
    let error = refusal(&both, |_| ()).await?.to_string();
    assert!(error.contains("the eviction policy needs either `stock`"), "{error}");

    let missing = format!("{tenant}policy.freshness.file = \"/no/such.wasm\"\n");
    let error = refusal(&missing, |_| ()).await?.to_string();
    assert!(error.contains("can't read the component /no/such.wasm"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_origin_that_is_down_is_answered_for_and_comes_back() -> anyhow::Result<()> {
    let mut origin = Origin::start(|_| Reply::ok("up")).await?;
    origin.stop();
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let mut client = served.client("shop.test");
    let answer = client.get("/").await?;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("origin-unreachable"), "{}", answer.text());
    origin.restart().await?;
    assert_eq!(client.get("/").await?.text(), "up");
    Ok(())
}
