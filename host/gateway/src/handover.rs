//! A restart that no client notices: the running process starts the program anew, hands its listening sockets and what
//! only one process can have over to it, and ends once it has answered what it was asked.
//!
//! ```text
//! old process                                   new process
//! starts the program, sends the sockets ──────► checks the settings, compiles policies
//!                                     ◄ ready ─
//! purges are the heir's from now on
//! lets the disk tier's directory go ─── yours ► opens the disk tier, joins the fleet
//!                                     ◄ open ──
//! hands on the purges that wait,
//! answers from the origin alone ──────── go ──► accepts connections
//!                                  ◄ serving ─
//! accepts none, drains ──── purges, done ─────► makes purges of the old process until that ends
//! ```
//! Until `serving` the old process answers as before (without its disk tier from `yours` on), and whatever goes wrong with
//! the new one, it takes back what it has let go. `lines` is the channel between the two, a pair of sockets without a
//! name: no other process can come in between.

mod attempt;
mod error;
mod heir;
mod lines;
mod message;
mod new;
mod old;
mod program;
mod shared;

pub use self::error::UpgradeError;
pub(super) use self::new::HANDED_OVER_BY;
pub use self::new::Predecessor;
pub(super) use self::new::{Drains, Taking};
pub use self::old::Upgraded;
pub(super) use self::old::Upgrades;
pub use self::program::Program;
pub(super) use self::shared::Shared;
