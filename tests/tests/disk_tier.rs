//! The embedded L2 from outside: its bound as `du` sees it, restarts, kills, damage, and two processes on one directory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sandbar::barrier::{Purge, PurgeMode, Scope};
use sandbar::clock::{Clock, ManualClock, SystemClock, Timestamp};
use sandbar::tier::BarrierStore;
use sandbar::tier::Tier;
use sandbar::tier::disk::{DiskConfig, DiskTier};
use sandbar_tests::entries::{body, body_of, entry, key};

const MIB: u64 = 1 << 20;
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

/// No deadline that a machine with other things to do would miss.
fn config(dir: &Path, capacity_bytes: u64) -> DiskConfig {
    DiskConfig { read_deadline: HOUR, ..DiskConfig::new(dir, capacity_bytes) }
}

fn open(dir: &Path, capacity_bytes: u64) -> anyhow::Result<Arc<DiskTier>> {
    Ok(DiskTier::open(&config(dir, capacity_bytes), Arc::new(ManualClock::starting_at(NOW)))?)
}

fn du(dir: &Path) -> anyhow::Result<u64> {
    let output = Command::new("du").args(["-s", "-B1"]).arg(dir).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
}

async fn put(tier: &DiskTier, n: u64, bytes: usize) -> anyhow::Result<()> {
    let key = key("shop", n);
    Ok(tier.put(&key, entry(&key, body(n, bytes), 0, NOW), NOW.saturating_add(HOUR)).await?)
}

async fn has(tier: &DiskTier, n: u64, bytes: usize) -> anyhow::Result<bool> {
    let found = tier.get(&[key("shop", n)]).await?.remove(0);
    let found = body_of(found.as_ref());
    assert!(found.is_none_or(|found| found == body(n, bytes)), "entry {n} has a wrong body");
    Ok(found.is_some())
}

fn product(n: u64) -> Purge {
    Purge { scope: Scope::SurrogateKey(format!("product-{n}")), mode: PurgeMode::Hard }
}

#[tokio::test]
async fn du_stays_within_the_bound_after_ten_times_as_much() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let capacity_bytes = 16 * MIB;
    let tier = open(dir.path(), capacity_bytes)?;
    let (mut written, mut n, mut most) = (0, 0, 0);
    while written < 10 * capacity_bytes {
        let bytes = 200 + usize::try_from(n * 7919 % 60_000)?;
        put(&tier, n, bytes).await?;
        if n % 40 == 0 {
            tier.raise("shop", &product(n), 0, NOW).await?;
            most = most.max(du(dir.path())?);
        }
        written += bytes as u64;
        n += 1;
    }
    most = most.max(du(dir.path())?);
    println!("capacity {capacity_bytes}, written {written}, most on disk {most}, at the end {}", du(dir.path())?);
    assert!(most <= capacity_bytes, "{most} bytes on disk");
    assert!(most > capacity_bytes * 3 / 4, "the room is used");
    let health = tier.health();
    assert_eq!((health.errors, health.unreadable), (0, 0), "{health:?}");
    assert!(health.stored_bytes.is_some_and(|bytes| bytes <= most));
    Ok(())
}

#[tokio::test]
async fn entries_purges_and_removals_survive_a_restart() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let tier = open(dir.path(), 16 * MIB)?;
    for n in 0..50 {
        put(&tier, n, 10_000).await?;
    }
    tier.remove(&key("shop", 7)).await?;
    assert_eq!(tier.raise("shop", &product(1), 4, NOW).await?.sequence, 5);
    drop(tier);

    let tier = open(dir.path(), 16 * MIB)?;
    for n in 0..50 {
        assert_eq!(has(&tier, n, 10_000).await?, n != 7, "entry {n}");
    }
    let found = tier.get_with_sequence("shop", &[key("shop", 1), key("shop", 99)]).await?;
    assert_eq!((found.entries[0].is_some(), found.entries[1].is_some(), found.sequence), (true, false, Some(5)));
    let raised = tier.raised_since("shop", 4).await?;
    assert_eq!((raised.len(), &raised[0].purge, raised[0].sequence), (1, &product(1), 5));
    assert_eq!(tier.raise("shop", &product(2), 0, NOW).await?.sequence, 6, "a sequence is not used twice");
    Ok(())
}

#[tokio::test]
async fn entry_is_not_answered_past_its_time_nor_kept_past_the_longest() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::starting_at(NOW));
    let config = DiskConfig { lifetime_max: 2 * HOUR, ..config(dir.path(), 16 * MIB) };
    let tier = DiskTier::open(&config, Arc::clone(&clock) as Arc<dyn Clock>)?;
    let (short, long) = (key("shop", 1), key("shop", 2));
    tier.put(&short, entry(&short, body(1, 10), 0, NOW), NOW.saturating_add(HOUR)).await?;
    tier.put(&long, entry(&long, body(2, 10), 0, NOW), NOW.saturating_add(1000 * HOUR)).await?;
    clock.advance(HOUR);
    assert!(!has(&tier, 1, 10).await? && has(&tier, 2, 10).await?);
    clock.advance(HOUR);
    assert!(!has(&tier, 2, 10).await?);
    Ok(())
}

