//! Upgrades while clients of all kinds ask, and while answers, tunnels and purges are under way.

use std::sync::Arc;

use http_body_util::BodyExt;
use sandbar_tests::origin::{Gate, Origin, Reply};
use sandbar_tests::wait::eventually;

use crate::load::{Kind, Load, Truth, origin};
use crate::served::Served;

const UPGRADES: usize = 5;
const KINDS: [Kind; 10] = [
    Kind::KeptAlive,
    Kind::KeptAlive,
    Kind::KeptAlive,
    Kind::NewEachTime,
    Kind::NewEachTime,
    Kind::NewEachTime,
    Kind::Http2,
    Kind::Http2,
    Kind::TlsHttp1,
    Kind::TlsHttp2,
];

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_under_load_fail_no_request_and_undo_no_purge() {
    let truth = Arc::<Truth>::default();
    let (following, gates) = (Arc::clone(&truth), [(); UPGRADES].map(|()| Gate::closed()));
    let gates_of_origin = gates.clone();
    let origin = Origin::start(move |seen| match seen.path().strip_prefix("/slow/") {
        Some(number) => {
            let gate = &gates_of_origin[number.parse::<usize>().expect("a number")];
            Reply::ok("the first part and the rest").rest_when(14, gate)
        }
        None => following.reply(seen),
    })
    .await
    .unwrap();
    let mut served = Served::start(&origin.url(), "grace = \"25s\"").await;
    let load = Load::start(&served, &truth, &KINDS);
    for (number, gate) in gates.iter().enumerate() {
        let before = load.answers();
        eventually("clients are answered", async || load.answers() > before + 500).await;
        truth.change_and_purge(&served).await;
        let mut body = served.client().open("GET", &format!("/slow/{number}"), &[], "").await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "the first part");

        // Purges go on, whichever process they come to.
        let upgrading = served.ask_for_upgrade();
        let purging = async {
            for _ in 0..20 {
                truth.change_and_purge(&served).await
            }
        };
        let (answer, ()) = tokio::join!(upgrading, purging);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let old = served.pid;
        served.pid = u32::try_from(told["pid"].as_u64().unwrap()).unwrap();
        assert!(!crate::served::is_over(old), "an answer of its is under way");
        gate.open();
        assert_eq!(body.collect().await.unwrap().to_bytes(), " and the rest");
        served.has_ended(old).await;
    }
    truth.change_and_purge(&served).await;
    let before = load.answers();
    eventually("clients are answered", async || load.answers() > before + 500).await;
    load.stop().await;
    assert!(!served.log().contains("had to be cut"), "{}", served.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_disk_is_served_by_the_next_process() {
    let truth = Arc::<Truth>::default();
    let origin = origin(&truth).await;
    let mut served = Served::start(&origin.url(), "grace = \"25s\"").await;
    for number in 0..50 {
        served.client().get(&format!("/kept/{number}")).await.unwrap();
    }
    let (asked, old) = (origin.requests(), served.upgrade().await);
    for number in 0..50 {
        let answer = served.client().get(&format!("/kept/{number}")).await.unwrap();
        let status = answer.cache_status();
        assert!(status.has("hit") && status.value("detail") == Some("disk"), "{}", status.as_str());
    }
    assert_eq!(origin.requests(), asked);
    served.has_ended(old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_need_a_restart_hold_after_an_upgrade() {
    let truth = Arc::<Truth>::default();
    let origin = origin(&truth).await;
    let mut served = Served::start(&origin.url(), "grace = \"25s\"").await;
    let address = served.address;
    served.address.set_port(sandbar_tests::ports::free_port().unwrap());
    served.replace_setting(&address.to_string(), &served.address.to_string());
    let old = served.upgrade().await;
    assert_eq!(served.client().get("/kept/1").await.unwrap().status, 200);
    served.has_ended(old).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens at the old address any more");
}
