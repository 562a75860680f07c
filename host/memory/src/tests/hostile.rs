//! Hostile policies: least recently used, but with false, failing or slow answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sandbar_base::{Fault, FaultKind};
use sandbar_guest::eviction::{Eviction, advance};

use super::support::{Factory, Lru};
use crate::eviction::EvictionPolicy;

/// What a hostile policy does to an honest answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Names slots that are not resident, and high ones that do not exist.
    Invents,
    /// Names each victim twice.
    Repeats,
    /// Names no victims.
    Withholds,
    /// Names every second victim, not the first one.
    Halves,
    /// Names every slot that it was ever told of.
    EvictsAll,
    /// Fails every so often.
    Fails,
    /// Answers slowly, so that other threads run meanwhile.
    Dawdles,
    /// Never comes to the end of its order, and fails in the middle of it now and then.
    GoesRound,
}

impl Habit {
    pub(super) const ALL: [Self; 8] = [
        Self::Invents,
        Self::Repeats,
        Self::Withholds,
        Self::Halves,
        Self::EvictsAll,
        Self::Fails,
        Self::Dawdles,
        Self::GoesRound,
    ];
}

struct Hostile {
    inner: Lru,
    habit: Habit,
    calls: u32,
}

impl EvictionPolicy for Hostile {
    fn advance(&mut self, now_ms: u64, events: &[u64], reclaim: u64, victims: &mut Vec<u32>) -> Result<(), Fault> {
        self.calls += 1;
        let first = victims.len();
        advance(&mut self.inner, now_ms, events, reclaim, victims);
        let honest = victims.split_off(first);
        match self.habit {
            Habit::Invents => victims.extend(honest.iter().flat_map(|slot| [*slot, slot ^ 1, u32::MAX, 1 << 30])),
            Habit::Repeats => victims.extend(honest.iter().flat_map(|slot| [*slot, *slot])),
            Habit::Withholds => {}
            Habit::Halves => victims.extend(honest.iter().skip(1).step_by(2)),
            Habit::EvictsAll => victims.extend(0..2000),
            Habit::Fails if self.calls.is_multiple_of(17) => {
                victims.extend(0..10);
                return Err(Fault::trap("unreachable"));
            }
            Habit::Dawdles => {
                (0..50).for_each(|_| std::thread::yield_now());
                victims.extend(honest);
            }
            Habit::Fails | Habit::GoesRound => victims.extend(honest),
        }
        Ok(())
    }

    fn order(&mut self, after: Option<u32>, limit: u32, slots: &mut Vec<u32>) -> Result<(), Fault> {
        if self.habit == Habit::GoesRound {
            self.calls += 1;
            slots.extend([7, 7, u32::MAX - 1, self.calls % 5]);
            return if self.calls.is_multiple_of(3) { Err(Fault::trap("round")) } else { Ok(()) };
        }
        slots.extend(self.inner.order(after, limit));
        Ok(())
    }
}

/// A factory of policies with this habit; the one that stands in for them is honest and watchful.
pub(super) fn hostile(habit: Habit) -> Arc<Factory> {
    Factory::new("hostile", move |capacity_bytes, seed| {
        let inner = Lru::configure("", capacity_bytes, seed).map_err(Fault::trap)?;
        Ok(Box::new(Hostile { inner, habit, calls: 0 }))
    })
}

struct FailsAfter(Arc<AtomicU32>, Lru);

impl EvictionPolicy for FailsAfter {
    fn advance(&mut self, now_ms: u64, events: &[u64], reclaim: u64, victims: &mut Vec<u32>) -> Result<(), Fault> {
        advance(&mut self.1, now_ms, events, reclaim, victims);
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| FaultKind::Deadline { budget_us: 1 }.into())
    }

    fn order(&mut self, after: Option<u32>, limit: u32, slots: &mut Vec<u32>) -> Result<(), Fault> {
        slots.extend(self.1.order(after, limit));
        Ok(())
    }
}

/// A factory of honest policies that fail once they have been called `calls` times in total.
pub(super) fn failing_after(calls: u32) -> Arc<Factory> {
    let calls = Arc::new(AtomicU32::new(calls));
    Factory::new("failing", move |capacity_bytes, seed| {
        let inner = Lru::configure("", capacity_bytes, seed).map_err(Fault::trap)?;
        Ok(Box::new(FailsAfter(Arc::clone(&calls), inner)))
    })
}
