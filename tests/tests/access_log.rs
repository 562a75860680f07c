//! The access log of a gateway over real sockets: what its lines say of real traffic, and that a replay reads them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbar_gateway::replay::Trace;
use sandbar_tests::client::raw;
use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Gate, Origin, Reply};
use sandbar_tests::wait::eventually;
use serde_json::Value;
use tempfile::TempDir;

/// Settings of a log in this form, in a file of the directory.
fn settings(dir: &TempDir, format: &str, origin: &Origin, more: &str) -> (PathBuf, String) {
    let path = dir.path().join(format!("{format}.log"));
    let log = format!("[log.access]\nformat = \"{format}\"\nfile = {path:?}\n");
    let class = "[[tenant.class]]\nname = \"images\"\npath = \"/img/**\"\n";
    (path, format!("{more}{log}{}{class}", one_tenant(&origin.url(), "")))
}

async fn origin() -> anyhow::Result<Origin> {
    Origin::start(|seen| match seen.path() {
        "/private" => Reply::ok("yours").field("cache-control", "private"),
        "/broken" => Reply::ok("x".repeat(100)).field("cache-control", "no-store").breaks_off_after(10),
        path => Reply::ok(format!("{path} {}", "x".repeat(100)))
            .field("cache-control", "max-age=600")
            .field("etag", "\"1\""),
    })
    .await
}

/// Stops the gateway, which writes its log to the end, and reads that.
async fn lines(gateway: TestGateway, path: &Path) -> anyhow::Result<Vec<String>> {
    gateway.into_gateway().shutdown(Duration::from_secs(10)).await;
    Ok(std::fs::read_to_string(path)?.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn json_says_how_each_answer_came_about() -> anyhow::Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, origin().await?);
    let trusted = "[gateway]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let (path, settings) = settings(&dir, "json", &origin, trusted);
    let gateway = TestGateway::start(&settings).await?;
    let mut client = gateway.client("shop.test");
    let named = [("x-forwarded-for", "198.51.100.9"), ("referer", "http://r/"), ("user-agent", "a\"b")];
    client.get_with("/img/a", &named).await?;
    client.get("/img/a").await?;
    client.get_with("/img/a", &[("if-none-match", "\"1\"")]).await?;
    client.get("/private").await?;
    client.send("HEAD", "/img/a", &[], "").await?;
    client.send("POST", "/form", &[], "content").await?;
    client.get_with("/none", &[("cache-control", "only-if-cached")]).await?;
    let _ = client.get("/broken").await;
    raw(gateway.address(), b"GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n").await?;
    let lines: Vec<Value> =
        lines(gateway, &path).await?.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    let told = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
        let words = [text("method"), text("target"), text("cache"), text("detail"), text("by"), text("end")].join(" ");
        (words, line["status"].as_u64().unwrap_or(0), line["bytes"].as_u64().unwrap_or(0))
    };
    let expected = [
        ("GET /img/a fwd=uri-miss - origin complete", 200, 107),
        ("GET /img/a hit l1 l1 complete", 200, 107),
        ("GET /img/a hit l1 l1 complete", 304, 0),
        ("GET /private fwd=uri-miss private origin complete", 200, 5),
        ("HEAD /img/a hit l1 l1 complete", 200, 0),
        ("POST /form fwd=method - origin complete", 200, 106),
        ("GET /none refused only-if-cached cache complete", 504, 15),
        ("GET /broken fwd=uri-miss no-store origin broken", 200, 10),
    ];
    for (line, (words, status, bytes)) in lines.iter().zip(expected) {
        assert_eq!(told(line), (words.to_owned(), status, bytes), "{line}");
        assert_eq!(
            (&line["tenant"], &line["host"], &line["version"]),
            (&"default".into(), &"shop.test".into(), &"HTTP/1.1".into())
        );
        assert!(line["first_byte_us"].as_u64() <= line["duration_us"].as_u64(), "{line}");
        assert_eq!(line["stored"], words == "GET /img/a fwd=uri-miss - origin complete", "{line}");
    }
    assert_eq!((&lines[0]["client"], &lines[0]["peer"]), (&"198.51.100.9".into(), &"127.0.0.1".into()));
    assert_eq!((&lines[0]["class"], &lines[3]["class"]), (&"images".into(), &Value::Null));
    assert_eq!((&lines[0]["referer"], &lines[0]["user_agent"]), (&"http://r/".into(), &"a\"b".into()));
    let refused = lines.last().expect("a line");
    assert_eq!((&refused["status"], &refused["by"], &refused["tenant"]), (&400.into(), &"cache".into(), &Value::Null));
    assert_eq!(lines.len(), expected.len() + 1);
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_is_told() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let gate = Gate::closed();
    let held = gate.clone();
    let origin =
        Origin::start(move |_| Reply::ok("x".repeat(1000)).field("cache-control", "no-store").rest_when(100, &held))
            .await?;
    let (path, settings) = settings(&dir, "json", &origin, "");
    let gateway = TestGateway::start(&settings).await?;
    let mut client = gateway.client("shop.test");
    let answer = client.open("GET", "/slow", &[], "").await?;
    client.hang_up();
    drop(answer);
    eventually("its line is written", async || std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')))
        .await;
    gate.open();
    let lines = lines(gateway, &path).await?;
    let line: Value = serde_json::from_str(&lines[0])?;
    assert_eq!((&line["end"], lines.len()), (&"cut".into(), 1), "{line}");
    assert!(line["bytes"].as_u64() < Some(1000), "{line}");
    Ok(())
}

#[tokio::test]
async fn a_replay_reads_every_form() -> anyhow::Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, origin().await?);
    for format in ["common", "combined", "json"] {
        let (path, settings) = settings(&dir, format, &origin, "");
        let gateway = TestGateway::start(&settings).await?;
        let mut client = gateway.client("shop.test");
        let hostile = [("user-agent", "\" 200 1 \"GET /x HTTP/1.1\" 200 9"), ("referer", "[\\")];
        // A quote in a target is passed on as it came, so it is in the log.
        let mut asked = Vec::new();
        for target in ["/a\"b?c=\\d", "/a", "/a", "/private", "/missing/a", "/a"] {
            asked.push((target, client.get_with(target, &hostile).await?.body.len() as u64));
        }
        client.get_with("/a", &[("if-none-match", "\"1\"")]).await?;
        asked.push(asked[1]);
        client.send("POST", "/a/form", &[], "").await?;
        let written = lines(gateway, &path).await?;
        assert_eq!(written.len(), 8, "{written:#?}");
        let trace = Trace::open(&path, &mut |_| ()).map_err(|error| anyhow::anyhow!("{error}: {written:#?}"))?;
        let mut known = Vec::new();
        for (request, (target, bytes)) in trace.requests().iter().zip(&asked) {
            let key = known.iter().position(|one| one == target).unwrap_or(known.len());
            known.extend((key == known.len()).then_some(*target));
            assert_eq!((request.key as usize, request.size_bytes), (key, *bytes), "{format}: {target}");
        }
        assert_eq!(trace.requests().len(), asked.len(), "{format}: {written:#?}");
        let has_costs = trace.requests().iter().all(|request| request.cost_us > 0);
        assert_eq!(has_costs, format == "json", "JSON tells what fetches took");
    }
    Ok(())
}
