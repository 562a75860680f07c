//! Reading values that are loaded where the cache has none: from the loader's types to a load without types, and back.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;

use super::codec::Codec;
use super::error::LoadError;
use super::fresh::Fresh;
use super::handle::{Values, value_of};
use super::load::{Given, NotLoaded};
use super::many::{BatchLoad, Wanted};
use crate::collapse::load::LoadFailure;
use crate::fill::load::Load;
use crate::tenant::counters::count;

impl<T: Send + Sync + 'static, C: Codec<T>> Values<T, C> {
    /// The value, loaded where the cache has none that may be given: `None` where the loader says that there is none.
    ///
    /// All callers who want one key at the same time, with the same or another handle, wait for one load, by the loader of the first
    /// of them; in a fleet for that of one node. The load is a task of its own: it goes on where its caller goes away. It is behind a protection as the
    /// tenant's origin is, with the same settings (`protect`), one for each name: so many loads under way, so many that wait, a
    /// breaker. A stale value is given while it is loaded anew behind the answer, or where the loader fails, as far as
    /// [`Keep`](super::keep::Keep) allows it.
    ///
    /// What is purged while it is loaded is given to those who had asked before, and not stored.
    ///
    /// # Errors
    /// When the loader fails, panics, is not called or takes too long, each for all who waited for it; nothing is stored then.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn get_or_load<F, R, L, E>(
        &self,
        key: impl AsRef<[u8]>,
        loader: F,
    ) -> Result<Option<Arc<T>>, LoadError<E>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = Result<L, E>> + Send,
        L: Into<Fresh<T>>,
        E: Display + Send + Sync + 'static,
    {
        let shelf = &self.of.shelf;
        let (tenant, started) = (shelf.tenant()?, shelf.monotonic());
        let key = shelf.key(&tenant, key.as_ref())?;
        count(&tenant.counters.requests);
        let basis = match shelf.hit(&tenant, &key) {
            Ok(hit) => {
                shelf.counted_hit(&tenant, &hit.leave, started);
                if hit.refreshes {
                    let (request, basis) = (shelf.request(&tenant, key), hit.leave.what().clone());
                    shelf.refresh_behind(request, basis, self.erased(loader));
                }
                return Ok(value_of(hit.leave.what()));
            }
            Err(no_hit) => no_hit.basis,
        };
        count(&tenant.counters.misses_l1);
        let request = shelf.request(&tenant, key);
        let load = self.erased(loader);
        // On the heap, so that the state of a call that is answered from memory stays small.
        let given = Box::pin(shelf.load(Arc::clone(&request), basis, load)).await;
        shelf.counted_load(&request, &given, started);
        value_given(given)
    }

    /// Several values: those that the cache does not have are loaded by one call of the loader, which is given their keys, each
    /// once; those that others are loading are waited for. A key that is not in the loader's answer has no value; nor is it in
    /// this one's.
    ///
    /// In a fleet such a load takes no turn: two nodes may load the same keys at the same time.
    ///
    /// # Errors
    /// As for [`Self::get_or_load`]: the first error, in the order of the keys.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn get_or_load_many<K, F, R, L, E>(
        &self,
        keys: impl IntoIterator<Item = K>,
        loader: F,
    ) -> Result<HashMap<K, Arc<T>>, LoadError<E>>
    where
        K: AsRef<[u8]> + Clone + Eq + Hash + Send + Sync + 'static,
        F: Fn(Vec<K>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<HashMap<K, L>, E>> + Send,
        L: Into<Fresh<T>> + Send,
        E: Display + Send + Sync + 'static,
    {
        let shelf = &self.of.shelf;
        let (tenant, started) = (shelf.tenant()?, shelf.monotonic());
        let keys = each_once(keys);
        let (mut values, mut wanted, mut refreshed) = (HashMap::with_capacity(keys.len()), Vec::new(), Vec::new());
        let cache_keys = keys.iter().map(|key| shelf.key(&tenant, key.as_ref())).collect::<Result<Vec<_>, _>>()?;
        for ((place, name), key) in keys.iter().enumerate().zip(cache_keys) {
            count(&tenant.counters.requests);
            match shelf.hit(&tenant, &key) {
                Ok(hit) => {
                    shelf.counted_hit(&tenant, &hit.leave, started);
                    values.extend(value_of(hit.leave.what()).map(|value| (name.clone(), value)));
                    if hit.refreshes {
                        let wait = shelf.wait(shelf.request(&tenant, key), Some(hit.leave.what().clone()));
                        refreshed.push(Wanted { place, wait });
                    }
                }
                Err(no_hit) => {
                    count(&tenant.counters.misses_l1);
                    let wait = shelf.wait(shelf.request(&tenant, key), no_hit.basis);
                    wanted.push(Wanted { place, wait });
                }
            }
        }
        if wanted.is_empty() && refreshed.is_empty() {
            return Ok(values);
        }
        let keys = Arc::new(keys);
        let load = self.erased_batch(&keys, loader);
        shelf.refresh_many_behind(refreshed, &load);
        let mut settled = Box::pin(shelf.load_many(wanted, &load)).await;
        settled.iter().for_each(|settled| shelf.counted_load(&settled.request, &settled.given, started));
        settled.sort_by_key(|settled| settled.place);
        for settled in settled {
            values.extend(value_given(settled.given)?.map(|value| (keys[settled.place].clone(), value)));
        }
        Ok(values)
    }

    /// A loader without its types.
    fn erased<F, R, L, E>(&self, loader: F) -> Load
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = Result<L, E>> + Send,
        L: Into<Fresh<T>>,
        E: Display + Send + Sync + 'static,
    {
        let (shape, keep) = (Arc::clone(&self.of.shape), Arc::clone(&self.keep));
        Box::new(move || {
            Box::pin(async move {
                let loaded = loader().await.map_err(failure)?;
                Ok(shape.stored_or_shared(loaded.into(), &keep))
            })
        })
    }

    /// A loader of several values without its types.
    fn erased_batch<K, F, R, L, E>(&self, keys: &Arc<Vec<K>>, loader: F) -> BatchLoad
    where
        K: AsRef<[u8]> + Clone + Eq + Hash + Send + Sync + 'static,
        F: Fn(Vec<K>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<HashMap<K, L>, E>> + Send,
        L: Into<Fresh<T>> + Send,
        E: Display + Send + Sync + 'static,
    {
        let (shape, keep, keys, loader) =
            (Arc::clone(&self.of.shape), Arc::clone(&self.keep), Arc::clone(keys), Arc::new(loader));
        Arc::new(move |places| {
            let (shape, keep, keys, loader) =
                (Arc::clone(&shape), Arc::clone(&keep), Arc::clone(&keys), Arc::clone(&loader));
            Box::pin(async move {
                let asked = places.iter().map(|place| keys[*place].clone()).collect();
                let mut loaded = loader(asked).await.map_err(failure)?;
                let each =
                    places.iter().map(|place| loaded.remove(&keys[*place]).map_or_else(Fresh::absent, Into::into));
                Ok(each.map(|fresh| shape.stored_or_shared(fresh, &keep)).collect())
            })
        })
    }
}

fn value_given<T, E>(given: Result<Given, NotLoaded>) -> Result<Option<Arc<T>>, LoadError<E>>
where
    T: Send + Sync + 'static,
    E: Display + Send + Sync + 'static,
{
    match given {
        Ok(given) => Ok(value_of(given.leave.what())),
        Err(NotLoaded::Overdue(waited)) => Err(LoadError::Overdue(waited)),
        Err(NotLoaded::Stopped) => Err(LoadError::Stopped),
        Err(NotLoaded::Failed(LoadFailure::Panicked(text))) => Err(LoadError::Panicked(text)),
        Err(NotLoaded::Failed(LoadFailure::NotLoaded(error))) => Err(LoadError::NotLoaded(error)),
        Err(NotLoaded::Failed(LoadFailure::Loader { error, text })) => {
            Err(error.downcast().map_or(LoadError::OtherLoader(text), LoadError::Loader))
        }
    }
}

fn failure<E: Display + Send + Sync + 'static>(error: E) -> LoadFailure {
    LoadFailure::Loader { text: error.to_string().into(), error: Arc::new(error) }
}

/// The keys in their order, each once.
fn each_once<K: Clone + Eq + Hash>(keys: impl IntoIterator<Item = K>) -> Vec<K> {
    let mut seen = HashSet::new();
    keys.into_iter().filter(|key| seen.insert(key.clone())).collect()
}
