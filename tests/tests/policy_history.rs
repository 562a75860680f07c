//! What was bound to a role is remembered with its settings, over restarts too, and a role goes back to it.

use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use serde_json::{Value, json};

const ROLE: &str = "/tenants/default/policies/eviction";
const CONFIGURED: &str = "[tenant.policy]\neviction = { stock = \"sieve\", native = true }\n";

async fn gateway() -> anyhow::Result<TestGateway> {
    let origin = Origin::start(|_| Reply::ok("hello")).await?;
    TestGateway::start(&one_tenant(&origin.url(), CONFIGURED)).await
}

async fn bind(gateway: &TestGateway, name: &str, settings: Value) -> anyhow::Result<()> {
    let choice = json!({ "stock": name, "native": true, "settings": settings });
    let bound = gateway.admin("PUT", ROLE, "application/json", choice.to_string()).await?;
    assert_eq!(bound.status, 200, "{}", bound.text());
    Ok(())
}

/// The component of a stock policy, as a tenant's own: with an empty custom section behind it, it is another component.
fn component(stock: &str) -> Vec<u8> {
    let stock = sandbar_policies::find("eviction", stock).expect("a stock policy");
    [stock.component, &[0, 2, 1, b'x']].concat()
}

async fn send(gateway: &TestGateway, query: &str, content: Vec<u8>) -> anyhow::Result<(u16, Value)> {
    let fields = [("content-type", "application/wasm")];
    let answer = gateway.operator().send("PUT", &format!("{ROLE}{query}"), &fields, content).await?;
    Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body)?))
}

async fn roll_back(gateway: &TestGateway, query: &str) -> anyhow::Result<(u16, Value)> {
    let answer = gateway.admin("POST", &format!("{ROLE}/rollback{query}"), "", "").await?;
    Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body)?))
}

/// The number, name, and who bound it, of each binding in the history.
async fn history(gateway: &TestGateway) -> anyhow::Result<Vec<String>> {
    let answer = gateway.admin("GET", &format!("{ROLE}/history"), "", "").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bindings: Vec<Value> = serde_json::from_slice(&answer.body)?;
    let shown = |past: &Value| format!("{} {} {}", past["number"], past["name"], past["by"]).replace('"', "");
    Ok(bindings.iter().map(shown).collect())
}

#[tokio::test]
async fn a_role_goes_back_to_what_it_had_with_its_settings_and_over_a_restart() -> anyhow::Result<()> {
    let gateway = gateway().await?;
    assert_eq!(history(&gateway).await?, ["1 sieve config"]);
    let settings = json!({ "promote_after": 2 });
    bind(&gateway, "s3-fifo", settings.clone()).await?;
    bind(&gateway, "lru", Value::Null).await?;
    assert_eq!(history(&gateway).await?, ["1 sieve config", "2 s3-fifo api", "3 lru api"]);
    let gateway = gateway.restart().await?;
    assert_eq!(history(&gateway).await?, ["1 sieve config", "2 s3-fifo api", "3 lru api"]);
    let (status, bound) = roll_back(&gateway, "").await?;
    assert_eq!((status, &bound["name"], &bound["settings"]), (200, &json!("s3-fifo"), &settings), "{bound}");
    let (status, bound) = roll_back(&gateway, "?to=1").await?;
    assert_eq!((status, &bound["name"], &bound["by"]), (200, &json!("sieve"), &json!("config")), "{bound}");
    let expected = ["1 sieve config", "2 s3-fifo api", "3 lru api", "4 s3-fifo api", "5 sieve config"];
    assert_eq!(history(&gateway).await?, expected);
    let gateway = gateway.restart().await?;
    assert_eq!(history(&gateway).await?, expected);
    let (status, refused) = roll_back(&gateway, "?to=9").await?;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["error"].as_str().unwrap_or_default().contains("remembered are 1, 2, 3, 4, 5"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_component_is_kept_as_long_as_its_role_can_go_back_to_it() -> anyhow::Result<()> {
    let gateway = gateway().await?;
    let (status, bound) = send(&gateway, "?name=mine-1.0", component("fifo")).await?;
    assert_eq!((status, &bound["name"]), (200, &json!("mine-1.0")), "{bound}");
    bind(&gateway, "lru", Value::Null).await?;
    let gateway = gateway.restart().await?;
    let (status, back) = roll_back(&gateway, "").await?;
    assert_eq!((status, &back["name"], &back["digest"]), (200, &json!("mine-1.0"), &bound["digest"]), "{back}");
    let kept =
        gateway.data_dir().join("policies/default").join(format!("{}.wasm", back["digest"].as_str().unwrap_or("")));
    assert!(kept.is_file());

    bind(&gateway, "lru", Value::Null).await?;
    std::fs::write(&kept, b"another")?;
    let (status, refused) = roll_back(&gateway, "").await?;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["error"].as_str().unwrap_or_default().contains("it was altered"), "{refused}");
    for _ in 0..16 {
        bind(&gateway, "fifo", Value::Null).await?;
    }
    assert!(!kept.exists(), "nothing can go back to it any more");
    assert_eq!(history(&gateway).await?.len(), 16);
    Ok(())
}

#[tokio::test]
async fn nobody_goes_back_to_a_policy_that_was_never_bound() -> anyhow::Result<()> {
    let origin = Origin::start(|_| Reply::ok("hello")).await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), CONFIGURED)).await?;
    let (status, refused) = roll_back(&gateway, "").await?;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["error"].as_str().unwrap_or_default().contains("nothing else was bound"), "{refused}");
    bind(&gateway, "lru", Value::Null).await?;
    gateway.reload(&one_tenant(&origin.url(), &CONFIGURED.replace("sieve", "fifo"))).await?;
    let (status, refused) = roll_back(&gateway, "").await?;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["error"].as_str().unwrap_or_default().contains("have taken its place"), "{refused}");
    assert_eq!(history(&gateway).await?, ["1 sieve config", "2 lru api"]);
    Ok(())
}

#[tokio::test]
async fn what_is_no_name_and_what_is_no_history_is_said() -> anyhow::Result<()> {
    let gateway = gateway().await?;
    for name in ["", "a%2Fb", "a%0Ab", &"x".repeat(65)] {
        let (status, refused) = send(&gateway, &format!("?name={name}"), component("fifo")).await?;
        assert_eq!(status, 422, "{refused}");
        assert!(refused["error"].as_str().unwrap_or_default().contains("1 to 64 characters"), "{refused}");
    }
    let stock = r#"{"stock": "lru"}"#;
    let refused = gateway.admin("PUT", &format!("{ROLE}?name=mine"), "application/json", stock).await?;
    assert_eq!((refused.status.as_u16(), refused.text().contains("has a name already")), (422, true));

    bind(&gateway, "lru", Value::Null).await?;
    std::fs::write(gateway.data_dir().join("policies/default/eviction.history.json"), b"{")?;
    let unreadable = gateway.admin("GET", &format!("{ROLE}/history"), "", "").await?;
    assert_eq!((unreadable.status.as_u16(), unreadable.text().contains("not a history")), (500, true));
    // A binding begins a new history.
    bind(&gateway, "fifo", Value::Null).await?;
    assert_eq!(history(&gateway).await?, ["1 lru api", "2 fifo api"]);
    Ok(())
}
