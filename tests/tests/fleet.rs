//! The fleet's bus and leases against a real Redis, with nodes that are cut off, servers that forget, and processes
//! that stand still.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use redis::Commands;
use rustix::process::{Pid, Signal, kill_process};
use sandbar::barrier::{Barrier, Purge, PurgeMode, Scope};
use sandbar::clock::{Clock, SystemClock};
use sandbar::fleet::{Attempt, Fleet, FleetConfig, Lease, Listener, Lost, Partition, Woken};
use sandbar::http::key::CacheKey;
use sandbar::tier::redis::{RedisConfig, RedisTier};
use sandbar::tier::{BreakerConfig, Stored, Terms, Tier};
use sandbar_tests::entries::{body, entry, key};
use sandbar_tests::fault_proxy::{Fault, FaultProxy};
use sandbar_tests::node::SteppedClock;
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::{PATIENCE, eventually, found, in_time};

const HEARTBEAT: Duration = Duration::from_millis(50);
/// After how long a node is deaf where a test wants it to be so soon.
const SILENCE: Duration = Duration::from_millis(500);
const TENANT: &str = "shop";

#[derive(Default)]
struct Heard {
    purges: Mutex<Vec<u64>>,
    lost: Mutex<Vec<(Partition, Lost)>>,
}

impl Listener for Heard {
    fn purged(&self, tenant: &str, barrier: &Barrier) {
        assert_eq!((tenant, &barrier.purge), (TENANT, &purge(barrier.sequence).purge));
        self.purges.lock().expect("not poisoned").push(barrier.sequence);
    }

    fn lost(&self, partition: Partition, why: Lost) {
        self.lost.lock().expect("not poisoned").push((partition, why));
    }
}

impl Heard {
    fn purges(&self) -> Vec<u64> {
        self.purges.lock().expect("not poisoned").clone()
    }

    /// What was lost of the tenant's partition.
    fn lost(&self) -> Vec<Lost> {
        let lost = self.lost.lock().expect("not poisoned");
        lost.iter().filter(|(partition, _)| partition.holds(TENANT)).map(|(_, why)| *why).collect()
    }
}

struct Node {
    fleet: Fleet,
    heard: Arc<Heard>,
}

/// For a node whose deadlines are not what a test is about: none that a machine with other things to do would miss.
fn config(url: String) -> FleetConfig {
    FleetConfig {
        silence_max: PATIENCE,
        member_timeout: 2 * PATIENCE,
        deadline: PATIENCE / 2,
        publish_deadline: PATIENCE / 2,
        ..hasty(url)
    }
}

/// For a node that is to notice trouble, or that loses its network.
fn hasty(url: String) -> FleetConfig {
    let backoff_max = Duration::from_millis(100);
    FleetConfig {
        heartbeat: HEARTBEAT,
        silence_max: SILENCE,
        partitions: 4,
        breaker: BreakerConfig { backoff_max, ..BreakerConfig::default() },
        ..FleetConfig::new(url)
    }
}

/// For a node whose network fails, though it is not to count as deaf by that.
fn patient(proxy: &FaultProxy) -> FleetConfig {
    let url = format!("redis://{}/", proxy.addr());
    FleetConfig { silence_max: PATIENCE, member_timeout: 2 * PATIENCE, ..hasty(url) }
}

async fn node_with(config: &FleetConfig) -> anyhow::Result<Node> {
    node_by(config, Arc::new(SystemClock)).await
}

