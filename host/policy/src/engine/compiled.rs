//! Compiled policies, each digest once: for as long as one is bound, and after that while there is room to keep it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use mini_moka::sync::{Cache, ConcurrentCacheExt};
use parking_lot::Mutex;
use wasmtime::component::{Component, InstancePre, Linker};

use super::{GuestState, pool};
use crate::{BindError, Checked, Digest};

/// A compiled component, linked and ready to be instantiated.
pub(crate) struct Compiled {
    /// Roles and digest of the component.
    pub(crate) checked: Checked,
    /// The machine code.
    pub(crate) component: Component,
    /// The component, linked with what it imports.
    pub(crate) pre: InstancePre<GuestState>,
    /// Places of the pool that one instance takes.
    pub(super) places: u32,
    code_bytes: u64,
}

impl Compiled {
    pub(super) fn new(
        wasm: &wasmtime::Engine,
        linker: &Linker<GuestState>,
        checked: Checked,
        bytes: &[u8],
    ) -> Result<Self, BindError> {
        let invalid = |error: wasmtime::Error| BindError::Invalid(format!("{error:#}").into());
        let component = Component::new(wasm, bytes).map_err(invalid)?;
        let places = fits(&component)?;
        let pre = linker.instantiate_pre(&component).map_err(invalid)?;
        let range = component.image_range();
        let code_bytes = (range.end as usize).saturating_sub(range.start as usize) as u64;
        Ok(Self { checked, component, pre, places, code_bytes })
    }
}

/// Refuses a component that could never be instantiated, or only at another policy's expense. Answers with the places
/// that an instance takes.
fn fits(component: &Component) -> Result<u32, BindError> {
    let invalid = |reason: String| BindError::Invalid(reason.into());
    let Some(needs) = component.resources_required() else {
        return Err(invalid("it brings whole modules or components as parameters".to_owned()));
    };
    let too_many = |what: &str, has: u32, max: u32| invalid(format!("it has {has} {what}, the limit is {max}"));
    if needs.num_memories > pool::MEMORIES {
        return Err(too_many("memories", needs.num_memories, pool::MEMORIES));
    }
    if needs.num_tables > pool::TABLES {
        return Err(too_many("tables", needs.num_tables, pool::TABLES));
    }
    if needs.max_initial_table_size.is_some_and(|elements| elements > pool::TABLE_ELEMENTS as u64) {
        return Err(invalid(format!("a table of it has more than {} elements", pool::TABLE_ELEMENTS)));
    }
    Ok(pool::places(needs.num_memories, needs.num_tables))
}

/// The compiled policies, by digest.
pub(super) struct Library {
    /// The policies in use.
    live: Mutex<HashMap<Digest, Weak<Compiled>>>,
    /// The policies that were used lately, weighed by their machine code.
    kept: Cache<Digest, Arc<Compiled>>,
    /// Held while a policy is compiled, so that none is compiled twice; compiling one uses all cores anyway.
    compiling: Mutex<()>,
}

impl Library {
    pub(super) fn new(kept_bytes_max: u64) -> Self {
        let weigh = |_: &Digest, compiled: &Arc<Compiled>| u32::try_from(compiled.code_bytes).unwrap_or(u32::MAX);
        let kept = Cache::builder().weigher(weigh).max_capacity(kept_bytes_max).build();
        Self { live: Mutex::default(), kept, compiling: Mutex::new(()) }
    }

    pub(super) fn find_or_make(
        &self,
        digest: Digest,
        make: impl FnOnce() -> Result<Compiled, BindError>,
    ) -> Result<Arc<Compiled>, BindError> {
        if let Some(compiled) = self.find(&digest) {
            return Ok(compiled);
        }
        let _turn = self.compiling.lock();
        if let Some(compiled) = self.find(&digest) {
            return Ok(compiled);
        }
        let compiled = Arc::new(make()?);
        let mut live = self.live.lock();
        live.retain(|_, compiled| compiled.strong_count() > 0);
        live.insert(digest, Arc::downgrade(&compiled));
        self.kept.insert(digest, Arc::clone(&compiled));
        self.kept.sync();
        Ok(compiled)
    }

    pub(super) fn len(&self) -> usize {
        self.kept.sync();
        self.live.lock().values().filter(|compiled| compiled.strong_count() > 0).count()
    }

    fn find(&self, digest: &Digest) -> Option<Arc<Compiled>> {
        let compiled = self.live.lock().get(digest).and_then(Weak::upgrade)?;
        self.kept.insert(*digest, Arc::clone(&compiled));
        Some(compiled)
    }
}
