//! Settings that change while the gateway runs: those of the file by [`Reloads::reload`], single tenants over the admin API,
//! of this node or of another one of its fleet.
//! A change is checked as a whole, then applied as a whole; one at a time.

mod apply;
mod difference;
mod made;
mod records;
mod register;
mod report;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use sandbar::cache::Cache;
use sandbar::fleet::Unapplied;
use sandbar::tenant::config::TenantConfig;
use sandbar_base::clock::Clock;
use sandbar_policy::Engine;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, RwLockReadGuard};

pub(crate) use self::made::settings_tag;
pub(crate) use self::register::Following;
use self::register::Place;
pub use self::report::{ReloadError, Reloaded};
use crate::config::{GatewayConfig, Secret};
use crate::tenants::Tenants;
use crate::tls::Served;

/// Reads the settings again from where they came from: the file, with what takes precedence over it.
///
/// # Errors
/// With a sentence, where they can't be read.
pub type ReadSettings = dyn Fn() -> Result<GatewayConfig, String> + Send + Sync;

/// Does what a part of the gateway has to do when settings have changed.
type Follower = Box<dyn Fn(&GatewayConfig) + Send + Sync>;

/// What changes of settings are made with.
pub(super) struct Reloads {
    cache: Cache,
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    served: Served,
    read: Option<Arc<ReadSettings>>,
    /// Held while a change is checked and applied.
    state: tokio::sync::Mutex<State>,
    /// The settings that hold at present, without tenants: those are in the cache.
    present: ArcSwap<GatewayConfig>,
    /// The admin token of these settings.
    token: Arc<ArcSwapOption<Secret>>,
    /// Read while something is changed that is kept: settings, tenants, bound policies.
    changing: Arc<RwLock<()>>,
    followers: Mutex<Vec<Follower>>,
}

/// Which tenants there are.
struct State {
    /// Those of the file.
    file: Vec<TenantConfig>,
    /// Those beside them.
    tenants: Tenants,
    /// Up to where the register of the fleet was read.
    place: Place,
    /// Tenants whose records can't be applied here.
    unapplied: BTreeMap<String, Unapplied>,
}

impl Reloads {
    /// Begins with the settings `present`, without tenants, and their admin token, which have come of a file with the tenants
    /// `file`: all is applied already.
    pub(super) fn new(
        cache: Cache,
        engine: Arc<Engine>,
        file: Vec<TenantConfig>,
        (present, token): (GatewayConfig, Option<Secret>),
        tenants: Tenants,
        served: Served,
        read: Option<Arc<ReadSettings>>,
    ) -> Arc<Self> {
        let clock = Arc::clone(cache.clock());
        let state = State { file, tenants, place: Place::default(), unapplied: BTreeMap::new() };
        let (state, changing) = (tokio::sync::Mutex::new(state), Arc::default());
        let present = ArcSwap::from_pointee(present);
        let (token, followers) = (Arc::new(ArcSwapOption::new(token.map(Arc::new))), Mutex::default());
        Arc::new(Self { cache, engine, clock, served, read, state, present, token, changing, followers })
    }

    /// The admin token that holds at present, from now on.
    pub(super) fn token(&self) -> Arc<ArcSwapOption<Secret>> {
        Arc::clone(&self.token)
    }

    /// Has `follower` called with the settings after each change of them.
    pub(super) fn follow(&self, follower: impl Fn(&GatewayConfig) + Send + Sync + 'static) {
        self.followers.lock().push(Box::new(follower));
    }

    /// The settings that hold at present, without tenants: those are in the cache.
    pub(super) fn present(&self) -> Arc<GatewayConfig> {
        self.present.load_full()
    }

    /// The right to change something that is kept, while it is held.
    ///
    /// # Errors
    /// While another process takes this one's place, and for ever after that.
    pub(super) fn change(&self) -> Result<RwLockReadGuard<'_, ()>, ReloadError> {
        self.changing.try_read().map_err(|_| ReloadError::Upgrading)
    }

    /// Waits for what is being changed. While the answer is held, nothing else is.
    pub(super) async fn settle(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.changing).write_owned().await
    }

    /// Reads the settings again, and the certificates that they name, and applies what differs: all of it, or nothing.
    ///
    /// # Errors
    /// When they can't be read, are wrong, or can't be applied; nothing has changed then.
    pub(super) async fn reload(self: &Arc<Self>) -> Result<Reloaded, ReloadError> {
        let reloads = Arc::clone(self);
        to_its_end(async move { reloads.read_and_apply().await }).await
    }

    async fn read_and_apply(&self) -> Result<Reloaded, ReloadError> {
        let read = self.read.clone().ok_or(ReloadError::NoSource)?;
        let next = crate::ready::blocking(move || read()).await.map_err(ReloadError::Unreadable)?;
        self.apply(next).await
    }

    fn tell_followers(&self, config: &GatewayConfig) {
        for follower in &*self.followers.lock() {
            follower(config);
        }
    }
}

/// Makes a change to its end, whoever goes on to wait for it: none is made by half.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, ReloadError>> + Send + 'static,
) -> Result<T, ReloadError> {
    tokio::spawn(change).await.unwrap_or_else(|error| Err(ReloadError::Failed(error.to_string())))
}