async fn node_by(config: &FleetConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Node> {
    let heard = Arc::new(Heard::default());
    let fleet = Fleet::start(config, Arc::clone(&heard) as Arc<dyn Listener>, clock)?;
    assert!(fleet.bus().ready(PATIENCE).await, "{:?}", fleet.bus().stats());
    Ok(Node { fleet, heard })
}

async fn node(server: &RedisServer) -> anyhow::Result<Node> {
    node_with(&config(server.url())).await
}

fn purge(sequence: u64) -> Barrier {
    let purge = Purge { scope: Scope::SurrogateKey(format!("product-{sequence}")), mode: PurgeMode::Hard };
    Barrier { purge, sequence, raised: SystemClock.now() }
}

async fn publish(node: &Node, sequences: impl IntoIterator<Item = u64>) -> anyhow::Result<()> {
    for sequence in sequences {
        node.fleet.bus().publish(TENANT, &purge(sequence)).await?;
    }
    Ok(())
}

/// Publishes once the server is there again for the one who does.
async fn publish_again(node: &Node, sequence: u64) {
    eventually("the server takes it again", async || publish(node, [sequence]).await.is_ok()).await;
}

/// Lets the network fail, and waits until the node behind it has run into that.
async fn strike(proxy: &FaultProxy, fault: Fault) {
    let before = proxy.struck();
    proxy.set(fault);
    eventually("the node has run into it", async || proxy.struck() > before).await;
}

fn stream() -> String {
    let partition = Partition::of_tenant(TENANT, 4).index;
    format!("sandbar:{{bus}}:{partition}:stream")
}

fn state() -> String {
    stream().replace(":stream", ":state")
}

#[tokio::test]
async fn purges_are_heard_in_order_by_every_other_node() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let nodes = [node(&server).await?, node(&server).await?, node(&server).await?];
    publish(&nodes[0], 0..500).await?;
    publish(&nodes[1], 500..600).await?;
    eventually("all have heard", async || {
        nodes[2].heard.purges().len() == 600
            && nodes[1].heard.purges().len() == 500
            && nodes[0].heard.purges().len() == 100
    })
    .await;
    assert_eq!(nodes[2].heard.purges(), (0..600).collect::<Vec<_>>());
    assert_eq!(nodes[1].heard.purges(), (0..500).collect::<Vec<_>>(), "its own are skipped");
    assert!(nodes.iter().all(|node| node.heard.lost().is_empty()));
    let late = node(&server).await?;
    publish(&nodes[0], [600]).await?;
    eventually("the late one has heard", async || !late.heard.purges().is_empty()).await;
    assert_eq!(late.heard.purges(), [600], "what was before it joined is none of its business");
    Ok(())
}

#[tokio::test]
async fn node_that_was_cut_off_for_a_moment_reads_what_it_missed() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let proxy = FaultProxy::start(server.addr()).await?;
    let (near, far) = (node(&server).await?, node_with(&patient(&proxy)).await?);
    for (round, fault) in [Fault::Cut, Fault::HalfOpen, Fault::Garbage].into_iter().enumerate() {
        let first = 100 * round as u64;
        strike(&proxy, fault).await;
        publish(&near, first..first + 50).await?;
        proxy.set(Fault::None);
        eventually("all was heard", async || far.heard.purges().len() == 50 * (round + 1)).await;
    }
    let expected: Vec<u64> = (0..300).filter(|n| n % 100 < 50).collect();
    assert_eq!(far.heard.purges(), expected);
    assert_eq!(far.heard.lost(), [], "nothing is lost that can be read again");
    Ok(())
}

#[tokio::test]
async fn node_that_hears_nothing_says_so_once_and_hears_again() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let proxy = FaultProxy::start(server.addr()).await?;
    let clock = Arc::<SteppedClock>::default();
    let far = node_by(&patient(&proxy), Arc::clone(&clock) as Arc<dyn Clock>).await?;
    let hears = || far.fleet.bus().hearing().hears(TENANT);
    strike(&proxy, Fault::HalfOpen).await;
    assert!(hears(), "for as long as it may be silent");
    clock.stand_still(PATIENCE + HEARTBEAT);
    assert!(!hears());
    eventually("it says so", async || far.heard.lost() == [Lost::Silence]).await;
    // It looks at every heartbeat, whose timer is as much its own as the timers of those that call again: each of these waits
    // for ten heartbeats before it does.
    let called = proxy.called();
    eventually("it calls again and again", async || proxy.called() >= called + 6).await;
    clock.stand_still(PATIENCE);
    eventually("and again", async || proxy.called() >= called + 9).await;
    assert_eq!(far.heard.lost(), [Lost::Silence], "once");
    proxy.set(Fault::None);
    eventually("it hears again", async || hears()).await;
    publish(&node(&server).await?, [1]).await?;
    eventually("it hears purges again", async || far.heard.purges() == [1]).await;
    Ok(())
}

#[tokio::test]
async fn trimmed_stream_is_noticed_though_reading_it_shows_nothing() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let proxy = FaultProxy::start(server.addr()).await?;
    let (near, far) = (node(&server).await?, node_with(&patient(&proxy)).await?);
    let mut redis = server.connection()?;
    // All messages gone, then only the first of them.
    for (round, keep) in [(0, 0), (1, 4)] {
        strike(&proxy, Fault::Cut).await;
        publish(&near, round * 10..round * 10 + 5).await?;
        redis.xtrim::<_, ()>(stream(), redis::streams::StreamMaxlen::Equals(keep))?;
        proxy.set(Fault::None);
        eventually("the gap is noticed", async || far.heard.lost().len() as u64 == round + 1).await;
    }
    assert_eq!(far.heard.lost(), [Lost::Gap, Lost::Gap]);
    assert_eq!(far.heard.purges(), [0; 0], "what comes behind a gap is covered by dropping everything");
    publish(&near, [99]).await?;
    eventually("it goes on behind the gap", async || far.heard.purges() == [99]).await;
    assert_eq!(near.heard.lost(), []);
    Ok(())
}

