//! Behind origins that many people run: nginx, and python's `http.server`. Where one is not installed its tests are
//! skipped, and say so.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use http_body_util::BodyExt;
use sandbar_tests::gateway::{TestGateway, one_tenant};
use sandbar_tests::process::resident_bytes;
use sandbar_tests::wait::eventually;
use tempfile::TempDir;

const HOST: &str = "files.test";

/// A server on a directory of files. Dropping it ends it.
struct FileServer {
    child: Child,
    port: u16,
    files: PathBuf,
    _directory: TempDir,
}

impl Drop for FileServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl FileServer {
    async fn nginx() -> anyhow::Result<Option<Self>> {
        let Some(program) = find(&["nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"], "-v") else {
            eprintln!("SKIPPED: nginx is not installed");
            return Ok(None);
        };
        let directory = tempfile::tempdir()?;
        let (at, port) = (directory.path().to_owned(), free_port()?);
        std::fs::create_dir_all(at.join("files"))?;
        std::fs::write(at.join("nginx.conf"), nginx_conf(&at, port))?;
        let mut command = Command::new(program);
        command.arg("-p").arg(&at).arg("-c").arg(at.join("nginx.conf")).arg("-e").arg(at.join("error.log"));
        Self::start(command, port, directory).await.map(Some)
    }

    async fn python() -> anyhow::Result<Option<Self>> {
        let Some(program) = find(&["python3", "python"], "--version") else {
            eprintln!("SKIPPED: python is not installed");
            return Ok(None);
        };
        let (directory, port) = (tempfile::tempdir()?, free_port()?);
        let files = directory.path().join("files");
        std::fs::create_dir_all(&files)?;
        let mut command = Command::new(program);
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string(), "--directory"]).arg(files);
        Self::start(command, port, directory).await.map(Some)
    }

    async fn start(mut command: Command, port: u16, directory: TempDir) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Self { child, port, files: directory.path().join("files"), _directory: directory };
        eventually("the file server listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        Ok(server)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        std::fs::write(self.files.join(name), content).with_context(|| format!("writing {name}"))
    }
}