#[tokio::test]
async fn second_process_gets_a_clear_error() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let tier = open(dir.path(), 16 * MIB)?;
    let error = open(dir.path(), 16 * MIB).expect_err("the directory is taken").to_string();
    assert!(error.contains("in use by another process"), "{error}");
    drop(tier);
    open(dir.path(), 16 * MIB)?;
    Ok(())
}

#[tokio::test]
async fn damaged_entry_is_a_miss_and_counted() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let tier = open(dir.path(), 16 * MIB)?;
    put(&tier, 1, 5000).await?;
    let segment = dir.path().join(format!("{:016x}.seg", 0));
    let mut bytes = std::fs::read(&segment)?;
    bytes[3000] ^= 1;
    std::fs::write(&segment, bytes)?;
    assert!(!has(&tier, 1, 5000).await?);
    assert_eq!(tier.health().unreadable, 1);
    put(&tier, 1, 5000).await?;
    assert!(has(&tier, 1, 5000).await?, "it can be stored again");
    Ok(())
}

#[tokio::test]
async fn without_its_purge_records_no_entry_is_trusted() -> anyhow::Result<()> {
    for damage in [Some(&b"not a database"[..]), None] {
        let dir = tempfile::tempdir()?;
        let tier = open(dir.path(), 16 * MIB)?;
        put(&tier, 1, 100).await?;
        tier.raise("shop", &product(1), 0, NOW).await?;
        drop(tier);
        let barriers = dir.path().join("barriers.redb");
        match damage {
            Some(bytes) => std::fs::write(&barriers, bytes)?,
            None => std::fs::remove_file(&barriers)?,
        }
        let tier = open(dir.path(), 16 * MIB)?;
        assert!(!has(&tier, 1, 100).await?, "nobody knows whether it was purged");
        put(&tier, 1, 100).await?;
        assert_eq!(tier.raise("shop", &product(1), 0, NOW).await?.sequence, 1);
    }
    Ok(())
}

#[tokio::test]
async fn full_queue_drops_puts_and_counts_them() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let config = DiskConfig { queue_len: 2, queue_bytes: 200_000, ..config(dir.path(), 16 * MIB) };
    let tier = DiskTier::open(&config, Arc::new(ManualClock::starting_at(NOW)))?;
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let (tier, key) = (Arc::clone(&tier), key("shop", n));
            let entry = entry(&key, body(n, 100_000), 0, NOW);
            tokio::spawn(async move { tier.put(&key, entry, NOW.saturating_add(HOUR)).await.is_ok() })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        stored += u64::from(task.await?);
    }
    assert!(stored > 0 && tier.dropped_puts() > 0, "{stored} stored, {} dropped", tier.dropped_puts());
    assert_eq!(stored + tier.dropped_puts(), 200);
    Ok(())
}

/// A process that stores until it is killed. Run by [`kill_loses_nothing_that_was_acknowledged`] alone.
#[tokio::test]
#[ignore = "it is the process that another test kills"]
async fn process_to_be_killed() -> anyhow::Result<()> {
    let Some(dir) = std::env::var_os("DISK_TIER_DIR") else { return Ok(()) };
    let tier = DiskTier::open(&config(Path::new(&dir), 64 * MIB), Arc::new(SystemClock))?;
    for n in 0.. {
        let (key, now) = (key("shop", n), SystemClock.now());
        tier.put(&key, entry(&key, body(n, 20_000), 0, now), now.saturating_add(HOUR)).await?;
        if n % 20 == 0 {
            tier.raise("shop", &product(n), 0, now).await?;
        }
        println!("stored {n}");
    }
    Ok(())
}

#[tokio::test]
async fn kill_loses_nothing_that_was_acknowledged() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--exact", "process_to_be_killed", "--ignored", "--nocapture"])
            .env("DISK_TIER_DIR", dir.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut acknowledged = 0;
        for line in output.lines() {
            if let Some(n) = line?.strip_prefix("stored ") {
                acknowledged = n.parse()?;
            }
            if acknowledged >= 200 + 61 * round {
                break;
            }
        }
        child.kill()?;
        child.wait()?;
        let tier = DiskTier::open(&config(dir.path(), 64 * MIB), Arc::new(SystemClock))?;
        for n in 0..=acknowledged {
            assert!(has(&tier, n, 20_000).await?, "round {round}: entry {n} of {acknowledged} is lost");
        }
        let raised = tier.raised_since("shop", 0).await?;
        assert!(raised.iter().any(|barrier| barrier.purge == product(acknowledged / 20 * 20)), "a purge is lost");
        assert_eq!(tier.health().unreadable, 0);
    }
    Ok(())
}