#[tokio::test]
async fn server_that_forgot_everything_is_noticed_by_all() -> anyhow::Result<()> {
    let mut server = RedisServer::start()?;
    let nodes = [node(&server).await?, node(&server).await?];
    publish(&nodes[0], 0..10).await?;
    eventually("heard", async || nodes[1].heard.purges().len() == 10).await;
    redis::cmd("FLUSHALL").query::<()>(&mut server.connection()?)?;
    for node in &nodes {
        eventually("the flush is noticed", async || node.heard.lost() == [Lost::Epoch]).await;
    }
    server.restart_empty()?;
    for node in &nodes {
        eventually("the restart is noticed", async || {
            node.heard.lost().iter().filter(|&&why| why == Lost::Epoch).count() == 2
        })
        .await;
        eventually("the server is heard", async || node.fleet.bus().hearing().hears(TENANT)).await;
    }
    publish_again(&nodes[0], 77).await;
    eventually("they go on", async || nodes[1].heard.purges().last() == Some(&77)).await;
    Ok(())
}

/// What a replica that takes over before it has got everything looks like.
#[tokio::test]
async fn server_that_went_back_is_noticed_however_far_it_has_counted_since() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let mut redis = server.connection()?;
    for counted_on in [0, 1, 2, 5] {
        redis::cmd("FLUSHALL").query::<()>(&mut redis)?;
        // A heartbeat so slow that the other node's next purges come first.
        let slow = FleetConfig { heartbeat: SILENCE, ..config(server.url()) };
        let (near, far) = (node_with(&slow).await?, node_with(&slow).await?);
        publish(&near, 0..8).await?;
        let before: [Vec<u8>; 2] =
            [redis::cmd("DUMP").arg(state()).query(&mut redis)?, redis::cmd("DUMP").arg(stream()).query(&mut redis)?];
        publish(&near, 8..10).await?;
        eventually("heard", async || far.heard.purges().len() == 10).await;
        let restore = |key: String, dump: &[u8]| {
            let mut command = redis::cmd("RESTORE");
            command.arg(key).arg(0).arg(dump).arg("REPLACE");
            command
        };
        redis::pipe()
            .atomic()
            .add_command(restore(state(), &before[0]))
            .add_command(restore(stream(), &before[1]))
            .query::<()>(&mut redis)?;
        publish(&near, 100..100 + counted_on).await?;
        eventually("it is noticed", async || !far.heard.lost().is_empty()).await;
        assert_eq!(far.heard.lost(), [Lost::Regressed], "{counted_on} messages later");
        publish(&near, [200]).await?;
        eventually("it goes on", async || far.heard.purges().last() == Some(&200)).await;
    }
    Ok(())
}

#[tokio::test]
async fn publishing_without_a_server_fails_within_its_deadline() -> anyhow::Result<()> {
    let mut server = RedisServer::start()?;
    let node = node_with(&hasty(server.url())).await?;
    server.pause()?;
    let publish = async |sequence| in_time("it fails", node.fleet.bus().publish(TENANT, &purge(sequence))).await;
    assert!(publish(1).await.is_err());
    server.resume()?;
    server.kill();
    eventually("it is known to be down", async || !node.fleet.bus().hearing().hears(TENANT)).await;
    assert!(publish(2).await.is_err());
    server.restart()?;
    publish_again(&node, 3).await;
    Ok(())
}

#[tokio::test]
async fn purge_waits_for_replicas_where_that_is_wanted() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let port = server.addr().port().to_string();
    let mut replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port])?;
    let mut redis = server.connection()?;
    eventually("the replica follows", async || {
        redis::cmd("INFO")
            .arg("replication")
            .query::<String>(&mut server.connection().expect("up"))
            .is_ok_and(|info| info.contains("state=online"))
    })
    .await;
    let node = node_with(&FleetConfig { wait_replicas: 1, ..config(server.url()) }).await?;
    assert_eq!(node.fleet.bus().publish(TENANT, &purge(1)).await?.replicas, 1);
    replica.kill();
    let error = node.fleet.bus().publish(TENANT, &purge(2)).await.expect_err("no replica is left").to_string();
    assert!(error.contains("0 of 1 replicas"), "{error}");
    assert_eq!(redis.xlen::<_, u64>(stream())?, 2);
    Ok(())
}

