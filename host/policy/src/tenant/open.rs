//! Opens the policies of a tenant: makes policies that answer from bindings, configured and kept.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use sandbar_base::clock::{Clock, SystemClock};
use sandbar_memory::native::NativeEviction;

use super::TenantPolicies;
use super::bound::{Answer, Bound, Prepared, rules};
use crate::cpu_share::CpuShare;
use crate::freshness::Grant;
use crate::ledger::{Ledger, Names};
use crate::own::{Opened, Own};
use crate::saved::{Restored, SavedBindings};
use crate::{BindError, Binding, BoundBy, Digest, Engine, OpenError, PolicyOrigin, Role, Source};

/// Where bindings of the API are kept.
#[derive(Clone, Copy, Debug)]
pub struct KeptBelow<'a> {
    /// The data directory.
    pub dir: &'a Path,
    /// Whether what is kept there was bound for another making of the tenant, and does not count.
    /// [`TenantPolicies::forget`] of that one removes it.
    pub is_anothers: bool,
}

impl TenantPolicies {
    /// The native defaults, without an engine: no policy can be bound but native ones.
    pub fn native(tenant: &str) -> Self {
        Self::unbound(None, tenant, BTreeSet::new(), None, Arc::new(SystemClock))
    }

    /// Opens the policies that `configured` names; for a role that was bound over the API, the binding that was kept
    /// below `kept` comes first. Where that can't be bound any more, a warning says so and the configured policy
    /// answers. Without an engine only native policies can be bound.
    ///
    /// # Errors
    /// When a configured policy can't be bound.
    pub fn open(
        engine: impl Into<Option<Arc<Engine>>>,
        tenant: &str,
        configured: &[Binding],
        grants: BTreeSet<Grant>,
        kept: Option<KeptBelow<'_>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let is_anothers = kept.is_some_and(|kept| kept.is_anothers);
        let kept = kept.map(|kept| SavedBindings::new(kept.dir, tenant));
        let mut opened = Self::unbound(engine.into(), tenant, grants, kept, clock);
        opened.configured = configured.iter().map(|binding| (binding.role, binding.clone())).collect();
        for role in Role::ALL {
            let found = if is_anothers { opened.prepare_configured(role) } else { opened.at_start(role) };
            if let Some(prepared) = found? {
                opened.bound[role as usize].store(prepared.into_bound(None));
            }
        }
        Ok(opened)
    }

    /// Removes what is kept below `data_dir` of the bindings of a tenant that there is no more.
    pub fn forget_kept(data_dir: &Path, tenant: &str) {
        SavedBindings::new(data_dir, tenant).forget();
    }

    fn unbound(
        engine: Option<Arc<Engine>>,
        tenant: &str,
        grants: BTreeSet<Grant>,
        kept: Option<SavedBindings>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let tenant: Arc<str> = tenant.into();
        let bound =
            Role::ALL.map(|role| ArcSwap::from_pointee(Bound::native_default(&tenant, role, Arc::clone(&clock))));
        let percent = engine.as_ref().map_or(0, |engine| engine.config().core_share_percent);
        let share = Arc::new(CpuShare::new(percent));
        Self {
            tenant,
            engine,
            share,
            grants,
            clock,
            configured: Default::default(),
            kept: kept.map(Arc::new),
            bound,
            changing: Mutex::new(()),
            is_succeeded: AtomicBool::new(false),
        }
    }

    /// The policy that answers a role after a start; none for the native default.
    fn at_start(&self, role: Role) -> Result<Option<Prepared>, OpenError> {
        match self.kept_binding(role) {
            Ok(Some(prepared)) => return Ok(Some(prepared)),
            Ok(None) => {}
            Err(reason) => {
                let tenant = &*self.tenant;
                tracing::warn!(tenant, %role, reason, "the kept binding can't be used; the configured policy rules");
            }
        }
        self.prepare_configured(role)
    }

