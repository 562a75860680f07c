//! What the demo consists of: two tenants with their objects and visitors, and the gateway's settings.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::workload::Habits;

/// A tenant and its visitors.
pub(super) struct Tenant {
    pub(super) name: &'static str,
    pub(super) host: &'static str,
    pub(super) habits: Habits,
    pub(super) visitors: u64,
    /// Mean pause of a visitor between an answer and the next request.
    pub(super) pause: Duration,
    /// The tenant's share of memory and its `[tenant.policy]` table, as TOML.
    settings: &'static str,
}

/// The tenant whose eviction policy is swapped, and the policy that it gets.
pub(super) const SWAPPED: usize = 1;
pub(super) const SWAPPED_TO: &str = "s3-fifo";

/// How many objects each tenant has. The second tenant's numbers follow those of the first.
const OBJECTS: u64 = 2000;
/// A day of the demo lasts a minute.
const DAY: Duration = Duration::from_secs(60);
/// How often a crawler comes. Windows that are compared are whole multiples of this.
pub(super) const SCAN_EVERY: Duration = Duration::from_millis(2500);

/// A shop that is visited steadily, and a media site through which a crawler walks again and again: in an LRU, objects
/// that are read once drive out those that are read often; S3-FIFO evicts the former first.
pub(super) fn tenants() -> [Tenant; 2] {
    let habits = |index: u64, skew, scan_share| Habits {
        first_id: index * OBJECTS,
        objects: OBJECTS,
        skew,
        day: DAY,
        scan_every: SCAN_EVERY,
        scan_for: SCAN_EVERY * 2 / 5,
        scan_share,
    };
    let (visitors, pause) = (24, Duration::from_millis(12));
    [
        Tenant {
            name: "shop",
            host: "shop.demo",
            habits: habits(0, 1.0, 0.05),
            visitors,
            pause,
            settings: "l1 = \"8MiB\"\n[tenant.policy.freshness]\nstock = \"early-refresh\"\n",
        },
        Tenant {
            name: "media",
            host: "media.demo",
            habits: habits(1, 0.9, 0.4),
            visitors,
            pause,
            settings: "l1 = \"3MiB\"\n[tenant.policy.eviction]\nstock = \"lru\"\n",
        },
    ]
}

/// The numbers of all objects.
pub(super) fn objects() -> Range<u64> {
    0..OBJECTS * tenants().len() as u64
}

/// The gateway's settings: each tenant's origin is the door of the same name. The disk tier is smaller than the
/// catalogue, so that the origin's load depends on what L1 keeps.
pub(super) fn settings(
    data_dir: &Path,
    listen: SocketAddr,
    admin: SocketAddr,
    door: impl Fn(&str) -> Option<SocketAddr>,
) -> String {
    let data_dir = toml::Value::String(data_dir.display().to_string());
    let mut settings = format!(
        "data_dir = {data_dir}\n\
         [gateway]\nlisten = \"{listen}\"\n\
         [admin]\nlisten = \"{admin}\"\n\
         [l2]\nkind = \"disk\"\n[l2.disk]\ncapacity = \"12MiB\"\n"
    );
    for tenant in tenants() {
        let Tenant { name, host, settings: own, .. } = tenant;
        let Some(origin) = door(name) else { continue };
        settings +=
            &format!("[[tenant]]\nname = \"{name}\"\nhosts = [\"{host}\"]\norigin = \"http://{origin}\"\n{own}");
    }
    settings
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use sandbar_guest::eviction::{Arrival, Event, pack};

    use super::super::catalogue;
    use super::super::random::mix;
    use super::super::workload::Workload;
    use super::*;

    /// Hit ratio in per cent of the swapped tenant's visitors in an L1 of one shard with this policy: 1,200 requests a
    /// second for 20 seconds, of which the second half counts.
    fn hit_ratio(policy: &str, capacity_bytes: u64) -> f64 {
        const RATE: u64 = 1200;
        let habits = &tenants()[SWAPPED].habits;
        let mut policy = sandbar_policies::eviction::native(policy, "", capacity_bytes, 1).unwrap().unwrap();
        let mut visitors: Vec<_> = (0..16).map(|index| Workload::new(habits, index, 16)).collect();
        let (mut slots, mut ids) = (HashMap::new(), HashMap::new());
        let (mut hits, mut events, mut victims) = (0, Vec::new(), Vec::new());
        for number in 0..RATE * 20 {
            let now = Duration::from_micros(number * 1_000_000 / RATE);
            let id = visitors[number as usize % 16].next(now);
            if let Some(&slot) = slots.get(&id) {
                hits += u64::from(number >= RATE * 10);
                pack(Event::Touched { slot }, &mut events);
                continue;
            }
            let slot = number as u32;
            slots.insert(id, slot);
            ids.insert(slot, id);
            let weight_bytes = catalogue::size_bytes(id) as u64 + 600;
            let arrival = Arrival {
                slot,
                key_hash: mix(id),
                weight_bytes,
                fetch_cost_us: 12_000,
                expires_ms: u64::MAX,
                ..Arrival::default()
            };
            pack(Event::Arrived(arrival), &mut events);
            policy.advance(now.as_millis() as u64, &events, 0, &mut victims);
            events.clear();
            for victim in victims.drain(..) {
                slots.remove(&ids.remove(&victim).unwrap());
            }
        }
        100.0 * hits as f64 / (RATE * 10) as f64
    }

    #[test]
    fn the_swap_is_worth_more_than_three_points() {
        let (before, after) = (hit_ratio("lru", 3 << 20), hit_ratio(SWAPPED_TO, 3 << 20));
        assert!(after - before > 5.0, "{before:.1} % with lru, {after:.1} % with {SWAPPED_TO}");
    }

    #[test]
    fn the_settings_are_settings() {
        let (any, door): (SocketAddr, SocketAddr) = ("127.0.0.1:0".parse().unwrap(), "127.0.0.1:3000".parse().unwrap());
        let text = settings(Path::new("/tmp/a \"quoted\" place"), any, any, |_| Some(door));
        let config = crate::GatewayConfig::from_toml(&text, "demo").unwrap();
        assert_eq!(config.tenants.len(), 2);
    }
}