#[tokio::test]
async fn server_that_evicts_any_key_is_refused() -> anyhow::Result<()> {
    let server = RedisServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"])?;
    let fleet = Fleet::start(&config(server.url()), Arc::new(Heard::default()), Arc::new(SystemClock))?;
    assert!(fleet.ready(PATIENCE).await, "it is there, and known for what it is");
    assert_eq!(fleet.bus().stats().deaf_partitions, 4, "nothing that it says is relied on");
    let error = fleet.bus().publish(TENANT, &purge(1)).await.expect_err("unsafe").to_string();
    assert!(error.contains("allkeys-lru"), "{error}");
    Ok(())
}

fn mine(attempt: Attempt) -> Lease {
    match attempt {
        Attempt::Mine(lease) => lease,
        other => panic!("expected the lease, got {other:?}"),
    }
}

/// Longer than any of this takes.
const LIFETIME: Duration = Duration::from_secs(60);

fn lease_key() -> CacheKey {
    key(TENANT, 1)
}

#[tokio::test]
async fn one_node_gets_the_lease_and_its_release_wakes_the_others() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let nodes = [node(&server).await?, node(&server).await?, node(&server).await?];
    let mut held = Vec::new();
    let mut leases = Vec::new();
    for n in 0..90 {
        match nodes[n % 3].fleet.leases().try_acquire(&lease_key(), LIFETIME).await {
            Attempt::Mine(lease) => leases.push(lease),
            Attempt::Held(waiter) => held.push(tokio::spawn(waiter.wait(LIFETIME))),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((leases.len(), held.len()), (1, 89));
    let lease = leases.remove(0);
    let first = lease.token();
    assert!(nodes.iter().all(|node| node.fleet.leases().stats().waited_for == 1), "each waits for the one lease");
    lease.release().await;
    for waiter in held {
        assert_eq!(in_time("it is woken", waiter).await?, Woken::Released);
    }
    let next = mine(nodes[1].fleet.leases().try_acquire(&lease_key(), LIFETIME).await);
    assert!(next.token() > first);
    assert!(nodes.iter().all(|node| node.fleet.leases().stats().waited_for == 0));
    Ok(())
}

#[tokio::test]
async fn lease_that_is_dropped_is_given_back_and_one_that_is_kept_runs_out() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let nodes = [node(&server).await?, node(&server).await?];
    let lease = mine(nodes[0].fleet.leases().try_acquire(&lease_key(), LIFETIME).await);
    let Attempt::Held(waiter) = nodes[1].fleet.leases().try_acquire(&lease_key(), LIFETIME).await else {
        panic!("held")
    };
    drop(lease);
    assert_eq!(waiter.wait(LIFETIME).await, Woken::Released);

    let short = Duration::from_secs(3);
    let late = mine(nodes[0].fleet.leases().try_acquire(&lease_key(), short).await);
    let Attempt::Held(waiter) = nodes[1].fleet.leases().try_acquire(&lease_key(), short).await else { panic!("held") };
    assert_eq!(waiter.wait(Duration::from_millis(20)).await, Woken::Deadline);
    let Attempt::Held(waiter) = nodes[1].fleet.leases().try_acquire(&lease_key(), short).await else { panic!("held") };
    assert_eq!(waiter.wait(LIFETIME).await, Woken::Expired);
    let next = mine(nodes[1].fleet.leases().try_acquire(&lease_key(), LIFETIME).await);
    assert!(next.token() > late.token());

    // The one that overslept gives nothing back that is not its own, and stores nothing over the newer answer.
    let config = RedisConfig { deadline: PATIENCE, ..RedisConfig::new(server.url()) };
    let tier = RedisTier::connect(&config, Arc::new(SystemClock))?;
    assert!(tier.ready(PATIENCE).await);
    let (key, now) = (lease_key(), SystemClock.now());
    let token = |lease: &Lease| Terms { token: Some(lease.token()), ..Terms::default() };
    let put = |terms, n| {
        let (tier, key) = (Arc::clone(&tier), key.clone());
        async move { tier.put_on(terms, &key, entry(&key, body(n, 100), 0, now), now.saturating_add(LIFETIME)).await }
    };
    assert_eq!(put(token(&next), 2).await?, Stored::Yes);
    assert_eq!(put(token(&late), 1).await?, Stored::Fenced);
    late.release().await;
    assert!(matches!(nodes[0].fleet.leases().try_acquire(&lease_key(), LIFETIME).await, Attempt::Held(_)));
    Ok(())
}

