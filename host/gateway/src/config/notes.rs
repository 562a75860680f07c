//! Notes on settings that are no errors but hardly intended: told once at the start, and by `sandbar config --check`.

use sandbar::origin::shield::ProtectConfig;
use sandbar::setting::Key;
use sandbar::tenant::config::TenantConfig;

use super::{GatewayConfig, L2Kind};

impl GatewayConfig {
    /// A sentence for each setting that has no effect because of the others.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let is_said = self.source.said(&Key::from("l2.kind")).is_some();
        let defaults = Self::default();
        let kind = self.l2.kind;
        if kind != L2Kind::Redis && !self.has_fleet() && !is_said && self.l2.redis != defaults.l2.redis {
            notes.push("[l2.redis] is not used: set l2.kind = \"redis\" to use it".to_owned());
        }
        if kind != L2Kind::Memcached && !is_said && self.l2.memcached != defaults.l2.memcached {
            notes.push("[l2.memcached] is not used: set l2.kind = \"memcached\" to use it".to_owned());
        }
        if let L2Kind::Redis | L2Kind::Memcached = kind
            && self.l2.disk != defaults.l2.disk
        {
            let kind = if kind == L2Kind::Redis { "redis" } else { "memcached" };
            notes.push(format!("[l2.disk] is not used: l2.kind is \"{kind}\""));
        }
        if kind != L2Kind::Redis && !self.has_fleet() && self.fleet != defaults.fleet {
            notes.push("[fleet] is not used: nodes act together over a Redis (l2.kind = \"redis\")".to_owned());
        }
        if kind == L2Kind::Memcached && !self.has_fleet() {
            notes.push(UNHEARD.to_owned());
        }
        notes.extend(self.tenants.iter().filter_map(tenant_note));
        notes
    }
}

/// What is told where nodes share entries and not their purges.
const UNHEARD: &str = "l2.kind is \"memcached\": purges made on this node hold here alone; on other nodes that use these servers \
                       entries live until they expire, unless fleet.control_url names a Redis by which nodes tell each other";

/// A sentence on a setting of one tenant that has no effect because of the others.
pub(crate) fn tenant_note(tenant: &TenantConfig) -> Option<String> {
    let (protect, name) = (&tenant.protect, &tenant.name);
    let is_idle = !protect.adaptive && protect.requests_min != ProtectConfig::default().requests_min;
    is_idle.then(|| format!("tenant {name:?}: protect.requests_min is not used: protect.adaptive is off"))
}
