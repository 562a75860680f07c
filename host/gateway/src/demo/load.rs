//! The demo's visitors: each has a keep-alive connection, asks for one object after the other, and compares every byte
//! with what the origin must have sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use http::StatusCode;
use parking_lot::Mutex;
use sandbar_base::clock::{Clock, SystemClock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::aside::Aside;
use super::catalogue;
use super::client::{Answer, Client};
use super::workload::{Habits, Workload};

/// Latencies above this are recorded as this, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// Visitors with the same habits: of one tenant, through the gateway or straight to the origin.
#[derive(Clone)]
pub(super) struct Crowd {
    pub(super) address: SocketAddr,
    /// The host name that they ask for.
    pub(super) host: String,
    pub(super) habits: Habits,
    pub(super) visitors: u64,
    /// Mean pause of a visitor between an answer and the next request.
    pub(super) pause: Duration,
    pub(super) tally: Arc<Tally>,
}

/// The counts and latencies that a crowd has seen.
pub(super) struct Tally {
    requests: AtomicU64,
    failed: AtomicU64,
    latencies: Mutex<Latencies>,
    complaint: Mutex<Option<String>>,
}

struct Latencies {
    whole: Histogram<u64>,
    recent: Histogram<u64>,
}

/// Latency at two quantiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct Percentiles {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Tally {
    pub(super) fn new() -> anyhow::Result<Arc<Self>> {
        let whole = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?;
        let latencies = Mutex::new(Latencies { recent: whole.clone(), whole });
        let (requests, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Arc::new(Self { requests, failed, latencies, complaint: Mutex::new(None) }))
    }

    /// Requests that were answered or failed.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests that failed: no answer, another status than 200, or a wrong byte.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// The last failure since the last call, in words.
    pub(super) fn take_complaint(&self) -> Option<String> {
        self.complaint.lock().take()
    }

    /// Latencies since the start.
    pub(super) fn percentiles(&self) -> Percentiles {
        percentiles(&self.latencies.lock().whole)
    }

    /// Latencies since the last call; none where no request was answered.
    pub(super) fn take_recent_percentiles(&self) -> Option<Percentiles> {
        let recent = &mut self.latencies.lock().recent;
        let taken = (!recent.is_empty()).then(|| percentiles(recent));
        recent.reset();
        taken
    }

    fn note(&self, outcome: Result<(), String>, took: Duration) {
        match outcome {
            Ok(()) => {
                let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                let mut latencies = self.latencies.lock();
                latencies.whole.saturating_record(took_us);
                latencies.recent.saturating_record(took_us);
            }
            Err(complaint) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                *self.complaint.lock() = Some(complaint);
            }
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    Percentiles { p50_ms: at(0.5), p99_ms: at(0.99) }
}

/// Starts all visitors of the crowds. When they are told to stop, each still reads its last answer.
pub(super) fn start(crowds: Vec<Crowd>) -> std::io::Result<Aside> {
    Aside::run("demo-load", move |stop| async move {
        let visitors = TaskTracker::new();
        let start = SystemClock.monotonic();
        for crowd in crowds {
            for index in 0..crowd.visitors {
                visitors.spawn(visit(crowd.clone(), index, start, stop.clone()));
            }
        }
        visitors.close();
        visitors.wait().await;
    })
}

async fn visit(crowd: Crowd, index: u64, start: Duration, stop: CancellationToken) {
    let mut client = Client::new(crowd.address, &crowd.host);
    let mut workload = Workload::new(&crowd.habits, index, crowd.visitors);
    loop {
        let pause = tokio::time::sleep(workload.pause(crowd.pause));
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
        let asked = SystemClock.monotonic();
        let id = workload.next(asked.saturating_sub(start));
        let answer = client.get(&format!("/items/{id}")).await;
        let took = SystemClock.monotonic().saturating_sub(asked);
        crowd.tally.note(check(id, answer), took);
    }
}

/// Compares an answer with what object `id` must be.
fn check(id: u64, answer: anyhow::Result<Answer>) -> Result<(), String> {
    match answer {
        Err(error) => Err(format!("/items/{id}: {error:#}")),
        Ok(answer) if answer.status != StatusCode::OK => Err(format!("/items/{id}: status {}", answer.status)),
        Ok(answer) if answer.body != catalogue::body(id) => Err(format!("/items/{id}: wrong bytes")),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::origin::Origin;
    use super::*;

    const HABITS: Habits = Habits {
        first_id: 0,
        objects: 20,
        skew: 0.8,
        day: Duration::from_secs(60),
        scan_every: Duration::from_secs(10),
        scan_for: Duration::from_secs(1),
        scan_share: 0.5,
    };

    #[test]
    fn wrong_bytes_and_wrong_statuses_are_failures() {
        let answer = |status, body: Vec<u8>| Ok(Answer { status, body: body.into() });
        let mut flipped = catalogue::body(3);
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(check(3, answer(StatusCode::OK, catalogue::body(3))), Ok(()));
        assert!(check(3, answer(StatusCode::OK, flipped)).unwrap_err().contains("wrong bytes"));
        assert!(check(3, answer(StatusCode::BAD_GATEWAY, Vec::new())).unwrap_err().contains("502"));
        assert!(check(3, Err(anyhow::anyhow!("connection reset"))).unwrap_err().contains("connection reset"));
    }

    #[test]
    fn visitors_and_origin_count_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let origin = Origin::start(directory.path(), 0..20, &["all"]).unwrap();
        let door = Arc::clone(origin.door("all").unwrap());
        let tally = Tally::new().unwrap();
        let crowd = Crowd {
            address: door.address,
            host: "demo".to_owned(),
            habits: HABITS,
            visitors: 4,
            pause: Duration::from_millis(1),
            tally: Arc::clone(&tally),
        };
        let load = start(vec![crowd]).unwrap();
        while tally.requests() < 50 {
            std::thread::yield_now();
        }
        drop(load);
        assert_eq!((tally.requests(), tally.failed()), (door.requests(), 0));
        let Percentiles { p50_ms, p99_ms } = tally.percentiles();
        assert!(p50_ms >= 5.0 && p99_ms >= p50_ms, "{p50_ms} {p99_ms}");
        assert!(tally.take_recent_percentiles().is_some() && tally.take_recent_percentiles().is_none());
    }
}
