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
        if self.l2.kind != L2Kind::Redis && !is_said && self.l2.redis != defaults.l2.redis {
            notes.push("[l2.redis] is not used: set l2.kind = \"redis\" to use it".to_owned());
        }
        if self.l2.kind == L2Kind::Redis && self.l2.disk != defaults.l2.disk {
            notes.push("[l2.disk] is not used: l2.kind is \"redis\"".to_owned());
        }
        if self.l2.kind != L2Kind::Redis && self.fleet != defaults.fleet {
            notes.push("[fleet] is not used: nodes act together over a Redis (l2.kind = \"redis\")".to_owned());
        }
        notes.extend(self.tenants.iter().filter_map(tenant_note));
        notes
    }
}

/// A sentence on a setting of one tenant that has no effect because of the others.
pub(crate) fn tenant_note(tenant: &TenantConfig) -> Option<String> {
    let (protect, name) = (&tenant.protect, &tenant.name);
    let is_idle = !protect.adaptive && protect.requests_min != ProtectConfig::default().requests_min;
    is_idle.then(|| format!("tenant {name:?}: protect.requests_min is not used: protect.adaptive is off"))
}
