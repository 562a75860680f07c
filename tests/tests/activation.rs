//! A gateway that a service manager starts: it takes the sockets that systemd opened for it, and tells when it is ready
//! and when it stops. `systemd-socket-activate` plays systemd; where it is not installed the tests are skipped, and say
//! so.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use sandbar_tests::client::Client;
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::ports::free_port;
use sandbar_tests::process::Process;
use sandbar_tests::service_manager::ServiceManager;
use sandbar_tests::tls::{Authority, TlsClient};
use sandbar_tests::wait::{PATIENCE, found};
use tokio::net::{TcpStream, UdpSocket};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbar-node");

/// A command that opens a socket of this kind at each of these ports, waits for a client, and then runs the gateway with
/// them under these names.
fn activated(kind: Option<&str>, ports: &[u16], names: &str) -> Option<Command> {
    let mut activate = Command::new("systemd-socket-activate");
    if activate.arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: systemd-socket-activate is not installed");
        return None;
    }
    let mut activate = Command::new("systemd-socket-activate");
    activate.args(kind);
    for port in ports {
        activate.arg("--listen").arg(format!("127.0.0.1:{port}"));
    }
    activate.arg(format!("--fdname={names}")).arg("--setenv=NOTIFY_SOCKET").arg(PROGRAM);
    Some(activate)
}

fn serve(command: &mut Command, origin: &str, data: &Path, config: Option<&Path>) -> Process {
    command.args(["serve", "--origin", origin, "--l2", "none", "--data-dir"]).arg(data);
    command.args(config.map(|file| [Path::new("--config"), file]).into_iter().flatten());
    Process::new(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// A client whose first connection is accepted once the sockets are there.
async fn connect(port: u16) -> Client {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    found("the socket listens", async || TcpStream::connect(address).await.ok()).await;
    Client::new(address, "shop.test")
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_systemd_are_taken_instead_of_addresses_and_it_is_told_of_the_start_and_the_stop() {
    let (gateway, admin) = (free_port().unwrap(), free_port().unwrap());
    // In the other order than the program names them.
    let Some(mut command) = activated(None, &[admin, gateway], "admin:gateway") else { return };
    let origin = Origin::start(|_| Reply::ok("hello").field("cache-control", "max-age=60")).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let manager = ServiceManager::listen_in(dir.path()).unwrap();
    command.env("NOTIFY_SOCKET", manager.path());
    let mut process = serve(&mut command, &origin.url(), dir.path(), None);

    let mut client = connect(gateway).await;
    assert_eq!(client.get("/").await.unwrap().text(), "hello");
    assert_eq!(manager.told().unwrap(), "READY=1");
    assert_eq!(connect(admin).await.get("/readyz").await.unwrap().status, 200);
    process.signal(Signal::TERM).unwrap();
    assert_eq!(manager.told().unwrap(), "STOPPING=1");
    assert!(process.wait(PATIENCE).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_systemd_speaks_tls_where_its_name_says_so() {
    let port = free_port().unwrap();
    let Some(mut command) = activated(None, &[port], "gateway-tls") else { return };
    let authority = Authority::new().unwrap();
    let certificate = authority.issue("shop", &["shop.test"]).unwrap().table("gateway");
    let origin = Origin::start(|_| Reply::ok("hello")).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("sandbar.toml");
    let section = format!("[gateway.tls]\nlisten = \"127.0.0.1:1\"\nonly = true\n{certificate}");
    std::fs::write(&settings, format!("admin.enabled = false\n{section}")).unwrap();
    let _process = serve(&mut command, &origin.url(), dir.path(), Some(&settings));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    found("the socket listens", async || TcpStream::connect(address).await.ok()).await;
    let mut client = TlsClient::trusting(&authority).unwrap().connect(address, "shop.test").await.unwrap();
    assert_eq!(client.get("shop.test", "/").await.unwrap().text(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_nobody_would_answer_at_is_refused() {
    for (kind, name, part) in [
        (None, "http", "write FileDescriptorName=gateway"),
        (Some("--datagram"), "gateway", "it is no TCP socket that listens"),
        (None, "admin", "admin.enabled is false"),
        (None, "admin-tls", "admin.enabled is false"),
        (None, "gateway-tls", "there is no such section in the settings"),
    ] {
        let port = free_port().unwrap();
        let Some(mut command) = activated(kind, &[port], name) else { return };
        let dir = tempfile::tempdir().unwrap();
        let settings = dir.path().join("sandbar.toml");
        std::fs::write(&settings, "[admin]\nenabled = false\n[[tenant]]\norigin = \"http://127.0.0.1:1\"\n").unwrap();
        command.args(["serve", "--config"]).arg(&settings).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let mut process = Process::new(child);
        let ended = found("a client has it started, and it ends", async || {
            knock(kind, port).await;
            process.ended()
        });
        assert_eq!(ended.await.code(), Some(2));
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert!(said.contains(&format!("the socket {name:?} was handed over")) && said.contains(part), "{said}");
    }
}

/// Comes as a client; whether anybody is there yet does not matter.
async fn knock(kind: Option<&str>, port: u16) {
    if kind.is_none() {
        drop(TcpStream::connect(("127.0.0.1", port)).await);
    } else if let Ok(socket) = UdpSocket::bind("127.0.0.1:0").await {
        let _ = socket.send_to(b"hello", ("127.0.0.1", port)).await;
    }
}
