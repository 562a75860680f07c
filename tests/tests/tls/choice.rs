//! Which certificate is served, which protocol is spoken, and which hosts may be asked for.

use rustls::version::{TLS12, TLS13};
use sandbar_tests::tls::{Authority, TlsClient};

use super::{gateway, origin, shop, tls_address, tls_section};

#[tokio::test]
async fn the_certificate_is_that_of_the_name_and_the_first_one_for_others() {
    let authority = Authority::new().unwrap();
    let first = authority.issue("first", &["first.test"]).unwrap();
    let shop = authority.issue("shop", &["shop.test", "*.shop.test"]).unwrap();
    let origin = origin().await;
    let gateway = gateway(&origin, &tls_section("", &[&first, &shop])).await;
    let client = TlsClient::careless();
    for (name, files) in [
        ("first.test", &first),
        ("shop.test", &shop),
        ("a.shop.test", &shop),
        ("a.b.shop.test", &first),
        ("unknown.test", &first),
        ("127.0.0.1", &first),
    ] {
        let connection = client.connect(tls_address(&gateway), name).await.unwrap();
        assert_eq!(connection.served, files.certificate().unwrap(), "{name}");
    }
}

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken() {
    let ((authority, files), origin) = (shop(), origin().await);
    let gateway = gateway(&origin, &tls_section("", &[&files])).await;
    for (version, name) in [(&TLS12, "TLSv1_2"), (&TLS13, "TLSv1_3")] {
        let client = TlsClient::with(&authority, version, None).unwrap();
        for (offered, agreed) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1", "h2"], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let client = client.offering(offered);
            let mut connection = client.connect(tls_address(&gateway), "shop.test").await.unwrap();
            assert_eq!((connection.protocol.as_deref(), connection.version.as_str()), (agreed, name));
            assert_eq!(connection.get("shop.test", "/").await.unwrap().status, 200);
            assert!(connection.get("shop.test", "/").await.unwrap().is_hit());
        }
        let nothing = client.offering(&["smtp"]).connect(tls_address(&gateway), "shop.test").await;
        assert!(format!("{:#}", nothing.unwrap_err()).contains("NoApplicationProtocol"));
    }
}

#[tokio::test]
async fn what_comes_over_tls_has_the_scheme_https_in_its_key() {
    let ((authority, files), origin) = (shop(), origin().await);
    let gateway = gateway(&origin, &tls_section("", &[&files])).await;
    let mut over_tls =
        TlsClient::trusting(&authority).unwrap().connect(tls_address(&gateway), "shop.test").await.unwrap();
    let mut plain = gateway.client("shop.test");
    assert_eq!(plain.get("/").await.unwrap().text(), "http from 127.0.0.1");
    let answer = over_tls.get("shop.test", "/").await.unwrap();
    assert_eq!((answer.text().as_str(), answer.is_hit()), ("https from 127.0.0.1", false));
    assert!(over_tls.get("shop.test", "/").await.unwrap().is_hit());
    // The default port of each scheme is no part of the key.
    assert!(over_tls.get("shop.test:443", "/").await.unwrap().is_hit());
    assert!(!over_tls.get("shop.test:80", "/").await.unwrap().is_hit());
    assert_eq!(plain.get("/").await.unwrap().text(), "http from 127.0.0.1");

    // Who purges a URL means the page, however it was asked for.
    assert!(plain.get("/").await.unwrap().is_hit());
    let purge = r#"{"scope":"key","url":"http://shop.test/"}"#;
    let purged = gateway.admin("POST", "/tenants/default/purge", "application/json", purge).await.unwrap();
    assert_eq!(purged.status, 200, "{}", purged.text());
    assert!(!plain.get("/").await.unwrap().is_hit() && !over_tls.get("shop.test", "/").await.unwrap().is_hit());
}

#[tokio::test]
async fn a_host_that_the_certificate_is_not_for_is_misdirected() {
    let authority = Authority::new().unwrap();
    let first = authority.issue("first", &["first.test"]).unwrap();
    let shop = authority.issue("shop", &["*.shop.test"]).unwrap();
    let origin = origin().await;
    let gateway = gateway(&origin, &tls_section("", &[&first, &shop])).await;
    for protocol in ["http/1.1", "h2"] {
        let client = TlsClient::careless().offering(&[protocol]);
        for (name, host, status) in [
            ("a.shop.test", "b.shop.test", 200),
            ("a.shop.test", "B.shop.test:8443", 200),
            ("a.shop.test", "first.test", 421),
            ("a.shop.test", "of-no-certificate.test", 421),
            ("unknown.test", "unknown.test", 200),
            ("unknown.test", "a.shop.test", 421),
            ("127.0.0.1", "of-no-certificate.test", 200),
            ("127.0.0.1", "a.shop.test", 421),
        ] {
            let mut connection = client.connect(tls_address(&gateway), name).await.unwrap();
            let answer = connection.get(host, "/").await.unwrap();
            assert_eq!(answer.status, status, "{protocol}: {name} asks for {host}: {}", answer.text());
            if status == 421 {
                assert_eq!(answer.cache_status().value("detail"), Some("misdirected"));
                let after = connection.get(name, "/").await.unwrap();
                assert!(after.status == 200 || name == "127.0.0.1", "the connection goes on: {}", after.text());
            }
        }
    }
}

#[tokio::test]
async fn tls_can_be_all_that_is_listened_for() {
    let ((authority, files), origin) = (shop(), origin().await);
    let gateway = gateway(&origin, &tls_section("only = true", &[&files])).await;
    assert_eq!(gateway.gateway().tls_addr(), Some(gateway.address()));
    let client = TlsClient::trusting(&authority).unwrap();
    let mut connection = client.connect(gateway.address(), "shop.test").await.unwrap();
    assert_eq!(connection.get("shop.test", "/").await.unwrap().status, 200);
}
