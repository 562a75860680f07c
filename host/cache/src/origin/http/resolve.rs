//! Which addresses a name leads to.

use std::io;
use std::net::IpAddr;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// Resolves names of origins.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses that a name leads to now, in any order. No address at all counts as an error.
    ///
    /// # Errors
    /// When there is no answer.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system, which knows `/etc/hosts` and whatever else the machine is set up to ask. It
/// does not tell for how long an answer is good.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) }.boxed()
    }
}
