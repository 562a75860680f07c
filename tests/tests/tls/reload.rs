//! Certificates are replaced while clients ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sandbar_gateway::GatewayConfig;
use sandbar_tests::gateway::one_tenant;
use sandbar_tests::tls::{Authority, TlsClient};
use sandbar_tests::wait::eventually;

use super::{gateway, origin, tls_address, tls_section};

fn config(text: &str, origin: &str) -> GatewayConfig {
    GatewayConfig::from_toml(&format!("{text}\n{}", one_tenant(origin, "")), "new.toml").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_replaced_under_traffic_or_not_at_all() {
    let authority = Authority::new().unwrap();
    let old = authority.issue("old", &["shop.test", "old.test"]).unwrap();
    let new = authority.issue("new", &["shop.test", "new.test"]).unwrap();
    let origin = origin().await;
    let gateway = gateway(&origin, &tls_section("", &[&old])).await;
    let address = tls_address(&gateway);
    let client = TlsClient::trusting(&authority).unwrap();

    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let crowd: Vec<_> = (0..4)
        .map(|_| {
            let (client, stop, answers) = (client.clone(), Arc::clone(&stop), Arc::clone(&answers));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let mut connection = client.connect(address, "shop.test").await?;
                    for _ in 0..2 {
                        let answer = connection.get("shop.test", "/").await?;
                        anyhow::ensure!(answer.status == 200, "{}", answer.text());
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                }
                anyhow::Ok(())
            })
        })
        .collect();
    let go_on = async || {
        let before = answers.load(Ordering::Relaxed);
        eventually("the crowd goes on", async || answers.load(Ordering::Relaxed) > before + 20).await;
    };
    let mut kept = client.connect(address, "old.test").await.unwrap();

    let good = tls_section("", &[&new]);
    let mismatched = good.replace("new.key", "old.key");
    let half = format!("{good}{}", old.table("gateway").replace("old.pem", "missing.pem"));
    for _ in 0..20 {
        for bad in [&mismatched, &half] {
            let error = gateway.gateway().reload_certificates(&config(bad, &origin.url())).unwrap_err().to_string();
            assert!(error.starts_with("new.toml:") && error.contains("gateway.tls.certificate"), "{error}");
        }
    }
    go_on().await;
    let fresh = TlsClient::careless();
    let served = fresh.connect(address, "shop.test").await.unwrap().served;
    assert_eq!(served, old.certificate().unwrap(), "nothing of a bad set is served");

    for round in 0..20 {
        let (to, from) = if round % 2 == 0 { (&new, &old) } else { (&old, &new) };
        let changes = gateway.gateway().reload_certificates(&config(&tls_section("", &[to]), &origin.url())).unwrap();
        assert_eq!((changes.len(), changes[0].added.len(), changes[0].removed.len()), (1, 1, 1), "{changes:?}");
        let served = TlsClient::careless().connect(address, "shop.test").await.unwrap().served;
        assert_eq!(served, to.certificate().unwrap(), "not {from:?}");
    }
    go_on().await;
    let unchanged = gateway.gateway().reload_certificates(&config(&tls_section("", &[&old]), &origin.url())).unwrap();
    assert!(unchanged[0].added.is_empty() && unchanged[0].removed.is_empty(), "{unchanged:?}");

    assert_eq!(kept.get("old.test", "/").await.unwrap().status, 200, "open connections stay as they are");
    stop.store(true, Ordering::Relaxed);
    for visitor in crowd {
        visitor.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn sessions_of_before_are_resumed_with_the_new_certificate() {
    let authority = Authority::new().unwrap();
    let old = authority.issue("old", &["shop.test"]).unwrap();
    let new = authority.issue("new", &["shop.test"]).unwrap();
    let origin = origin().await;
    let gateway = gateway(&origin, &tls_section("", &[&old])).await;
    let client = TlsClient::trusting(&authority).unwrap();
    let mut first = client.connect(tls_address(&gateway), "shop.test").await.unwrap();
    first.get("shop.test", "/").await.unwrap();
    gateway.gateway().reload_certificates(&config(&tls_section("", &[&new]), &origin.url())).unwrap();
    let second = client.connect(tls_address(&gateway), "shop.test").await.unwrap();
    assert!(second.is_resumed);
}
