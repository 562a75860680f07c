//! All that can be checked before a start, and without leaving anything behind: the settings make sense together,
//! tokens and certificates can be read, policies compile and take their settings, directories can be written to.
//! `sandbar serve` and `sandbar config --check` both go through [`ready`], so neither refuses what the other takes;
//! what only a start can find out (a port in use, a directory that another process has) comes after it.

mod stale;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbar::cache::CacheLimits;
use sandbar::origin::http::{BadOrigin, HttpOrigin, SystemResolver};
use sandbar::setting::Key;
use sandbar::tenant::Tenant;
use sandbar::tenant::config::TenantConfig;
use sandbar::tier::redis::{RedisConfig, RedisTier};
use sandbar_base::clock::{Clock, SystemClock};
use sandbar_base::memory_budget::{MemoryBudget, Reserved};
use sandbar_policy::{Binding, Engine, EngineConfig, KeptBelow, OpenError, Role, TenantPolicies};

use super::StartError;
use super::config::{ConfigError, GatewayConfig, L2Kind, Secret};
use super::room::Rooms;
use super::tls::Served;
use crate::config::origin_of;
use crate::tenants::Tenants;

/// The checked parts that a gateway is assembled from.
pub(super) struct Ready {
    /// The settings, with the tenants that were made over the admin API.
    pub(super) config: GatewayConfig,
    /// The tenants of the file, as they were read.
    pub(super) file: Vec<TenantConfig>,
    /// Which tenants there are beside those of the file.
    pub(super) known: Tenants,
    pub(super) token: Option<Secret>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) budget: Arc<MemoryBudget>,
    /// Bounds of the cache's own tables.
    pub(super) limits: CacheLimits,
    /// The charge for those tables.
    pub(super) tables: Reserved,
    /// The certificates that clients and operators are shown.
    pub(super) served: Served,
    /// The memory set aside for operators' connections, and how many of them it has room for.
    pub(super) operators: (Rooms, u32),
    pub(super) engine: Arc<Engine>,
    /// One per tenant, in the order of the settings.
    pub(super) tenants: Vec<ReadyTenant>,
}

impl Ready {
    /// A sentence for each thing that is odd about the files that the settings name.
    pub(super) fn notes(&self) -> Vec<String> {
        self.served.notes(self.clock.now())
    }
}

/// The checked policies and origin of a tenant.
pub(super) struct ReadyTenant {
    pub(super) policies: TenantPolicies,
    pub(super) origin: Arc<HttpOrigin>,
}

/// Checks whether a gateway could start with these settings, and prepares its parts.
///
/// # Errors
/// For the first reason why it could not.
pub(super) async fn ready(file: GatewayConfig) -> Result<Ready, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // First, as the next step reads from the data directory.
    directories(&file).map_err(|error| error.placed(&file.source))?;
    let mut known = Tenants::open(&file.data_dir, clock.now())?;
    let (mut config, token) = stale::without(&mut known, &file)?;
    let file = file.tenants;
    let source = config.source.clone();
    let wrong = |error: ConfigError| StartError::Config(error.placed(&source));
    redis(&config).map_err(wrong)?;
    let served = Served::open(&config)?;
    let budget = MemoryBudget::new(config.memory_total_bytes()?);
    let no_room = || StartError::NoRoom { total_bytes: budget.total_bytes() };
    let (mut limits, tables) = CacheLimits::within(&budget).ok_or_else(no_room)?;
    limits.l1_bytes = Some(config.l1_max_bytes()?);
    let operators =
        Rooms::kept(&budget, config.limits.head_max.bytes(), served.operators.is_some()).ok_or_else(no_room)?;
    let engine = Engine::within(&EngineConfig::from(&config.policy), Arc::clone(&budget))?;
    let mut tenants = Vec::with_capacity(config.tenants.len());
    while let Some(tenant) = config.tenants.get(tenants.len()) {
        let (index, name) = (tenants.len(), tenant.name.clone());
        let (tenant, engine, clock) = (tenant.clone(), Arc::clone(&engine), Arc::clone(&clock));
        let kept = config.data_dir.clone();
        let prepare = move || {
            let origin = Arc::new(origin(index, &tenant, &clock)?);
            let policies = policies(index, &tenant, &engine, KeptBelow { dir: &kept, is_anothers: false }, &clock)?;
            Ok(ReadyTenant { policies, origin })
        };
        match blocking(prepare).await {
            Ok(ready) => tenants.push(ready),
            Err(error) if config.has_fleet() && known.is_registered(&name) => {
                stale::leave_out(&mut known, &name, &error);
                // Those before it are as they were.
                config.tenants = known.all(&file);
                config.validate()?;
            }
            Err(error) => return Err(wrong(error)),
        }
    }
    Ok(Ready { file, known, token, clock, budget, limits, tables, served, operators, engine, tenants, config })
}

/// Checks that the directories that are written to exist or can be made.
fn directories(config: &GatewayConfig) -> Result<(), ConfigError> {
    usable(&config.data_dir).map_err(|reason| {
        let reason = format!("can't use the data directory {}: {reason}", config.data_dir.display());
        let remedy = "make it writable, or choose another with data_dir or --data-dir";
        ConfigError::wrong("data_dir", format_args!("{:?}", config.data_dir), reason, remedy)
    })?;
    match &config.l2.disk.path {
        Some(path) if config.l2.kind == L2Kind::Disk => usable(path).map_err(|reason| {
            let remedy = "make it writable for this user, or choose another";
            let reason = format!("can't use the directory of the disk tier {}: {reason}", path.display());
            ConfigError::wrong("l2.disk.path", format_args!("{path:?}"), reason, remedy)
        }),
        _ => Ok(()),
    }
}

