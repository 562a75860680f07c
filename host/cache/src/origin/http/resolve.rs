//! Which addresses a name leads to.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::lookups::Lookups;

/// Resolves names of origins.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses that a name leads to now, in any order. No address at all counts as an error.
    ///
    /// # Errors
    /// When there is no answer.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// Look-ups of the operating system that are under way at once in this process, of all names. Each takes a thread, and can't
/// be given up.
const LOOKUPS_MAX: usize = 64;

static LOOKUPS: LazyLock<Arc<Lookups>> = LazyLock::new(|| Lookups::new(LOOKUPS_MAX, by_system));

/// The resolver of the operating system, which knows `/etc/hosts` and whatever else the machine is set up to ask. It
/// does not tell for how long an answer is good. Who asks for a name that is being looked up waits for that look-up, and 64
/// names are looked up at once at most: where the resolver does not answer, threads do not pile up.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        LOOKUPS.ask(host).boxed()
    }
}

fn by_system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}
