//! TLS of the gateway over real sockets: which certificate is served, what may be asked on it, sessions, replaced
//! certificates, clients' certificates, headers of the PROXY protocol, and clients that mean no good.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod admin;
mod choice;
mod cost;
mod hostile;
mod openssl;
mod proxy;
mod reload;
mod sessions;

use std::net::SocketAddr;

use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::tls::{Authority, Files};

/// An origin whose responses are stored, and say which scheme and client it was told of.
async fn origin() -> Origin {
    Origin::start(|seen| {
        let told = |name: &str| seen.field(name).unwrap_or("nothing").to_owned();
        let said = format!("{} from {}", told("x-forwarded-proto"), told("x-forwarded-for"));
        Reply::ok(said).field("cache-control", "max-age=60")
    })
    .await
    .unwrap()
}

/// `[gateway.tls]` with these certificates; `more` goes into that table.
fn tls_section(more: &str, certificates: &[&Files]) -> String {
    let tables: Vec<_> = certificates.iter().map(|files| files.table("gateway")).collect();
    format!("[gateway.tls]\nlisten = \"127.0.0.1:0\"\n{more}\n{}", tables.concat())
}

/// Starts a gateway with `settings` (whole sections) and one tenant.
async fn gateway(origin: &Origin, settings: &str) -> TestGateway {
    TestGateway::start(&format!("{settings}\n{}", one_tenant(&origin.url(), ""))).await.unwrap()
}

fn tls_address(gateway: &TestGateway) -> SocketAddr {
    gateway.gateway().tls_addr().unwrap()
}

/// The value of a metric with these labels.
async fn metric(gateway: &TestGateway, line: &str) -> u64 {
    let text = gateway.operator().get("/metrics").await.unwrap().text();
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{line}: {text}")).parse::<f64>().unwrap() as u64
}

/// An authority, and one certificate for `shop.test` of it.
fn shop() -> (Authority, Files) {
    let authority = Authority::new().unwrap();
    let files = authority.issue("shop", &["shop.test", "*.shop.test", "127.0.0.1"]).unwrap();
    (authority, files)
}
