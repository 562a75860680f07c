//! Upgrades under a service manager: it is told which process is the service's, and keeps its sockets.

use std::sync::Arc;

use rustix::process::Signal;
use sandbar_tests::service_manager::ServiceManager;
use sandbar_tests::wait::eventually;

use crate::load::{Truth, origin};
use crate::served::Served;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_the_new_process_by_the_old_one() {
    let truth = Arc::<Truth>::default();
    let origin = origin(&truth).await;
    let dir = tempfile::tempdir().unwrap();
    let manager = ServiceManager::listen_in(dir.path()).unwrap();
    let change = |command: &mut std::process::Command| _ = command.env("NOTIFY_SOCKET", manager.path());
    let mut served = Served::start_with(&origin.url(), "grace = \"25s\"", change).await;
    assert_eq!(manager.told().unwrap(), "READY=1");
    served.signal(Signal::USR2);
    let named = manager.told().unwrap();
    let pid = named.strip_prefix("MAINPID=").unwrap().parse().unwrap();
    let old = std::mem::replace(&mut served.pid, pid);
    assert_eq!(manager.told().unwrap(), "READY=1");
    served.has_ended(old).await;
    assert_eq!(served.client().get("/kept/1").await.unwrap().status, 200);

    served.replace_by_script("exit 3");
    served.signal(Signal::USR2);
    eventually("it says so", async || served.log().contains("not upgraded: this process goes on")).await;
    served.signal(Signal::TERM);
    assert_eq!(manager.told().unwrap(), "STOPPING=1", "the old one has said nothing of its end");
    served.has_ended(pid).await;
}