#[tokio::test]
async fn tokens_rise_even_over_a_server_that_forgot_them() -> anyhow::Result<()> {
    let mut server = RedisServer::start()?;
    let node = node(&server).await?;
    let before = mine(node.fleet.leases().try_acquire(&lease_key(), LIFETIME).await).token();
    server.restart_empty()?;
    eventually("it heals", async || node.fleet.bus().hearing().hears(TENANT)).await;
    let again =
        found("a lease is given", async || match node.fleet.leases().try_acquire(&lease_key(), LIFETIME).await {
            Attempt::Mine(lease) => Some(lease.token()),
            _ => None,
        });
    assert!(again.await > before);
    Ok(())
}

#[tokio::test]
async fn without_a_server_the_node_acts_alone_within_the_deadline() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let node = node_with(&hasty(server.url())).await?;
    server.pause()?;
    for _ in 0..20 {
        let attempt = in_time("it acts alone", node.fleet.leases().try_acquire(&lease_key(), LIFETIME)).await;
        assert!(matches!(attempt, Attempt::Alone(_)), "{attempt:?}");
    }
    Ok(())
}

#[tokio::test]
async fn lost_wake_up_costs_no_more_than_the_lease() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let nodes = [node(&server).await?, node(&server).await?];
    let lifetime = Duration::from_secs(3);
    let lease = mine(nodes[0].fleet.leases().try_acquire(&lease_key(), lifetime).await);
    let Attempt::Held(waiter) = nodes[1].fleet.leases().try_acquire(&lease_key(), lifetime).await else {
        panic!("held")
    };
    // The server itself forgets who waits, so nobody is told.
    redis::cmd("HDEL")
        .arg(format!("sandbar:{{shop}}:l:{:032x}", lease_key().hash().0))
        .arg("waiting")
        .query::<()>(&mut server.connection()?)?;
    assert!(waiter.left() <= lifetime);
    lease.release().await;
    assert_eq!(waiter.wait(PATIENCE).await, Woken::Expired);
    Ok(())
}

/// A process that listens until it is killed. Run by [`process_that_stood_still_knows_so_at_once`] alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it is the process that another test stops"]
async fn process_to_be_stopped() -> anyhow::Result<()> {
    let Some(url) = std::env::var_os("FLEET_URL") else { return Ok(()) };
    let node = node_with(&hasty(url.into_string().unwrap_or_default())).await?;
    let (mut before, mut lost_before) = (SystemClock.monotonic(), node.heard.lost().len());
    println!("ready");
    loop {
        // Not a timer of the runtime: whichever thread goes on first after the stop, this must hold.
        std::thread::sleep(Duration::from_millis(1));
        let now = SystemClock.monotonic();
        let (hears, lost) = (node.fleet.bus().hearing().hears(TENANT), node.heard.lost().len());
        if now.saturating_sub(before) > SILENCE {
            println!("stood still: {}", if hears && lost == lost_before { "trusts what it has" } else { "knows" });
        }
        (before, lost_before) = (now, lost);
    }
}

#[tokio::test]
async fn process_that_stood_still_knows_so_at_once() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let near = node(&server).await?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "process_to_be_stopped", "--ignored", "--nocapture"])
        .env("FLEET_URL", server.url())
        .stdout(Stdio::piped())
        .spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id())?).expect("a process has an id");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (say, said) = mpsc::channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
    let wait_for = |wanted: &str| -> anyhow::Result<String> {
        loop {
            let line = said.recv_timeout(PATIENCE).map_err(|_| anyhow::anyhow!("the process never said {wanted:?}"))?;
            if line.contains(wanted) {
                return Ok(line);
            }
        }
    };
    wait_for("ready")?;
    kill_process(pid, Signal::STOP)?;
    let stopped_at = SystemClock.monotonic();
    publish(&near, 0..5).await?;
    // The clock that the process reads is the kernel's, as this one is.
    let stood_still = async || SystemClock.monotonic().saturating_sub(stopped_at) > 2 * SILENCE;
    eventually("it has been silent for too long", stood_still).await;
    kill_process(pid, Signal::CONT)?;
    let stood_still = wait_for("stood still");
    child.kill()?;
    child.wait()?;
    assert_eq!(stood_still?, "stood still: knows");
    Ok(())
}
