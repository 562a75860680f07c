//! The process is killed at random moments while writes come, and its origin fails one request in ten: after all restarts the
//! origin has every write that was acknowledged, in the order of its key, and none twice in effect.

use std::collections::{BTreeMap, HashSet};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::Signal;
use sandbar_tests::client::Client;
use sandbar_tests::origin::{Origin, Reply, Seen};
use sandbar_tests::ports::free_port;
use sandbar_tests::process::Process;
use sandbar_tests::wait::eventually;

const KEYS: u64 = 40;
const WRITERS: u64 = 4;

/// What the origin has: of each key the numbers of the writes in their order, each once.
#[derive(Default)]
struct Ledger {
    taken: Mutex<BTreeMap<String, Vec<u64>>>,
    keys_seen: Mutex<HashSet<String>>,
    /// Writes whose idempotency key was new although an earlier delivery had it under another one.
    draws: AtomicU64,
}

impl Ledger {
    fn answer(&self, seen: &Seen) -> Reply {
        // One request in ten fails, before or after it took effect.
        let draw = self.draws.fetch_add(0x9e37_79b9, Ordering::SeqCst).wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        if draw.is_multiple_of(20) {
            return Reply::status(503);
        }
        let key = seen.field("idempotency-key").unwrap_or_default().to_owned();
        if self.keys_seen.lock().insert(key) {
            let number = String::from_utf8_lossy(&seen.body.clone().unwrap_or_default()).parse().unwrap_or(u64::MAX);
            self.taken.lock().entry(seen.path().to_owned()).or_default().push(number);
        }
        if draw % 20 == 1 { Reply::none() } else { Reply::status(204) }
    }
}

struct Node {
    process: Process,
}

impl Node {
    fn start(dir: &std::path::Path, ports: [u16; 2], origin: &str) -> anyhow::Result<Self> {
        let config = dir.join("sandbar.toml");
        std::fs::write(
            &config,
            format!(
                "data_dir = {:?}\n[gateway]\nlisten = \"127.0.0.1:{}\"\n[admin]\nlisten = \"127.0.0.1:{}\"\n[l2]\nkind = \"none\"\n\
                 [journal]\nretry_first = \"1ms\"\nretry_max = \"20ms\"\n\
                 [[tenant]]\nname = \"default\"\nhosts = [\"*\"]\norigin = \"{origin}\"\n\
                 [tenant.protect.breaker]\nenabled = false\n\
                 [[tenant.class]]\nname = \"s\"\npath = \"/s/**\"\nstrategy = \"write-behind\"\nabsorb = false\n",
                dir.join("data"),
                ports[0],
                ports[1]
            ),
        )?;
        let program = std::env::current_exe()?.parent().unwrap().parent().unwrap().join("sandbar-node");
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(&config).stdout(Stdio::null());
        command.stderr(std::fs::File::create(dir.join("log"))?);
        Ok(Self { process: Process::new(command.spawn()?) })
    }

    async fn kill(mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(Duration::from_secs(30)).await?;
        Ok(())
    }
}

async fn rounds(rounds: u64, writes_per_round: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let ledger = Arc::new(Ledger::default());
    let answering = Arc::clone(&ledger);
    let origin = Origin::start(move |seen| answering.answer(seen)).await?;
    let ports = [free_port()?, free_port()?];
    let acknowledged: Arc<Mutex<BTreeMap<String, Vec<u64>>>> = Arc::default();
    let (number, total) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for round in 0..rounds {
        let node = Node::start(dir.path(), ports, &origin.url())?;
        eventually("the node answers", async || {
            Client::new(([127, 0, 0, 1], ports[1]).into(), "a")
                .get("/readyz")
                .await
                .is_ok_and(|answer| answer.status == 200)
        })
        .await;
        let (over, before) = (Arc::new(AtomicBool::new(false)), total.load(Ordering::SeqCst));
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let (over, acknowledged) = (Arc::clone(&over), Arc::clone(&acknowledged));
            let (number, total) = (Arc::clone(&number), Arc::clone(&total));
            writers.spawn(async move {
                let mut client = Client::new(([127, 0, 0, 1], ports[0]).into(), "shop.test");
                for n in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    // Each writer has keys of its own, so that their order is known.
                    let path = format!("/s/{}", (n % (KEYS / WRITERS)) * WRITERS + writer);
                    let written = number.fetch_add(1, Ordering::SeqCst);
                    match client.send("PUT", &path, &[], written.to_string()).await {
                        Ok(answer) if answer.status == 202 => {
                            acknowledged.lock().entry(path).or_default().push(written);
                            total.fetch_add(1, Ordering::SeqCst);
                        }
                        _ => client.hang_up(),
                    }
                }
            });
        }
        // At a moment that the disk does not know.
        let until = before + writes_per_round / 2 + round * 7919 % writes_per_round;
        eventually("writes come", async || total.load(Ordering::SeqCst) >= until).await;
        node.kill().await?;
        over.store(true, Ordering::SeqCst);
        writers.join_all().await;
    }
    let node = Node::start(dir.path(), ports, &origin.url())?;
    eventually("the origin has every write that was acknowledged", async || {
        let taken = ledger.taken.lock();
        acknowledged.lock().iter().all(|(path, numbers)| {
            taken.get(path).is_some_and(|taken| numbers.iter().all(|number| taken.binary_search(number).is_ok()))
        })
    })
    .await;
    for (path, taken) in &*ledger.taken.lock() {
        assert!(taken.is_sorted_by(|a, b| a < b), "{path} has them in another order, or one twice: {taken:?}");
    }
    println!("{} writes acknowledged over {rounds} kills, none lost", total.load(Ordering::SeqCst));
    node.kill().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_the_process_is_killed() -> anyhow::Result<()> {
    rounds(4, 200).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "100,000 writes and 50 kills"]
async fn no_acknowledged_write_is_lost_over_fifty_kills() -> anyhow::Result<()> {
    rounds(50, 2000).await
}
