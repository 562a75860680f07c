//! The instances of a guest that any thread may ask at any time: made at need, kept for the next call, released when
//! they were not used for long.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::engine::wit::Configured;
use crate::engine::{Engine, Idle, Instance, Maker};
use crate::{BindError, Fault};

/// Idle instances that are kept for the next call. Where more calls run at once, more instances are made, but not kept.
const KEPT_MAX: usize = 4;

/// Makes an instance and hands it its settings.
type Make<F, C> = Box<dyn Fn(&Maker) -> Result<(Instance<F>, Configured<C>), Fault> + Send + Sync>;

pub(super) struct Instances<F, C> {
    maker: Maker,
    make: Make<F, C>,
    /// Idle instances and when each was last used, in that order.
    kept: Mutex<Vec<(Duration, Instance<F>)>>,
}

impl<F: Send + 'static, C: 'static> Instances<F, C> {
    /// Makes the first instance. Answers with what that instance said when it took its settings.
    pub(super) fn open(
        maker: Maker,
        make: impl Fn(&Maker) -> Result<(Instance<F>, Configured<C>), Fault> + Send + Sync + 'static,
    ) -> Result<(Arc<Self>, C), BindError> {
        let (first, taken) = make(&maker)?;
        let taken = taken.map_err(|sentence| BindError::Settings(sentence.into()))?;
        let kept = Mutex::new(vec![(maker.ledger.monotonic(), first)]);
        let instances = Arc::new(Self { maker, make: Box::new(make), kept });
        let weak = Arc::downgrade(&instances);
        instances.maker.engine.watch_idle(weak);
        Ok((instances, taken))
    }

    /// Has an instance answer, and counts a fault. An instance that fails is dropped.
    pub(super) fn ask<R>(&self, ask: impl FnOnce(&Engine, &mut Instance<F>) -> Result<R, Fault>) -> Result<R, Fault> {
        let answer = self.take().and_then(|mut instance| {
            let answer = ask(&self.maker.engine, &mut instance)?;
            self.keep(instance);
            Ok(answer)
        });
        answer.inspect_err(|fault| self.maker.ledger.faulted(fault))
    }

    fn take(&self) -> Result<Instance<F>, Fault> {
        if let Some((_, instance)) = self.kept.lock().pop() {
            return Ok(instance);
        }
        match (self.make)(&self.maker)? {
            (instance, Ok(_)) => Ok(instance),
            (_, Err(_)) => Err(Fault::nonsense("it refuses settings that it took before")),
        }
    }

    fn keep(&self, instance: Instance<F>) {
        let now = self.maker.ledger.monotonic();
        let mut kept = self.kept.lock();
        if kept.len() < KEPT_MAX {
            kept.push((now, instance));
        }
    }
}

impl<F: Send + 'static, C: 'static> Idle for Instances<F, C> {
    fn release_idle(&self) {
        let (now, idle) = (self.maker.ledger.monotonic(), self.maker.engine.config().idle);
        let mut kept = self.kept.lock();
        let old = kept.iter().take_while(|(used, _)| now.saturating_sub(*used) >= idle).count();
        let released: Vec<_> = kept.drain(..old).collect();
        // Unmapping takes a while, so it is not done under the lock.
        drop(kept);
        drop(released);
    }

    fn release_all(&self) {
        let released = std::mem::take(&mut *self.kept.lock());
        drop(released);
    }
}
