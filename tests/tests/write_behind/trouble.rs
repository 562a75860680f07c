//! Journals that are full, in use, or not to be written.

use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::wait::eventually;

use crate::shop::{CLASS, JOURNAL, Shop};

#[tokio::test]
async fn a_full_journal_refuses_and_says_when_to_come_again() -> anyhow::Result<()> {
    let shop = Shop::start_with(&format!("{JOURNAL}tenant_capacity = \"1MiB\"\n"), CLASS).await?;
    let gate = shop.shelf.hold();
    let mut client = shop.client();
    let content = "x".repeat(400 << 10);
    let mut refused = None;
    for key in 0..4 {
        let answer = client.send("PUT", &format!("/s/{key}"), &[], content.clone()).await?;
        if answer.status != 202 {
            refused = Some((key, answer));
            break;
        }
    }
    let (key, refused) = refused.expect("four of them have no room");
    assert_eq!((refused.status.as_u16(), refused.cache_status().value("detail")), (503, Some("journal-refuses")));
    assert!(refused.field("retry-after").is_some());
    assert_eq!(client.get(&format!("/s/{key}")).await?.status, 404, "it is not held");
    gate.open();
    shop.nothing_is_held().await;
    assert_eq!(shop.writes().len(), key, "and nothing of it reaches the origin");
    assert_eq!(client.send("PUT", &format!("/s/{key}"), &[], content).await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_held_goes_to_the_origin_first() -> anyhow::Result<()> {
    let shop = Shop::start_with(&format!("{JOURNAL}write_max = \"1KiB\"\n"), CLASS).await?;
    let mut client = shop.client();
    for (fields, content) in [
        (&[][..], "x".repeat(1025)),
        (&[("if-none-match", "*")][..], "x".to_owned()),
        (&[("content-range", "bytes 0-0/1")][..], "x".to_owned()),
        (&[("x-http-method-override", "DELETE")][..], "x".to_owned()),
    ] {
        let answer = client.send("PUT", "/s/1", fields, content).await?;
        assert_eq!(answer.cache_status().value("fwd"), Some("method"), "{fields:?}");
        assert_ne!(answer.status, 202);
    }
    assert_eq!(client.send("PUT", "/s/1", &[], "x".repeat(1024)).await?.status, 202);
    assert_eq!(client.send("PUT", "/elsewhere", &[], "x").await?.status, 204, "another class");
    shop.nothing_is_held().await;
    Ok(())
}

#[tokio::test]
async fn one_journal_is_not_for_two_gateways() -> anyhow::Result<()> {
    let shop = Shop::start().await?;
    let path = shop.gateway.data_dir().join("journal");
    let settings = format!("[journal]\npath = {path:?}\n{}", one_tenant(&shop.origin.url(), CLASS));
    let refused = TestGateway::start(&settings).await.map(|_| ()).unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("in use by another process") && refused.contains("journal"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_not_held() -> anyhow::Result<()> {
    use tokio::io::AsyncWriteExt as _;
    let shop = Shop::start().await?;
    let mut connection = tokio::net::TcpStream::connect(shop.gateway.address()).await?;
    connection.write_all(b"PUT /s/1 HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 10\r\n\r\nhalf").await?;
    drop(connection);
    eventually("it is answered", async || shop.counters().synthesized == 1).await;
    assert_eq!((shop.counters().writes_held, shop.client().get("/s/1").await?.status.as_u16()), (0, 404));
    Ok(())
}

#[tokio::test]
async fn a_client_that_writes_much_leaves_room_for_others() -> anyhow::Result<()> {
    let journal = format!("{JOURNAL}writes_max = 64\n");
    let (origin, shelf) = crate::shop::origin().await?;
    let desk = "[[tenant]]\nname = \"desk\"\nhosts = [\"desk.test\"]\n";
    let desk = format!("{desk}origin = \"{}\"\n{CLASS}", origin.url());
    let trusts = "[gateway]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let shop = one_tenant(&origin.url(), CLASS).replace("hosts = [\"*\"]", "hosts = [\"shop.test\"]");
    let gateway = TestGateway::start(&format!("{trusts}{journal}{shop}{desk}")).await?;
    let gate = shelf.hold();
    let mut client = gateway.client("shop.test");
    let mut held = std::collections::BTreeMap::<_, usize>::new();
    // A quarter of the writes is the tenant's, as of the bytes.
    for (address, tries) in [("198.51.100.1", 100), ("198.51.100.2", 100), ("198.51.100.3", 100)] {
        for n in 0..tries {
            let from = [("x-forwarded-for", address)];
            let answer = client.send("PUT", &format!("/s/{address}/{n}"), &from, "x").await?;
            match answer.status.as_u16() {
                202 => *held.entry(address).or_default() += 1,
                503 => assert!(answer.field("retry-after").is_some()),
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!(held.into_values().collect::<Vec<_>>(), [8, 2, 2], "half of the share, and an eighth for each");
    let mut other = gateway.client("desk.test");
    for n in 0..8 {
        assert_eq!(other.send("PUT", &format!("/s/{n}"), &[], "x").await?.status, 202, "another tenant has its own");
    }
    gate.open();
    crate::shop::nothing_is_held(&gateway).await;
    let from = [("x-forwarded-for", "198.51.100.1")];
    assert_eq!(client.send("PUT", "/s/again", &from, "x").await?.status, 202, "what is done is given back");
    Ok(())
}
