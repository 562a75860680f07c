//! The cache as a part of another program: [`Sandbar::builder`](crate::Sandbar::builder) makes one, and the handle that it
//! gives can do everything that an operator does over the gateway's API. The page of the crate has an example.

mod builder;
mod error;
pub(crate) mod handle;
mod makers;
mod opener;
mod tenants;

pub use self::builder::Builder;
pub use self::error::{BuildError, ChangeError, StoreError, TellError, UnknownTenant};
pub use self::handle::Stats;
pub use crate::hosts::HostError;
