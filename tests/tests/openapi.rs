//! The description of the admin API is that of the admin API: each route is in it, and what is in it is a route.

use std::collections::BTreeSet;

use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use serde_json::Value;

const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

async fn described(gateway: &TestGateway) -> anyhow::Result<Value> {
    let answer = gateway.admin("GET", "/openapi.json", "", "").await?;
    assert_eq!(answer.field("content-type"), Some("application/json"));
    Ok(serde_json::from_slice(&answer.body)?)
}

async fn started() -> anyhow::Result<TestGateway> {
    let origin = Origin::start(|_| Reply::ok("hello")).await?;
    TestGateway::start(&one_tenant(&origin.url(), "")).await
}

#[tokio::test]
async fn what_is_described_is_answered_and_nothing_else() -> anyhow::Result<()> {
    let gateway = started().await?;
    let described = described(&gateway).await?;
    for (path, item) in described["paths"].as_object().expect("paths") {
        // Without the rest of its parameters, so that nothing much is done: it is refused, but not for its method or path.
        let target = path.replace("{tenant}", "default").replace("{role}", "freshness");
        let target = if path.ends_with("/record") { format!("{target}?seconds=0") } else { target };
        for method in METHODS {
            let answer = gateway.admin(&method.to_uppercase(), &target, "", "").await?;
            let status = answer.status.as_u16();
            let (is_described, responses) = (item[method].is_object(), &item[method]["responses"]);
            assert_eq!(is_described, status != 405, "{method} {path}: {status}");
            if is_described {
                assert!(!answer.text().contains("there is nothing here"), "{method} {path}");
                assert!(responses[status.to_string()].is_object(), "{method} {path}: {status} is not described");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_route_of_the_source_is_described() -> anyhow::Result<()> {
    let described = described(&started().await?).await?;
    let described: BTreeSet<_> = described["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    let source = include_str!("../../host/gateway/src/admin.rs");
    let routes = source.split(".route(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
    assert_eq!(routes.collect::<BTreeSet<_>>(), described);
    Ok(())
}

#[tokio::test]
async fn every_reference_leads_somewhere() -> anyhow::Result<()> {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let described = described(&started().await?).await?;
    let mut found = Vec::new();
    references(&described, &mut found);
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(described.pointer(pointer).is_some(), "{reference}");
    }
    assert_eq!(described["openapi"], "3.1.0");
    assert_eq!(described["info"]["version"], env!("CARGO_PKG_VERSION"));
    Ok(())
}
