//! The node's memory budget: one account, with one bound, of the memory that is kept on behalf of clients, origins and
//! operators.
//!
//! Everything that they can make the node keep is charged here in bytes, *before* it is allocated: memory that is in
//! use already can't be charged. [`MemoryBudget::reserve`] returns a [`Reserved`] or none, and a caller that gets none
//! keeps nothing: a response is passed through unstored, a request is answered with 503, a stream is refused, a
//! connection waits to be accepted. Things that are charged by size (bodies, entries, uploads) are a [`Content`] or lie
//! behind one; things that are charged by the piece (connections, streams, exchanges with an origin) cost a constant
//! that a test measures ([`Use`] says where each constant is).
//!
//! Memory that does not grow with the traffic is not charged: code, the program's own tables, and what the allocator
//! keeps for later. That is why the bound is by default half of what the machine or its cgroup allows; when that runs
//! short all the same, the node shrinks (`sandbar::memory_budget`).

mod content;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use serde::Serialize;

pub use self::content::{Content, SENT_ALONE_BYTES_MAX, sent};

/// The uses of memory that are charged, and counted one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Stored responses: in L1, or still being sent.
    Entries,
    /// Bodies that are being received to be stored, until the last of their readers is done.
    Fills,
    /// Bodies that are passed through: the bytes that readers behind the fastest one may still need.
    Windows,
    /// Reads from the L2 that are under way.
    L2Reads,
    /// Writes to the L2 that are under way.
    L2Writes,
    /// Linear memories of guests.
    Guests,
    /// Connections of clients and operators, a constant each: the gateway's `room`.
    Connections,
    /// Requests on these connections, until the last byte of the response is written, a constant each: the gateway's
    /// `room`.
    Streams,
    /// Requests under way to an origin, and fetches that have waiters, a constant each: `exchange`.
    Exchanges,
    /// Bodies that operators send to the admin API.
    Uploads,
    /// The last events of tenants, for operators who wonder what became of a response.
    Events,
    /// Tables whose size is settled at the start.
    Tables,
}

impl Use {
    /// All uses; the place of each is its discriminant.
    pub const ALL: [Self; 12] = [
        Self::Entries,
        Self::Fills,
        Self::Windows,
        Self::L2Reads,
        Self::L2Writes,
        Self::Guests,
        Self::Connections,
        Self::Streams,
        Self::Exchanges,
        Self::Uploads,
        Self::Events,
        Self::Tables,
    ];

    /// Whether requests can be answered without this use: it only saves a later request the way to the origin.
    const fn is_for_later(self) -> bool {
        matches!(self, Self::Entries | Self::Fills | Self::Windows | Self::L2Reads | Self::L2Writes | Self::Events)
    }

    /// The stable word for the use in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Fills => "fills",
            Self::Windows => "windows",
            Self::L2Reads => "l2-reads",
            Self::L2Writes => "l2-writes",
            Self::Guests => "guests",
            Self::Connections => "connections",
            Self::Streams => "streams",
            Self::Exchanges => "exchanges",
            Self::Uploads => "uploads",
            Self::Events => "events",
            Self::Tables => "tables",
        }
    }
}

/// One part in so many of the account is reserved for uses that requests can't be answered without. Otherwise memory
/// that is only kept for later (bodies to be stored, above all) would take everything, and requests be refused.
const ANSWERS_DIVISOR: u64 = 10;

/// The account of a node's memory.
#[derive(Debug)]
pub struct MemoryBudget {
    total_bytes: u64,
    /// The bound for uses that requests can be answered without: they are refused where the total in use would exceed
    /// it.
    for_later_bytes: u64,
    /// The bound at this time: at most the total, less while the machine does not have that much left.
    allowed_bytes: AtomicU64,
    used_bytes: AtomicU64,
    by_use: [Account; Use::ALL.len()],
    pressure: AtomicU64,
    kept_percent: AtomicU64,
}

#[derive(Debug, Default)]
struct Account {
    bytes: AtomicU64,
    refused: AtomicU64,
}

impl MemoryBudget {
    /// An account with this bound, of which nothing is used.
    pub fn new(total_bytes: u64) -> Arc<Self> {
        let answers_bytes = if total_bytes == u64::MAX { 0 } else { total_bytes / ANSWERS_DIVISOR };
        Arc::new(Self {
            total_bytes,
            for_later_bytes: total_bytes - answers_bytes,
            allowed_bytes: AtomicU64::new(total_bytes),
            used_bytes: AtomicU64::new(0),
            by_use: Default::default(),
            pressure: AtomicU64::new(0),
            kept_percent: AtomicU64::new(100),
        })
    }

    /// An account that refuses nothing.
    pub fn unbounded() -> Arc<Self> {
        Self::new(u64::MAX)
    }

    /// The bound in bytes.
    pub const fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// A reservation of so many bytes; none where the bound does not allow them, which is counted as refused.
    pub fn reserve(self: &Arc<Self>, what: Use, bytes: u64) -> Option<Reserved> {
        self.try_add(what, bytes).then(|| Reserved::of(self, what, bytes))
    }

