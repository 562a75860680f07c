//! A disk that takes no more, a file system of its own so that it is a real one: no request fails, the operator is told what
//! is the matter and what to do, and all is well again as soon as there is room.

use std::path::{Path, PathBuf};
use std::process::Command;

use sandbar_gateway::Gateway;
use sandbar_tests::client::Client;
use sandbar_tests::gateway::{config, one_tenant_over};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::wait::eventually;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A small file system in memory, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// None where this user may not mount anything.
    fn small(dir: &Path) -> Option<Self> {
        std::fs::create_dir_all(dir).ok()?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(dir).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir.to_owned()));
        }
        eprintln!("SKIPPED: this user may not mount a file system, so no full disk was tried");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What no compression makes smaller: the high bits of a linear congruential generator.
fn noise(seed: u64) -> Vec<u8> {
    let next =
        |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(seed), next).skip(1).take(200_000).map(|state| (state >> 56) as u8).collect()
}

async fn start(data_dir: PathBuf, dir: &TempDir, origin: &Origin) -> anyhow::Result<Gateway> {
    let disk = "[l2]\nkind = \"disk\"\n[l2.disk]\ncapacity = \"64MiB\"\n";
    let mut config = config(&one_tenant_over(disk, &origin.url(), "l1 = \"2MiB\""), dir)?;
    config.data_dir = data_dir;
    Ok(sandbar_gateway::start(config).await?)
}

fn admin(gateway: &Gateway) -> Client {
    Client::new(gateway.admin_addr().expect("an admin listener"), "localhost")
}

async fn advice(gateway: &Gateway) -> anyhow::Result<String> {
    let stats: Value = serde_json::from_slice(&admin(gateway).get("/stats").await?.body)?;
    Ok(stats["advice"].to_string())
}

async fn refused(gateway: &Gateway, what: &str, reason: &str) -> anyhow::Result<bool> {
    let labels = format!("what=\"{what}\",reason=\"{reason}\"");
    let text = admin(gateway).get("/metrics").await?.text();
    let mut lines = text.lines().filter(|line| line.starts_with("sandbar_disk_writes_refused_total{"));
    Ok(lines.any(|line| line.contains(&labels)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_is_told_with_what_to_do() -> anyhow::Result<()> {
    let dir = TempDir::new()?;
    let Some(disk) = Mounted::small(&dir.path().join("disk")) else { return Ok(()) };
    let origin = Origin::start(|seen| Reply::ok(noise(seen.number)).field("cache-control", "max-age=3600")).await?;
    let gateway = start(disk.0.join("data"), &dir, &origin).await?;
    let mut client = Client::new(gateway.listen_addr(), "shop.test");
    for number in 0..120 {
        assert_eq!(client.get(&format!("/{number}")).await?.status, 200);
    }
    eventually("the advice names it", async || {
        advice(&gateway).await.is_ok_and(|said| {
            said.contains("stored responses can't be written")
                && said.contains("they are kept in memory alone; free some room")
        })
    })
    .await;
    assert!(refused(&gateway, "stored responses", "no-space").await?);

    // What else is on the file system takes the rest of it.
    let filler = disk.0.join("filler");
    let _ = std::fs::write(&filler, vec![1_u8; 12 << 20]);
    let purge =
        |number: u32| json!({ "scope": "prefix", "prefix": format!("/{number}/{}", "x".repeat(3000)) }).to_string();
    let mut status = 200;
    for number in 0..200 {
        let path = "/tenants/default/purge";
        status = admin(&gateway)
            .send("POST", path, &[("content-type", "application/json")], purge(number))
            .await?
            .status
            .as_u16();
        if status != 200 {
            break;
        }
    }
    assert_eq!(status, 202, "it holds here, and is not recorded");
    assert!(advice(&gateway).await?.contains("purges can't be written"), "{}", advice(&gateway).await?);
    assert!(refused(&gateway, "purges", "no-space").await? || refused(&gateway, "purges", "other").await?);
    let bind = admin(&gateway)
        .send(
            "PUT",
            "/tenants/default/policies/eviction",
            &[("content-type", "application/json")],
            r#"{"stock":"lru"}"#,
        )
        .await?;
    if bind.status != 200 {
        assert_eq!(bind.status, 500, "{}", bind.text());
        assert!(advice(&gateway).await?.contains("bound policies can't be written"));
    }

    std::fs::remove_file(&filler)?;
    eventually("purges are recorded without a restart", async || gateway.cache().purges_pending() == 0).await;
    gateway.shutdown(std::time::Duration::from_secs(5)).await;
    Ok(())
}