/// The first of these programs that runs.
fn find(programs: &[&'static str], version: &str) -> Option<&'static str> {
    let runs = |program: &&&str| {
        let mut command = Command::new(program);
        command.arg(version).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    programs.iter().find(runs).copied()
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn nginx_conf(at: &Path, port: u16) -> String {
    let at = at.display();
    // Where the test runs as root, the workers must stay root: nobody else can read the directory.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off; master_process on; worker_processes 1; {user} pid {at}/nginx.pid;
         events {{ worker_connections 128; }}
         http {{
           access_log off; default_type text/plain; keepalive_timeout 5s;
           client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3; uwsgi_temp_path {at}/t4;
           scgi_temp_path {at}/t5;
           gzip on; gzip_vary on; gzip_types text/plain; gzip_min_length 20; gzip_http_version 1.0; gzip_proxied any;
           server {{ listen 127.0.0.1:{port}; root {at}/files; add_header Cache-Control \"max-age=60\"; }}
         }}"
    )
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_and_head_are_answered_from_what_is_stored() -> anyhow::Result<()> {
    let Some(server) = FileServer::nginx().await? else { return Ok(()) };
    let content = pattern(100_000);
    server.write("file.bin", &content)?;
    let gateway = TestGateway::start(&one_tenant(&server.url(), "")).await?;
    let mut client = gateway.client(HOST);
    let whole = client.get("/file.bin").await?;
    assert_eq!((whole.status.as_u16(), whole.is_hit()), (200, false));
    assert_eq!(whole.body, content);

    let etag = whole.field("etag").context("nginx sends an ETag")?.to_owned();
    // What is asked for, the status, and the content that is right.
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a [u8]);
    let cases: [Case<'_>; 6] = [
        (&[("range", "bytes=0-99")], 206, &content[..100]),
        (&[("range", "bytes=99900-")], 206, &content[99_900..]),
        (&[("range", "bytes=-50")], 206, &content[99_950..]),
        (&[("range", "bytes=10-19"), ("if-range", &etag)], 206, &content[10..20]),
        (&[("range", "bytes=10-19"), ("if-range", "\"another\"")], 200, &content),
        (&[("range", "bytes=100000-")], 416, b""),
    ];
    for (fields, status, part) in cases {
        let answer = client.get_with("/file.bin", fields).await?;
        assert_eq!((answer.status.as_u16(), answer.is_hit()), (status, true), "{fields:?}: {:?}", answer.fields);
        if status != 416 {
            assert_eq!(answer.body, part, "{fields:?}");
        }
    }
    let head = client.send("HEAD", "/file.bin", &[], "").await?;
    assert_eq!((head.status.as_u16(), head.is_hit(), head.field("content-length")), (200, true, Some("100000")));
    assert!(head.body.is_empty());
    let unchanged = client.get_with("/file.bin", &[("if-none-match", &etag)]).await?;
    assert_eq!((unchanged.status.as_u16(), unchanged.is_hit()), (304, true));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gzip_and_identity_are_kept_apart() -> anyhow::Result<()> {
    let Some(server) = FileServer::nginx().await? else { return Ok(()) };
    let content = "a line that compresses well\n".repeat(500);
    server.write("text.txt", content.as_bytes())?;
    let gateway = TestGateway::start(&one_tenant(&server.url(), "")).await?;
    let mut client = gateway.client(HOST);
    for round in 0..2 {
        let zipped = client.get_with("/text.txt", &[("accept-encoding", "gzip")]).await?;
        assert_eq!((zipped.field("content-encoding"), zipped.is_hit()), (Some("gzip"), round == 1), "round {round}");
        assert!(zipped.body.starts_with(&[0x1f, 0x8b]), "it begins like gzip");
        let plain = client.get("/text.txt").await?;
        assert_eq!((plain.field("content-encoding"), plain.is_hit()), (None, round == 1), "round {round}");
        assert_eq!(plain.text(), content);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_without_lifetime_is_fresh_by_its_age_and_validated_on_demand_behind_python() -> anyhow::Result<()> {
    let Some(server) = FileServer::python().await? else { return Ok(()) };
    server.write("page.html", b"<p>first</p>")?;
    // Old enough for a heuristic lifetime (RFC 9111 section 4.2.2), which `no-cache` overrules.
    let page = std::fs::File::options().write(true).open(server.files.join("page.html"))?;
    page.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_500_000_000))?;
    let gateway = TestGateway::start(&one_tenant(&server.url(), "")).await?;
    let mut client = gateway.client(HOST);
    let first = client.get("/page.html").await?;
    assert_eq!((first.status.as_u16(), first.text().as_str()), (200, "<p>first</p>"));
    assert!(first.field("last-modified").is_some());
    let head = client.send("HEAD", "/page.html", &[], "").await?;
    assert_eq!((head.status.as_u16(), head.field("content-length")), (200, Some("12")));
    assert!(head.body.is_empty());
    assert!(client.get("/page.html").await?.is_hit());
    let again = client.get_with("/page.html", &[("cache-control", "no-cache")]).await?;
    assert_eq!((again.status.as_u16(), again.text().as_str()), (200, "<p>first</p>"));
    assert!(!again.is_hit(), "no-cache asks the origin: {}", again.cache_status().as_str());
    assert_eq!(client.get("/missing.html").await?.status.as_u16(), 404);
    let validated = gateway.tenant(sandbar_tests::gateway::TENANT).counters.values().origin_validated;
    assert_eq!(validated, 1, "python answered 304 to If-Modified-Since");
    Ok(())
}

/// Whether `data` is what stands at `at` where `block` is repeated for ever.
fn repeats(block: &[u8], at: usize, mut data: &[u8]) -> bool {
    let mut rest = &block[at % block.len()..];
    loop {
        let both = rest.len().min(data.len());
        if rest[..both] != data[..both] {
            return false;
        }
        data = &data[both..];
        rest = block;
        if data.is_empty() {
            return true;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_passes_in_constant_memory() -> anyhow::Result<()> {
    const FILE_BYTES: usize = 200_000_000;
    const GROWTH_BYTES_MAX: u64 = 48 << 20;
    let Some(server) = FileServer::nginx().await? else { return Ok(()) };
    let block = pattern(1_000_000);
    {
        let mut file = std::fs::File::create(server.files.join("large.bin"))?;
        for _ in 0..FILE_BYTES / block.len() {
            std::io::Write::write_all(&mut file, &block)?;
        }
    }
    let gateway = TestGateway::start(&one_tenant(&server.url(), "")).await?;
    let mut client = gateway.client(HOST);
    client.get("/missing").await?;
    let before = resident_bytes(std::process::id())?;
    let (mut most, mut read) = (before, 0);
    for _ in 0..2 {
        let mut body = client.open("GET", "/large.bin", &[], "").await?.into_body();
        let mut at = 0;
        while let Some(frame) = body.frame().await {
            let data = frame?.into_data().unwrap_or_default();
            assert!(repeats(&block, at, &data), "wrong bytes after {at}");
            at += data.len();
            most = most.max(resident_bytes(std::process::id())?);
        }
        read += at;
    }
    assert_eq!(read, 2 * FILE_BYTES);
    println!("{read} bytes passed; memory grew by {} KiB", (most - before) >> 10);
    assert!(most - before < GROWTH_BYTES_MAX, "memory grew by {} bytes", most - before);
    Ok(())
}
