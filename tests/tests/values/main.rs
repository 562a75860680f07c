//! Values of a program without HTTP: loads that are shared, tiers, purges, puts that may be late, keys of all kinds, nodes.

mod examples;
mod keys;
mod loads;
mod many;
mod nodes;
mod origin_store;
mod reservations;
mod tiers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sandbar::Sandbar;
use sandbar::body::BoxError;
use sandbar::clock::{ManualClock, Timestamp};
use sandbar::embed::Builder;
use sandbar::tenant::config::TenantConfig;
use sandbar::tenant::counters::CounterValues;
use sandbar::values::{Codec, Keep};
use sandbar_tests::wait::settled;

const MINUTE: Duration = Duration::from_secs(60);
const TENANT: &str = "shop";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000)))
}

fn builder(clock: &Arc<ManualClock>) -> Builder {
    Sandbar::builder().tenant(TenantConfig::named(TENANT)).native_only().clock(Arc::clone(clock) as _)
}

fn minute() -> Keep {
    Keep::fresh_for(MINUTE)
}

fn counted(sandbar: &Sandbar) -> CounterValues {
    sandbar.tenant(TENANT).expect("it is there").counters.values()
}

/// Text in UTF-8; counts what it does, and can be told to fail or to panic.
#[derive(Clone, Default)]
struct Text {
    version: u32,
    weight_bytes: Option<u64>,
    refuses: Option<Refuses>,
    decoded: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
enum Refuses {
    Error,
    Panic,
}

impl Text {
    fn decoded(&self) -> usize {
        self.decoded.load(Ordering::SeqCst)
    }
}

impl Codec<String> for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn encode(&self, value: &String) -> Result<Vec<u8>, BoxError> {
        match value.as_str() {
            "no bytes" => Err("it has none".into()),
            "panic" => panic!("as it was asked to"),
            text => Ok(text.as_bytes().to_vec()),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, BoxError> {
        self.decoded.fetch_add(1, Ordering::SeqCst);
        match self.refuses {
            None => Ok(std::str::from_utf8(bytes)?.to_owned()),
            Some(Refuses::Error) => Err("none of these".into()),
            Some(Refuses::Panic) => panic!("as it was asked to"),
        }
    }

    fn weight_bytes(&self, _value: &String, encoded_bytes: usize) -> u64 {
        self.weight_bytes.unwrap_or(encoded_bytes as u64)
    }
}
