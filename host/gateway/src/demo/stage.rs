//! The demo's running parts: the origin, the gateway in front of it, the visitors, and the figures of all three.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sandbar::cache::Cache;
use sandbar::tenant::TenantReport;
use sandbar_base::clock::{Clock, SystemClock};
use tempfile::TempDir;

use super::aside::Aside;
use super::film::{Figures, Picture, TenantPicture};
use super::load::{self, Crowd, Tally};
use super::origin::Origin;
use super::scene::{self, Tenant};
use crate::{Gateway, GatewayConfig, StartError};

/// Name of the origin's door for requests that go past the cache.
const PAST: &str = "past-the-cache";
/// Mean pause between two such requests.
const PAST_PAUSE: Duration = Duration::from_millis(30);
/// The gateway's ports for clients and for operators, unless another program has one of them.
const PORTS: (u16, u16) = (8080, 8081);
/// Time for requests under way when the demo ends.
const GRACE: Duration = Duration::from_secs(5);

/// The running parts of the demo.
pub(super) struct Stage {
    load: Aside,
    gateway: Gateway,
    watch: Watch,
    directory: TempDir,
}

/// The figures of the running parts.
pub(super) struct Watch {
    cache: Cache,
    origin: Arc<Origin>,
    start: Duration,
    /// What visitors saw through the gateway, and straight at the origin.
    pub(super) through: Arc<Tally>,
    pub(super) past: Arc<Tally>,
}

impl Stage {
    /// Starts the origin, then the gateway, then the visitors.
    pub(super) async fn set() -> anyhow::Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("sandbar-demo-").tempdir().context("a directory for the demo")?;
        let origin_dir = directory.path().to_owned();
        let origin = tokio::task::spawn_blocking(move || {
            let mut doors: Vec<_> = scene::tenants().iter().map(|tenant| tenant.name).collect();
            doors.push(PAST);
            Origin::start(&origin_dir, scene::objects(), &doors)
        });
        let origin = Arc::new(origin.await?.context("starting the origin")?);
        let gateway = open_gateway(&directory.path().join("gateway"), &origin, PORTS).await?;
        let (through, past) = (Tally::new()?, Tally::new()?);
        let mut crowds = scene::tenants().map(|tenant| through_the_gateway(tenant, &gateway, &through)).to_vec();
        crowds.extend(past_the_gateway(&origin, &past));
        let load = load::start(crowds)?;
        let watch = Watch { cache: gateway.cache().clone(), origin, start: SystemClock.monotonic(), through, past };
        Ok(Self { load, gateway, watch, directory })
    }

    /// The figures.
    pub(super) const fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The gateway's address for clients.
    pub(super) fn listen(&self) -> SocketAddr {
        self.gateway.listen_addr()
    }

    /// The gateway's address for operators.
    pub(super) fn admin(&self) -> anyhow::Result<SocketAddr> {
        self.gateway.admin_addr().context("the demo's gateway has an admin listener")
    }

    /// Stops the visitors, lets the gateway finish, takes the last picture, and removes the data on disk.
    pub(super) async fn clear(self) -> anyhow::Result<(Picture, Watch)> {
        let Self { load, gateway, watch, directory } = self;
        let elapsed = watch.elapsed();
        load.stop();
        tokio::task::spawn_blocking(move || drop(load)).await?;
        gateway.shutdown(GRACE).await;
        let last = Picture { elapsed, ..watch.picture() };
        directory.close().context("removing the demo's data")?;
        Ok((last, watch))
    }
}

impl Watch {
    /// Time since the visitors started.
    pub(super) fn elapsed(&self) -> Duration {
        SystemClock.monotonic().saturating_sub(self.start)
    }

    /// The figures at this moment. Resets the latencies that a picture shows since the one before it.
    pub(super) fn picture(&self) -> Picture {
        let doors = scene::tenants().map(|tenant| self.origin.door(tenant.name).cloned());
        let in_progress = doors.iter().flatten().map(|door| door.in_progress()).sum();
        let counted = |index: usize| doors.get(index).and_then(Option::as_ref).map_or(0, |door| door.requests());
        let roster = self.cache.tenants();
        let reports = roster.all().into_iter().map(|tenant| tenant.report()).enumerate();
        Picture {
            elapsed: self.elapsed(),
            tenants: reports.map(|(index, report)| tenant_picture(&report, counted(index))).collect(),
            requests: self.through.requests(),
            failed: self.through.failed(),
            with_cache: self.through.take_recent_percentiles(),
            without_cache: self.past.percentiles(),
            origin_in_progress: in_progress,
            process_bytes: process_bytes(),
        }
    }
}

fn through_the_gateway(tenant: Tenant, gateway: &Gateway, tally: &Arc<Tally>) -> Crowd {
    let Tenant { host, habits, visitors, pause, .. } = tenant;
    Crowd { address: gateway.listen_addr(), host: host.to_owned(), habits, visitors, pause, tally: Arc::clone(tally) }
}

/// A visitor of each tenant's site who asks the origin directly: a sample of what latency would be without a cache.
fn past_the_gateway(origin: &Origin, tally: &Arc<Tally>) -> Vec<Crowd> {
    let Some(door) = origin.door(PAST) else { return Vec::new() };
    let crowd = |Tenant { host, habits, .. }: Tenant| Crowd {
        address: door.address,
        host: host.to_owned(),
        habits,
        visitors: 1,
        pause: PAST_PAUSE,
        tally: Arc::clone(tally),
    };
    scene::tenants().map(crowd).to_vec()
}

fn tenant_picture(report: &TenantReport, origin_counted: u64) -> TenantPicture {
    let (counters, memory) = (&report.counters, &report.memory);
    let figures = Figures {
        requests: counters.requests,
        hits_l1: counters.hits_l1,
        misses_l1: counters.misses_l1,
        hits_l2: counters.hits_l2,
        misses_l2: counters.misses_l2,
        collapsed: counters.collapsed,
        fetched: counters.fetched,
        others: counters.synthesized + counters.bypassed + counters.stale_if_error,
        origin_requests: counters.origin_requests,
        origin_refreshes: counters.origin_refreshes,
        origin_counted,
    };
    let runs = if memory.policy_digest.is_some() { "guest" } else { "native" };
    TenantPicture {
        name: report.name.to_string(),
        figures,
        resident_bytes: memory.resident_bytes,
        capacity_bytes: memory.capacity_bytes,
        eviction: format!("{} ({runs})", memory.policy),
    }
}

/// Starts the gateway at these ports, or at any that are free where another program has one of them.
async fn open_gateway(data_dir: &Path, origin: &Origin, ports: (u16, u16)) -> anyhow::Result<Gateway> {
    let door = |name: &str| origin.door(name).map(|door| door.address);
    let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let open = async |ports: (u16, u16)| {
        let settings = scene::settings(data_dir, local(ports.0), local(ports.1), door);
        let config = GatewayConfig::from_toml(&settings, "the demo's settings").map_err(StartError::Config)?;
        crate::start(config).await
    };
    match open(ports).await {
        Err(StartError::InUse { .. }) => Ok(open((0, 0)).await?),
        opened => Ok(opened?),
    }
}

/// Resident memory of the whole process, where the system tells it in a file.
fn process_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    kib.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ports_in_use_are_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let origin = Origin::start(directory.path(), 0..1, &["shop", "media"]).unwrap();
        let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let gateway = open_gateway(&directory.path().join("gateway"), &origin, (0, port)).await.unwrap();
        assert_ne!(gateway.admin_addr().unwrap().port(), port);
        gateway.shutdown(GRACE).await;
    }
}
