//! Trying a component before anyone binds it: all the steps of a binding, with the engine that would run it.

use std::collections::BTreeSet;
use std::sync::Arc;

use sandbar_base::clock::SystemClock;

use super::{BindError, Binding, Checked, Engine, GuestText, Role, TenantPolicies, check_within};

/// A component that can be bound.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Roles, digest and size of the component.
    pub checked: Checked,
    /// The roles whose policies refuse to run without settings, and what they say; empty where settings were given.
    pub wants_settings: Vec<(Role, GuestText)>,
}

/// Tries a component in each of its roles that is served: compiles it, makes an instance and has it take `settings`, as
/// a binding does.
///
/// # Errors
/// When the component could not be bound to one of these roles, or its only role is not served.
pub fn try_component(
    engine: &Arc<Engine>,
    bytes: &[u8],
    settings: Option<&serde_json::Value>,
) -> Result<Tried, BindError> {
    let checked = check_within(bytes, engine.config().component_bytes_max)?;
    if let [role] = &*checked.roles
        && !role.is_served()
    {
        return Err(BindError::NotServed(*role));
    }
    let (engine, clock) = (Arc::clone(engine), Arc::new(SystemClock));
    let policies = TenantPolicies::open(engine, "check", &[], BTreeSet::new(), None, clock).map_err(|it| it.reason)?;
    let mut wants_settings = Vec::new();
    for role in checked.roles.iter().copied().filter(|role| role.is_served()) {
        let binding = Binding::component(role, bytes.to_vec());
        match policies.prepare(binding.with_settings(settings.cloned().unwrap_or_default())) {
            Ok(_) => {}
            Err(BindError::Settings(sentence)) if settings.is_none() => wants_settings.push((role, sentence)),
            Err(error) => return Err(error),
        }
    }
    Ok(Tried { checked, wants_settings })
}
