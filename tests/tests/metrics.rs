//! `/metrics` as Prometheus reads it.

use std::io::Write;
use std::process::{Command, Stdio};

use sandbar_tests::client::Answer;
use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};

async fn metrics(gateway: &TestGateway, accept: &str) -> anyhow::Result<Answer> {
    gateway.operator().get_with("/metrics", &[("accept", accept)]).await
}

async fn origin() -> anyhow::Result<Origin> {
    Origin::start(|seen| Reply::ok(seen.path().to_owned()).field("cache-control", "max-age=600")).await
}

const OPEN: &str = "application/openmetrics-text;version=1.0.0";

#[tokio::test]
async fn both_texts_tell_the_same() -> anyhow::Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, origin().await?);
    let log = format!("[log.access]\nfile = {:?}\n", dir.path().join("access.log"));
    let gateway = TestGateway::start(&format!("{log}{}", one_tenant(&origin.url(), ""))).await?;
    let mut client = gateway.client("shop.test");
    for _ in 0..3 {
        client.get("/a").await?;
    }
    let open = metrics(&gateway, OPEN).await?;
    assert_eq!(open.field("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let (open, older) = (open.text(), metrics(&gateway, "*/*").await?);
    assert_eq!(older.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let older = older.text();
    let both = [
        "sandbar_requests_total{tenant=\"default\"} 3",
        "sandbar_hits_l1_total{tenant=\"default\"} 2",
        "sandbar_answers_total{tenant=\"default\",outcome=\"hit\"} 2",
        "sandbar_request_duration_seconds_count{tenant=\"default\",answered=\"hit\"} 2",
        "sandbar_request_duration_seconds_bucket{le=\"+Inf\",tenant=\"default\",answered=\"other\"} 1",
        "# TYPE sandbar_request_duration_seconds histogram",
        "# TYPE process_open_fds gauge",
    ];
    let alone = [
        (&open, ["# TYPE sandbar_requests counter", "# UNIT sandbar_l1_capacity_bytes bytes", "# EOF"]),
        (
            &older,
            [
                "# TYPE sandbar_requests_total counter",
                "# TYPE process_cpu_seconds_total counter",
                "# TYPE sandbar_build_info gauge",
            ],
        ),
    ];
    for (text, own) in alone {
        for line in both.iter().chain(&own) {
            assert!(text.lines().any(|said| said == *line), "{line} is missing in\n{text}");
        }
    }
    assert!(!older.contains("# EOF") && !older.contains("# UNIT"));
    Ok(())
}

#[tokio::test]
async fn promtool_takes_them() -> anyhow::Result<()> {
    let (dir, origin) = (tempfile::tempdir()?, origin().await?);
    let log = format!("[log.access]\nfile = {:?}\n[l2]\nkind = \"disk\"\n", dir.path().join("access.log"));
    let tenants: String = (0..4)
        .map(|number| {
            format!(
                "[[tenant]]\nname = \"t{number}\"\nhosts = [\"t{number}.test\"]\norigin = \"{}\"\nl1 = \"1MiB\"\n",
                origin.url()
            )
        })
        .collect();
    let gateway = TestGateway::start(&format!("{log}[admin]\nmetrics_tenants_max = 2\n{tenants}")).await?;
    for (number, requests) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
        let mut client = gateway.client(&format!("t{number}.test"));
        for _ in 0..requests {
            client.get("/a").await?;
        }
    }
    let text = metrics(&gateway, "text/plain").await?.text();
    for line in ["sandbar_requests_total{tenant=\"t3\"} 4", "sandbar_requests_total{tenant=\"(others)\"} 3"] {
        assert!(text.lines().any(|said| said == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("tenant=\"t0\""), "{text}");
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match started {
        Ok(promtool) => promtool,
        Err(error) => {
            eprintln!("SKIPPED: promtool can't be run ({error}); Debian has it in the package prometheus");
            return Ok(());
        }
    };
    promtool.stdin.take().expect("standard input").write_all(text.as_bytes())?;
    let said = promtool.wait_with_output()?;
    let complaints = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{complaints}");
    Ok(())
}
