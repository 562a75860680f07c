//! Upgrades under a service manager: it is told which process is the service's, and keeps its sockets.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use rustix::process::Signal;
use sandbar_tests::wait::{PATIENCE, eventually};

use crate::load::{Truth, origin};
use crate::served::Served;

fn told(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let length = socket.recv(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_the_new_process_by_the_old_one() {
    let truth = Arc::<Truth>::default();
    let origin = origin(&truth).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let change = |command: &mut std::process::Command| {
        command.env("NOTIFY_SOCKET", &path);
    };
    let mut served = Served::start_with(&origin.url(), "grace = \"25s\"", change).await;
    assert_eq!(told(&manager), "READY=1");
    served.signal(Signal::USR2);
    let named = told(&manager);
    let pid = named.strip_prefix("MAINPID=").unwrap().parse().unwrap();
    let old = std::mem::replace(&mut served.pid, pid);
    assert_eq!(told(&manager), "READY=1");
    served.has_ended(old).await;
    assert_eq!(served.client().get("/kept/1").await.unwrap().status, 200);

    served.replace_by_script("exit 3");
    served.signal(Signal::USR2);
    eventually("it says so", async || served.log().contains("not upgraded: this process goes on")).await;
    served.signal(Signal::TERM);
    assert_eq!(told(&manager), "STOPPING=1", "the old one has said nothing of its end");
    served.has_ended(pid).await;
}
