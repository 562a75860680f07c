//! New processes that can't take over: the old one goes on as if nothing had happened, and says why.

use std::sync::Arc;

use rustix::process::Signal;
use sandbar_tests::wait::{PATIENCE, eventually};

use crate::load::{Kind, Load, Truth, origin};
use crate::served::Served;

/// Says that it is ready, and waits until the disk tier is its own: the channel is its standard input.
pub(crate) const READY_THEN: &str = "printf '{\"ready\":{\"version\":\"0\"}}\\n' >&0; read line;";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_the_new_process_the_old_one_goes_on_and_says_why() {
    let truth = Arc::<Truth>::default();
    let origin = origin(&truth).await;
    let mut served = Served::start(&origin.url(), "grace = \"25s\"\nupgrade_deadline = \"1min\"").await;
    served.client().get("/kept/1").await.unwrap();
    let load = Load::start(&served, &truth, &[Kind::KeptAlive, Kind::NewEachTime, Kind::Http2]);
    let refused = async |status: u16, part: &str| {
        let answer = served.ask_for_upgrade().await;
        assert_eq!(answer.status, status, "{part}: {}", answer.text());
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
        truth.change_and_purge(&served).await;
    };
    served.add_settings("[limits]\ngrce = \"1s\"\n");
    refused(422, "sandbar.toml:").await;
    served.add_settings("");
    for (script, status, part) in [
        ("exit 3", 503, "the new process has ended before it was ready (exit status: 3)"),
        ("echo nonsense >&0; read line", 503, "the new process has ended before it was ready"),
        (&format!("{READY_THEN} exit 7"), 503, "(exit status: 7)"),
        (&format!("{READY_THEN} echo '\"open\"' >&0; read line; exit 9"), 503, "(exit status: 9)"),
        (&format!("{READY_THEN} echo '\"serving\"' >&0; read line"), 500, "something else than was expected"),
    ] {
        served.replace_by_script(script);
        refused(status, part).await;
    }
    // These alone are meant to run out of it.
    served.replace_setting("upgrade_deadline = \"1min\"", "upgrade_deadline = \"1s\"");
    served.reload().await;
    for script in ["exec sleep 1000", &format!("{READY_THEN} exec sleep 1000")] {
        served.replace_by_script(script);
        refused(503, "the new process was not ready within 1 s, and was ended").await;
    }
    served.add_settings("");
    served.reload().await;
    served.remove_program();
    refused(503, "can't start").await;
    served.put_program_back();
    load.stop().await;

    // What was handed over and taken back is whole: purges are recorded, and what was stored before is stored still.
    served.client().get("/kept/2").await.unwrap();
    let (asked, old) = (origin.requests(), served.upgrade().await);
    for path in ["/kept/1", "/kept/2"] {
        assert_eq!(served.client().get(path).await.unwrap().cache_status().value("detail"), Some("disk"), "{path}");
    }
    assert_eq!(origin.requests(), asked);
    served.has_ended(old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_is_under_way_another_is_refused_and_nothing_that_is_kept_changes() {
    let truth = Arc::<Truth>::default();
    let origin = origin(&truth).await;
    let mut served = Served::start(&origin.url(), "grace = \"25s\"").await;
    served.client().get("/live/1").await.unwrap();
    served.replace_by_script(&format!("{READY_THEN} exec sleep 1000"));
    served.signal(Signal::USR2);
    eventually("it is under way", async || served.log().contains("starting the process")).await;
    let answer = served.ask_for_upgrade().await;
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains("an upgrade is under way already"), "{}", answer.text());
    let mut operator = served.operator();
    for (method, target, content) in [
        ("POST", "/reload", ""),
        ("DELETE", "/tenants/default/policies/freshness", ""),
        ("PUT", "/tenants/other", "{\"origin\":\"http://127.0.0.1:1\"}"),
    ] {
        let fields = [("content-type", "application/json")];
        let answer = operator.send(method, target, &fields, content).await.unwrap();
        assert_eq!(answer.status, 503, "{method} {target}: {}", answer.text());
        assert!(answer.text().contains("the gateway is being upgraded"), "{}", answer.text());
    }
    assert!(served.client().get("/live/1").await.unwrap().is_hit(), "clients are served");

    // Whoever stops the gateway stops the upgrade.
    served.signal(Signal::TERM);
    assert!(served.first.wait(PATIENCE).await.unwrap().success());
    assert!(served.log().contains("not upgraded: this process goes on"), "{}", served.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_predecessor_still_answers_does_not_hand_over_yet() {
    let truth = Arc::<Truth>::default();
    let origin = origin(&truth).await;
    let mut served = Served::start(&origin.url(), "grace = \"25s\"").await;
    let mut kept = served.client();
    kept.get("/kept/1").await.unwrap();
    let old = served.upgrade().await;
    let answer = served.ask_for_upgrade().await;
    assert_eq!(answer.status, 409);
    assert!(answer.text().contains(&format!("process {old}")), "{}", answer.text());
    kept.get("/kept/1").await.unwrap();
    served.has_ended(old).await;
    let old = served.upgrade().await;
    served.has_ended(old).await;
}