    /// The policy that is configured for a role, if one is.
    pub(super) fn prepare_configured(&self, role: Role) -> Result<Option<Prepared>, OpenError> {
        let Some(binding) = self.configured.get(&role) else { return Ok(None) };
        let prepared = self.prepare_as(binding.clone(), BoundBy::Config, None);
        prepared.map(Some).map_err(|reason| OpenError { role, named: binding.source.to_string(), reason })
    }

    fn kept_binding(&self, role: Role) -> Result<Option<Prepared>, String> {
        let restored = self.kept.as_ref().map_or(Ok(None), |kept| kept.find(role))?;
        let prepare = |restored: Restored| {
            let binding = restored.binding.clone();
            self.prepare_as(binding, BoundBy::Api, Some(restored)).map_err(|error| error.to_string())
        };
        restored.map(prepare).transpose()
    }

    /// Compiles a policy and has it take its settings. `restored` is the kept binding, where it comes from the disk.
    pub(super) fn prepare_as(
        &self,
        binding: Binding,
        by: BoundBy,
        restored: Option<Restored>,
    ) -> Result<Prepared, BindError> {
        if !binding.role.is_served() {
            return Err(BindError::NotServed(binding.role));
        }
        let policy = Policy::of(&binding)?;
        if binding.name.is_some() {
            binding.check_name().map_err(BindError::Name)?;
        }
        let given = restored.as_ref().and_then(|restored| restored.name.clone()).or_else(|| binding.name.clone());
        let name = given.unwrap_or_else(|| policy.name(&binding));
        let origin = origin(&binding, by);
        let share = match &policy {
            Policy::Guest { .. } => Arc::clone(&self.share),
            // What the program itself does is no guest's, and is not held back when guests are.
            Policy::Native(_) | Policy::Own(_) => Arc::new(CpuShare::new(0)),
        };
        let ledger = self.ledger(name.into(), binding.role, share);
        let settings = settings_text(&binding.settings);
        let (answer, digest) = match &policy {
            Policy::Native(name) => (native(name, binding.role, &settings)?, None),
            Policy::Own(own) => (opened(own.open(&settings, &ledger)?), own.digest()),
            Policy::Guest { bytes, is_stock } => {
                let (answer, digest) = self.guest((bytes, *is_stock), binding.role, settings, &ledger)?;
                (answer, Some(digest))
            }
        };
        let since = restored.map_or_else(|| self.clock.now(), |restored| restored.since);
        let role = binding.role;
        let settings = binding.settings.clone();
        let disinherited = OnceLock::new();
        let bound = Arc::new(Bound { role, answer, digest, by, origin, since, settings, ledger, disinherited });
        Ok(Prepared { bound, binding: Some(binding), component: policy.component() })
    }

    fn ledger(&self, name: Arc<str>, role: Role, share: Arc<CpuShare>) -> Arc<Ledger> {
        let config = self.engine.as_ref().map(|engine| engine.config().clone()).unwrap_or_default();
        let names = Names { tenant: Arc::clone(&self.tenant), policy: name, role };
        Arc::new(Ledger::new(names, rules(&config), share, Arc::clone(&self.clock)))
    }

    #[cfg(not(feature = "wasm"))]
    fn guest(
        &self,
        _component: (&[u8], bool),
        _role: Role,
        _settings: String,
        _ledger: &Arc<Ledger>,
    ) -> Result<(Answer, Digest), BindError> {
        Err(BindError::NoEngine)
    }
}

/// A policy that a binding names.
enum Policy {
    /// A stock policy that is compiled in, by its name.
    Native(String),
    /// A native policy of the embedding program.
    Own(Own),
    /// A guest, as the bytes of its component.
    Guest { bytes: Bytes, is_stock: bool },
}