/// Checks that a directory can be written to or, where it does not exist, be made. Leaves nothing behind.
fn usable(dir: &Path) -> Result<(), String> {
    let mut there = dir;
    loop {
        match std::fs::metadata(there) {
            Ok(found) if found.is_dir() => break,
            Ok(_) => return Err(format!("{} is no directory", there.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                there = there.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    // The file has no name: it is gone as soon as it is closed.
    tempfile::tempfile_in(there).map(drop).map_err(|error| error.to_string())
}

/// Checks the URLs and certificates of the Redis servers; whether the servers answer is found out later.
fn redis(config: &GatewayConfig) -> Result<(), ConfigError> {
    if config.l2.kind != L2Kind::Redis && !config.has_fleet() {
        return Ok(());
    }
    if let Some(file) = &config.l2.redis.ca_file {
        std::fs::read(file).map_err(|error| {
            let remedy = "make it readable for this user, or name another";
            ConfigError::wrong("l2.redis.ca_file", format_args!("{file:?}"), error, remedy)
        })?;
    }
    let control = config.fleet.control_url.as_ref().filter(|_| config.has_fleet());
    let entries = (config.l2.kind == L2Kind::Redis).then_some(&config.l2.redis.url);
    for (key, url) in [("l2.redis.url", entries), ("fleet.control_url", control)] {
        let Some(url) = url else { continue };
        let settings = RedisConfig { ca_file: config.l2.redis.ca_file.clone(), ..RedisConfig::new(url.expose()) };
        RedisTier::check(&settings).map_err(|error| {
            ConfigError::wrong(
                key,
                "…",
                error,
                "write it like redis://127.0.0.1:6379, or choose another tier (--l2 none)",
            )
        })?;
    }
    Ok(())
}

pub(super) fn origin(index: usize, tenant: &TenantConfig, clock: &Arc<dyn Clock>) -> Result<HttpOrigin, ConfigError> {
    let origin = origin_of(index, tenant)?;
    let wrong = |name: &str, value: std::fmt::Arguments<'_>, reason: &dyn std::fmt::Display, remedy| {
        ConfigError::wrong(Key::of_tenant(index, &Key::from(name)), value, reason, remedy)
    };
    HttpOrigin::within(origin, Arc::clone(clock), Arc::new(SystemResolver)).map_err(|error| match &error {
        BadOrigin::CaFile { file, reason } => {
            let remedy = "it must hold certificates in PEM form, and be readable for this user";
            wrong("origin.tls_ca_file", format_args!("{file:?}"), reason, remedy)
        }
        BadOrigin::CertFile { file, reason } => {
            let remedy =
                "it must hold the certificate that the origin is shown in PEM form, and be readable for this user";
            wrong("origin.tls_cert_file", format_args!("{file:?}"), reason, remedy)
        }
        BadOrigin::KeyFile { file, reason } => {
            let remedy = "it must hold the private key of tls_cert_file in PEM form, and be readable for this user";
            wrong("origin.tls_key_file", format_args!("{file:?}"), reason, remedy)
        }
        _ => wrong("origin", format_args!("\"{}\"", origin.url), &error, "or ask it over http"),
    })
}

/// The policies of a tenant that is new.
pub(super) fn policies(
    index: usize,
    tenant: &TenantConfig,
    engine: &Arc<Engine>,
    kept: KeptBelow<'_>,
    clock: &Arc<dyn Clock>,
) -> Result<TenantPolicies, ConfigError> {
    let bindings = bindings(index, tenant)?;
    let opened = |bindings: &[Binding], kept: Option<KeptBelow<'_>>| {
        let (engine, clock, grants) = (Arc::clone(engine), Arc::clone(clock), tenant.grants.clone());
        TenantPolicies::open(engine, &tenant.name, bindings, grants, kept, clock)
    };
    opened(&bindings, Some(kept)).map_err(|error| {
        let remedy = POLICY_REMEDY;
        let binding = bindings.iter().find(|binding| opened(std::slice::from_ref(*binding), None).is_err());
        match binding {
            Some(binding) => refused(index, binding.role, &format!("{{ {} }}", binding.source), error, remedy),
            None => ConfigError::wrong(Key::of_tenant(index, &Key::from("policy")), "", error, remedy),
        }
    })
}

/// The policies of a tenant with other settings than `old`.
pub(super) fn policies_after(index: usize, tenant: &TenantConfig, old: &Tenant) -> Result<TenantPolicies, ConfigError> {
    old.policies.reopen(&bindings(index, tenant)?, tenant.grants.clone()).map_err(|error| {
        let OpenError { role, named, reason } = error;
        refused(index, role, &format!("{{ {named} }}"), reason, POLICY_REMEDY)
    })
}

/// What is told where a policy of the settings can't be bound.
const POLICY_REMEDY: &str = "mend the table, or try the policy with `sandbar policy check`";

fn bindings(index: usize, tenant: &TenantConfig) -> Result<Vec<Binding>, ConfigError> {
    let bindings = tenant.policy.iter().map(|(role, choice)| {
        let wrong = |reason| refused(index, *role, "", reason, "give one of the two");
        choice.clone().into_binding(*role).map_err(wrong)
    });
    bindings.collect()
}

fn refused(index: usize, role: Role, value: &str, reason: impl std::fmt::Display, remedy: &str) -> ConfigError {
    ConfigError::wrong(Key::of_tenant(index, &Key::from("policy").then(role.name())), value, reason, remedy)
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Makes the data directory, once [`ready`] has found that possible.
pub(super) fn make_data_dir(config: &GatewayConfig) -> Result<(), StartError> {
    let path: PathBuf = config.data_dir.clone();
    std::fs::create_dir_all(&path).map_err(|error| StartError::DataDir { path, reason: error.to_string() })
}