    /// A reservation of zero bytes, to be grown by [`Reserved::cover`].
    pub fn nothing(self: &Arc<Self>, what: Use) -> Reserved {
        Reserved::of(self, what, 0)
    }

    /// Whether as much is used as is allowed at this time.
    pub fn is_exhausted(&self) -> bool {
        self.used_bytes.load(Ordering::Relaxed) >= self.allowed_bytes.load(Ordering::Relaxed)
    }

    /// Allows from now on the bytes that are used now and `room_bytes` more, but at most the total. The keeper calls
    /// this with what the machine has left: until it looks again, the node can't take more than that.
    pub fn bound_growth(&self, room_bytes: u64) {
        let allowed = self.used_bytes.load(Ordering::Relaxed).saturating_add(room_bytes).min(self.total_bytes);
        self.allowed_bytes.store(allowed, Ordering::Relaxed);
    }

    /// Notes the machine's memory use and L1's percentage for [`Self::stats`]; the keeper calls this.
    pub fn note_pressure(&self, used_percent: u64, kept_percent: u64) {
        self.pressure.store(used_percent, Ordering::Relaxed);
        self.kept_percent.store(kept_percent, Ordering::Relaxed);
    }

    /// The figures of this instant.
    pub fn stats(&self) -> MemoryBudgetStats {
        let uses = Use::ALL.map(|what| {
            let account = &self.by_use[what as usize];
            UseStats {
                what: what.as_str(),
                bytes: account.bytes.load(Ordering::Relaxed),
                refused: account.refused.load(Ordering::Relaxed),
            }
        });
        MemoryBudgetStats {
            total_bytes: self.total_bytes,
            used_bytes: self.used_bytes.load(Ordering::Relaxed),
            machine_used_percent: self.pressure.load(Ordering::Relaxed),
            l1_kept_percent: self.kept_percent.load(Ordering::Relaxed),
            uses: uses.to_vec(),
        }
    }

    fn try_add(&self, what: Use, bytes: u64) -> bool {
        // The keeper decides what L1 may weigh, and shrinks it when the machine runs short. If entries were refused
        // here as well, new ones could not replace old ones.
        let allowed = match what {
            Use::Entries => self.for_later_bytes,
            what if what.is_for_later() => self.allowed_bytes.load(Ordering::Relaxed).min(self.for_later_bytes),
            // Until L1 has shrunk, answers may take their tenth beyond what the machine has left: otherwise they would
            // be refused because of the memory that L1 keeps.
            _ => self.allowed_bytes.load(Ordering::Relaxed).saturating_add(self.answers_bytes()).min(self.total_bytes),
        };
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= allowed);
        if self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            self.by_use[what as usize].refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.by_use[what as usize].bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    const fn answers_bytes(&self) -> u64 {
        self.total_bytes - self.for_later_bytes
    }

    fn give_back(&self, what: Use, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.by_use[what as usize].bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A reservation: bytes that are charged until it is dropped.
#[derive(Debug)]
pub struct Reserved {
    budget: Arc<MemoryBudget>,
    /// Place of its use in [`Use::ALL`].
    what: AtomicU8,
    bytes: u64,
}

impl Reserved {
    fn of(budget: &Arc<MemoryBudget>, what: Use, bytes: u64) -> Self {
        Self { budget: Arc::clone(budget), what: AtomicU8::new(what as u8), bytes }
    }

    fn what(&self) -> Use {
        Use::ALL[usize::from(self.what.load(Ordering::Relaxed))]
    }

    /// How many bytes the reservation holds.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Grows the reservation to at least so many bytes; false, with nothing changed, where the bound does not allow it.
    pub fn cover(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let covers = more == 0 || self.budget.try_add(self.what(), more);
        self.bytes += if covers { more } else { 0 };
        covers
    }

    /// Gives back all but so many bytes.
    pub fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.budget.give_back(self.what(), less);
        self.bytes -= less;
    }

    /// Splits so many of its bytes off as a reservation of their own; none where it has fewer.
    pub fn split(&mut self, bytes: u64) -> Option<Self> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(Self::of(&self.budget, self.what(), bytes))
    }

    /// A reservation of so many bytes for the same use: split off from this one where it has as many, else from the
    /// account.
    pub fn draw(&mut self, bytes: u64) -> Option<Self> {
        self.split(bytes).or_else(|| self.budget.reserve(self.what(), bytes))
    }

    /// Reserves bytes of the same account for another use, like [`MemoryBudget::reserve`].
    pub fn others(&self, what: Use, bytes: u64) -> Option<Self> {
        self.budget.reserve(what, bytes)
    }

    /// Charges the reserved bytes to another use from now on; the total does not change.
    pub fn turn(&self, what: Use) {
        let by_use = &self.budget.by_use;
        let before = Use::ALL[usize::from(self.what.swap(what as u8, Ordering::Relaxed))];
        by_use[what as usize].bytes.fetch_add(self.bytes, Ordering::Relaxed);
        by_use[before as usize].bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give_back(self.what(), self.bytes);
    }
}

