//! What TLS costs a hit of 1 KiB, and what a handshake costs, in processor time of the server: beside nginx, with the same
//! certificate, version and cipher, in the same run. The servers take turns, so that what disturbs the machine disturbs both;
//! medians of the rounds are told, with the least and the most. Run alone:
//! `cargo test --profile bench --workspace --test tls cost -- --ignored --nocapture`

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use rustls::version::TLS13;
use sandbar_tests::client::Client;
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::ports::free_port;
use sandbar_tests::process::Process;
use sandbar_tests::tls::{Files, TlsClient};
use sandbar_tests::wait::eventually;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::shop;

const HOST: &str = "shop.test";
const TARGET: &str = "/1024";
const CONNECTIONS: u64 = 8;
const ROUNDS: usize = 9;
const HITS: u64 = 20_000;
const HANDSHAKES: u64 = 1_000;

/// A server with one port without TLS and one with it.
struct Server {
    name: &'static str,
    process: Process,
    plain: SocketAddr,
    tls: SocketAddr,
    _dir: TempDir,
}

impl Server {
    async fn start(name: &'static str, mut command: Command, ports: [u16; 2], dir: TempDir) -> Self {
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let [plain, tls] = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        eventually("it listens", async || tokio::net::TcpStream::connect(tls).await.is_ok()).await;
        Self { name, process: Process::new(process), plain, tls, _dir: dir }
    }

    async fn sandbar(origin: &Origin, files: &Files) -> Self {
        let (dir, ports) = (TempDir::new().unwrap(), [free_port().unwrap(), free_port().unwrap()]);
        let text = format!(
            "data_dir = {:?}\n[gateway]\nlisten = \"127.0.0.1:{}\"\n[admin]\nenabled = false\n[l2]\nkind = \
             \"none\"\n[gateway.tls]\nlisten = \"127.0.0.1:{}\"\n{}[[tenant]]\norigin = \"{}\"\n",
            dir.path().join("data"),
            ports[0],
            ports[1],
            files.table("gateway"),
            origin.url()
        );
        let config = dir.path().join("sandbar.toml");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar-node"));
        command.arg("serve").arg("--config").arg(config);
        Self::start("sandbar", command, ports, dir).await
    }

    /// nginx in one process, with the response in its cache; none where it is not installed.
    async fn nginx(origin: &Origin, files: &Files) -> Option<Self> {
        let program =
            ["nginx", "/usr/sbin/nginx"].into_iter().find(|program| Command::new(program).arg("-v").output().is_ok());
        let Some(program) = program else {
            eprintln!("SKIPPED: nginx is not installed");
            return None;
        };
        let (dir, ports) = (TempDir::new().unwrap(), [free_port().unwrap(), free_port().unwrap()]);
        let (at, Files { cert, key }) = (dir.path().display(), files);
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid {at}/pid; events {{ worker_connections 512; }}
             http {{
               access_log off; default_type text/plain; keepalive_requests 1000000; keepalive_timeout 60s;
               client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;
               uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;
               proxy_cache_path {at}/cache keys_zone=one:10m; open_file_cache max=100;
               ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m;
               server {{
                 listen 127.0.0.1:{}; listen 127.0.0.1:{} ssl;
                 location / {{ proxy_pass {}; proxy_cache one; }}
               }}
             }}",
            cert.display(),
            key.display(),
            ports[0],
            ports[1],
            origin.url()
        );
        std::fs::write(dir.path().join("nginx.conf"), text).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(dir.path()).arg("-c").arg(dir.path().join("nginx.conf"));
        command.arg("-e").arg(dir.path().join("error.log"));
        Some(Self::start("nginx", command, ports, dir).await)
    }

    /// Processor time so far, in microseconds; the kernel counts in hundredths of a second.
    fn cpu_us(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
        (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10_000
    }

    /// Processor time that each of `count` things took that `work` has done, in microseconds, and how many were done in
    /// a second.
    async fn costs(&self, count: u64, work: impl Future<Output = ()>) -> Cost {
        let (before, began) = (self.cpu_us(), tokio::time::Instant::now());
        work.await;
        let each_us = (self.cpu_us() - before) as f64 / count as f64;
        Cost { each_us, per_second: count as f64 / began.elapsed().as_secs_f64() }
    }

    async fn plain_hits(&self) {
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let mut client = Client::new(self.plain, HOST);
            clients.spawn(async move {
                for _ in 0..HITS / CONNECTIONS {
                    assert_eq!(client.get(TARGET).await.unwrap().body.len(), 1024);
                }
            });
        }
        clients.join_all().await;
    }

    async fn tls_hits(&self, client: &TlsClient) {
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let mut connection = client.connect(self.tls, HOST).await.unwrap();
            assert_eq!(connection.cipher, "TLS13_AES_256_GCM_SHA384");
            clients.spawn(async move {
                for _ in 0..HITS / CONNECTIONS {
                    assert_eq!(connection.get(HOST, TARGET).await.unwrap().body.len(), 1024);
                }
            });
        }
        clients.join_all().await;
    }

    /// Handshakes, each with a hit; the client's tickets come with that.
    async fn handshakes(&self, client: &TlsClient, resumed: bool) {
        for _ in 0..HANDSHAKES {
            let mut connection = client.connect(self.tls, HOST).await.unwrap();
            assert_eq!(connection.is_resumed, resumed);
            connection.get(HOST, TARGET).await.unwrap();
        }
    }

    /// One round: the cost of each of [`WHAT`].
    async fn round(&self, client: &TlsClient) -> [Cost; 4] {
        let full = client.forgetful();
        [
            self.costs(HITS, self.plain_hits()).await,
            self.costs(HITS, self.tls_hits(client)).await,
            self.costs(HANDSHAKES, self.handshakes(&full, false)).await,
            self.costs(HANDSHAKES, self.handshakes(client, true)).await,
        ]
    }
}

