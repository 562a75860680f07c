//! The addresses of an origin: those that its settings name, and those that names lead to, resolved again and again.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use sandbar_base::clock::{Clock, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::address::Address;
use super::config::{ADDRESSES_MAX, OriginConfig};
use super::endpoint::Endpoint;
use super::renewal::{Look, Renewal};
use super::resolve::Resolve;
use super::server::Server;
use super::tls::Tls;
use crate::origin::OriginReport;

/// Names that are resolved at the same time.
const LOOKUPS_MAX: usize = 8;

/// The addresses at one moment.
pub(super) type Addresses = Arc<Vec<Arc<Endpoint>>>;

/// What a resolver said of each name, in the order of [`Servers::names`].
type Answers = Vec<Result<Vec<IpAddr>, String>>;

/// The addresses of an origin.
pub(super) struct Servers {
    pub(super) config: Arc<OriginConfig>,
    tls: Tls,
    pub(super) clock: Arc<dyn Clock>,
    resolver: Arc<dyn Resolve>,
    addresses: ArcSwap<Vec<Arc<Endpoint>>>,
    fixed: Vec<Address>,
    /// Names, each with the port of its server.
    names: Arc<[(String, u16)]>,
    /// Where each name led to when last it led anywhere.
    known: Mutex<Vec<Vec<Address>>>,
    renewal: Renewal,
    renewing: Mutex<Option<AbortOnDropHandle<()>>>,
    /// Held by who resolves while others wait.
    turn: tokio::sync::Mutex<()>,
    /// Times that the names were resolved, or could not be.
    rounds: AtomicU64,
    failures: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// Held by who decides whether an address is left out.
    pub(super) ejecting: Mutex<()>,
}

