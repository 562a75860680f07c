//! Notes on settings that are no errors but hardly intended: told once at the start, and by `sandbar config --check`.

use sandbar::setting::Key;

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
        for tenant in &self.tenants {
            if !tenant.protect.adaptive && tenant.protect.requests_min != defaults_of_protect().requests_min {
                let name = &tenant.name;
                notes.push(format!("tenant {name:?}: protect.requests_min is not used: protect.adaptive is off"));
            }
        }
        notes
    }
}

fn defaults_of_protect() -> sandbar::origin::shield::ProtectConfig {
    sandbar::origin::shield::ProtectConfig::default()
}