const WHAT: [&str; 4] = ["plain hits", "TLS hits", "full handshake, hit", "resumed handshake, hit"];

/// What one of several things has cost.
#[derive(Clone, Copy)]
struct Cost {
    each_us: f64,
    per_second: f64,
}

/// The median, the least and the most.
fn spread(values: impl IntoIterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    [values[values.len() / 2], values[0], values[values.len() - 1]]
}

fn factor(round: &[Cost; 4]) -> f64 {
    round[1].each_us / round[0].each_us
}

fn tell(name: &str, rounds: &[[Cost; 4]]) {
    for (index, what) in WHAT.iter().enumerate() {
        let [median, least, most] = spread(rounds.iter().map(|round| round[index].each_us));
        let [per_second, ..] = spread(rounds.iter().map(|round| round[index].per_second));
        eprintln!(
            "{name:8} {what:22} {median:6.1} µs ({least:.1} to {most:.1}) of processor, {per_second:.0} a second"
        );
    }
    let [median, least, most] = spread(rounds.iter().map(factor));
    eprintln!("{name:8} TLS costs {median:.2} times what is without it ({least:.2} to {most:.2})");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: hits and handshakes over TLS, beside nginx"]
async fn cost_of_tls_beside_nginx() {
    let (authority, files) = shop();
    let origin = Origin::start(|_| Reply::ok(vec![b'x'; 1024]).field("cache-control", "max-age=86400")).await.unwrap();
    let own = Server::sandbar(&origin, &files).await;
    let Some(nginx) = Server::nginx(&origin, &files).await else { return };
    // A client of each, as tickets are of one server.
    let clients = [(); 2].map(|()| TlsClient::with(&authority, &TLS13, None).unwrap());
    let (mut owns, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (one, other) = (own.round(&clients[0]).await, nginx.round(&clients[1]).await);
        // The first round warms up.
        if round > 0 {
            owns.push(one);
            theirs.push(other);
        }
    }
    tell(own.name, &owns);
    tell(nginx.name, &theirs);
    let ratios = owns.iter().zip(&theirs).map(|(one, other)| factor(one) / factor(other));
    let [median, least, most] = spread(ratios);
    eprintln!("ratio of the two factors: {median:.2} ({least:.2} to {most:.2})");
}
