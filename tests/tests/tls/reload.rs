//! Certificates are replaced while clients ask, by a reload of the settings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::tls::{Authority, TlsClient};
use sandbar_tests::wait::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{gateway, origin, shop, tls_address, tls_section};

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
    let reload = async |settings: &str| {
        let settings = format!("{settings}\n{}", one_tenant(&origin.url(), ""));
        gateway.reload(&settings).await
    };
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
            // The other setting in it is good, and does not hold either.
            let error = reload(&format!("limits.head_max = \"8KiB\"\n{bad}")).await.unwrap_err().to_string();
            assert!(error.contains("gateway.tls.certificate"), "{error}");
        }
    }
    go_on().await;
    assert_ne!(gateway.gateway().settings().limits.head_max.bytes(), 8 << 10);
    let fresh = TlsClient::careless();
    let served = fresh.connect(address, "shop.test").await.unwrap().served;
    assert_eq!(served, old.certificate().unwrap(), "nothing of a bad set is served");

    for round in 0..20 {
        let (to, from) = if round % 2 == 0 { (&new, &old) } else { (&old, &new) };
        let reloaded = reload(&tls_section("", &[to])).await.unwrap();
        assert_eq!(reloaded.changed, ["gateway.tls.certificate"]);
        let (to_name, from_name) = if round % 2 == 0 { ("new.test", "old.test") } else { ("old.test", "new.test") };
        assert_eq!(reloaded.certificates.len(), 2, "{reloaded}");
        assert!(reloaded.certificates[0].contains(to_name) && reloaded.certificates[1].contains(from_name));
        let served = TlsClient::careless().connect(address, "shop.test").await.unwrap().served;
        assert_eq!(served, to.certificate().unwrap(), "not {from:?}");
    }
    go_on().await;
    assert!(reload(&tls_section("", &[&old])).await.unwrap().is_nothing());

    // Renewed in its place: the settings are the same, the files are not.
    std::fs::copy(&new.cert, &old.cert).unwrap();
    reload(&tls_section("", &[&old])).await.expect_err("the key is not the certificate's");
    assert_ne!(TlsClient::careless().connect(address, "shop.test").await.unwrap().served, new.certificate().unwrap());
    std::fs::copy(&new.key, &old.key).unwrap();
    let reloaded = reload(&tls_section("", &[&old])).await.unwrap();
    assert!(reloaded.changed.is_empty() && reloaded.certificates.len() == 2, "{reloaded}");
    let served = TlsClient::careless().connect(address, "shop.test").await.unwrap().served;
    assert_eq!(served, new.certificate().unwrap());
    go_on().await;

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
    gateway.reload(&format!("{}\n{}", tls_section("", &[&new]), one_tenant(&origin.url(), ""))).await.unwrap();
    let second = client.connect(tls_address(&gateway), "shop.test").await.unwrap();
    assert!(second.is_resumed);
}

#[tokio::test]
async fn the_files_of_an_origin_are_read_again() {
    let (first, second) = (Authority::new().unwrap(), Authority::new().unwrap());
    let ca = first.dir().join("trusted.pem");
    std::fs::copy(first.file(), &ca).unwrap();
    let settings = format!(
        "l2.kind = \"none\"\n[[tenant]]\nname = \"shop\"\n[tenant.origin]\nurl = \"https://127.0.0.1:1\"\n\
         tls_ca_file = {ca:?}\n"
    );
    let gateway = TestGateway::start(&settings).await.unwrap();
    let trusts = || gateway.tenant("shop").origin.origin().files().unwrap();
    let before = trusts();
    gateway.reload(&settings).await.unwrap();
    assert_eq!(trusts(), before);
    std::fs::write(&ca, "no certificate").unwrap();
    let error = gateway.reload(&settings).await.unwrap_err().to_string();
    assert!(error.contains("tls_ca_file") && trusts() == before, "{error}");
    std::fs::copy(second.file(), &ca).unwrap();
    gateway.reload(&settings).await.unwrap();
    assert_ne!(trusts(), before);
}

#[tokio::test]
async fn a_listener_that_only_a_restart_opens_is_checked_and_told() {
    let (_authority, files) = shop();
    let origin = origin().await;
    let gateway = gateway(&origin, "").await;
    let tenant = one_tenant(&origin.url(), "");
    let section = tls_section("", &[&files]);
    let bad = section.replace("shop.key", "missing.key");
    let error = gateway.reload(&format!("{bad}\n{tenant}")).await.unwrap_err().to_string();
    assert!(error.contains("gateway.tls.certificate.key_file"), "{error}");
    let reloaded = gateway.reload(&format!("{section}\n{tenant}")).await.unwrap();
    assert_eq!((&reloaded.needs_restart[..], &reloaded.changed[..]), (&["gateway.tls".to_owned()][..], &[][..]));
    assert!(gateway.gateway().tls_addr().is_none() && reloaded.certificates.is_empty());

    let gateway = gateway.restart().await.unwrap();
    let address = tls_address(&gateway);
    // The other way round its certificates stay, whatever becomes of their files.
    std::fs::remove_file(&files.key).unwrap();
    let reloaded = gateway.reload(&tenant).await.unwrap();
    assert_eq!(reloaded.needs_restart, ["gateway.tls"]);
    let served = TlsClient::careless().connect(address, "shop.test").await.unwrap().served;
    assert_eq!(served, files.certificate().unwrap());
}

#[tokio::test]
async fn connections_with_tls_and_without_it_have_one_bound_that_a_reload_changes() {
    let (authority, files) = shop();
    let origin = origin().await;
    let settings = |bound: usize| {
        let section = tls_section("", &[&files]);
        format!("[limits]\nconnections_max = {bound}\n{section}\n{}", one_tenant(&origin.url(), ""))
    };
    let gateway = TestGateway::start(&settings(2)).await.unwrap();
    let (address, client) = (tls_address(&gateway), TlsClient::trusting(&authority).unwrap());
    let plain = plain(gateway.address()).await;
    let mut first = client.connect(address, "shop.test").await.unwrap();
    assert_eq!(first.get("shop.test", "/").await.unwrap().status, 200);

    let mut waiting = Box::pin(client.connect(address, "shop.test"));
    assert!(tokio::time::timeout(MOMENT, &mut waiting).await.is_err(), "there is no place for a third one");
    gateway.reload(&settings(3)).await.unwrap();
    let third = waiting.await.unwrap();

    gateway.reload(&settings(1)).await.unwrap();
    drop((first, third));
    let mut waiting = Box::pin(client.connect(address, "shop.test"));
    assert!(tokio::time::timeout(MOMENT, &mut waiting).await.is_err(), "the one without TLS has the only place");
    drop(plain);
    assert_eq!(waiting.await.unwrap().get("shop.test", "/").await.unwrap().status, 200);
}

/// Long enough for a connection that is let in to be so.
const MOMENT: Duration = Duration::from_millis(300);

/// A connection without TLS that was answered, and stays open.
async fn plain(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n").await.unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(begin, *b"HTTP/1.1 200");
    stream
}
