//! The admin API over TLS, with certificates of its clients.

use std::process::Output;

use rustls::version::{TLS12, TLS13};
use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::Origin;
use sandbar_tests::tls::{Authority, Files, TlsClient};
use tokio::process::Command;

use super::{gateway, origin};

/// A gateway whose admin API asks for certificates of `authority`; `more` goes into `[admin]`.
async fn served(origin: &Origin, authority: &Authority, files: &Files, more: &str) -> TestGateway {
    let (ca, table) = (authority.file(), files.table("admin"));
    let section = format!("[admin]\n{more}\n[admin.tls]\nlisten = \"127.0.0.1:0\"\nclient_ca_file = {ca:?}\n{table}");
    gateway(origin, &section).await
}

#[tokio::test]
async fn operators_need_a_certificate_of_the_authority() {
    let (authority, strangers) = (Authority::new().unwrap(), Authority::new().unwrap());
    let files = authority.issue("admin", &["admin.test"]).unwrap();
    let operator = authority.issue_client("operator").unwrap();
    let stranger = strangers.issue_client("stranger").unwrap();
    let origin = origin().await;
    let gateway = served(&origin, &authority, &files, "").await;
    let address = gateway.gateway().admin_tls_addr().unwrap();
    for version in [&TLS12, &TLS13] {
        let client = |own| TlsClient::with(&authority, version, own).unwrap();
        let mut connection = client(Some(&operator)).connect(address, "admin.test").await.unwrap();
        // No token is set, and the host is none of this machine: the certificate stands for both.
        let answer = connection.get("admin.test", "/tenants").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(connection.get("admin.test", "/healthz").await.unwrap().status, 200);
        for own in [None, Some(&stranger), Some(&files)] {
            // With TLS 1.3 the client learns of it after its own part of the handshake.
            let answer =
                async { client(own).connect(address, "admin.test").await?.get("admin.test", "/healthz").await };
            assert!(answer.await.is_err(), "{version:?}: {own:?}");
        }
        let again = client(Some(&operator)).connect(address, "admin.test").await.unwrap();
        assert!(!again.is_resumed, "each connection shows its certificate");
    }
}

#[tokio::test]
async fn connections_of_authorities_that_are_taken_away_end_and_answer_nothing_new() {
    let (authority, others) = (Authority::new().unwrap(), Authority::new().unwrap());
    let files = authority.issue("admin", &["admin.test"]).unwrap();
    let (operator, other) = (authority.issue_client("operator").unwrap(), others.issue_client("other").unwrap());
    let origin = origin().await;
    let settings = |ca: &Authority, more: &str| {
        let (ca, table) = (ca.file(), files.table("admin"));
        let section = format!("[admin.tls]\nlisten = \"127.0.0.1:0\"\nclient_ca_file = {ca:?}\n{table}");
        format!("{more}{section}\n{}", one_tenant(&origin.url(), ""))
    };
    let gateway = TestGateway::start(&settings(&authority, "")).await.unwrap();
    let address = gateway.gateway().admin_tls_addr().unwrap();
    let client = |own| TlsClient::with(&authority, &TLS13, Some(own)).unwrap();
    let connect = async |own| client(own).connect(address, "admin.test").await.unwrap();
    let (mut asked, mut fresh, h2) =
        (connect(&operator).await, connect(&operator).await, client(&operator).offering(&["h2"]));
    let mut h2 = h2.connect(address, "admin.test").await.unwrap();
    for connection in [&mut asked, &mut h2] {
        assert_eq!(connection.get("admin.test", "/tenants").await.unwrap().status, 200);
    }

    gateway.reload(&settings(&authority, "limits.head_max = \"8KiB\"\n")).await.unwrap();
    assert_eq!(asked.get("admin.test", "/tenants").await.unwrap().status, 200, "the authorities are the same");

    let reloaded = gateway.reload(&settings(&others, "")).await.unwrap();
    assert!(reloaded.certificates.iter().any(|said| said.contains("other authorities")), "{reloaded}");
    for connection in [&mut asked, &mut fresh, &mut h2] {
        // Closed, or told to open another one where the request was on its way.
        let answer = connection.get("admin.test", "/tenants").await;
        assert!(answer.as_ref().map_or(true, |answer| answer.status == 421), "{answer:?}");
        assert!(connection.get("admin.test", "/healthz").await.is_err(), "it has ended");
    }
    assert_eq!(connect(&other).await.get("admin.test", "/tenants").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_token_is_wanted_beside_the_certificate_where_one_is_set() {
    let authority = Authority::new().unwrap();
    let files = authority.issue("admin", &["admin.test"]).unwrap();
    let operator = authority.issue_client("operator").unwrap();
    let origin = origin().await;
    let gateway = served(&origin, &authority, &files, "token = \"sesame\"").await;
    let address = gateway.gateway().admin_tls_addr().unwrap();
    let client = TlsClient::with(&authority, &TLS13, Some(&operator)).unwrap();
    let mut connection = client.connect(address, "admin.test").await.unwrap();
    assert_eq!(connection.get("admin.test", "/tenants").await.unwrap().status, 401);
    assert_eq!(connection.get("admin.test", "/healthz").await.unwrap().status, 200);
}

/// Runs `sandbar policy list` against the admin API at this URL.
async fn list(url: &str, arguments: &[&std::ffi::OsStr], variables: &[(&str, &std::ffi::OsStr)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar-node"));
    command.args(["policy", "list", "--admin", url]).args(arguments).envs(variables.iter().copied());
    command.output().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_speaks_to_it() {
    let authority = Authority::new().unwrap();
    let files = authority.issue("admin", &["localhost", "127.0.0.1"]).unwrap();
    let operator = authority.issue_client("operator").unwrap();
    let origin = origin().await;
    let gateway = served(&origin, &authority, &files, "").await;
    let url = format!("https://{}", gateway.gateway().admin_tls_addr().unwrap());
    let (ca, cert, key) = (authority.file(), operator.cert.clone(), operator.key.clone());
    let flags = ["--ca-file".as_ref(), ca.as_os_str(), "--cert-file".as_ref(), cert.as_os_str(), "--key-file".as_ref()];
    let flags = [&flags[..], &[key.as_os_str()]].concat();
    let told = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();

    let output = list(&url, &flags, &[]).await;
    assert!(output.status.success(), "{}", told(&output));
    let variables = [
        ("SANDBAR_ADMIN_CA_FILE", ca.as_os_str()),
        ("SANDBAR_ADMIN_CERT_FILE", cert.as_os_str()),
        ("SANDBAR_ADMIN_KEY_FILE", key.as_os_str()),
    ];
    let output = list(&url, &[], &variables).await;
    assert!(output.status.success(), "{}", told(&output));

    let output = list(&url, &flags[..2], &[]).await;
    assert!(!output.status.success(), "no certificate of the client");
    let output = list(&url, &[], &[]).await;
    assert!(!output.status.success() && told(&output).contains("UnknownIssuer"), "{}", told(&output));
    let output = list(&url, &flags[..4], &[]).await;
    assert!(output.status.code() == Some(2) && told(&output).contains("--key-file"), "{}", told(&output));
    let output = list(&url, &[&flags[..5], &[ca.as_os_str()]].concat(), &[]).await;
    let wrong_key = told(&output);
    assert!(
        !output.status.success() && wrong_key.contains("ca.pem") && wrong_key.contains("private key"),
        "{wrong_key}"
    );
}