impl Policy {
    fn of(binding: &Binding) -> Result<Self, BindError> {
        match &binding.source {
            Source::Stock(name) if binding.native => Ok(Self::Native(name.clone())),
            Source::Stock(name) => {
                let restored = sandbar_policies::find(binding.role.name(), name);
                let stock = restored.ok_or_else(|| unknown(binding.role, name))?;
                Ok(Self::Guest { bytes: Bytes::from_static(stock.component), is_stock: true })
            }
            Source::Component(bytes) => Ok(Self::Guest { bytes: bytes.clone(), is_stock: false }),
            Source::Own(own) if own.role() != binding.role => {
                Err(BindError::LacksRole { role: binding.role, roles: vec![own.role()] })
            }
            Source::Own(own) => Ok(Self::Own(own.clone())),
            Source::File(path) => {
                let unreadable = |error| BindError::Unreadable { path: path.clone(), error };
                Ok(Self::Guest { bytes: read_bounded(path).map_err(unreadable)?.into(), is_stock: false })
            }
        }
    }

    fn name(&self, binding: &Binding) -> String {
        let digest = || match self {
            Self::Guest { bytes, .. } => Digest::of(bytes).to_string()[..12].to_owned(),
            Self::Native(name) => name.clone(),
            Self::Own(own) => own.name().to_owned(),
        };
        match &binding.source {
            Source::Stock(name) => name.clone(),
            Source::File(path) => path.file_stem().map_or_else(digest, |stem| stem.to_string_lossy().into_owned()),
            Source::Component(_) | Source::Own(_) => digest(),
        }
    }

    fn component(self) -> Option<Bytes> {
        match self {
            Self::Guest { bytes, is_stock: false } => Some(bytes),
            Self::Guest { .. } | Self::Native(_) | Self::Own(_) => None,
        }
    }
}

/// The bytes of a file, or so many of them that the file shows to be too large for a component.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Bytes of a file that are read: more than any engine takes.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A policy that is compiled in. Of the freshness policies that is only `standard`, the native default.
fn native(name: &str, role: Role, settings: &str) -> Result<Answer, BindError> {
    let not_native = || match sandbar_policies::find(role.name(), name) {
        Some(_) => BindError::NotNative { role, name: name.to_owned() },
        None => unknown(role, name),
    };
    match role {
        Role::Eviction => {
            let made = NativeEviction::new(name, settings).ok_or_else(not_native)?;
            Ok(Answer::Eviction(Arc::new(made.map_err(|sentence| BindError::Settings(sentence.into()))?)))
        }
        Role::Freshness if name == "standard" => Ok(Answer::Native),
        _ => Err(not_native()),
    }
}

/// Where a policy comes from, for the history.
const fn origin(binding: &Binding, by: BoundBy) -> PolicyOrigin {
    match (&binding.source, by) {
        (Source::Own(_), BoundBy::Api) => PolicyOrigin::Program,
        (_, BoundBy::Config | BoundBy::Default) => PolicyOrigin::Configured,
        (Source::Stock(_), BoundBy::Api) if binding.native => PolicyOrigin::StockNative,
        (Source::Stock(_), BoundBy::Api) => PolicyOrigin::Stock,
        (Source::Component(_) | Source::File(_), BoundBy::Api) => PolicyOrigin::Component,
    }
}

fn opened(own: Opened) -> Answer {
    match own {
        Opened::Freshness(policy) => Answer::Freshness(policy),
        Opened::Invalidation(policy) => Answer::Invalidation(policy),
        Opened::Eviction(factory) => Answer::Eviction(factory),
    }
}

fn unknown(role: Role, name: &str) -> BindError {
    let of_role = sandbar_policies::stock().iter().filter(|stock| stock.role == role.name());
    let known = of_role.map(|stock| stock.name).collect::<Vec<_>>().join(", ");
    BindError::UnknownStock { role, name: name.to_owned(), known }
}

/// Settings as the text that a policy takes: JSON, or an empty text where there are none.
fn settings_text(settings: &serde_json::Value) -> String {
    if settings.is_null() { String::new() } else { settings.to_string() }
}