/// An account at one instant; counts are since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryBudgetStats {
    /// The bound in bytes.
    pub total_bytes: u64,
    /// Bytes that are charged.
    pub used_bytes: u64,
    /// Used memory of the machine or its cgroup, in per cent of what is allowed; 0 where it is not watched.
    pub machine_used_percent: u64,
    /// What the tenants' L1 may weigh now, in per cent of their shares: below 100 while the machine runs short.
    pub l1_kept_percent: u64,
    /// The charged bytes by what they are used for.
    pub uses: Vec<UseStats>,
}

/// The figures of one use of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UseStats {
    /// The stable word for the use.
    pub what: &'static str,
    /// Bytes that are charged.
    pub bytes: u64,
    /// How often a reservation for this use was refused.
    pub refused: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_had_is_not_taken() {
        let budget = MemoryBudget::new(100);
        let mut upload = budget.reserve(Use::Uploads, 60).expect("room");
        assert!(budget.reserve(Use::Streams, 41).is_none());
        assert!(!upload.cover(101));
        assert!(upload.cover(100) && upload.cover(10), "it has more than that");
        let stats = budget.stats();
        assert_eq!((stats.used_bytes, stats.uses[Use::Uploads as usize].bytes), (100, 100));
        assert_eq!((stats.uses[Use::Streams as usize].refused, stats.uses[Use::Uploads as usize].refused), (1, 1));
        drop(upload);
        assert!(budget.reserve(Use::Streams, 100).is_some());
    }

    #[test]
    fn what_is_kept_for_later_leaves_a_tenth_for_answers() {
        let budget = MemoryBudget::new(100);
        let fill = budget.reserve(Use::Fills, 90).expect("room");
        for what in Use::ALL {
            assert_eq!(budget.reserve(what, 1).is_none(), what.is_for_later(), "{what:?}");
        }
        let _exchange = budget.reserve(Use::Exchanges, 10).expect("the last tenth");
        drop(fill);
        assert!(budget.reserve(Use::Entries, 81).is_none() && budget.reserve(Use::Entries, 80).is_some());
    }

    #[test]
    fn it_grows_no_faster_than_the_machine_has_room() {
        let budget = MemoryBudget::new(100);
        let _kept = budget.reserve(Use::Entries, 40).expect("there is room");
        budget.bound_growth(10);
        assert!(budget.reserve(Use::Fills, 11).is_none() && budget.reserve(Use::Fills, 10).is_some());
        budget.bound_growth(0);
        assert!(budget.is_exhausted());
        assert!(budget.reserve(Use::Entries, 50).is_some(), "L1 shrinks for itself");
        assert!(budget.reserve(Use::Streams, 10).is_some() && budget.reserve(Use::Streams, 11).is_none());
        budget.bound_growth(u64::MAX);
        assert!(budget.reserve(Use::Streams, 60).is_some() && budget.reserve(Use::Streams, 61).is_none());
    }

    #[test]
    fn parts_of_a_reservation_are_charged_once_and_for_what_they_are_used_for() {
        let budget = MemoryBudget::new(100);
        let mut fill = budget.reserve(Use::Fills, 60).expect("room");
        let entry = fill.split(40).expect("it has as much");
        entry.turn(Use::Entries);
        assert!(fill.split(21).is_none());
        let bytes = |what: Use| budget.stats().uses[what as usize].bytes;
        assert_eq!((budget.stats().used_bytes, bytes(Use::Fills), bytes(Use::Entries)), (60, 20, 40));
        let more = fill.draw(30).expect("not out of the reservation, but out of the account");
        assert_eq!((fill.bytes(), budget.stats().used_bytes), (20, 90), "all that there is for later");
        assert!(fill.draw(21).is_none());
        fill.shrink_to(5);
        assert_eq!(budget.stats().used_bytes, 75);
        drop((fill, entry, more));
        assert_eq!((budget.stats().used_bytes, bytes(Use::Entries), bytes(Use::Fills)), (0, 0, 0));
        assert!(MemoryBudget::unbounded().reserve(Use::Fills, u64::MAX).is_some());
    }

    /// Whatever many threads do at the same time, no instant shows more than the bound.
    #[test]
    fn the_account_never_exceeds_its_bound() {
        let budget = MemoryBudget::new(1000);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let budget = &budget;
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for step in 0..2_000_u64 {
                        let what = Use::ALL[(step % Use::ALL.len() as u64) as usize];
                        held.extend(budget.reserve(what, (step * 7 + thread * 13) % 400));
                        assert!(budget.stats().used_bytes <= 1000);
                        if step % 3 == 0 {
                            held.clear();
                        }
                    }
                });
            }
        });
        assert!(budget.stats().uses.iter().all(|one| one.bytes == 0));
    }
}