impl Servers {
    pub(super) fn new(
        config: Arc<OriginConfig>,
        tls: Tls,
        clock: Arc<dyn Clock>,
        resolver: Arc<dyn Resolve>,
    ) -> Arc<Self> {
        let (mut fixed, mut sockets, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let mut add = |host: &str, port: u16| match host.parse::<IpAddr>() {
            Ok(ip) => fixed.push(Address::Tcp((ip, port).into())),
            Err(_) => names.push((host.to_owned(), port)),
        };
        if config.servers.is_empty() {
            add(config.url.host(), config.url.port());
        }
        for server in &config.servers {
            match server {
                Server::Host { host, port } => add(host, port.unwrap_or(config.url.port())),
                Server::Socket(path) => sockets.push(Address::Unix(path.as_path().into())),
            }
        }
        fixed.append(&mut sockets);
        let servers = Self {
            renewal: Renewal::new(config.dns_renew.get()),
            config,
            tls,
            clock,
            resolver,
            addresses: ArcSwap::default(),
            fixed,
            known: Mutex::new(vec![Vec::new(); names.len()]),
            names: names.into(),
            renewing: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            rounds: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last_error: Mutex::default(),
            ejecting: Mutex::default(),
        };
        servers.lead_to(servers.fixed.clone());
        Arc::new(servers)
    }

    /// The addresses now.
    ///
    /// # Errors
    /// When no name leads anywhere: the reason.
    pub(super) async fn addresses(self: &Arc<Self>) -> Result<Addresses, String> {
        if !self.names.is_empty() {
            match self.renewal.look(self.clock.monotonic()) {
                Look::Use => {}
                Look::Renew => self.renew_behind(),
                Look::Wait => self.resolve_together().await,
            }
        }
        let addresses = self.current();
        match addresses.is_empty() {
            false => Ok(addresses),
            true => Err(self.last_error.lock().clone().unwrap_or_default()),
        }
    }

    /// The addresses now; none before names that lead to them were resolved.
    pub(super) fn current(&self) -> Addresses {
        self.addresses.load_full()
    }

    /// Whether the URL alone says where the origin is: errors need not name the address then.
    pub(super) fn is_one_known(&self) -> bool {
        self.names.is_empty() && self.config.servers.is_empty()
    }

    pub(super) fn report(&self) -> OriginReport {
        OriginReport {
            addresses: self.current().iter().map(|one| one.report()).collect(),
            resolver_failures: self.failures.load(Ordering::Relaxed),
            resolver_error: self.last_error.lock().clone(),
        }
    }

    /// Resolves the names, or waits for another request that does.
    async fn resolve_together(&self) {
        let seen = self.rounds.load(Ordering::Acquire);
        let _turn = self.turn.lock().await;
        if self.rounds.load(Ordering::Acquire) == seen {
            let deadline = self.config.connect_deadline.get();
            let answers = resolve(&self.names, &*self.resolver, &*self.clock, deadline).await;
            self.learn(answers);
        }
    }

    /// Resolves the names in a task of its own, which ends with this origin.
    fn renew_behind(self: &Arc<Self>) {
        let (servers, names): (Weak<Self>, _) = (Arc::downgrade(self), Arc::clone(&self.names));
        let (resolver, clock) = (Arc::clone(&self.resolver), Arc::clone(&self.clock));
        // So no two renewals are under way.
        let deadline = self.config.dns_renew.get();
        let renewing = tokio::spawn(async move {
            let answers = resolve(&names, &*resolver, &*clock, deadline).await;
            if let Some(servers) = servers.upgrade() {
                servers.learn(answers);
            }
        });
        *self.renewing.lock() = Some(AbortOnDropHandle::new(renewing));
    }

    /// Takes in what the names lead to; one that leads nowhere now keeps its last answer.
    fn learn(&self, answers: Answers) {
        let mut known = self.known.lock();
        let mut errors = Vec::new();
        for (((host, port), known), answer) in self.names.iter().zip(&mut *known).zip(answers) {
            match answer {
                Ok(ips) => *known = ips.into_iter().map(|ip| Address::Tcp((ip, *port).into())).collect(),
                Err(error) => errors.push(format!("{host}: {error}")),
            }
        }
        let mut addresses: Vec<Address> = known.iter().flatten().cloned().collect();
        // Resolvers turn the order round at each answer.
        addresses.sort();
        self.lead_to(self.fixed.iter().cloned().chain(addresses).collect());
        self.tell(errors);
        self.rounds.fetch_add(1, Ordering::AcqRel);
        // While nothing is known, each request tries anew.
        if !self.current().is_empty() {
            self.renewal.done(self.clock.monotonic(), fastrand::f64());
        }
    }

    /// From now on requests go to these addresses. Those that stay keep their connections, those that have gone lose
    /// them when the requests that are there have ended.
    fn lead_to(&self, addresses: Vec<Address>) {
        let old = self.addresses.load();
        let mut new: Vec<Arc<Endpoint>> = Vec::with_capacity(addresses.len().min(ADDRESSES_MAX));
        for address in addresses {
            if new.len() < ADDRESSES_MAX && new.iter().all(|one| one.address != address) {
                let kept = old.iter().find(|one| one.address == address).cloned();
                new.push(kept.unwrap_or_else(|| Endpoint::new(&self.config, &self.tls, address)));
            }
        }
        let numbers = |addresses: &[Arc<Endpoint>]| addresses.iter().map(|one| one.number).collect::<Vec<_>>();
        if numbers(&old) == numbers(&new) {
            return;
        }
        if !old.is_empty() {
            let addresses: Vec<String> = new.iter().map(|one| one.address.to_string()).collect();
            let (origin, addresses) = (&self.config.url, addresses.join(" "));
            tracing::info!(%origin, addresses, "the origin is at other addresses now");
        }
        self.addresses.store(Arc::new(new));
    }

    /// Tells of names that lead nowhere, and when they do again.
    fn tell(&self, errors: Vec<String>) {
        let mut last = self.last_error.lock();
        let error = (!errors.is_empty()).then(|| errors.join("; "));
        let origin = &self.config.url;
        match (&*last, &error) {
            (None, Some(error)) => {
                tracing::warn!(%origin, error, "names can't be resolved: their last addresses are used");
            }
            (Some(_), None) => tracing::info!(%origin, "names can be resolved again"),
            _ => {}
        }
        self.failures.fetch_add(u64::from(error.is_some()), Ordering::Relaxed);
        *last = error;
    }
}

/// Asks for all names; what is not there after `deadline` is an error.
async fn resolve(names: &[(String, u16)], resolver: &dyn Resolve, clock: &dyn Clock, deadline: Duration) -> Answers {
    let lookups = names.iter().map(|(host, _)| lookup(host, resolver, clock, deadline).boxed());
    stream::iter(lookups.collect::<Vec<_>>()).buffered(LOOKUPS_MAX).collect().await
}

async fn lookup(
    host: &str,
    resolver: &dyn Resolve,
    clock: &dyn Clock,
    deadline: Duration,
) -> Result<Vec<IpAddr>, String> {
    match timeout(clock, deadline, resolver.resolve(host)).await {
        Ok(Ok(ips)) if ips.is_empty() => Err("it has no address".to_owned()),
        Ok(Ok(ips)) => Ok(ips),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", deadline.as_millis())),
    }
}
