//! Tenants that another node of the fleet has made, and that can't be served here any more: a file is missing, the configuration
//! file has one of their hosts by now. They keep no node from starting: the fleet's register, which is read next, decides.

use crate::config::{ConfigError, GatewayConfig, Secret};
use crate::tenants::Tenants;

/// The settings with the tenants that were made over the admin API, and the admin token that was seen when they were checked; in a
/// fleet without those that don't go together with the file.
///
/// # Errors
/// For the first setting that can't work.
pub(super) fn without(
    known: &mut Tenants,
    file: &GatewayConfig,
) -> Result<(GatewayConfig, Option<Secret>), ConfigError> {
    let with = |known: &Tenants| GatewayConfig { tenants: known.all(&file.tenants), ..file.without_tenants() };
    let all = with(known);
    let made: Vec<String> = known.registered().map(ToOwned::to_owned).collect();
    let checked = all.validated_token();
    if checked.is_ok() || !file.has_fleet() || made.is_empty() {
        return checked.map(|token| (all, token));
    }
    made.iter().for_each(|name| known.leave_out(name));
    let mut left_out = Vec::new();
    for name in made {
        known.take_back(&name);
        if let Err(error) = with(known).validate() {
            known.leave_out(&name);
            left_out.push((name, error));
        }
    }
    let rest = with(known);
    let Ok(token) = rest.validated_token() else {
        // It is not for their sake.
        left_out.iter().for_each(|(name, _)| known.take_back(name));
        return checked.map(|token| (all, token));
    };
    left_out.iter().for_each(|(name, error)| leave_out(known, name, error));
    Ok((rest, token))
}

/// Leaves a tenant out, and tells that.
pub(super) fn leave_out(known: &mut Tenants, tenant: &str, error: &ConfigError) {
    known.leave_out(tenant);
    tracing::warn!(
        tenant,
        %error,
        "a tenant that was made over the admin API can't be served as it is kept: it is left out until the register of the fleet \
         is read"
    );
}
