//! The admin API over real sockets: who may use it, what it answers, and that what it changes has changed.

use sandbar_tests::client::{Answer, Client};
use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use serde_json::{Value, json};

/// An origin whose catalogue has a surrogate key.
async fn shop() -> anyhow::Result<Origin> {
    Origin::start(|seen| match seen.path() {
        "/catalogue" => Reply::ok(format!("catalogue {}", seen.number))
            .field("cache-control", "max-age=600")
            .field("surrogate-key", "catalogue"),
        path => Reply::ok(format!("{path} {}", seen.number)).field("cache-control", "max-age=600"),
    })
    .await
}

/// Asks the admin API of a gateway that wants no token: JSON as such, anything else as a component.
async fn admin(
    gateway: &TestGateway,
    method: &str,
    target: &str,
    body: impl Into<bytes::Bytes>,
) -> anyhow::Result<Answer> {
    let body = body.into();
    let is_json = serde_json::from_slice::<Value>(&body).is_ok();
    gateway.admin(method, target, if is_json { "application/json" } else { "application/wasm" }, body).await
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

/// Why the admin API refused; empty where it did not.
fn error_of(answer: &Answer) -> String {
    json_of(answer)["error"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_token_is_asked_for_everywhere_but_for_probes_and_the_page() -> anyhow::Result<()> {
    let origin = shop().await?;
    let served = TestGateway::start(&format!("[admin]\ntoken = \"sesame\"\n{}", one_tenant(&origin.url(), ""))).await?;
    let address = served.admin_address();
    let mut stranger = Client::new(address, "gateway.test");
    for (method, target) in [
        ("GET", "/stats"),
        ("GET", "/metrics"),
        ("GET", "/tenants"),
        ("GET", "/tenants/default/policies"),
        ("PUT", "/tenants/default/policies/eviction"),
        ("DELETE", "/tenants/default/policies/eviction"),
        ("POST", "/tenants/default/purge"),
        ("PUT", "/tenants/default/entries?url=http://a/"),
        ("GET", "/nothing"),
    ] {
        let answer = stranger.send(method, target, &[], "").await?;
        assert_eq!(answer.status, 401, "{method} {target}");
        assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"sandbar\""));
        assert!(error_of(&answer).contains("Authorization: Bearer TOKEN"), "{}", answer.text());
        let wrong = stranger.send(method, target, &[("authorization", "Bearer sesam")], "").await?;
        assert_eq!((wrong.status.as_u16(), error_of(&wrong).as_str()), (401, "the token is wrong"));
    }
    for open in ["/", "/healthz", "/readyz"] {
        assert_eq!(stranger.get(open).await?.status, 200, "{open}");
    }
    let known = stranger.get_with("/stats", &[("authorization", "Bearer sesame")]).await?;
    assert_eq!(known.status, 200);
    Ok(())
}

#[tokio::test]
async fn without_a_token_web_pages_are_kept_out() -> anyhow::Result<()> {
    let served = TestGateway::start(&one_tenant(&shop().await?.url(), "")).await?;
    let address = served.admin_address();
    let rebound = Client::new(address, "evil.test").get("/stats").await?;
    assert_eq!(rebound.status, 403);
    let mut page = served.operator();
    let foreign = [("origin", "http://evil.test"), ("content-type", "text/plain")];
    let answer = page.send("POST", "/tenants/default/purge", &foreign, r#"{"scope":"everything"}"#).await?;
    assert_eq!(answer.status, 403);
    assert_eq!(page.get("/stats").await?.status, 200);
    Ok(())
}

/// Everything but the page and the probes, which say nothing of what is stored.
const CLOSED: [(&str, &str); 17] = [
    ("GET", "/openapi.json"),
    ("GET", "/tenants/default/explain?url=http://a/"),
    ("GET", "/stats"),
    ("GET", "/metrics"),
    ("GET", "/tenants"),
    ("GET", "/tenants/default"),
    ("GET", "/tenants/default/policies"),
    ("GET", "/tenants/default/policies/eviction"),
    ("PUT", "/tenants/default/policies/eviction"),
    ("DELETE", "/tenants/default/policies/eviction"),
    ("GET", "/tenants/default/policies/eviction/history"),
    ("POST", "/tenants/default/policies/eviction/rollback"),
    ("POST", "/tenants/default/purge"),
    ("POST", "/tenants/default/record?seconds=1"),
    ("PUT", "/tenants/default/entries?url=http://a/"),
    ("DELETE", "/tenants/default/entries?url=http://a/"),
    ("GET", "/nothing"),
];

#[tokio::test]
async fn a_browser_on_this_machine_is_no_way_in_for_other_sites() -> anyhow::Result<()> {
    let origin = shop().await?;
    for settings in ["", "[admin]\ntoken = \"sesame\"\n"] {
        let served = TestGateway::start(&format!("{settings}{}", one_tenant(&origin.url(), ""))).await?;
        let address = served.admin_address();
        let own = format!("http://{address}");
        let mut page = served.operator();
        for (method, target) in CLOSED {
            for foreign in [
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
                ("origin", "http://evil.test"),
                ("origin", "null"),
            ] {
                let fields = [("authorization", "Bearer sesame"), foreign];
                let answer = page.send(method, target, &fields, "").await?;
                assert_eq!(answer.status, 403, "{method} {target} {foreign:?}");
                assert!(error_of(&answer).contains("other sites"), "{}", answer.text());
            }
        }
        let dashboard = [("authorization", "Bearer sesame"), ("sec-fetch-site", "same-origin"), ("origin", &*own)];
        assert_eq!(page.get_with("/stats", &dashboard).await?.status, 200);
        let bookmark = [("authorization", "Bearer sesame"), ("sec-fetch-site", "none")];
        assert_eq!(page.get_with("/stats", &bookmark).await?.status, 200);
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_changed_or_begun_by_get() -> anyhow::Result<()> {
    let served = TestGateway::start(&one_tenant(&shop().await?.url(), "")).await?;
    for target in
        ["/tenants/default/record?seconds=60", "/tenants/default/purge", "/tenants/default/entries?url=http://a/"]
    {
        for method in ["GET", "HEAD"] {
            let answer = admin(&served, method, target, "").await?;
            assert_eq!(answer.status, 405, "{method} {target}");
        }
    }
    assert!(!served.tenant("default").recording_point.is_open(), "nobody records");
    Ok(())
}

#[tokio::test]
async fn errors_are_json_with_a_reason() -> anyhow::Result<()> {
    let origin = shop().await?;
    let limits = "[limits]\nadmin_body_max = \"64KiB\"\n";
    let served = TestGateway::start(&format!("{limits}{}", one_tenant(&origin.url(), ""))).await?;
    let entries = "/tenants/default/entries";
    for (method, target, body, status, reason) in [
        ("GET", "/nothing", "", 404, "there is nothing here"),
        ("PUT", "/stats", "", 405, "method not allowed"),
        ("GET", "/tenants/other", "", 404, "there is no tenant \"other\"; there are: default"),
        ("PUT", "/tenants/default/policies/colour", "{}", 404, "there is no role `colour`; the roles are freshness"),
        ("PUT", "/tenants/default/policies/eviction", "{}", 400, "needs either `stock` (a name) or `file` (a path)"),
        (
            "PUT",
            "/tenants/default/policies/eviction",
            r#"{"file":"/etc/passwd"}"#,
            400,
            "files are not read for the API",
        ),
        (
            "PUT",
            "/tenants/default/policies/eviction?replan=true",
            r#"{"stock":"lru"}"#,
            400,
            "replan is for the role freshness",
        ),
        ("PUT", "/tenants/default/policies/eviction?x=1", r#"{"stock":"lru"}"#, 400, "unknown field `x`"),
        (
            "PUT",
            "/tenants/default/policies/eviction",
            r#"{"stock":"lfru"}"#,
            422,
            "there is no stock eviction policy `lfru`",
        ),
        ("PUT", "/tenants/default/policies/eviction", "\0asm not really", 422, "component"),
        ("POST", "/tenants/default/purge", r#"{"scope":"all"}"#, 400, "that is no purge: unknown variant `all`"),
        ("POST", "/tenants/default/purge", "[]", 400, "send 1 to 1000 purges at once, not 0"),
        ("PUT", entries, "x", 400, "missing field `url`"),
        ("PUT", "/tenants/default/entries?url=/a", "x", 400, "\"/a\" is not the URL of an entry"),
    ] {
        let answer = admin(&served, method, target, body).await?;
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
        assert_eq!(answer.field("content-type"), Some("application/json"), "{method} {target}");
        assert!(error_of(&answer).contains(reason), "{method} {target}: {}", answer.text());
    }
    let large = admin(&served, "PUT", "/tenants/default/policies/eviction", vec![0; 100_000]).await?;
    assert_eq!(large.status, 413, "{}", large.text());
    assert!(!error_of(&large).is_empty());
    Ok(())
}

#[tokio::test]
async fn purges_and_single_entries() -> anyhow::Result<()> {
    let origin = shop().await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let mut client = served.client("shop.test");
    for (purge, target) in [
        (json!({ "scope": "key", "url": "http://shop.test/a" }), "/a"),
        (json!({ "scope": "prefix", "prefix": "/b/" }), "/b/1"),
        (json!({ "scope": "prefix", "prefix": "http://shop.test/c/" }), "/c/1"),
        (json!([{ "scope": "surrogate-key", "key": "catalogue" }]), "/catalogue"),
        (json!({ "scope": "everything" }), "/d"),
    ] {
        client.get(target).await?;
        let before = client.get(target).await?;
        assert!(before.is_hit(), "{target}");
        let report = admin(&served, "POST", "/tenants/default/purge", purge.to_string()).await?;
        assert_eq!((report.status.as_u16(), &json_of(&report)["pending"]), (200, &json!(0)), "{}", report.text());
        let after = client.get(target).await?;
        assert!(!after.is_hit(), "{purge}");
        assert_ne!(after.body, before.body);
    }

    let put = Client::new(served.admin_address(), "127.0.0.1")
        .send(
            "PUT",
            "/tenants/default/entries?url=http%3A%2F%2Fshop.test%2Fput",
            &[("content-type", "text/plain"), ("cache-control", "max-age=60"), ("entry-x-by", "hand")],
            "by hand",
        )
        .await?;
    assert_eq!((put.status.as_u16(), &json_of(&put)["pending"]), (200, &json!(0)), "{}", put.text());
    let answer = client.get("/put").await?;
    assert_eq!((answer.text().as_str(), answer.field("x-by"), answer.is_hit()), ("by hand", Some("hand"), true));
    let deleted = admin(&served, "DELETE", "/tenants/default/entries?url=http://shop.test/put", "").await?;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    assert!(client.get("/put").await?.text().starts_with("/put "), "from the origin again");
    Ok(())
}

#[tokio::test]
async fn a_policy_bound_over_the_api_changes_what_happens() -> anyhow::Result<()> {
    let origin = shop().await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let mut client = served.client("shop.test");
    let role = "/tenants/default/policies/invalidation";
    client.get("/catalogue").await?;
    client.send("PUT", "/products/1", &[], "new").await?;
    assert!(client.get("/catalogue").await?.is_hit(), "no policy knows that they belong together");

    let choice = json!({ "stock": "path-keys", "settings": { "keys": { "/products/{id}": ["catalogue"] } } });
    let bound = admin(&served, "PUT", role, choice.to_string()).await?;
    assert_eq!(bound.status, 200, "{}", bound.text());
    assert_eq!((&json_of(&bound)["name"], &json_of(&bound)["by"]), (&json!("path-keys"), &json!("api")));
    client.send("PUT", "/products/1", &[], "newer").await?;
    assert!(!client.get("/catalogue").await?.is_hit(), "the policy says so");

    let listed = json_of(&admin(&served, "GET", role, "").await?);
    assert!(listed["calls"].as_u64().is_some_and(|calls| calls >= 1), "{listed}");
    let refused = admin(&served, "PUT", role, r#"{"stock":"path-keys","settings":{"colour":1}}"#).await?;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(error_of(&refused).contains("refuses its settings"), "{}", refused.text());
    client.send("PUT", "/products/1", &[], "newest").await?;
    assert!(!client.get("/catalogue").await?.is_hit(), "what was refused changed nothing");

    assert_eq!(admin(&served, "DELETE", role, "").await?.status, 200);
    client.send("PUT", "/products/1", &[], "last").await?;
    assert!(client.get("/catalogue").await?.is_hit(), "the policy is gone");
    Ok(())
}

#[tokio::test]
async fn figures_are_told_for_people_and_machines() -> anyhow::Result<()> {
    let origin = shop().await?;
    let served = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let mut client = served.client("shop.test");
    for _ in 0..3 {
        client.get("/a").await?;
    }
    let stats = json_of(&admin(&served, "GET", "/stats", "").await?);
    let tenant = &stats["tenants"][0];
    assert_eq!(tenant["name"], "default");
    assert_eq!((&tenant["counters"]["requests"], &tenant["counters"]["hits_l1"]), (&json!(3), &json!(2)));
    assert!(tenant["memory"]["capacity_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    assert_eq!(stats["advice"], json!([]));

    let page = admin(&served, "GET", "/", "").await?.text();
    assert!(page.contains("<title>Sandbar</title>"));
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "nothing is loaded from elsewhere");
    Ok(())
}
