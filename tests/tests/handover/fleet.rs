//! A node of a fleet is upgraded: what becomes of tenants that are made over another node's API meanwhile.

use std::sync::Arc;

use sandbar_tests::client::Client;
use sandbar_tests::origin::Origin;
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;
use serde_json::{Value, json};

use crate::failures::READY_THEN;
use crate::load::{Truth, origin};
use crate::served::{Served, is_over};

/// A node that waits no longer than this for those that have not applied a tenant. No other deadline is so short that a busy machine
/// would miss it.
async fn node(name: &str, confirm_deadline: &str, server: &RedisServer, origin: &Origin) -> Served {
    let settings = format!(
        "grace = \"25s\"\nupgrade_deadline = \"1min\"\n[l2]\nkind = \"redis\"\n[l2.redis]\nurl = \"{}\"\ndeadline = \"10s\"\n\
         [fleet]\nnode = \"{name}\"\nsilence_max = \"20s\"\nmember_timeout = \"1min\"\nconfirm_deadline = \"{confirm_deadline}\"",
        server.url()
    );
    Served::start(&origin.url(), &settings).await
}

/// Makes a tenant at a host of its own; the nodes that have not applied it.
async fn make(node: &Served, name: &str, origin: &Origin) -> Value {
    let (target, fields) = (format!("/tenants/{name}"), [("content-type", "application/json")]);
    let settings = json!({ "hosts": [format!("{name}.test")], "origin": origin.url(), "l1": "1MiB" });
    let answer = node.operator().send("PUT", &target, &fields, settings.to_string()).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    told["missing"].clone()
}

async fn has(node: &Served, name: &str) -> bool {
    node.operator().get(&format!("/tenants/{name}")).await.unwrap().status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_are_made_elsewhere_meanwhile_are_applied_by_one_process_alone() {
    let server = RedisServer::start().unwrap();
    let truth = Arc::<Truth>::default();
    let origin = origin(&truth).await;
    let mut served = node("one", "30s", &server, &origin).await;
    let other = node("two", "1s", &server, &origin).await;
    make(&other, "first", &origin).await;
    eventually("the nodes know each other", async || has(&served, "first").await).await;

    // A process that is not ready to serve before it ends: the old one changes nothing until then.
    let waits = tempfile::NamedTempFile::new().unwrap();
    let path = waits.path().display();
    served.replace_by_script(&format!("{READY_THEN} while [ -e {path} ]; do sleep 0.1; done; exit 7"));
    let (upgraded, ()) = tokio::join!(served.ask_for_upgrade(), async {
        eventually("it is under way", async || served.log().contains("starting the process")).await;
        assert_eq!(make(&other, "late", &origin).await, json!(["one"]));
        assert!(!has(&served, "late").await && !served.keeps("late"));
        waits.close().unwrap();
    });
    assert_eq!(upgraded.status, 503, "{}", upgraded.text());
    assert!(upgraded.text().contains("(exit status: 7)"), "{}", upgraded.text());
    eventually("the old one applies it", async || has(&served, "late").await && served.keeps("late")).await;

    // One that serves has what was made before it did, and alone is waited for from then on.
    served.remove_program();
    served.put_program_back();
    let mut kept = served.client();
    kept.get("/kept/1").await.unwrap();
    let old = served.upgrade().await;
    assert!(has(&served, "late").await);
    let patient = node("three", "30s", &server, &origin).await;
    assert_eq!(make(&patient, "last", &origin).await, json!([]));
    assert!(has(&served, "last").await && !is_over(old));
    let mut client = Client::new(served.address, "last.test");
    assert_eq!(client.get("/live/1").await.unwrap().text(), "/live/1 0");
    kept.get("/kept/1").await.unwrap();
    served.has_ended(old).await;
    assert!(served.keeps("late") && served.keeps("last"));
}
