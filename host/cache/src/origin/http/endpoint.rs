//! One address of an origin at work: its connections, and the requests that are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;

use super::address::Address;
use super::config::{OriginConfig, Protocol};
use super::connect::Dial;
use super::ejection::Ejection;
use super::health::Health;
use super::tls::Tls;
use super::upload::Upload;
use super::{READ_BYTES, STREAM_WINDOW_BYTES};
use crate::origin::AddressReport;

/// The HTTP/2 window of a whole connection: as much as its streams may have together, so that none waits for another.
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;

/// Numbers endpoints, so that a request can note where it has been.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// An address with its own pool of connections: where the address goes, they go.
pub(super) struct Endpoint {
    pub(super) number: u64,
    pub(super) address: Address,
    pub(super) pooled: Client<Dial, Upload>,
    /// Makes a new connection for each request: a retry must not get another broken one.
    pub(super) fresh: Client<Dial, Upload>,
    /// Makes a new HTTP/1.1 connection for a request that is to switch to another protocol: HTTP/2 has no `Upgrade`.
    pub(super) switching: Client<Dial, Upload>,
    running: AtomicUsize,
    requests: AtomicU64,
    failures: AtomicU64,
    last_error: Mutex<Option<String>>,
    pub(super) health: Health,
    ejection: Mutex<Ejection>,
    /// What `ejection` says, for requests to see without the lock.
    is_ejected: AtomicBool,
    is_well: AtomicBool,
}

impl Endpoint {
    pub(super) fn new(config: &OriginConfig, tls: &Tls, address: Address) -> Arc<Self> {
        let dial = |http| Dial::new(config, tls, http, &address);
        let client = |dial: Dial, http2_only, idle_connections_max| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(config.keep_idle.get())
                .pool_max_idle_per_host(idle_connections_max)
                .http1_max_buf_size(READ_BYTES)
                // RFC 9112 section 5.1: a proxy "MUST remove any such whitespace from a response message before
                // forwarding".
                .http1_allow_spaces_after_header_name_in_responses(true)
                // The default of hyper is 100.
                .http1_max_headers(config.fields_max.as_usize())
                .http2_max_header_list_size(u32::try_from(READ_BYTES).unwrap_or(u32::MAX))
                .http2_only(http2_only)
                .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
                .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES);
            builder.build(dial)
        };
        let is_http2 = config.http == Protocol::Http2;
        Arc::new(Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            pooled: client(dial(config.http), is_http2, config.idle_connections_max.as_usize()),
            fresh: client(dial(config.http), is_http2, 0),
            switching: client(dial(Protocol::Http1), false, 0),
            address,
            running: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last_error: Mutex::default(),
            health: Health::good(),
            ejection: Mutex::default(),
            is_ejected: AtomicBool::new(false),
            is_well: AtomicBool::new(true),
        })
    }

    /// A request comes.
    pub(super) fn begins(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A request that had come has ended, with its response.
    pub(super) fn ends(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether it is left out because requests failed there.
    pub(super) fn is_ejected(&self) -> bool {
        self.is_ejected.load(Ordering::Relaxed)
    }

    /// Whether requests should go elsewhere.
    pub(super) fn is_out(&self) -> bool {
        self.is_ejected() || !self.health.is_good()
    }

    /// Whether no request failed lately.
    pub(super) fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    /// Asks or changes whether the address is left out.
    pub(super) fn eject<T>(&self, change: impl FnOnce(&mut Ejection) -> T) -> T {
        let mut ejection = self.ejection.lock();
        let done = change(&mut ejection);
        self.is_ejected.store(ejection.is_out(), Ordering::Relaxed);
        self.is_well.store(ejection.is_well(), Ordering::Relaxed);
        done
    }

    /// A request failed.
    pub(super) fn failed(&self, why: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock() = Some(why);
    }

    /// A check failed.
    pub(super) fn check_failed(&self, why: String) {
        *self.last_error.lock() = Some(why);
    }

    /// Why a request or a check failed last.
    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// Requests that are there now, bodies of responses included.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub(super) fn report(&self) -> AddressReport {
        AddressReport {
            address: self.address.to_string(),
            healthy: self.health.is_good(),
            ejected: self.is_ejected(),
            ejections: self.ejection.lock().times(),
            running: self.running() as u64,
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            last_error: self.last_error(),
        }
    }
}
