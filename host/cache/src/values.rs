//! Values of a program, without HTTP: read, loaded, put and purged by keys of the program's own, through the same tiers, policies,
//! purges and fleet as responses.
//!
//! ```
//! use std::time::Duration;
//!
//! use sandbar::Sandbar;
//! use sandbar::body::BoxError;
//! use sandbar::values::Keep;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let sandbar = Sandbar::builder().build()?;
//! let keep = Keep::fresh_for(Duration::from_secs(300)).surrogate_key("catalogue");
//! let prices = sandbar.values::<u32>("default", "prices")?.keeping(keep);
//!
//! let price = prices.get_or_load("tea", || async { Ok::<_, BoxError>(495) }).await?.expect("there is one");
//! let again = prices.get("tea").await?.into_value().expect("it is stored");
//! assert!(*price == 495 && std::sync::Arc::ptr_eq(&price, &again));
//!
//! prices.put("tea", 525).await?;
//! prices.delete("tea").await?;
//! # sandbar.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! A value is stored as a response is, and what holds for responses holds for it: a class of the tenant whose paths match
//! `/NAME/KEY` says what a purge promises on other nodes and how lifetimes are spread; the freshness policy is shown the site
//! [`SITE`], that path, and a `Cache-Control` as [`Keep`] gives it; events and [`Values::explain`] name it so. A purge by surrogate
//! key, by prefix or of all that a tenant has reaches values and responses. But no request over HTTP can be answered with a value,
//! nor a value be read from what HTTP stored: their keys begin in different ways.
//!
//! [`Values::backed_by`] puts a store behind values, such as a table of a database (module `sql`) or a service over HTTP ([`OriginStore`]): what the cache does not have is read from
//! it, and writes go to it first.
//!
//! L1 holds values as they are used, L2 as their codec encodes them. The name, the codec and its version are a part of each key. A
//! name is for one type: what another type has put there is a miss.

mod address;
mod backed;
mod backing;
mod codec;
mod error;
mod fresh;
mod handle;
mod keep;
mod load;
mod loading;
mod many;
mod origin_store;
mod read;
mod reservation;
mod shape;
mod shelf;

pub use self::address::{BadName, KEY_BYTES_MAX, KeyTooLong, NAME_BYTES_MAX, SITE};
pub use self::backed::{Backed, WriteError, Written};
pub use self::backing::{Change, Expected, Outcome, Row, Store, StoreError};
pub use self::codec::{Codec, Postcard};
pub use self::error::{LoadError, PutValueError, ValueError};
pub use self::fresh::{Fresh, Lookup};
pub use self::handle::Values;
pub use self::keep::Keep;
pub use self::origin_store::OriginStore;
pub use self::reservation::Reservation;
pub(crate) use self::shelf::Kept;
pub use crate::write::{Fate, Replaced};
