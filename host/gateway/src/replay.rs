//! Replays recorded traffic under eviction policies, to compare what they miss.
//!
//! A [`Trace`] is driven through the very same [`Memory`](sandbar_memory::Memory) that serves requests, by its
//! [`simulator`](sandbar_memory::simulator). With one shard and batches of one event the
//! counts are those of a textbook simulator, to the last miss; with production's shards and batches they are
//! production's.
//!
//! ```no_run
//! use sandbar_gateway::replay::{PolicyChoice, Replay, Trace, Unit};
//!
//! let trace = Trace::open("day.csv.zst".as_ref(), &mut |_| ())?;
//! let policy: PolicyChoice = "lfu:ageing=off".parse().map_err(anyhow::Error::msg)?;
//! let capacity = "10%".parse().map_err(anyhow::Error::msg)?;
//! let row = Replay::default().run(&trace, &policy.native(), Unit::Entries, capacity, &mut |_| ())?;
//! println!("{:.4} of the requests missed", row.object_miss_ratio);
//! # anyhow::Ok(())
//! ```

mod access_log;
mod capacity;
mod csv;
mod error;
mod plot;
mod policy;
mod row;
mod run;
mod trace;
mod trace_file;

pub use self::capacity::{Capacity, Unit};
pub use self::error::ReplayError;
pub use self::plot::plot;
pub use self::policy::PolicyChoice;
pub use self::row::Row;
pub use self::run::Replay;
pub use self::trace::{Request, Trace};
pub use self::trace_file::TraceError;
