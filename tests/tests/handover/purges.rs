//! A purge that is acknowledged holds in both processes, whichever of them it came to.

use std::sync::Arc;

use sandbar_tests::memcached_server::MemcachedServer;
use sandbar_tests::origin::{Gate, Origin, Reply};
use sandbar_tests::wait::eventually;

use crate::load::{Truth, origin};
use crate::served::Served;

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_of_the_old_process_is_answered_once_more_and_not_from_what_was_purged() {
    let truth = Arc::<Truth>::default();
    let origin = origin(&truth).await;
    let mut served = Served::start(&origin.url(), "grace = \"25s\"").await;
    let (mut first, mut second) = (served.client(), served.client());
    for client in [&mut first, &mut second] {
        client.get("/live/1").await.unwrap();
        assert!(client.get("/live/1").await.unwrap().is_hit());
    }
    let old = served.upgrade().await;
    let asked = origin.requests();
    let answer = first.get("/live/1").await.unwrap();
    assert_eq!(answer.text(), "/live/1 0");
    assert_eq!(answer.field("connection"), Some("close"), "the next request goes to the new process");
    assert_eq!((answer.is_hit(), origin.requests()), (false, asked + 1), "the old process asks the origin");

    truth.change_and_purge(&served).await;
    let answer = second.get("/live/1").await.unwrap();
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("/live/1 1", Some("close")));
    served.has_ended(old).await;
    assert_eq!(first.get("/live/1").await.unwrap().text(), "/live/1 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_before_an_upgrade_is_not_undone_by_it() {
    let truth = Arc::<Truth>::default();
    let origin = origin(&truth).await;
    let mut served = Served::start(&origin.url(), "grace = \"25s\"").await;
    served.client().get("/live/1").await.unwrap();
    truth.change_and_purge(&served).await;
    for _ in 0..2 {
        let old = served.upgrade().await;
        assert_eq!(served.client().get("/live/1").await.unwrap().text(), "/live/1 1");
        served.has_ended(old).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_old_process_ends_purges_what_the_new_one_has_stored() {
    // Over memcached without a fleet, the records of purges are what the processes hand over.
    let memcached = MemcachedServer::start().unwrap();
    let memcached = memcached.as_ref().map(|server| format!("memcached://{}", server.address()));
    for l2 in ["disk", "none"].into_iter().chain(memcached.as_deref()) {
        let truth = Arc::<Truth>::default();
        let (gate, following) = (Gate::closed(), Arc::clone(&truth));
        let held = gate.clone();
        let origin = Origin::start(move |seen| match seen.method.as_str() {
            "POST" => Reply::ok("written").when(&held),
            _ => following.reply(seen),
        })
        .await
        .unwrap();
        let change = |command: &mut std::process::Command| {
            command.args(["--l2", l2]);
        };
        let mut served = Served::start_with(&origin.url(), "grace = \"25s\"", change).await;
        let mut writer = served.client();
        let writing = tokio::spawn(async move { writer.send("POST", "/kept/1", &[], "").await.unwrap() });
        eventually("the write is under way", async || origin.requests() == 1).await;
        let old = served.upgrade().await;
        eventually("it is stored", async || served.client().get("/kept/1").await.unwrap().is_hit()).await;
        truth.change();
        gate.open();
        let written = writing.await.unwrap();
        assert_eq!((written.text().as_str(), written.cache_status().value("detail")), ("written", None), "{l2}");
        let answer = served.client().get("/kept/1").await.unwrap();
        assert_eq!(answer.text(), "/kept/1 1", "{l2}");
        served.has_ended(old).await;
    }
}
